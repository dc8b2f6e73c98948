"""S3 requests by hand: every byte as the test wants it, signed without the server's own code.

boto3 refuses to send much of what a server must refuse to take, and tidies up what it gets
back; here nothing stands between a test and the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from xml.etree import ElementTree

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
TIMEOUT = 30.0
"""A bound for hangs, in seconds."""


class Answer:
    """A response, read whole.

    :ivar headers: by lower-case name; of repeated ones the last.
    """

    def __init__(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def xml(self) -> ElementTree.Element:
        """The document, without its namespace."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def text(self, path: str) -> str | None:
        """The text of an element; None if there is none."""
        return self.xml().findtext(path)

    @property
    def error(self) -> tuple[int, str]:
        """Status and code of a refusal."""
        return self.status, self.text("Code") or ""


class Account:
    """Keys, and requests signed by them.  Without a key the requests are anonymous."""

    def __init__(self, port: int, access_key: str = "", secret_key: str = "") -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self.access_key = access_key
        self.secret_key = secret_key

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        sha256: str | None = None,
        sign: bool = True,
        age: timedelta = timedelta(),
        region: str = "us-east-1",
        length: bool = True,
        unsigned: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request.

        :param target: as it goes over the wire: encoded path, and query.
        :param sha256: x-amz-content-sha256; of the body while None.
        :param age: how long ago it says it was signed.
        :param length: whether Content-Length is sent.
        :param unsigned: headers added once it was signed, or instead of those that were.
        """
        sent = {"host": self.host, **{k.lower(): v for k, v in (headers or {}).items()}}
        if sign and self.access_key:
            sent["x-amz-content-sha256"] = (
                hashlib.sha256(body).hexdigest() if sha256 is None else sha256
            )
            at = datetime.now(UTC) - age
            sent["x-amz-date"] = f"{at:%Y%m%dT%H%M%SZ}"
            sent["authorization"] = self._authorization(method, target, sent, region)
        sent.update({k.lower(): v for k, v in (unsigned or {}).items()})
        if length and (body or method in ("PUT", "POST")):
            sent.setdefault("content-length", str(len(body)))
        return send(self.port, method, target, sent, body)

    def presigned(
        self,
        method: str,
        target: str,
        *,
        expires: int | str = 300,
        age: timedelta = timedelta(),
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        region: str = "us-east-1",
    ) -> str:
        """The target of a SigV4 presigned request.

        :param headers: more headers that are signed; whoever uses the URL sends them.
        :param query: more parameters that are signed.
        """
        at = f"{datetime.now(UTC) - age:%Y%m%dT%H%M%SZ}"
        signed = {"host": self.host, **{k.lower(): v for k, v in (headers or {}).items()}}
        path, _, own = target.partition("?")
        parameters = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{at[:8]}/{region}/s3/aws4_request",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(signed)),
            **(query or {}),
        }
        pairs = [f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in parameters.items()]
        full = f"{path}?{'&'.join(([own] if own else []) + pairs)}"
        signature = self._signature(method, full, signed, at, region, UNSIGNED)
        return f"{full}&X-Amz-Signature={signature}"

    def signing_key(self, date: str, region: str = "us-east-1") -> bytes:
        key = b"AWS4" + self.secret_key.encode()
        for part in (date, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def _authorization(
        self, method: str, target: str, headers: Mapping[str, str], region: str
    ) -> str:
        at = headers["x-amz-date"]
        signature = self._signature(
            method, target, headers, at, region, headers["x-amz-content-sha256"]
        )
        return (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{at[:8]}/{region}/s3/aws4_request, "
            f"SignedHeaders={';'.join(sorted(headers))}, Signature={signature}"
        )

    def _signature(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        at: str,
        region: str,
        payload: str,
    ) -> str:
        path, _, query = target.partition("?")
        pairs = sorted(
            piece if "=" in piece else piece + "=" for piece in query.split("&") if piece
        )
        canonical = "\n".join(
            [
                method,
                path,
                "&".join(pairs),
                *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)),
                "",
                ";".join(sorted(headers)),
                payload,
            ]
        )
        hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{at}\n{at[:8]}/{region}/s3/aws4_request\n{hashed}"
        return hmac.new(self.signing_key(at[:8], region), text.encode(), "sha256").hexdigest()


def send(
    port: int, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> Answer:
    """One request on a connection of its own, as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        if body:
            # Refused before it was read: the answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.send(body)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()
