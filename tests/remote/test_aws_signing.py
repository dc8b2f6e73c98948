"""Requests signed for S3 are verified by the code that verifies those of clients."""

from __future__ import annotations

from hashlib import sha256

import pytest

from bleepstore.auth.sigv4 import Claim, SigningKeys, parse_claim, verify
from bleepstore.remote.aws_signing import HASHED, AwsAuthorizer, AwsCredentials
from bleepstore.remote.refreshing import Lease, Refreshing
from bleepstore.remote.requests import Origin, RemoteRequest, Upload
from tests.remote.memory import Source, result

NOW = 1_790_000_000_000


def authorizer(token: str = "") -> AwsAuthorizer:
    async def found() -> Lease[AwsCredentials]:
        return Lease(AwsCredentials("KEY", "secret", token))

    return AwsAuthorizer(Refreshing("test", found, lambda: NOW), "eu-west-1", lambda: NOW)


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (None, sha256(b"").hexdigest()),
        (b"", sha256(b"").hexdigest()),
        (b"data", sha256(b"data").hexdigest()),
        (b"x" * (HASHED + 1), "UNSIGNED-PAYLOAD"),
        (Upload(lambda: Source(b"data"), 4), "UNSIGNED-PAYLOAD"),
    ],
    ids=["none", "empty", "small", "large", "stream"],
)
@pytest.mark.parametrize(
    "target", [b"/bucket//a/../b%2Fc+d%20e?uploads&x=%2F", b"/", b"/k?partNumber=1&uploadId=a%2B"]
)
def test_a_signature_is_good(body: bytes | Upload | None, payload: str, target: bytes) -> None:
    request = RemoteRequest(
        method="PUT",
        origin=Origin("http", "127.0.0.1", 9000),
        target=target,
        headers=((b"content-type", b"text/plain"), (b"x-amz-meta-a", b"b  c")),
        body=body,
    )
    signed = result(authorizer().authorize(request))
    assert (signed.method, signed.target, signed.body) == ("PUT", target, body)
    headers = dict(signed.headers)
    assert headers[b"host"] == b"127.0.0.1:9000"
    assert headers[b"x-amz-content-sha256"] == payload.encode()
    claim = parse_claim(b"PUT", target, signed.headers, NOW, "eu-west-1")
    assert isinstance(claim, Claim)
    verify(claim, "secret", SigningKeys())


def test_a_session_token_is_sent_and_signed() -> None:
    request = RemoteRequest(method="GET", origin=Origin("https", "s3.example", 443), target=b"/")
    headers = dict(result(authorizer("token").authorize(request)).headers)
    assert headers[b"x-amz-security-token"] == b"token"
    assert b"x-amz-security-token" in headers[b"authorization"].split(b"SignedHeaders=")[1]
