"""Checksums as S3 shows them: values only; ``streams.digests`` computes them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ChecksumAlgorithm(StrEnum):
    """The additional checksums of the S3 API ("Checking object integrity" in the User Guide)."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"

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


_SIZES = {
    ChecksumAlgorithm.CRC32: 4,
    ChecksumAlgorithm.CRC32C: 4,
    ChecksumAlgorithm.CRC64NVME: 8,
    ChecksumAlgorithm.SHA1: 20,
    ChecksumAlgorithm.SHA256: 32,
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
