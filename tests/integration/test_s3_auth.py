"""Signatures: what is taken, and what exactly is said of what is not."""

from __future__ import annotations

import hashlib
import hmac
import http.client
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.integration.raw import EMPTY_SHA256, UNSIGNED, Account, Answer, send
from tests.integration.world import World

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    """A bucket with the object ``k``."""
    bucket = world.bucket()
    world.client("alice").put_object(Bucket=bucket, Key="k", Body=b"body")
    return bucket


@pytest.fixture(scope="module")
def raw(world: World) -> Account:
    return world.raw("alice")


# By header


def test_clock_skew(raw: Account, shared: str) -> None:
    for age in (14 * MINUTE, -14 * MINUTE):
        assert raw.request("GET", f"/{shared}/k", age=age).status == 200
    for age in (16 * MINUTE, -16 * MINUTE, timedelta(days=400)):
        answer = raw.request("GET", f"/{shared}/k", age=age)
        assert answer.error == (403, "RequestTimeTooSkewed")
        assert answer.text("MaxAllowedSkewMilliseconds") == "900000"
        assert answer.text("RequestTime")
        assert answer.text("ServerTime")


def test_unknown_keys_and_wrong_secrets(world: World, shared: str) -> None:
    answer = Account(world.port, "nobody", "x").request("GET", f"/{shared}/k")
    assert answer.error == (403, "InvalidAccessKeyId")
    assert answer.text("AWSAccessKeyId") == "nobody"
    answer = Account(world.port, "alice-key", "wrong").request("GET", f"/{shared}/k")
    assert answer.error == (403, "SignatureDoesNotMatch")
    assert answer.text("AWSAccessKeyId") == "alice-key"
    assert (answer.text("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n")
    assert answer.text("SignatureProvided")
    assert (answer.text("CanonicalRequest") or "").startswith(f"GET\n/{shared}/k\n")
    head = Account(world.port, "alice-key", "wrong").request("HEAD", f"/{shared}/k")
    assert (head.status, head.body) == (403, b"")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/BUCKET/other", {}),
        ("GET", "/BUCKET/k?versionId=null", {}),
        ("DELETE", "/BUCKET/k", {}),
        ("GET", "/BUCKET/k", {"x-amz-date": "20200101T000000Z"}),
    ],
)
def test_a_signature_is_of_one_request(
    raw: Account, shared: str, method: str, target: str, headers: dict[str, str]
) -> None:
    """One that was signed for GET /BUCKET/k, used for something else."""
    at = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    signed = {"host": raw.host, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": at}
    authorization = raw._authorization("GET", f"/{shared}/k", signed, "us-east-1")
    sent = {**signed, "authorization": authorization, **headers}
    answer = send(raw.port, method, target.replace("BUCKET", shared), sent)
    assert answer.status in (400, 403)
    assert answer.text("Code") in (
        "SignatureDoesNotMatch", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed",
    )  # fmt: skip
    assert raw.request("HEAD", f"/{shared}/k").status == 200


def test_every_amz_header_must_be_signed(raw: Account, shared: str) -> None:
    answer = raw.request("PUT", f"/{shared}/n", body=b"x", unsigned={"x-amz-acl": "public-read"})
    assert answer.error == (403, "AccessDenied")
    assert answer.text("HeadersNotSigned") == "x-amz-acl"
    answer = raw.request("PUT", f"/{shared}/n", body=b"x", unsigned={"cache-control": "c"})
    assert answer.status == 200  # others may be added


AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=alice-key/DATE/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + "0" * 64
)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda a: a, 403, "SignatureDoesNotMatch"),
        (lambda a: a.replace("us-east-1", "eu-west-1"), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("/s3/", "/ec2/"), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("aws4_request", "aws5"), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("alice-key/", ""), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("alice-key", ""), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("/DATE/", "/20200101/"), 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.partition(", Signature")[0], 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("SignedHeaders", "Signed"), 400, "AuthorizationHeaderMalformed"),
        (lambda a: "AWS4-HMAC-SHA256", 400, "AuthorizationHeaderMalformed"),
        (lambda a: a.replace("host;", ""), 403, "AccessDenied"),
        (lambda a: a.replace("=" + "0" * 64, "=0"), 403, "SignatureDoesNotMatch"),
        (lambda a: "AWS alice-key:c2lnbmF0dXJl", 400, "InvalidRequest"),
        (lambda a: "Basic YTpi", 400, "InvalidArgument"),
        (lambda a: "nonsense", 400, "InvalidArgument"),
        (lambda a: a.replace("HMAC-SHA256", "ECDSA-P256-SHA256"), 501, "NotImplemented"),
    ],
)
def test_authorization_headers_that_are_wrong(
    raw: Account, shared: str, change: Callable[[str], str], status: int, code: str
) -> None:
    at = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    sent = {"host": raw.host, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": at}
    authorization = change(AUTHORIZATION).replace("DATE", at[:8])
    answer = send(raw.port, "GET", f"/{shared}/k", {**sent, "authorization": authorization})
    assert answer.error == (status, code)
    if "eu-west-1" in authorization:
        assert answer.text("Region") == "us-east-1"


def test_a_signature_needs_a_date_and_a_payload_hash(raw: Account, shared: str) -> None:
    at = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    authorization = AUTHORIZATION.replace("DATE", at[:8])
    sent = {"host": raw.host, "authorization": authorization}
    answer = send(raw.port, "GET", f"/{shared}/k", {**sent, "x-amz-content-sha256": EMPTY_SHA256})
    assert answer.error == (403, "AccessDenied")
    answer = send(raw.port, "GET", f"/{shared}/k", {**sent, "x-amz-date": at})
    assert answer.error == (400, "InvalidRequest")


def test_the_date_header_will_do(raw: Account, shared: str) -> None:
    now = datetime.now(UTC)
    at = f"{now:%Y%m%dT%H%M%SZ}"
    signed = {
        "date": f"{now:%a, %d %b %Y %H:%M:%S GMT}", "host": raw.host,
        "x-amz-content-sha256": UNSIGNED,
    }  # fmt: skip
    signature = raw._signature("GET", f"/{shared}/k", signed, at, "us-east-1", UNSIGNED)
    authorization = (
        f"AWS4-HMAC-SHA256 Credential=alice-key/{at[:8]}/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(signed)},Signature={signature}"
    )
    answer = send(raw.port, "GET", f"/{shared}/k", {**signed, "authorization": authorization})
    assert answer.body == b"body"


def test_a_session_token_was_not_issued_here(raw: Account, shared: str) -> None:
    answer = raw.request("GET", f"/{shared}/k", {"x-amz-security-token": "token"})
    assert answer.error == (400, "InvalidToken")


def test_both_ways_of_signing_at_once(raw: Account, shared: str) -> None:
    answer = raw.request("GET", raw.presigned("GET", f"/{shared}/k"))
    assert answer.error == (400, "InvalidArgument")


# The payload


@pytest.mark.large_objects
def test_the_payload_is_what_was_signed(raw: Account, shared: str) -> None:
    wrong = hashlib.sha256(b"other").hexdigest()
    answer = raw.request("PUT", f"/{shared}/payload", body=b"body", sha256=wrong)
    assert answer.error == (400, "XAmzContentSHA256Mismatch")
    assert answer.text("ClientComputedContentSHA256") == wrong
    assert answer.text("S3ComputedContentSHA256") == hashlib.sha256(b"body").hexdigest()
    assert raw.request("GET", f"/{shared}/payload").status == 404
    answer = raw.request("PUT", f"/{shared}/payload", body=b"body", sha256="nonsense")
    assert answer.error == (400, "InvalidArgument")
    assert raw.request("PUT", f"/{shared}/payload", body=b"b", sha256=UNSIGNED).status == 200
    large = b"x" * 3_000_000
    answer = raw.request("PUT", f"/{shared}/payload", body=large, sha256=wrong)
    assert answer.error == (400, "XAmzContentSHA256Mismatch")
    assert raw.request("GET", f"/{shared}/payload").body == b"b"


class Chunks:
    """A body of signed chunks ("Signature Calculations for the Authorization Header:
    Transferring Payload in Multiple Chunks", API reference), and the request it belongs to."""

    def __init__(self, account: Account, target: str, trailer: str = "") -> None:
        self.account = account
        self.target = target
        self.trailer = trailer
        self.at = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        self.scope = f"{self.at[:8]}/us-east-1/s3/aws4_request"

    def send(self, *pieces: bytes, spoil: Callable[[bytes], bytes] = lambda b: b) -> Answer:
        mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if self.trailer else "")
        signed = {
            "content-encoding": "aws-chunked",
            "host": self.account.host,
            "x-amz-content-sha256": mode,
            "x-amz-date": self.at,
            "x-amz-decoded-content-length": str(sum(len(piece) for piece in pieces)),
        }
        if self.trailer:
            signed["x-amz-trailer"] = self.trailer.partition(":")[0]
        authorization = self.account._authorization("PUT", self.target, signed, "us-east-1")
        previous = authorization.rpartition("=")[2]
        body = b""
        for piece in (*pieces, b""):
            hashes = f"{EMPTY_SHA256}\n{hashlib.sha256(piece).hexdigest()}"
            previous = self._sign("PAYLOAD", previous, hashes)
            body += f"{len(piece):x};chunk-signature={previous}\r\n".encode()
            body += piece + b"\r\n" if piece else b""
        if self.trailer:
            hashed = hashlib.sha256(self.trailer.encode() + b"\n").hexdigest()
            signature = self._sign("TRAILER", previous, hashed)
            body += f"{self.trailer}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
        body = spoil(body + b"\r\n")
        sent = {**signed, "authorization": authorization, "content-length": str(len(body))}
        return send(self.account.port, "PUT", self.target, sent, body)

    def _sign(self, what: str, previous: str, hashes: str) -> str:
        text = f"AWS4-HMAC-SHA256-{what}\n{self.at}\n{self.scope}\n{previous}\n{hashes}"
        key = self.account.signing_key(self.at[:8])
        return hmac.new(key, text.encode(), "sha256").hexdigest()


