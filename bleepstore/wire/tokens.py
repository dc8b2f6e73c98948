"""Continuation tokens: opaque to clients, versioned, and proof against editing by accident.

A token is base64url of: one byte of format version, 8 bytes of BLAKE2b of the rest, and the
UTF-8 of the key after which the listing continues.  It guards no secret: whoever may list the
bucket may continue anywhere by start-after.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64encode
from hashlib import blake2b

from bleepstore.errors import InvalidArgument

_FORMAT = b"\x01"
_CHECK = 8
_PERSON = b"bleepstore-token"
_MAX_TOKEN = 8192


def _check(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_CHECK, person=_PERSON).digest()


def encode_token(after: str) -> str:
    """The token that continues a listing after ``after``; URL-safe text."""
    payload = after.encode()
    return urlsafe_b64encode(_FORMAT + _check(payload) + payload).rstrip(b"=").decode()


def decode_token(token: str) -> str:
    """What :func:`encode_token` was given.

    :raises InvalidArgument: "The continuation token provided is incorrect".
    """
    incorrect = InvalidArgument(
        "The continuation token provided is incorrect", ArgumentName="continuation-token"
    )
    if not token.isascii() or len(token) > _MAX_TOKEN:
        raise incorrect
    standard = token.replace("-", "+").replace("_", "/")
    try:
        raw = binascii.a2b_base64(standard + "=" * (-len(token) % 4), strict_mode=True)
        after = raw[1 + _CHECK :].decode()
    except (binascii.Error, UnicodeDecodeError):
        raise incorrect from None
    if encode_token(after) != token:  # format, check and the one canonical spelling at once
        raise incorrect
    return after
