"""Rules of multipart uploads that need no store: the order of parts, and their checksums."""

from __future__ import annotations

from collections.abc import Sequence

from bleepstore.errors import InvalidPartOrder, InvalidRequest, MalformedXML
from bleepstore.model.checksums import ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import CompletedPart
from bleepstore.model.objects import Upload


def part_algorithm(upload: Upload) -> ChecksumAlgorithm:
    """Of the checksum that every part of the upload has."""
    return upload.checksum_algorithm or ChecksumAlgorithm.CRC64NVME


def require_part_checksum(upload: Upload, claimed: ChecksumAlgorithm | None) -> None:
    """What UploadPart must say of the part.

    Where the upload has no algorithm a part may come with any: SDKs add one of their own choice
    to every part, unasked.  It is verified, and CRC64NVME is what is kept.  A composite checksum
    is made of what the client says; for one of the full object it may leave it to the server.

    :param claimed: of the checksum that comes with the part; None: there is none.
    :raises InvalidRequest: in the words of S3.
    """
    algorithm = upload.checksum_algorithm
    if algorithm is None or claimed is algorithm:
        return
    if claimed is None and upload.checksum_type is ChecksumType.FULL_OBJECT:
        return
    raise InvalidRequest(
        f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
        f"actual checksum Type: {'null' if claimed is None else claimed.lower()}"
    )


def comparable(upload: Upload, parts: tuple[CompletedPart, ...]) -> tuple[CompletedPart, ...]:
    """The parts that a client names, without the checksums that were not kept.

    Where the upload has no algorithm a part may have come with any; it was verified then, and
    only CRC64NVME is kept to compare with.
    """
    if upload.checksum_algorithm is not None:
        return parts
    kept = part_algorithm(upload)
    return tuple(
        [
            CompletedPart(
                part.number,
                part.etag,
                {kept: part.checksums[kept]} if kept in part.checksums else {},
            )
            for part in parts
        ]
    )


def require_composite(upload: Upload, parts: Sequence[CompletedPart]) -> None:
    """What S3 wants of parts whose checksums make a composite one: their client says them again,
    and their numbers are 1, 2, 3 ...

    Source: CompletedPart in the API reference; the words about the checksums are S3's.

    :raises InvalidPartOrder: a number was passed over.
    :raises InvalidRequest: a part is named without its checksum.
    """
    algorithm = upload.checksum_algorithm
    if algorithm is None or upload.checksum_type is not ChecksumType.COMPOSITE:
        return
    for number, part in enumerate(parts, 1):
        if part.number != number:
            raise InvalidPartOrder(UploadId=upload.upload_id)
        if algorithm not in part.checksums:
            raise InvalidRequest(
                f"The upload was created using a {algorithm.lower()} checksum. The complete "
                "request must include the checksum for each part. It was missing for part "
                f"{part.number} in the request."
            )


def require_order(upload_id: str, parts: Sequence[CompletedPart]) -> None:
    """:raises MalformedXML: there is none.
    :raises InvalidPartOrder: the numbers do not ascend.
    """
    if not parts:
        raise MalformedXML
    previous = 0
    for part in parts:
        if part.number <= previous:
            raise InvalidPartOrder(UploadId=upload_id)
        previous = part.number