SHA1 = "x-amz-checksum-sha1:" + b64encode(hashlib.sha1(b"x" * 65_536 + b"yz").digest()).decode()


@pytest.mark.large_objects
@pytest.mark.parametrize("trailer", ["", SHA1])
def test_signed_chunks(raw: Account, shared: str, trailer: str) -> None:
    pieces = (b"x" * 65_536, b"yz")
    answer = Chunks(raw, f"/{shared}/chunks", trailer).send(*pieces)
    assert answer.status == 200
    got = raw.request("GET", f"/{shared}/chunks", {"x-amz-checksum-mode": "ENABLED"})
    assert got.body == b"".join(pieces)
    assert "content-encoding" not in got.headers
    if trailer:
        name, _, value = trailer.partition(":")
        assert got.headers[name] == value


@pytest.mark.large_objects
@pytest.mark.parametrize(
    ("trailer", "spoil"),
    [
        ("", lambda b: b.replace(b"yz", b"yy")),
        ("", lambda b: b.replace(b"signature=", b"signature=0", 1)),
        ("", lambda b: b[: len(b) // 2]),
        ("", lambda b: b.replace(b"10000;", b"1000g;")),
        (SHA1, lambda b: b.replace(b"sha1:", b"sha1:A")),
        (SHA1, lambda b: b.replace(SHA1.encode(), b"x-amz-checksum-crc32:AAAAAA==")),
    ],
)
def test_chunks_that_are_wrong(raw: Account, shared: str, trailer: str, spoil: Any) -> None:
    answer = Chunks(raw, f"/{shared}/spoilt", trailer).send(b"x" * 65_536, b"yz", spoil=spoil)
    assert answer.error in {
        (403, "SignatureDoesNotMatch"), (400, "IncompleteBody"), (400, "InvalidRequest"),
        (400, "MalformedTrailerError"),
    }  # fmt: skip
    assert raw.request("GET", f"/{shared}/spoilt").status == 404


def test_unsigned_chunks_with_a_trailer(raw: Account, shared: str) -> None:
    value = b64encode(hashlib.sha256(b"hello").digest()).decode()

    def put(trailer: str, declared: str = "5", announced: str = "x-amz-checksum-sha256") -> Answer:
        body = f"5\r\nhello\r\n0\r\n{trailer}\r\n\r\n".encode()
        headers = {
            "content-encoding": "aws-chunked", "x-amz-trailer": announced,
            "x-amz-decoded-content-length": declared,
        }  # fmt: skip
        return raw.request(
            "PUT", f"/{shared}/trailer", headers, body, sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        )

    wrong = b64encode(hashlib.sha256(b"other").digest()).decode()
    assert put(f"x-amz-checksum-sha256:{wrong}").error == (400, "BadDigest")
    assert put("x-amz-checksum-sha256:nonsense").error == (400, "InvalidRequest")
    assert put("").error == (400, "MalformedTrailerError")
    assert put(f"x-amz-checksum-sha256:{value}", "6").error == (400, "IncompleteBody")
    assert put(f"x-amz-checksum-sha256:{value}", "x").status == 400
    assert put(f"x-amz-checksum-md4:{value}", announced="x-amz-checksum-md4").error == (
        400, "InvalidRequest",
    )  # fmt: skip
    assert raw.request("GET", f"/{shared}/trailer").status == 404
    assert put(f"x-amz-checksum-sha256:{value}").headers["x-amz-checksum-sha256"] == value
    assert raw.request("GET", f"/{shared}/trailer").body == b"hello"


@pytest.mark.parametrize("suffix", ["", "-TRAILER"])
def test_chunks_signed_by_elliptic_curves(raw: Account, shared: str, suffix: str) -> None:
    answer = raw.request(
        "PUT", f"/{shared}/ecdsa", {"x-amz-decoded-content-length": "1"}, b"x",
        sha256="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" + suffix,
    )  # fmt: skip
    assert answer.error == (501, "NotImplemented")


def test_chunks_must_say_how_long_they_are_together(raw: Account, shared: str) -> None:
    answer = raw.request(
        "PUT", f"/{shared}/n", {"x-amz-trailer": "x-amz-checksum-crc32"}, b"0\r\n\r\n",
        sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    )  # fmt: skip
    assert answer.error == (411, "MissingContentLength")


def test_a_body_that_ends_early(raw: Account, shared: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", raw.port, timeout=30)
    target = raw.presigned("PUT", f"/{shared}/early")
    connection.putrequest("PUT", target, skip_host=True)
    connection.putheader("Host", raw.host)
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"only this")
    connection.close()
    assert raw.request("GET", f"/{shared}/early").status == 404


# By query


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_presigned_by_boto3(world: World, shared: str, signature: str) -> None:
    client = world.client("alice", signature)
    key = "pre signed/ü+%.txt"

    def url(operation: str, **more: Any) -> str:
        presigned = client.generate_presigned_url(
            operation, Params={"Bucket": shared, "Key": key, **more}, ExpiresIn=60
        )
        parts = urlsplit(presigned)
        return f"{parts.path}?{parts.query}"

    host = {"host": f"127.0.0.1:{world.port}"}
    put = {**host, "content-type": "text/x", "content-length": "5"}
    answer = send(world.port, "PUT", url("put_object", ContentType="text/x"), put, b"hello")
    assert answer.status == 200
    answer = send(world.port, "GET", url("get_object"), host)
    assert (answer.body, answer.headers["content-type"]) == (b"hello", "text/x")
    overridden = url("get_object", ResponseContentType="a/b", ResponseCacheControl="c")
    answer = send(world.port, "GET", overridden, host)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("a/b", "c")
    answer = send(world.port, "HEAD", url("head_object"), host)
    assert (answer.status, answer.headers["content-length"]) == (200, "5")
    assert send(world.port, "GET", url("put_object"), host).error == (403, "SignatureDoesNotMatch")
    assert send(world.port, "DELETE", url("delete_object"), host).status == 204
    assert send(world.port, "GET", url("get_object"), host).error == (404, "NoSuchKey")


def test_presigned_urls_end(raw: Account, shared: str) -> None:
    host = {"host": raw.host}
    target = raw.presigned("GET", f"/{shared}/k", expires=3600, age=HOUR - MINUTE)
    assert send(raw.port, "GET", target, host).body == b"body"
    target = raw.presigned("GET", f"/{shared}/k", expires=3600, age=HOUR + MINUTE)
    answer = send(raw.port, "GET", target, host)
    assert answer.error == (403, "AccessDenied")
    assert answer.text("Message") == "Request has expired"
    assert answer.text("X-Amz-Expires") == "3600"
    assert answer.text("Expires")
    assert answer.text("ServerTime")
    target = raw.presigned("GET", f"/{shared}/k", age=-HOUR)
    assert send(raw.port, "GET", target, host).error == (403, "AccessDenied")
    target = raw.presigned("GET", f"/{shared}/k", expires=604_800, age=timedelta(days=6))
    assert send(raw.port, "GET", target, host).status == 200


def test_old_presigned_urls_end(world: World, shared: str) -> None:
    def target(expires: int) -> str:
        text = f"GET\n\n\n{expires}\n/{shared}/k"
        signature = b64encode(hmac.digest(b"alice-secret", text.encode(), "sha1")).decode()
        return (
            f"/{shared}/k?AWSAccessKeyId=alice-key&Expires={expires}"
            f"&Signature={quote(signature, safe='')}"
        )

    now = int(datetime.now(UTC).timestamp())
    host = {"host": f"127.0.0.1:{world.port}"}
    assert send(world.port, "GET", target(now + 60), host).body == b"body"
    answer = send(world.port, "GET", target(now - 60), host)
    assert answer.error == (403, "AccessDenied")
    assert answer.text("Message") == "Request has expired"
    tampered = target(now + 60).replace("alice-key", "bob-key")
    assert send(world.port, "GET", tampered, host).error == (403, "SignatureDoesNotMatch")
    unknown = target(now + 60).replace("alice-key", "nobody")
    assert send(world.port, "GET", unknown, host).error == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda t: t.replace("/k?", "/other?"), 403, "SignatureDoesNotMatch"),
        (lambda t: t + "&x=y", 403, "SignatureDoesNotMatch"),
        (lambda t: t.replace("Expires=300", "Expires=301"), 403, "SignatureDoesNotMatch"),
        (lambda t: t.replace("alice-key", "nobody"), 403, "InvalidAccessKeyId"),
        (lambda t: t.replace("Expires=300", "Expires=604801"), 400, None),
        (lambda t: t.replace("Expires=300", "Expires=-1"), 400, None),
        (lambda t: t.replace("Expires=300", "Expires=x"), 400, None),
        (lambda t: t.replace("us-east-1", "eu-west-1"), 400, None),
        (lambda t: t.replace("SHA256&", "MD5&", 1), 400, None),
        (lambda t: t.partition("&X-Amz-Signature")[0], 400, None),
        (lambda t: t.replace("X-Amz-Date", "X-Amz-When"), 400, None),
        (lambda t: t.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=x"), 403, None),
    ],
)
def test_presigned_urls_that_are_wrong(
    raw: Account, shared: str, change: Callable[[str], str], status: int, code: str | None
) -> None:
    target = change(raw.presigned("GET", f"/{shared}/k"))
    answer = send(raw.port, "GET", target, {"host": raw.host})
    assert answer.status == status
    if status == 400:
        code = "AuthorizationQueryParametersError"
    if code is not None:
        assert answer.text("Code") == code


