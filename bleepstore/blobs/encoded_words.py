"""Metadata values of any characters, where a cloud takes only those of a header: encoded words.

Source: RFC 2047; S3 itself gives values that are not ASCII so ("Working with object metadata").
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

_ENCODED_WORD = re.compile(r"=\?UTF-8\?B\?([A-Za-z0-9+/=]*)\?=", re.IGNORECASE)


def encoded_word(value: str) -> str:
    """A value as one encoded word, however long."""
    return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="


def plain(value: str) -> str:
    """The inverse; what is no encoded word stays as it is."""
    found = _ENCODED_WORD.fullmatch(value)
    if found is None:
        return value
    try:
        return b64decode(found[1], validate=True).decode()
    except ValueError:
        return value
