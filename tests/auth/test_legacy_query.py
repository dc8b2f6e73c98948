"""Presigned URLs of Signature Version 2, as botocore makes them by default."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.auth.sigv2_query import (
    SUBRESOURCES,
    LegacyClaim,
    parse_legacy_claim,
    verify_legacy,
)
from bleepstore.auth.sigv4 import parse_claim
from bleepstore.errors import AccessDenied, InvalidToken, SignatureDoesNotMatch, StoreError
from bleepstore.wire.operations import OPERATIONS

SECRET = "bleepstore-secret"


def presigned(operation: str, parameters: dict[str, Any], style: str = "path") -> bytes:
    config = Config(signature_version="s3", s3={"addressing_style": style})
    client = boto3.client(
        "s3",
        endpoint_url="http://localhost:9000",
        aws_access_key_id="bleepstore",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=config,
    )
    url: str = client.generate_presigned_url(operation, Params=parameters)
    split = urlsplit(url)
    return f"{split.path}?{split.query}".encode()


def claim_of(method: bytes, target: bytes, *headers: tuple[bytes, bytes]) -> LegacyClaim:
    claim = parse_claim(method, target, headers, int(time.time() * 1000), "us-east-1")
    assert isinstance(claim, LegacyClaim)
    return claim


@pytest.mark.parametrize("key", ["k", "a b/c+d", "ü/😀", "~(x)*'!", "a//b", "..", "100%"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_what_botocore_presigns_is_verified(key: str, style: str) -> None:
    target = presigned("get_object", {"Bucket": "bucket", "Key": key}, style)
    claim = claim_of(b"GET", target)
    assert claim.access_key == "bleepstore"
    host_bucket, other = ("bucket", "") if style == "virtual" else ("", "bucket")
    verify_legacy(claim, SECRET, host_bucket)
    for secret, bucket in ((SECRET + "x", host_bucket), (SECRET, other)):
        with pytest.raises(SignatureDoesNotMatch):
            verify_legacy(claim, secret, bucket)
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim_of(b"DELETE", target), SECRET, host_bucket)
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim_of(b"GET", target.replace(b"?", b"x?")), SECRET, host_bucket)


@pytest.mark.parametrize("operation", ["list_objects_v2", "get_bucket_acl", "head_bucket"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_what_botocore_presigns_of_a_bucket_is_verified(operation: str, style: str) -> None:
    """It signs ``/bucket/`` even where it sends ``/bucket``."""
    method = b"HEAD" if operation == "head_bucket" else b"GET"
    target = presigned(operation, {"Bucket": "bucket"}, style)
    path, _, query = target.partition(b"?")
    assert path == (b"/bucket" if style == "path" else b"/")
    host_bucket = "bucket" if style == "virtual" else ""
    verify_legacy(claim_of(method, target), SECRET, host_bucket)
    others = (b"/bucket/k", b"/bucket/k/", b"/other", b"/bucket%2F", b"/bucket%2Fk", b"/")
    for other in others[: None if style == "path" else -1]:
        with pytest.raises(SignatureDoesNotMatch):
            verify_legacy(claim_of(method, other + b"?" + query), SECRET, host_bucket)


def test_a_slash_is_added_to_the_path_of_a_bucket_alone() -> None:
    target = presigned("get_object", {"Bucket": "b", "Key": "k/"})
    verify_legacy(claim_of(b"GET", target), SECRET, "")
    for other in (b"/b/k?", b"/b%2Fk?"):
        with pytest.raises(SignatureDoesNotMatch):
            verify_legacy(claim_of(b"GET", target.replace(b"/b/k/?", other)), SECRET, "")


def test_overrides_and_sub_resources_are_signed() -> None:
    target = presigned(
        "get_object",
        {"Bucket": "b", "Key": "k", "ResponseContentType": "text/plain; x=y", "PartNumber": 3},
    )
    verify_legacy(claim_of(b"GET", target), SECRET, "")
    assert b"%20" in target or b"+" in target
    verify_legacy(claim_of(b"GET", target.replace(b"%20", b"+")), SECRET, "")
    verify_legacy(claim_of(b"GET", target.replace(b"+", b"%20")), SECRET, "")
    changed = target.replace(b"text%2Fplain", b"text%2Fhtml")
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim_of(b"GET", changed), SECRET, "")


def test_headers_that_were_moved_into_the_query_are_signed() -> None:
    target = presigned(
        "put_object", {"Bucket": "b", "Key": "k", "ACL": "public-read", "Metadata": {"a": "b"}}
    )
    verify_legacy(claim_of(b"PUT", target), SECRET, "")
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim_of(b"PUT", target.replace(b"=public-read", b"=private")), SECRET, "")


def test_an_amz_header_that_was_not_signed_breaks_the_signature() -> None:
    target = presigned("put_object", {"Bucket": "b", "Key": "k"})
    claim = claim_of(b"PUT", target, (b"x-amz-acl", b"public-read"))
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim, SECRET, "")


@pytest.mark.parametrize(
    "added",
    [
        b"x-amz-copy-source=/b/secret",
        b"X-Amz-Copy-Source=/b/secret",
        b"x%2Damz-acl=public-read",
        b"X%2dAmz%2DAcl=public-read",
        b"acl",
        b"%61cl",
        b"upload%49d=u",
        b"response-content-typ%65=text/html",
    ],
)
def test_nothing_that_is_obeyed_can_be_added_whatever_its_spelling(added: bytes) -> None:
    target = presigned("put_object", {"Bucket": "b", "Key": "k"})
    with pytest.raises(SignatureDoesNotMatch):
        verify_legacy(claim_of(b"PUT", target + b"&" + added), SECRET, "")
    with pytest.raises(SignatureDoesNotMatch):  # the first counts
        verify_legacy(claim_of(b"PUT", target.replace(b"?", b"?" + added + b"&")), SECRET, "")


def test_every_sub_resource_that_is_served_is_signed() -> None:
    """But the form of a listing, and what needs the signed ``x-amz-object-attributes``."""
    served = {name for row in OPERATIONS if row.served for name in (row.subresource, row.parameter)}
    assert {name.encode() for name in served if name} - SUBRESOURCES == {
        b"list-type",
        b"attributes",
    }


@pytest.mark.parametrize(
    "moved",
    [
        b"content-type=%0A2000%0A/b/k",
        b"Content-Type=a%0Db",
        b"content-md5=%0A",
        b"x-amz-meta-a=b%00c",
        b"x-amz-acl%3Aprivate%0Ax-amz-meta-a=b",
        b"x-amz-meta-a%3Ab=c",
    ],
)
def test_what_stands_for_a_header_is_one_line_of_what_is_signed(moved: bytes) -> None:
    """Else a value could pass for lines of another request, which was signed for other ends: one
    that overrides the content type, say, with the text of a user."""
    with pytest.raises(AccessDenied):
        legacy(b"AWSAccessKeyId=a&Signature=s&Expires=2000&" + moved)


def legacy(query: bytes, now: int = 1_000_000) -> LegacyClaim:
    pairs = tuple(
        (name, value) for name, _, value in (p.partition(b"=") for p in query.split(b"&"))
    )
    return parse_legacy_claim(b"GET", b"/b/k", pairs, {}, now)


@pytest.mark.parametrize(
    "query",
    [
        b"AWSAccessKeyId=a&Signature=s",
        b"AWSAccessKeyId=a&Expires=2000",
        b"Signature=s&Expires=2000",
        b"AWSAccessKeyId=a&Signature=s&Expires=soon",
        b"AWSAccessKeyId=a&Signature=s&Expires=999",
        b"AWSAccessKeyId=a&Signature=s&Expires=606701",
        b"AWSAccessKeyId=a&Signature=s&Expires=9999999999999999",
        b"AWSAccessKeyId=a&Signature=s&Expires=" + b"9" * 5000,
    ],
)
def test_incomplete_and_untimely_queries_are_denied(query: bytes) -> None:
    with pytest.raises(AccessDenied):
        legacy(query)


def test_the_bounds_of_the_validity() -> None:
    assert legacy(b"AWSAccessKeyId=a&Signature=s&Expires=1000").expires == 1000
    # A week from the client's now, which may be a quarter of an hour ahead.
    assert legacy(b"AWSAccessKeyId=a&Signature=s&Expires=606700").expires == 606_700
    with pytest.raises(AccessDenied) as caught:
        legacy(b"AWSAccessKeyId=a&Signature=s&Expires=1000", 1_001_000)
    assert caught.value.details == {
        "Expires": "1970-01-01T00:16:40Z",
        "ServerTime": "1970-01-01T00:16:41Z",
    }


def test_a_parameter_that_stands_for_no_header_may_hold_anything() -> None:
    legacy(b"AWSAccessKeyId=a&Signature=s&Expires=2000&prefix=%0A&%20%0A=%00")


def test_a_session_token_is_refused() -> None:
    with pytest.raises(InvalidToken):
        legacy(b"AWSAccessKeyId=a&Signature=s&Expires=2000&x-amz-security-token=t")


@given(st.binary(max_size=200))
def test_any_query_is_refused_or_read(raw: bytes) -> None:
    try:
        verify_legacy(legacy(b"AWSAccessKeyId=a&Signature=s&Expires=2000&" + raw), SECRET, "")
    except StoreError:
        return
    raise AssertionError("nobody signed this")