def test_headers_of_presigned_requests(raw: Account, shared: str) -> None:
    """Signed ones must come as they were signed; x-amz-* must be signed, others need not."""
    target = raw.presigned("PUT", f"/{shared}/p", headers={"x-amz-acl": "public-read"})
    host = {"host": raw.host, "content-length": "1"}
    acl = {"x-amz-acl": "public-read"}
    assert send(raw.port, "PUT", target, {**host, **acl}, b"x").status == 200
    assert send(raw.port, "PUT", target, host, b"x").status == 403
    changed = {"x-amz-acl": "private"}
    assert send(raw.port, "PUT", target, {**host, **changed}, b"x").error == (
        403, "SignatureDoesNotMatch",
    )  # fmt: skip
    target = raw.presigned("PUT", f"/{shared}/p")
    assert send(raw.port, "PUT", target, {**host, **acl}, b"x").error == (403, "AccessDenied")
    assert send(raw.port, "PUT", target, {**host, "x-other": "1"}, b"x").status == 200


def test_headers_may_be_signed_into_the_query(raw: Account, shared: str) -> None:
    """What SDKs hoist: the object gets them as if they had been headers."""
    target = raw.presigned(
        "PUT", f"/{shared}/hoisted",
        query={
            "x-amz-meta-a": "1", "x-amz-acl": "public-read", "x-amz-storage-class": "GLACIER_IR",
        },
    )  # fmt: skip
    host = {"host": raw.host}
    assert send(raw.port, "PUT", target, {**host, "content-length": "1"}, b"x").status == 200
    got = send(raw.port, "GET", f"/{shared}/hoisted", host)  # anonymous: it is public
    assert got.body == b"x"
    assert got.headers["x-amz-meta-a"] == "1"
    assert got.headers["x-amz-storage-class"] == "GLACIER_IR"
    target = raw.presigned("PUT", f"/{shared}/copied", query={"x-amz-copy-source": f"/{shared}/k"})
    assert send(raw.port, "PUT", target, {**host, "content-length": "0"}).status == 200
    assert raw.request("GET", f"/{shared}/copied").body == b"body"
    target = raw.presigned("PUT", f"/{shared}/n", query={"x-amz-tagging": "a=b"})
    answer = send(raw.port, "PUT", target, {**host, "content-length": "1"}, b"x")
    assert answer.error == (501, "NotImplemented")


