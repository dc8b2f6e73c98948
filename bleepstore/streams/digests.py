"""Digests of a stream of bytes, piece by piece: MD5, SHA-256 and S3's additional checksums.

CRC32 comes from zlib (4.0 GiB/s here; awscrt has 2.8), CRC32C, CRC64NVME (50 GiB/s out of the
cache) and the XXHASHes (4 to 40) from awscrt, the rest from hashlib.  All three release the GIL for
pieces worth it.

awscrt takes 36 ms and 6 MiB to import, and holds the GIL meanwhile; so it is imported at the first
use rather than at start-up.  :func:`load` does it beforehand, for whoever has an idle moment.

Knows values of ``model.checksums`` and nothing of streams, threads or requests.
"""

from __future__ import annotations

import hashlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Protocol
from zlib import crc32

from bleepstore.model.checksums import Checksum, ChecksumAlgorithm

Bytes = bytes | memoryview
Crc = Callable[[Bytes, int], int]
"""A CRC of some bytes, continuing from the CRC of those before (0: there are none)."""


class Hash(Protocol):
    """What is used of hashlib's objects."""

    def update(self, data: Bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _XXHash:
    """One of awscrt's hashes; it takes no views."""

    __slots__ = ("_hash",)

    def __init__(self, kind: str) -> None:
        from awscrt.checksums import XXHash  # not at the top: see the module's docstring

        self._hash = getattr(XXHash, f"new_{kind}")()

    def update(self, data: Bytes, /) -> None:
        self._hash.update(data if isinstance(data, bytes) else bytes(data))

    def digest(self) -> bytes:
        raw: bytes = self._hash.finalize()
        return raw


_HASHES: dict[ChecksumAlgorithm, Callable[[], Hash]] = {
    ChecksumAlgorithm.MD5: partial(hashlib.md5, usedforsecurity=False),
    ChecksumAlgorithm.SHA1: partial(hashlib.sha1, usedforsecurity=False),
    ChecksumAlgorithm.SHA256: hashlib.sha256,
    ChecksumAlgorithm.SHA512: hashlib.sha512,
    ChecksumAlgorithm.XXHASH64: partial(_XXHash, "xxhash64"),
    ChecksumAlgorithm.XXHASH3: partial(_XXHash, "xxhash3_64"),
    ChecksumAlgorithm.XXHASH128: partial(_XXHash, "xxhash3_128"),
}

_SLOW = frozenset(
    {
        ChecksumAlgorithm.MD5,
        ChecksumAlgorithm.SHA1,
        ChecksumAlgorithm.SHA256,
        ChecksumAlgorithm.SHA512,
    }
)
"""Those that take ten times as long as a CRC."""


@cache
def load() -> dict[ChecksumAlgorithm, Crc]:
    """The CRC functions.  The first call imports awscrt, later ones are free."""
    from awscrt import checksums  # not at the top: see the module's docstring

    return {
        ChecksumAlgorithm.CRC32: crc32,
        ChecksumAlgorithm.CRC32C: checksums.crc32c,
        ChecksumAlgorithm.CRC64NVME: checksums.crc64nvme,
    }


class Digests:
    """Several digests of one stream.  Not to be used by two threads at once.

    :param md5: whether :meth:`md5` will be asked.
    :param sha256: whether :meth:`sha256` will be asked.
    :param algorithms: the checksums that will be asked.
    """

    __slots__ = ("_crcs", "_hashes")

    def __init__(
        self,
        *,
        md5: bool = True,
        sha256: bool = False,
        algorithms: Iterable[ChecksumAlgorithm] = (),
    ) -> None:
        wanted = set(algorithms)
        if md5:
            wanted.add(ChecksumAlgorithm.MD5)
        if sha256:
            wanted.add(ChecksumAlgorithm.SHA256)
        self._crcs = {each: 0 for each in wanted if each.is_crc}
        self._hashes = {each: _HASHES[each]() for each in wanted if not each.is_crc}

    @property
    def slow(self) -> bool:
        """Whether there is one among them that a thread of its own is worth."""
        return not _SLOW.isdisjoint(self._hashes)

    def update(self, *pieces: Bytes) -> None:
        """Take the next bytes, in order."""
        for piece in pieces:
            for each in self._hashes.values():
                each.update(piece)
        if self._crcs:
            functions = load()
            for algorithm, value in self._crcs.items():
                function = functions[algorithm]
                for piece in pieces:
                    value = function(piece, value)
                self._crcs[algorithm] = value

    def md5(self) -> bytes:
        """The raw MD5 (16 bytes)."""
        return self._hashes[ChecksumAlgorithm.MD5].digest()

    def md5_hex(self) -> str:
        """The MD5 as S3's ETags show it."""
        return self.md5().hex()

    def sha256(self) -> bytes:
        """The raw SHA-256 (32 bytes)."""
        return self._hashes[ChecksumAlgorithm.SHA256].digest()

    def checksum(self, algorithm: ChecksumAlgorithm) -> Checksum:
        """The checksum of all bytes taken so far, as S3 shows it: base64, big-endian.

        :raises KeyError: it was not asked for.
        """
        if algorithm in self._hashes:
            raw = self._hashes[algorithm].digest()
        else:
            raw = self._crcs[algorithm].to_bytes(algorithm.size, "big")
        return Checksum(algorithm, encode_base64(raw))


class DigestsOfAll:
    """The same of bytes that are all there: each is computed when it is asked for."""

    __slots__ = ("_data", "_md5")

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._md5: bytes | None = None

    def md5(self) -> bytes:
        """The raw MD5 (16 bytes)."""
        known = self._md5
        if known is None:
            known = self._md5 = hashlib.md5(self._data, usedforsecurity=False).digest()
        return known

    def md5_hex(self) -> str:
        """The MD5 as S3's ETags show it."""
        return self.md5().hex()

    def sha256(self) -> bytes:
        """The raw SHA-256 (32 bytes)."""
        return hashlib.sha256(self._data).digest()

    def checksum(self, algorithm: ChecksumAlgorithm) -> Checksum:
        """As :meth:`Digests.checksum`."""
        if algorithm is ChecksumAlgorithm.MD5:  # which needs nothing loaded
            raw = self.md5()
        elif (crc := load().get(algorithm)) is not None:
            raw = crc(self._data, 0).to_bytes(algorithm.size, "big")
        else:
            hashed = _HASHES[algorithm]()
            hashed.update(self._data)
            raw = hashed.digest()
        return Checksum(algorithm, encode_base64(raw))


def encode_base64(raw: bytes) -> str:
    """Base64 with padding, in one line."""
    return b2a_base64(raw, newline=False).decode("ascii")


def decode_base64(value: str, size: int) -> bytes | None:
    """The ``size`` raw bytes of a base64 value (RFC 4648 section 4); None if it is not one."""
    try:
        raw = a2b_base64(value.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeEncodeError):
        return None
    return raw if len(raw) == size else None
