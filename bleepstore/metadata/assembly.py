"""What a multipart object's ETag and checksum are, computed from those of its parts.

Pure arithmetic over values; knows no database.  Sources: the S3 User Guide, "Checking object
integrity", for full-object and composite checksums; an ETag of parts is the MD5 of their binary
MD5s, a hyphen and their number.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import md5

from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.objects import PartInfo, Upload
from bleepstore.streams.digests import DigestsOfAll

Combine = Callable[[int, int, int], int]


@cache
def _combinations() -> dict[ChecksumAlgorithm, Combine]:
    """The CRC of two runs of bytes, out of theirs and the second one's length.

    The first call imports awscrt: 36 ms and 6 MiB, which a start need not spend.
    """
    from awscrt import checksums as crt

    return {
        ChecksumAlgorithm.CRC32: crt.combine_crc32,
        ChecksumAlgorithm.CRC32C: crt.combine_crc32c,
        ChecksumAlgorithm.CRC64NVME: crt.combine_crc64nvme,
    }


def etag_of_parts(etags: Iterable[str]) -> str:
    """The ETag of an object of parts with these ETags.

    :raises ValueError: one of them is not hex.
    """
    raw = [bytes.fromhex(etag) for etag in etags]
    return f"{md5(b''.join(raw), usedforsecurity=False).hexdigest()}-{len(raw)}"


def checksum_kind_of(upload: Upload) -> tuple[ChecksumAlgorithm, ChecksumType]:
    """Which checksum the upload's object will have.

    CRC64NVME of the full object if the client chose none; what it chose is of its default type
    unless it said otherwise.
    """
    algorithm = upload.checksum_algorithm or ChecksumAlgorithm.CRC64NVME
    return algorithm, upload.checksum_type or algorithm.types[0]


def checksum_of_parts(
    algorithm: ChecksumAlgorithm, type_: ChecksumType, parts: Iterable[PartInfo]
) -> Checksum | None:
    """The object's checksum; None if a part carries none of that algorithm, or if only the
    bytes themselves could tell it (a full-object hash)."""
    raw: list[bytes] = []
    sizes: list[int] = []
    for part in parts:
        if part.checksum is None or part.checksum.algorithm is not algorithm:
            return None
        try:
            raw.append(b64decode(part.checksum.value, validate=True))
        except binascii.Error:
            return None
        sizes.append(part.size)
    if type_ is ChecksumType.COMPOSITE:
        whole = DigestsOfAll(b"".join(raw)).checksum(algorithm)
        return Checksum(algorithm, f"{whole.value}-{len(raw)}", type_)
    if not algorithm.is_crc:
        return None
    combine = _combinations()[algorithm]
    crc = 0  # the CRC of nothing
    for each, size in zip(raw, sizes, strict=True):
        crc = combine(crc, int.from_bytes(each, "big"), size)
    return Checksum(algorithm, b64encode(crc.to_bytes(algorithm.size, "big")).decode(), type_)