def test_a_presigned_listing(raw: Account, shared: str) -> None:
    target = raw.presigned("GET", f"/{shared}?list-type=2&prefix=k")
    assert send(raw.port, "GET", target, {"host": raw.host}).text("Contents/Key") == "k"


def test_virtual_host_style_is_signed_as_it_is(world: World, shared: str) -> None:
    client = world.client("alice", addressing_style="virtual")
    assert client.meta.endpoint_url == world.daemon.url
    raw = world.raw("alice")
    raw.host = f"{shared}.localhost:{world.port}"
    target = raw.presigned("GET", "/k")
    assert send(raw.port, "GET", target, {"host": raw.host}).body == b"body"
    assert send(raw.port, "GET", target, {"host": f"127.0.0.1:{raw.port}"}).status == 403


def test_a_signature_for_a_bucket_is_good_for_no_other(world: World, shared: str) -> None:
    """Whatever the Host header says: an absolute target names the host that is served."""
    raw = world.raw("alice")
    other = f"other.localhost:{world.port}"
    raw.host = other
    target = raw.presigned("GET", "/k")
    moved = f"http://{shared}.localhost:{world.port}{target}"
    assert send(raw.port, "GET", moved, {"host": other}).error == (403, "SignatureDoesNotMatch")
    raw.host = f"{shared}.localhost:{world.port}"
    target = raw.presigned("GET", "/k")
    absolute = f"http://{raw.host}{target}"
    for host in (raw.host, other):
        assert send(raw.port, "GET", absolute, {"host": host}).body == b"body"


