"""Percent-encoding of targets and queries (RFC 3986, section 2.1), decoded exactly once."""

from __future__ import annotations

import re
from urllib.parse import quote_plus, unquote_to_bytes

from bleepstore.errors import InvalidURI

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PERCENT = ord("%")
_PLAIN = re.compile(r"[A-Za-z0-9/._*-]*")


def decode_bytes(raw: bytes) -> bytes:
    """Percent-decode, and nothing else: a ``+`` stays a plus.

    :raises InvalidURI: a ``%`` without two hex digits.
    """
    if _PERCENT not in raw:
        return raw
    if _BAD_ESCAPE.search(raw):
        raise InvalidURI(URI=raw.decode("latin-1"))
    return unquote_to_bytes(raw)


def decode_text(raw: bytes) -> str:
    """Percent-decode to text.

    :raises InvalidURI: a bad escape, or not UTF-8.
    """
    try:
        return decode_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidURI(URI=raw.decode("latin-1")) from None


def decode_query(raw: bytes) -> dict[str, str]:
    """The parameters of a query string; of repeated ones the first counts, as S3 has it.

    A ``+`` is a space (the WHATWG's form encoding, which SDKs never send but browsers do).
    A name without ``=`` has an empty value.

    :raises InvalidURI: a bad escape, or not UTF-8.
    """
    plain = b"%" not in raw and b"+" not in raw
    query: dict[str, str] = {}
    for piece in raw.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            if plain:
                query.setdefault(_ascii(name), _ascii(value))
            else:
                query.setdefault(
                    decode_text(name.replace(b"+", b" ")), decode_text(value.replace(b"+", b" "))
                )
    return query


def _ascii(raw: bytes) -> str:
    """Text that has no escapes; raw UTF-8 is no URI, but unambiguous and therefore taken."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidURI(URI=raw.decode("latin-1")) from None


def url_encoded(text: str) -> str:
    """``encoding-type=url`` of the listings, as S3 does it: a slash stays, a space becomes ``+``,
    and of what is neither letter nor digit only ``-_.*`` stays besides.

    Source: the example of EncodingType in the API reference, ``test_file(3).png`` →
    ``test_file%283%29.png``; and public reports of its answers.
    """
    if _PLAIN.fullmatch(text):
        return text
    return quote_plus(text, safe="/*").replace("~", "%7E")
