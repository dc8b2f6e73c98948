"""What botocore signs is verified here, and what is signed here is what botocore signs."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from bleepstore.auth.canonical import Pair
from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.auth.sigv4 import PayloadMode, SigningKeys, Verified, parse_claim, verify
from bleepstore.auth.timestamps import parse_amz_date
from tests.auth.requests import SIGNER

CREDENTIALS = Credentials(SIGNER.access_key, SIGNER.secret_key)
ENDPOINT = "http://localhost:9000"
KEYS = (
    "plain.txt",
    "a b",
    "a+b",
    "~tilde",
    "a%2Fb",
    "é",
    "(paren)*'!",
    "a//b",
    "../x",
    "./x",
    "/leading",
    "trailing/",
    "question?mark=1&x",
    "hash#tag",
    "semi;colon,comma:@$",
    'back\\slash`{}|^<>"',
    "\N{PILE OF POO}",
    "percent%",
    "tab\tnewline\n",
    "=",
)


class Empty(io.BytesIO):
    """An empty response body, as urllib3 gives it."""

    def stream(self) -> list[bytes]:
        return []


class Wire:
    """A boto3 client whose requests are caught instead of sent."""

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: list[Pair] = []
        self.client = boto3.client(
            "s3",
            endpoint_url=ENDPOINT,
            region_name="us-east-1",
            aws_access_key_id=SIGNER.access_key,
            aws_secret_access_key=SIGNER.secret_key,
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        )
        self.client.meta.events.register("before-send.s3", self._catch)

    def _catch(self, request: Any, **_: object) -> AWSResponse:
        parts = urlsplit(request.url)
        self.method = request.method.encode()
        self.target = f"{parts.path}?{parts.query}".rstrip("?").encode()
        self.headers = []
        for name, value in request.headers.items():
            raw = value if isinstance(value, bytes) else str(value).encode()
            self.headers.append((name.lower().encode(), raw))
        if "host" not in {name.lower() for name in request.headers}:  # as http.client does
            self.headers.append((b"host", parts.netloc.encode()))
        return AWSResponse(request.url, 200, {}, Empty())

    def verified(self) -> Verified:
        date = dict(self.headers)[b"x-amz-date"]
        return _verified(self.method, self.target, self.headers, parse_amz_date(date))


def _verified(method: bytes, target: bytes, headers: list[Pair], now: int | None) -> Verified:
    assert now is not None
    claim = parse_claim(method, target, headers, now, "us-east-1")
    assert claim is not None
    return verify(claim, SIGNER.secret_key, SigningKeys())


@pytest.fixture(scope="module")
def wire() -> Wire:
    return Wire()


@pytest.mark.parametrize("key", KEYS)
def test_the_requests_of_boto3_are_verified_for_any_key(wire: Wire, key: str) -> None:
    wire.client.get_object(Bucket="bucket", Key=key)
    assert wire.verified().payload.sha256 == EMPTY_SHA256.decode()


@pytest.mark.parametrize("key", KEYS)
def test_the_listings_of_boto3_are_verified_for_any_prefix(wire: Wire, key: str) -> None:
    wire.client.list_objects(Bucket="bucket", Prefix=key, Delimiter="/", Marker=key)
    wire.verified()


def test_an_upload_of_boto3_says_how_it_is_streamed(wire: Wire) -> None:
    wire.client.put_object(Bucket="bucket", Key="k", Body=b"data", Metadata={"a": "x  y"})
    payload = wire.verified().payload
    assert payload.mode in (PayloadMode.UNSIGNED_CHUNKS_TRAILER, PayloadMode.SHA256)
    wire.client.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(b"data"))
    wire.verified()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("method", ["get_object", "put_object"])
def test_the_presigned_urls_of_boto3_are_verified(wire: Wire, method: str, key: str) -> None:
    url = wire.client.generate_presigned_url(
        method, Params={"Bucket": "bucket", "Key": key}, ExpiresIn=600
    )
    parts = urlsplit(url)
    date = dict(pair.split("=") for pair in parts.query.split("&"))["X-Amz-Date"]
    _verified(
        method[:3].upper().encode(),
        f"{parts.path}?{parts.query}".encode(),
        [(b"host", parts.netloc.encode())],
        parse_amz_date(date.encode()),
    )


segment = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@settings(max_examples=150)
@given(
    st.lists(segment, max_size=4),
    st.lists(st.tuples(segment, segment), max_size=4),
    st.dictionaries(names, header_values, max_size=3),
)
def test_botocores_signer_is_verified_over_any_path_query_and_headers(
    path: list[str], query: list[tuple[str, str]], meta: dict[str, str]
) -> None:
    target = "/" + "/".join(quote(part, safe="~") for part in path)
    if query:
        target += "?" + "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query
        )
    request = AWSRequest("GET", ENDPOINT + target)
    for name, value in meta.items():
        request.headers["x-amz-meta-" + name] = value
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    headers = [(b"host", b"localhost:9000")] + [
        (name.lower().encode(), value.encode()) for name, value in request.headers.items()
    ]
    now = parse_amz_date(dict(headers)[b"x-amz-date"])
    _verified(b"GET", target.encode(), headers, now)


@settings(max_examples=100)
@given(st.lists(segment, max_size=4), st.integers(1, 604_800))
def test_botocores_presigner_is_verified_over_any_path(path: list[str], expires: int) -> None:
    target = "/" + "/".join(quote(part, safe="~") for part in path)
    request = AWSRequest("GET", ENDPOINT + target)
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=expires).add_auth(request)
    parts = urlsplit(request.url)
    found = f"{parts.path}?{parts.query}".encode()
    now = parse_amz_date(found.partition(b"X-Amz-Date=")[2][:16])
    _verified(b"GET", found, [(b"host", b"localhost:9000")], now)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_signed_here_is_what_botocore_signs(
    key: str,
) -> None:
    target = f"/bucket/{quote(key, safe='~/')}?prefix={quote(key, safe='-_.~')}&acl"
    request = AWSRequest("PUT", ENDPOINT + target, headers={"x-amz-meta-a": " b  c "})
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    date = parse_amz_date(request.headers["X-Amz-Date"].encode())
    assert date is not None
    ours = SIGNER.sign(
        b"PUT",
        target.encode(),
        [(b"host", b"localhost:9000"), (b"x-amz-meta-a", b" b  c ")],
        EMPTY_SHA256,
        date,
    )
    assert dict(ours.headers)[b"authorization"].decode() == request.headers["Authorization"]