def test_what_an_old_presigned_url_does_not_sign_is_not_obeyed(world: World, shared: str) -> None:
    client = world.client("alice", "s3")
    host = {"host": f"127.0.0.1:{world.port}"}

    def url(operation: str, key: str) -> str:
        made = client.generate_presigned_url(operation, Params={"Bucket": shared, "Key": key})
        parts = urlsplit(made)
        return f"{parts.path}?{parts.query}"

    put = {**host, "content-length": "0"}
    for added in (f"X-Amz-Copy-Source=/{shared}/k", "x-amz%2Dacl=public-read", "%61cl"):
        answer = send(world.port, "PUT", f"{url('put_object', 'mine')}&{added}", put)
        assert answer.error == (403, "SignatureDoesNotMatch"), added
    assert world.raw("alice").request("HEAD", f"/{shared}/mine").status == 404
    # Signed for the key SHARED/k, and for a bucket that the path names.
    _, _, query = url("get_object", f"{shared}/k").partition("?")
    answer = send(world.port, "GET", f"/{shared}/k?{query}", host)
    assert answer.error == (403, "SignatureDoesNotMatch")
    by_host = {"host": f"{shared}.localhost:{world.port}"}
    answer = send(world.port, "GET", url("get_object", "k"), by_host)
    assert answer.error == (403, "SignatureDoesNotMatch")


# Anonymous


def test_anonymous_requests(world: World, shared: str) -> None:
    anonymous = world.raw("anonymous")
    for method, target in (
        ("GET", f"/{shared}/k"), ("PUT", f"/{shared}/n"), ("DELETE", f"/{shared}/k"),
        ("GET", f"/{shared}"), ("POST", f"/{shared}/k?uploads"), ("GET", f"/{shared}?acl"),
    ):  # fmt: skip
        answer = anonymous.request(method, target)
        assert answer.error == (403, "AccessDenied")
        assert answer.text("Message") == "Access Denied"


def test_a_refused_upload_does_not_spoil_the_connection(world: World, shared: str) -> None:
    """The body of what was refused is never read as the next request."""
    raw = world.raw("alice")
    connection = http.client.HTTPConnection("127.0.0.1", raw.port, timeout=30)
    inner = f"GET /{shared}/k HTTP/1.1\r\nHost: {raw.host}\r\n\r\n".encode()
    connection.request("PUT", f"/{shared}/n", inner, {"Host": raw.host})
    response = connection.getresponse()
    assert (response.status, b"AccessDenied" in response.read()) == (403, True)
    connection.request("GET", "/healthz", headers={"Host": raw.host})
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()
