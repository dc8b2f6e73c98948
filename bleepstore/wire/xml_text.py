"""Text in XML, and the frame of S3's result documents.

XML 1.0 can hold no control characters but tab, line feed and carriage return.  S3 writes the
others as numeric character references all the same (``&#x1;``), which strict parsers refuse:
that is why clients ask for ``encoding-type=url``.  Here as there.
"""

from __future__ import annotations

import re

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_SPECIAL = re.compile("[&<>\"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":  # no character at all; it cannot be encoded either
        return "\ufffd"
    return _ENTITIES.get(character) or f"&#x{ord(character):x};"


def escaped(text: str) -> str:
    """Text as element content or attribute value.

    A carriage return is written as a reference too, or a parser would make a line feed of it
    (XML 1.0, 2.11).
    """
    if text.isalnum() and text.isascii():
        return text
    return _SPECIAL.sub(_reference, text)


def document(root: str, content: str) -> bytes:
    """A result: the declaration and one root element in S3's namespace."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()
