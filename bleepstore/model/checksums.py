"""Checksums as S3 shows them: values only; ``streams.digests`` computes them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ChecksumAlgorithm(StrEnum):
    """The additional checksums of the S3 API ("Checking object integrity" in the User Guide)."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    MD5 = "MD5"
    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"
    XXHASH64 = "XXHASH64"
    XXHASH3 = "XXHASH3"
    XXHASH128 = "XXHASH128"

    @property
    def header(self) -> str:
        """The lower-case name of its header and trailer, e.g. ``x-amz-checksum-crc32``."""
        return "x-amz-checksum-" + self.value.lower()

    @property
    def size(self) -> int:
        """The length of the raw value in bytes."""
        return _SIZES[self]

    @property
    def is_crc(self) -> bool:
        """Whether the value of a whole can be combined from those of its parts."""
        return self.value.startswith("CRC")

    @property
    def types(self) -> tuple[ChecksumType, ...]:
        """The types that the checksum of a multipart object may have, the default first.

        Source: "Full object and composite checksum types" in the User Guide.
        """
        if self is ChecksumAlgorithm.CRC64NVME:
            return (ChecksumType.FULL_OBJECT,)
        if self.is_crc:
            return (ChecksumType.COMPOSITE, ChecksumType.FULL_OBJECT)
        return (ChecksumType.COMPOSITE,)


_SIZES = {
    ChecksumAlgorithm.CRC32: 4,
    ChecksumAlgorithm.CRC32C: 4,
    ChecksumAlgorithm.CRC64NVME: 8,
    ChecksumAlgorithm.MD5: 16,
    ChecksumAlgorithm.SHA1: 20,
    ChecksumAlgorithm.SHA256: 32,
    ChecksumAlgorithm.SHA512: 64,
    ChecksumAlgorithm.XXHASH64: 8,
    ChecksumAlgorithm.XXHASH3: 8,
    ChecksumAlgorithm.XXHASH128: 16,
}


class ChecksumType(StrEnum):
    """How a multipart object's checksum was made: of all its bytes, or of its parts' checksums."""

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"


class Checksum(Struct, frozen=True):
    """A checksum of an object or a part.

    :ivar value: base64 of the raw value; a composite one carries ``-N``, the number of parts.
    """

    algorithm: ChecksumAlgorithm
    value: str
    type: ChecksumType = ChecksumType.FULL_OBJECT
