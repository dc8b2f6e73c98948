"""CompleteUpload: parts become an object, and no byte moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bleepstore.errors import (
    BadDigest,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NoSuchUpload,
)
from bleepstore.metadata.apply_intents import end_intent, require_intent
from bleepstore.metadata.apply_uploads import find_upload
from bleepstore.metadata.assembly import checksum_kind_of, checksum_of_parts, etag_of_parts
from bleepstore.metadata.contents import add_content, hold_blobs, release_blobs
from bleepstore.metadata.records import checksum_of, decode_extents
from bleepstore.metadata.transaction import SLICE, Steps, Transaction
from bleepstore.metadata.versions import Found, find_current, publish
from bleepstore.model.checksums import Checksum
from bleepstore.model.commands import CompletedPart, CompleteUpload, Written
from bleepstore.model.conditions import check_write
from bleepstore.model.names import MIN_PART_SIZE
from bleepstore.model.objects import Extent, Manifest, PartInfo, Upload


class _Stored(NamedTuple):
    """A part as the database has it."""

    size: int
    etag: str
    checksum: Checksum | None


def complete_upload(tx: Transaction, command: CompleteUpload) -> Steps[Written]:
    """See :class:`CompleteUpload`.  Everything is checked before anything is written."""
    key = command.key.encode()
    bucket_id, current = find_current(tx, command.bucket, key)
    try:
        upload = find_upload(tx, command.bucket, command.key, command.upload_id)
    except NoSuchUpload:
        return _completed_before(tx, command, bucket_id, key, current)
    stored = yield from _stored_parts(tx, command.upload_id)
    parts = _named_parts(command, stored)
    yield
    size = sum(part.size for part in parts)
    etag = etag_of_parts(stored[part.number].etag for part in parts)
    checksum = _checksum(command, upload, parts)
    if command.expected_size is not None and command.expected_size != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {command.expected_size} does not "
            f"match what was computed: {size}"
        )
    if command.conditions is not None:
        check_write(command.conditions, current.etag if current else None, command.key)
    require_intent(tx, command.intent)
    yield
    extents, unnamed = yield from _take_extents(
        tx, command.upload_id, {part.number for part in parts}
    )
    if command.extents is not None:
        unnamed += extents
        extents = list(command.extents)
        yield from hold_blobs(tx, extents)
    content_id = add_content(tx, Manifest(tuple(extents), tuple(parts)))
    yield
    tx.execute("DELETE FROM uploads WHERE upload_id = ?", (command.upload_id,))
    if upload.native:
        tx.execute("DELETE FROM blobs WHERE blob_id = ?", (upload.native,))
    yield from publish(
        tx,
        bucket_id,
        key,
        current,
        version_id=command.version_id,
        content_id=content_id,
        size=size,
        etag=etag,
        at=command.at,
        owner_id=upload.owner_id,
        acl=upload.acl,
        description=upload.description,
        checksum=checksum,
        part_count=len(parts),
        inline=not any(extent.blob_id for extent in extents),
        upload_id=command.upload_id,
    )
    yield from release_blobs(tx, unnamed)
    end_intent(tx, command.intent, command.displaced)
    return Written(
        version_id=command.version_id,
        etag=etag,
        size=size,
        last_modified=command.at,
        checksum=checksum,
    )


def _completed_before(
    tx: Transaction, command: CompleteUpload, bucket_id: int, key: bytes, current: Found | None
) -> Written:
    """A client that repeats its Complete gets the same answer, while its object is current."""
    try:
        same = (
            current is not None
            and current.upload_id == command.upload_id
            and current.etag == etag_of_parts(part.etag for part in command.parts)
        )
    except ValueError:  # a part's ETag that is not hex
        same = False
    if not same or current is None:
        raise NoSuchUpload(UploadId=command.upload_id)
    ((kind, checksum),) = tx.execute(
        "SELECT checksum_kind, checksum FROM versions WHERE bucket_id = ? AND key = ? AND seq = ?",
        (bucket_id, key, current.seq),
    ).fetchall()
    return Written(
        version_id=current.version_id,
        etag=current.etag,
        size=current.size,
        last_modified=current.last_modified,
        checksum=checksum_of(kind, checksum),
    )


def _stored_parts(tx: Transaction, upload_id: str) -> Steps[dict[int, _Stored]]:
    """All parts but their extents."""
    stored: dict[int, _Stored] = {}
    last = 0
    while True:
        rows = tx.execute(
            "SELECT number, size, etag, checksum_kind, checksum FROM parts"
            " WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?",
            (upload_id, last, SLICE),
        ).fetchall()
        for number, size, etag, kind, checksum in rows:
            stored[number] = _Stored(size, etag, checksum_of(kind, checksum))
        if len(rows) < SLICE:
            return stored
        last = rows[-1][0]
        yield


def _named_parts(command: CompleteUpload, stored: dict[int, _Stored]) -> list[PartInfo]:
    """The parts as the client named them, checked."""
    if not command.parts:
        raise InvalidRequest("You must specify at least one part")
    parts: list[PartInfo] = []
    too_small: CompletedPart | None = None
    last = 0
    for named in command.parts:
        if named.number <= last:
            raise InvalidPartOrder(UploadId=command.upload_id)
        last = named.number
    for named in command.parts:
        found = stored.get(named.number)
        if found is None or found.etag != named.etag or not _has(found.checksum, named):
            raise InvalidPart(
                UploadId=command.upload_id, PartNumber=str(named.number), ETag=named.etag
            )
        if found.size < MIN_PART_SIZE and named.number != last and too_small is None:
            too_small = named
        parts.append(PartInfo(named.number, found.size, found.checksum))
    if too_small is not None:
        raise EntityTooSmall(
            ProposedSize=str(stored[too_small.number].size),
            MinSizeAllowed=str(MIN_PART_SIZE),
            PartNumber=str(too_small.number),
            ETag=too_small.etag,
        )
    return parts


def _has(checksum: Checksum | None, named: CompletedPart) -> bool:
    """Whether a part has every checksum that the client names for it."""
    if not named.checksums:
        return True
    return (
        checksum is not None
        and len(named.checksums) == 1
        and named.checksums.get(checksum.algorithm) == checksum.value
    )


def _checksum(
    command: CompleteUpload, upload: Upload, parts: Sequence[PartInfo]
) -> Checksum | None:
    """The object's checksum, checked against what the client expects."""
    algorithm, type_ = checksum_kind_of(upload)
    if command.checksum_type is not None and command.checksum_type is not type_:
        raise InvalidRequest(
            f"The upload was created using the {type_} checksum mode. The complete request must "
            "use the same checksum mode."
        )
    checksum = checksum_of_parts(algorithm, type_, parts)
    expected = command.checksum
    if expected is None:
        return checksum
    if expected.algorithm is not algorithm:
        raise InvalidRequest(
            f"The upload was created using a {algorithm.lower()} checksum. The complete request "
            "must use the same checksum algorithm."
        )
    # A composite value may come with or without the number of parts behind it.
    if checksum is None or expected.value not in (checksum.value, checksum.value.split("-")[0]):
        raise BadDigest(f"The {algorithm} you specified did not match the calculated checksum.")
    return checksum


def _take_extents(
    tx: Transaction, upload_id: str, named: set[int]
) -> Steps[tuple[list[Extent], list[Extent]]]:
    """Remove all parts; gives the extents of those named, in order, and of the others."""
    taken: list[Extent] = []
    unnamed: list[Extent] = []
    while True:
        rows: list[tuple[Any, ...]] = tx.execute(
            "SELECT number, extents FROM parts WHERE upload_id = ? ORDER BY number LIMIT ?",
            (upload_id, SLICE),
        ).fetchall()
        for number, extents in rows:
            (taken if number in named else unnamed).extend(decode_extents(extents))
        if not rows:
            return taken, unnamed
        tx.execute(
            "DELETE FROM parts WHERE upload_id = ? AND number <= ?", (upload_id, rows[-1][0])
        )
        yield
