"""Requests as bytes, signed by botocore, ready to be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_CREDENTIALS = Credentials("bleepstore", "bleepstore-secret")


class _Signer(S3SigV4Auth):
    """Signs the payload hash that it is given."""

    def payload(self, request: AWSRequest) -> str:
        payload: str = request.context["payload"]
        return payload


def head(
    port: int,
    method: str,
    path: str,
    query: str = "",
    length: int = 0,
    payload: str = "UNSIGNED-PAYLOAD",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The head of a signed request; ``path`` unencoded, ``query`` encoded."""
    url = f"http://127.0.0.1:{port}{quote(path)}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers or {}))
    request.context["payload"] = payload
    _Signer(_CREDENTIALS, "s3", "us-east-1").add_auth(request)
    lines = [f"{method} {quote(path)}{'?' + query if query else ''} HTTP/1.1"]
    lines.append(f"Host: 127.0.0.1:{port}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if length or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def put(port: int, path: str, body: bytes) -> bytes:
    """A whole PUT, its payload hash signed as the SDKs' plain form does."""
    payload = hashlib.sha256(body).hexdigest()
    return head(port, "PUT", path, length=len(body), payload=payload) + body
