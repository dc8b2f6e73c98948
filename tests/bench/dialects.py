"""How one puts and gets an object in each cloud's own protocol, without anything of a gateway.

Requests are signed when they are made, before anything is measured.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bleepstore.auth.sharedkey import shared_key_signature
from bleepstore.remote.azure_connection import (
    DEVELOPMENT_ACCOUNT,
    DEVELOPMENT_KEY,
    decode_key,
)
from bleepstore.wire.dates import http_date
from tests.bench import signed
from tests.integration.azurite import CONTAINER, VERSION
from tests.integration.backing import BUCKET

Request = tuple[str, str, dict[str, str], Any]
"""Method, URL, headers, body."""

Make = Callable[[str, str, bytes | None, int], Request]
"""``make(kind, name, body, length)``: ``kind`` is ``get`` or ``put``; of a body that is not at hand
only the length is known."""


def s3(url: str, _: str) -> Make:
    """Another S3 server, by signatures of version 4."""

    def make(kind: str, name: str, body: bytes | None, length: int) -> Request:
        path = f"/{BUCKET}/{name}"
        payload = "UNSIGNED-PAYLOAD" if length else hashlib.sha256(body or b"").hexdigest()
        port = int(url.rpartition(":")[2])
        head = signed.head(port, kind.upper(), path, length=length, payload=payload)
        lines = head.decode().split("\r\n")[1:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        headers.pop("Content-Length", None)  # twisted.web says it
        return kind.upper(), url + path, headers, body

    return make


def azure(url: str, _: str) -> Make:
    """Azure Blob Storage, by SharedKey: Put Blob and Get Blob."""

    def make(kind: str, name: str, body: bytes | None, length: int) -> Request:
        target = f"{urlsplit(url).path}/{CONTAINER}/{name}"
        headers = {
            "x-ms-version": VERSION,
            "x-ms-date": http_date(time.time_ns() // 1_000_000).decode(),
        }
        if kind == "put":
            headers["x-ms-blob-type"] = "BlockBlob"
        signature = shared_key_signature(
            DEVELOPMENT_ACCOUNT,
            decode_key(DEVELOPMENT_KEY),
            kind.upper().encode(),
            target.encode(),
            [(key.encode(), value.encode()) for key, value in headers.items()],
            length or len(body or b""),
        )
        headers["authorization"] = signature.decode()
        return kind.upper(), f"{url}/{CONTAINER}/{name}", headers, body

    return make


def google(url: str, credentials: str) -> Make:
    """Cloud Storage, by a token for the key in a file: a media upload, and ``alt=media``."""
    headers = {"authorization": f"Bearer {_token(json.loads(credentials))}"}

    def make(kind: str, name: str, body: bytes | None, length: int) -> Request:
        named = quote(name, safe="")
        if kind == "get":
            return "GET", f"{url}/storage/v1/b/{BUCKET}/o/{named}?alt=media", headers, None
        place = f"{url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={named}"
        return "POST", place, headers, body

    return make


DIALECTS: dict[str, Callable[[str, str], Make]] = {"s3": s3, "azure": azure, "google": google}
"""Each is given the server's URL, and credentials if it needs any."""


def _token(key: dict[str, str]) -> str:
    """An assertion, signed, for a token (RFC 7523)."""
    now = int(time.time())
    claims = {
        "iss": key["client_email"],
        "scope": "https://www.googleapis.com/auth/devstorage.read_write",
        "aud": key["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    header = {"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]}
    unsigned = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    private = load_pem_private_key(key["private_key"].encode(), password=None)
    assert isinstance(private, RSAPrivateKey)
    assertion = unsigned + b"." + _base64url(private.sign(unsigned, PKCS1v15(), SHA256()))
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": assertion.decode(),
    }
    with urlopen(UrlRequest(key["token_uri"], urlencode(form).encode())) as answer:
        token: str = json.load(answer)["access_token"]
    return token


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
