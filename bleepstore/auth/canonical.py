"""The canonical request and the string to sign, shared by those who sign and those who verify.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in a Single
Chunk", Amazon S3 API Reference.  S3 differs from other services: the path is encoded once and
not normalised.

A client signs what it *means*: path and query encoded in the one canonical way.  Nearly all
send exactly that, so the raw bytes are the canonical ones; some send other spellings of it
(``(`` for ``%28``, ``%7E`` for ``~``, ``+`` for a blank in the query), which S3 decodes and encodes
again.  So there are two spellings of one request: :func:`canonical_request` takes it as sent,
:func:`respelled` in canonical encoding.  Some clients never sign the port of a host, since S3 has
none to sign: :func:`without_port`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote_from_bytes, unquote_to_bytes

from msgspec import Struct
from msgspec.structs import replace

ALGORITHM = b"AWS4-HMAC-SHA256"
TERMINATOR = b"aws4_request"
SERVICE = b"s3"

Pair = tuple[bytes, bytes]

_SPACE, _TAB = b" \t"
_PORT = re.compile(rb"(?m)(?<=^host:)(.*):[0-9]+$")

USUAL = 512
"""How many of the parts that requests have in common are kept, taken apart, of each kind ..."""

USUAL_LENGTH = 512
"""... and how long they may be, so that no client can fill the memory with them."""


class Signable(Struct, frozen=True):
    """The signed parts of a request, query pairs without X-Amz-Signature.

    :ivar path: raw, never empty.
    :ivar query: raw (name, value) pairs in order of arrival; a bare name has an empty value.
    :ivar header_lines: the canonical headers: ``name:value\\n`` for each.
    :ivar signed_headers: their names, joined with ``;``.
    :ivar payload: the last line: a hex SHA-256 or one of the literals.
    """

    method: bytes
    path: bytes
    query: tuple[Pair, ...]
    header_lines: bytes
    signed_headers: bytes
    payload: bytes


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a raw request target; of the absolute form too (RFC 9112, 3.2.2)."""
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/"):
        scheme, separator, rest = path.partition(b"://")
        if separator and scheme.isalnum():
            path = rest[rest.find(b"/") :] if b"/" in rest else b"/"
    return path or b"/", query


def split_query(query: bytes) -> list[Pair]:
    """The raw pairs of a query; a bare name has an empty value."""
    if not query:
        return []
    return [
        (pair[:at], pair[at + 1 :]) if (at := pair.find(b"=")) >= 0 else (pair, b"")
        for pair in query.split(b"&")
    ]


def header_map(headers: Sequence[Pair]) -> dict[bytes, bytes]:
    """Headers by lower-case name; values of a repeated one are trimmed and joined with commas."""
    found = dict(headers)
    if len(found) == len(headers):
        return found
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value.strip())
    return {name: b",".join(several) for name, several in values.items()}


def header_lines(headers: Mapping[bytes, bytes], names: Iterable[bytes]) -> bytes:
    """The canonical headers of these names, each ended by a line feed; a missing one is empty."""
    lines = []
    for name in names:
        value = headers.get(name, b"")
        if b"  " in value or b"\t" in value:
            value = b" ".join(value.split())
        lines.append(b"%b:%b\n" % (name, value.strip()))
    return b"".join(lines)


class SignedHeaders:
    """A list of signed headers as clients write it, read once: ``host;x-amz-date``.

    :ivar names: in the client's order.
    :ivar distinct: the same as a set.
    """

    __slots__ = ("_form", "distinct", "names")

    def __init__(self, listed: bytes) -> None:
        self.names = tuple(listed.split(b";"))
        self.distinct = frozenset(self.names)
        self._form = b"".join([name.replace(b"%", b"%%") + b":%b\n" for name in self.names])

    def lines(self, headers: Mapping[bytes, bytes]) -> bytes:
        """As :func:`header_lines`."""
        get = headers.get
        lines = self._form % tuple([get(name, b"") for name in self.names])
        if _SPACE in lines or _TAB in lines:  # to be collapsed, perhaps
            return header_lines(headers, self.names)
        return lines


def signed_headers(listed: bytes) -> SignedHeaders:
    """The list of these bytes, in lower case; those that clients send again and again are kept."""
    return _usual_list(listed) if len(listed) <= USUAL_LENGTH else SignedHeaders(listed)


_usual_list = lru_cache(maxsize=USUAL)(SignedHeaders)


def canonical_request(request: Signable) -> bytes:
    """The canonical request of path and query as they are spelled."""
    query = request.query
    return b"\n".join(
        (
            request.method,
            request.path,
            b"&".join([b"%b=%b" % pair for pair in sorted(query)]) if query else b"",
            request.header_lines,  # ends with a line feed of its own
            request.signed_headers,
            request.payload,
        )
    )


def respelled(request: Signable) -> Signable:
    """The same request with path and query in canonical encoding.

    In a path ``+`` is itself, in a query it is a blank, as S3 reads them.  A percent sign that
    starts no escape is itself.  Empty query pairs are dropped.
    """
    return Signable(
        method=request.method,
        path=encode_path(unquote_to_bytes(request.path)),
        query=tuple(
            (_reencoded(name), _reencoded(value)) for name, value in request.query if name or value
        ),
        header_lines=request.header_lines,
        signed_headers=request.signed_headers,
        payload=request.payload,
    )


def without_port(request: Signable) -> Signable:
    """The same request with ``host`` as it would be at the scheme's own port."""
    return replace(request, header_lines=_PORT.sub(rb"\1", request.header_lines))


def encode_path(path: bytes) -> bytes:
    """UriEncode of the API Reference, all but ``/``: unreserved are letters, digits, ``-._~``."""
    return quote_from_bytes(path, safe="/").encode()


def encode_component(value: bytes) -> bytes:
    """UriEncode of the API Reference, ``/`` too."""
    return quote_from_bytes(value, safe="").encode()


def _reencoded(value: bytes) -> bytes:
    return encode_component(unquote_to_bytes(value.replace(b"+", b" ")))


def scope_of(date: bytes, region: bytes, service: bytes = SERVICE) -> bytes:
    """The credential scope: ``20130524/us-east-1/s3/aws4_request``."""
    return b"%b/%b/%b/aws4_request" % (date, region, service)


def string_to_sign(amz_date: bytes, scope: bytes, request: bytes) -> bytes:
    """What is signed, of a canonical request."""
    return b"\n".join((ALGORITHM, amz_date, scope, sha256(request).hexdigest().encode()))
