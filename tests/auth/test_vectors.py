"""The worked examples of the Amazon S3 API Reference, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bleepstore.auth.canonical import Pair
from bleepstore.auth.signing import Signer
from bleepstore.auth.sigv4 import SigningKeys, Verified, parse_claim, verify

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "sigv4_s3_api_reference.json").read_text()
)
SIGNER = Signer(VECTORS["access_key"], VECTORS["secret_key"], VECTORS["region"])
REQUESTS = VECTORS["requests"]
CHUNK_SIZES = (65536, 1024, 0)


def pairs(listed: list[list[str]]) -> list[Pair]:
    return [(name.encode(), value.encode()) for name, value in listed]


def verified(vector: dict[str, Any]) -> Verified:
    claim = parse_claim(
        vector["method"].encode(),
        vector["target"].encode(),
        pairs(vector["headers"]),
        VECTORS["time"],
        VECTORS["region"],
    )
    assert claim is not None
    assert claim.access_key == VECTORS["access_key"]
    return verify(claim, VECTORS["secret_key"], SigningKeys())


def by_name(*names: str) -> Any:
    found = [vector for vector in REQUESTS if vector["name"] in names] if names else REQUESTS
    return pytest.mark.parametrize("vector", found, ids=[vector["name"] for vector in found])


@by_name()
def test_the_signature_of_the_example_is_verified(vector: dict[str, Any]) -> None:
    assert verified(vector).access_key == "AKIAIOSFODNN7EXAMPLE"


@by_name("PUT Object in chunks", "PUT Object in chunks with a trailer")
def test_the_chunk_signatures_of_the_example_are_verified(vector: dict[str, Any]) -> None:
    chunks = verified(vector).chunks
    assert chunks is not None
    for size, signature in zip(CHUNK_SIZES, vector["chunks"], strict=True):
        chunks.update(b"a" * size)
        chunks.end_chunk(signature.encode())
    if "trailers" in vector:
        chunks.end_trailer(pairs(vector["trailers"]), vector["trailer_signature"].encode())


@by_name("GET Object", "GET Bucket Lifecycle", "Get Bucket (List Objects)")
def test_signing_gives_the_signature_of_the_example(vector: dict[str, Any]) -> None:
    headers = dict(pairs(vector["headers"]))
    del headers[b"authorization"], headers[b"x-amz-date"]
    payload = headers.pop(b"x-amz-content-sha256")
    request = SIGNER.sign(
        vector["method"].encode(),
        vector["target"].encode(),
        tuple(headers.items()),
        payload,
        VECTORS["time"],
    )
    authorization = dict(request.headers)[b"authorization"]
    assert authorization.endswith(b"Signature=" + vector["signature"].encode())


@by_name("Presigned GET")
def test_presigning_gives_the_target_of_the_example(vector: dict[str, Any]) -> None:
    headers = pairs(vector["headers"])
    target = SIGNER.presign(b"GET", b"/test.txt", headers, VECTORS["time"], 86400)
    assert target == vector["target"].encode()
