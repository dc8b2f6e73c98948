"""Text in XML, and the frame of S3's result documents.

XML 1.0 can hold no control characters but tab, line feed and carriage return.  S3 writes the
others as numeric character references all the same (``&#x1;``), which strict parsers refuse:
that is why clients ask for ``encoding-type=url``.  Here as there.
"""

from __future__ import annotations

import re

from bleepstore.model.checksums import Checksum

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]')
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_CONTROLS = [chr(code) for code in (*range(0x09), *range(0x0B, 0x20), 0xFFFE, 0xFFFF)]
_SURROGATES = [chr(code) for code in range(0xD800, 0xE000)]
"""No characters at all; they cannot be encoded either."""

_REFERENCES = str.maketrans(
    dict.fromkeys(_SURROGATES, "\ufffd") | {c: f"&#x{ord(c):x};" for c in _CONTROLS} | _ENTITIES
)
_STAND_INS = str.maketrans(
    dict.fromkeys([*_CONTROLS, *_SURROGATES], "\ufffd") | {"\r": "&#xd;"} | _ENTITIES
)


def escaped(text: str) -> str:
    """Text as element content or attribute value.

    A carriage return is written as a reference too, or a parser would make a line feed of it
    (XML 1.0, 2.11).
    """
    if text.isalnum() and text.isascii():
        return text
    return text.translate(_REFERENCES) if _SPECIAL.search(text) else text


def readable(text: str) -> str:
    """Text as element content of an error, where what XML cannot hold is replaced (U+FFFD).

    An error is read and logged; nobody takes a key from it, and no encoding-type helps a client
    whose parser refuses it whole.
    """
    if text.isalnum() and text.isascii():
        return text
    return text.translate(_STAND_INS) if _SPECIAL.search(text) else text


def document(root: str, content: str) -> bytes:
    """A result: the declaration and one root element in S3's namespace."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()


def owner_element(name: str, account_id: str, display_name: str) -> str:
    """An account as Owner or Initiator; without a display name by its id alone."""
    shown = f"<DisplayName>{escaped(display_name)}</DisplayName>" if display_name else ""
    return f"<{name}><ID>{escaped(account_id)}</ID>{shown}</{name}>"


def checksum_element(checksum: Checksum | None, with_type: bool = False) -> str:
    """``<ChecksumCRC32>...``, and ChecksumType if asked for; empty without a checksum."""
    if checksum is None:
        return ""
    name = checksum.algorithm.value
    kind = f"<ChecksumType>{checksum.type.value}</ChecksumType>" if with_type else ""
    return f"<Checksum{name}>{escaped(checksum.value)}</Checksum{name}>{kind}"
