"""Signing keys: derived from a secret, a date and a region, and remembered."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING

from bleepstore.auth.canonical import SERVICE, TERMINATOR

if TYPE_CHECKING:
    from hashlib import _Hash

_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


def derive_key(secret: str, date: bytes, region: bytes, service: bytes = SERVICE) -> bytes:
    """The signing key: four HMACs, "Task 3" of the API Reference's calculation.

    :param date: ``YYYYMMDD``.
    """
    key = digest(b"AWS4" + secret.encode(), date, "sha256")
    key = digest(key, region, "sha256")
    key = digest(key, service, "sha256")
    return digest(key, TERMINATOR, "sha256")


def signature_of(key: bytes, text: bytes) -> bytes:
    """The signature of a string to sign, as hex: its HMAC-SHA256 (RFC 2104).

    ``hmac.digest`` hashes both of the key's pads, and asks OpenSSL for the algorithm, each time;
    going on from copies of the two hashes takes a third of that.
    """
    inner, outer = _padded(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(text)
    outer.update(inner.digest())
    return outer.hexdigest().encode()


@lru_cache(maxsize=1024)
def _padded(key: bytes) -> tuple[_Hash, _Hash]:
    """The inner and the outer hash of an HMAC, with the key in them.

    :param key: at most one block of 64 bytes, as digests are.
    """
    block = key.ljust(64, b"\0")
    return sha256(block.translate(_INNER_PAD)), sha256(block.translate(_OUTER_PAD))


class SigningKeys:
    """Signing keys of s3 that were derived lately; deriving one costs more than a verification.

    Needs no clock: the date is a part of what is looked up.  When it is full the oldest key
    goes, so dates and secrets that are out of use drop off.  Not for several threads at once.

    :param capacity: keys held at most; a day has one for each secret.
    """

    def __init__(self, capacity: int = 1024) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._capacity = capacity
        self._keys: dict[tuple[str, bytes, bytes], bytes] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, secret: str, date: bytes, region: bytes) -> bytes:
        """The signing key of this secret for a date (``YYYYMMDD``) and region."""
        wanted = (secret, date, region)
        key = self._keys.get(wanted)
        if key is None:
            key = derive_key(secret, date, region)
            if len(self._keys) >= self._capacity:
                del self._keys[next(iter(self._keys))]
            self._keys[wanted] = key
        return key
