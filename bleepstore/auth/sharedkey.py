"""Azure Storage's SharedKey signature.  Pure.

Source: "Authorize with Shared Key", Azure Storage REST API, for versions 2009-09-19 and later of
the Blob service.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hmac import digest
from urllib.parse import unquote_to_bytes

from bleepstore.auth.canonical import Pair, split_query, split_target

_STANDARD = (
    b"content-encoding",
    b"content-language",
    b"content-length",
    b"content-md5",
    b"content-type",
    b"date",
    b"if-modified-since",
    b"if-match",
    b"if-none-match",
    b"if-unmodified-since",
    b"range",
)
"""The headers whose values are signed in this order, an empty line for each that is missing."""


def shared_key_signature(
    account: str,
    key: bytes,
    method: bytes,
    target: bytes,
    headers: Sequence[Pair],
    content_length: int,
) -> bytes:
    """The value of the Authorization header.

    :param key: the account's key, decoded from base64.
    :param target: path and query, encoded as they will be sent.
    :param headers: all headers that will be sent but Content-Length, by lower-case name,
        ``x-ms-date`` among them.
    :param content_length: bytes of the body; 0 is signed as if there were none.
    """
    text = string_to_sign(account, method, target, headers, content_length)
    signature = b64encode(digest(key, text, "sha256"))
    return b"SharedKey %b:%b" % (account.encode(), signature)


def string_to_sign(
    account: str, method: bytes, target: bytes, headers: Sequence[Pair], content_length: int
) -> bytes:
    """What is signed; see :func:`shared_key_signature`."""
    values = dict(headers)
    values[b"content-length"] = b"%d" % content_length if content_length else b""
    if b"x-ms-date" in values:
        values[b"date"] = b""
    lines = [method, *(values.get(name, b"") for name in _STANDARD)]
    own = sorted((name, value) for name, value in values.items() if name.startswith(b"x-ms-"))
    lines += [b"%b:%b" % (name, b" ".join(value.split())) for name, value in own]
    return b"\n".join(lines) + b"\n" + _resource(account, target)


def _resource(account: str, target: bytes) -> bytes:
    """The canonicalized resource: the path as it is sent, the query decoded and sorted."""
    path, query = split_target(target)
    parameters: dict[bytes, list[bytes]] = {}
    for name, value in split_query(query):
        if name or value:
            decoded = unquote_to_bytes(name).lower()
            parameters.setdefault(decoded, []).append(unquote_to_bytes(value))
    lines = [b"/%b%b" % (account.encode(), path)]
    lines += [
        b"%b:%b" % (name, b",".join(sorted(values))) for name, values in sorted(parameters.items())
    ]
    return b"\n".join(lines)
