"""The names of objects in a cloud.

    {prefix}{bucket}/{key}                       an object: what other programs of the cloud read
    {prefix}.bleepstore/keys/{bucket}/{digest}   one whose own name the cloud cannot have
    {prefix}.bleepstore/…                        all else; no bucket's name begins with a dot

Which names a cloud cannot have, or does not keep as they are, is the provider's to say; the digest
is the key's SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

RESERVED = ".bleepstore/"


class CloudNames:
    """Names below a prefix.

    :param allowed: whether the cloud can have a name.
    """

    def __init__(self, prefix: str, allowed: Callable[[str], bool]) -> None:
        self.prefix = prefix
        self.reserved = prefix + RESERVED
        self._allowed = allowed

    def name_of(self, bucket: str, key: str) -> str:
        """Where an object lies."""
        name = f"{self.prefix}{bucket}/{key}"
        if self._allowed(name):
            return name
        return f"{self.reserved}keys/{bucket}/{sha256(key.encode()).hexdigest()}"

    def key_of(self, name: str) -> tuple[str, str] | None:
        """Bucket and key of an object's own name; None of any other, and of one that we would not
        give an object, though the cloud can have it."""
        if not name.startswith(self.prefix) or name.startswith(self.reserved):
            return None
        bucket, slash, key = name[len(self.prefix) :].partition("/")
        return (bucket, key) if bucket and slash and key and self._allowed(name) else None


def fits_in_utf8(most: int) -> Callable[[str], bool]:
    """Whether a name has at most so many bytes of UTF-8."""
    return lambda name: len(name) <= most // 4 or len(name.encode()) <= most
