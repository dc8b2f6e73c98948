"""CreateUpload, PutPart, AbortUpload."""

from __future__ import annotations

from bleepstore.errors import NoSuchUpload, OperationAborted
from bleepstore.metadata.apply_intents import has_intent
from bleepstore.metadata.contents import hold_blobs, release_blobs, require_held
from bleepstore.metadata.records import (
    checksum_columns,
    decode_extents,
    decode_upload,
    encode_extents,
    encode_upload,
)
from bleepstore.metadata.transaction import SLICE, Steps, Transaction
from bleepstore.model.commands import AbortUpload, CreateUpload, Done, PutPart
from bleepstore.model.objects import Upload


def create_upload(tx: Transaction, command: CreateUpload) -> Steps[Done]:
    """See :class:`CreateUpload`."""
    upload = command.upload
    bucket_id = tx.bucket_id(upload.bucket, command.bucket_owner_id)
    tx.execute(
        "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)",
        (
            upload.upload_id,
            bucket_id,
            upload.key.encode(),
            upload.initiated,
            encode_upload(upload),
        ),
    )
    if upload.native:  # what a cloud keeps of it is no garbage
        tx.execute("INSERT OR REPLACE INTO blobs VALUES (?, 1)", (upload.native,))
    return Done()
    yield  # a generator, as all apply functions are


def find_upload(tx: Transaction, bucket: str, key: str, upload_id: str) -> Upload:
    """:raises NoSuchUpload: there is none of this id for this key of this bucket."""
    row = tx.execute("SELECT record FROM uploads WHERE upload_id = ?", (upload_id,)).fetchone()
    if row is not None:
        upload = decode_upload(row[0])
        if upload.key == key and upload.bucket == bucket:
            return upload
    raise NoSuchUpload(UploadId=upload_id)


def put_part(tx: Transaction, command: PutPart) -> Steps[Done]:
    """See :class:`PutPart`."""
    find_upload(tx, command.bucket, command.key, command.upload_id)
    if command.shares_blobs:
        fresh = set(command.fresh)
        shared = [extent for extent in command.extents if extent.blob_id not in fresh]
        yield from require_held(tx, shared)
    where = (command.upload_id, command.number)
    replaced = tx.execute(
        "SELECT extents FROM parts WHERE upload_id = ? AND number = ?", where
    ).fetchone()
    yield from hold_blobs(tx, command.extents)
    kind, checksum = checksum_columns(command.checksum)
    raw = encode_extents(command.extents)
    tx.written += len(raw)
    tx.execute(
        "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*where, command.size, command.etag, command.at, kind, checksum, raw),
    )
    if replaced is not None:
        yield from release_blobs(tx, decode_extents(replaced[0]))
    return Done()


def abort_upload(tx: Transaction, command: AbortUpload) -> Steps[Done]:
    """See :class:`AbortUpload`."""
    find_upload(tx, command.bucket, command.key, command.upload_id)
    if has_intent(tx, command.upload_id):
        raise OperationAborted
    yield from remove_upload(tx, command.upload_id)
    return Done()


def remove_upload(tx: Transaction, upload_id: str) -> Steps[None]:
    """Remove an upload and its parts, and let go of their blobs, and of what a cloud keeps."""
    while True:
        parts = tx.execute(
            "SELECT number, extents FROM parts WHERE upload_id = ? ORDER BY number LIMIT ?",
            (upload_id, SLICE),
        ).fetchall()
        if not parts:
            break
        for _, extents in parts:
            yield from release_blobs(tx, decode_extents(extents))
        tx.execute(
            "DELETE FROM parts WHERE upload_id = ? AND number <= ?", (upload_id, parts[-1][0])
        )
        yield
    ((record,),) = tx.execute(
        "DELETE FROM uploads WHERE upload_id = ? RETURNING record", (upload_id,)
    ).fetchall()
    if native := decode_upload(record).native:
        tx.execute("DELETE FROM blobs WHERE blob_id = ?", (native,))
        tx.execute("INSERT INTO released VALUES (?)", (native,))
