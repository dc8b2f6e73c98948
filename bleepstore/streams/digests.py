"""Digests of a stream of bytes, piece by piece: MD5, SHA-256 and S3's additional checksums.

CRC32 comes from zlib (4.0 GiB/s here; awscrt has 2.8), CRC32C and CRC64NVME from awscrt (50 GiB/s
out of the cache), the rest from hashlib.  All three release the GIL for pieces worth it.

awscrt takes 36 ms and 6 MiB to import, and holds the GIL meanwhile; so it is imported at the first
use rather than at start-up.  :func:`load` does it beforehand, for whoever has an idle moment.

Knows values of ``model.checksums`` and nothing of streams, threads or requests.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import md5 as new_md5
from hashlib import sha1 as new_sha1
from hashlib import sha256 as new_sha256
from typing import Protocol
from zlib import crc32

from bleepstore.errors import InvalidDigest
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm

Bytes = bytes | memoryview
Crc = Callable[[Bytes, int], int]
"""A CRC of some bytes, continuing from the CRC of those before (0: there are none)."""


class Hash(Protocol):
    """What is used of hashlib's objects."""

    def update(self, data: Bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


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

    __slots__ = ("_crcs", "_hashes", "_md5", "_sha1", "_sha256")

    def __init__(
        self,
        *,
        md5: bool = True,
        sha256: bool = False,
        algorithms: Iterable[ChecksumAlgorithm] = (),
    ) -> None:
        self._md5: Hash | None = new_md5(usedforsecurity=False) if md5 else None
        self._sha1: Hash | None = None
        self._sha256: Hash | None = new_sha256() if sha256 else None
        self._crcs: dict[ChecksumAlgorithm, int] = {}
        for algorithm in algorithms:
            if algorithm is ChecksumAlgorithm.SHA256:
                self._sha256 = self._sha256 or new_sha256()
            elif algorithm is ChecksumAlgorithm.SHA1:
                self._sha1 = new_sha1(usedforsecurity=False)
            else:
                self._crcs[algorithm] = 0
        self._hashes = [each for each in (self._md5, self._sha1, self._sha256) if each]

    @property
    def slow(self) -> bool:
        """Whether there is a hash among them, ten times as slow as a CRC."""
        return bool(self._hashes)

    def update(self, *pieces: Bytes) -> None:
        """Take the next bytes, in order."""
        for piece in pieces:
            for each in self._hashes:
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
        assert self._md5 is not None, "MD5 was not asked for"
        return self._md5.digest()

    def md5_hex(self) -> str:
        """The MD5 as S3's ETags show it."""
        return self.md5().hex()

    def sha256(self) -> bytes:
        """The raw SHA-256 (32 bytes)."""
        assert self._sha256 is not None, "SHA-256 was not asked for"
        return self._sha256.digest()

    def checksum(self, algorithm: ChecksumAlgorithm) -> Checksum:
        """The checksum of all bytes taken so far, as S3 shows it: base64, big-endian."""
        if algorithm is ChecksumAlgorithm.SHA256:
            raw = self.sha256()
        elif algorithm is ChecksumAlgorithm.SHA1:
            assert self._sha1 is not None, "SHA-1 was not asked for"
            raw = self._sha1.digest()
        else:
            raw = self._crcs[algorithm].to_bytes(algorithm.size, "big")
        return Checksum(algorithm, encode_base64(raw))


class DigestsOfAll:
    """The same of bytes that are all there: each is computed when it is asked for."""

    __slots__ = ("_data", "_md5")

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._md5: Hash | None = None

    def md5(self) -> bytes:
        """The raw MD5 (16 bytes)."""
        return self._md5_of_all().digest()

    def md5_hex(self) -> str:
        """The MD5 as S3's ETags show it."""
        return self._md5_of_all().hexdigest()

    def _md5_of_all(self) -> Hash:
        known = self._md5
        if known is None:
            known = self._md5 = new_md5(self._data, usedforsecurity=False)
        return known

    def sha256(self) -> bytes:
        """The raw SHA-256 (32 bytes)."""
        return new_sha256(self._data).digest()

    def checksum(self, algorithm: ChecksumAlgorithm) -> Checksum:
        """As :meth:`Digests.checksum`."""
        if algorithm is ChecksumAlgorithm.SHA256:
            raw = self.sha256()
        elif algorithm is ChecksumAlgorithm.SHA1:
            raw = new_sha1(self._data, usedforsecurity=False).digest()
        else:
            raw = load()[algorithm](self._data, 0).to_bytes(algorithm.size, "big")
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


def decode_content_md5(value: str) -> bytes:
    """The raw MD5 of a Content-MD5 header (RFC 1864).

    :raises InvalidDigest: it is not the base64 of 16 bytes.
    """
    raw = decode_base64(value, 16)
    if raw is None:
        raise InvalidDigest(**{"Content-MD5": value})
    return raw
