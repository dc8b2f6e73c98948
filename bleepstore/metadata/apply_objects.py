"""PutObject, CopyObject, PutObjectAcl, DeleteObject, DeleteObjects."""

from __future__ import annotations

from bleepstore.errors import (
    AccessDenied,
    BucketChanged,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
    SourceChanged,
    StoreError,
)
from bleepstore.metadata.apply_intents import end_intent, take_intent
from bleepstore.metadata.contents import add_content, hold_blobs, share_content
from bleepstore.metadata.records import decode_acl, encode_acl
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.metadata.versions import (
    Found,
    find_current,
    find_current_in,
    find_version_in,
    publish,
    remove,
)
from bleepstore.model.commands import (
    CopyObject,
    Deleted,
    DeletedMany,
    DeleteObject,
    DeleteObjects,
    DeleteTarget,
    Done,
    PutObject,
    PutObjectAcl,
    Refusal,
    Written,
)
from bleepstore.model.conditions import check_write

TARGETS_PER_STEP = 16


def check_put(tx: Transaction, command: PutObject) -> tuple[int, Found | None]:
    """All that refuses a PutObject but the end of its intent; gives bucket and current version.

    :raises StoreError: it is refused.
    """
    bucket_id, current = find_current(
        tx, command.bucket, command.key.encode(), command.bucket_owner_id
    )
    if command.access and command.access != tx.access(command.bucket):
        raise BucketChanged
    if command.conditions is not None:
        check_write(command.conditions, current.etag if current else None, command.key)
    return bucket_id, current


def put_object(tx: Transaction, command: PutObject) -> Steps[Written]:
    """See :class:`PutObject`."""
    bucket_id, current = check_put(tx, command)
    if command.intent:
        take_intent(tx, command.intent)
    key = command.key.encode()
    manifest = command.manifest
    content_id = add_content(tx, manifest)
    inline = not any(extent.blob_id for extent in manifest.extents)
    if not inline:
        yield from hold_blobs(tx, manifest.extents)
    yield from publish(
        tx,
        bucket_id,
        key,
        current,
        version_id=command.version_id,
        content_id=content_id,
        size=command.size,
        etag=command.etag,
        at=command.at,
        owner_id=command.owner_id,
        acl=command.acl,
        description=command.description,
        checksum=command.checksum,
        part_count=len(manifest.parts),
        inline=inline,
    )
    if command.displaced:
        end_intent(tx, "", command.displaced)
    return Written(
        version_id=command.version_id,
        etag=command.etag,
        size=command.size,
        last_modified=command.at,
        checksum=command.checksum,
    )


def copy_object(tx: Transaction, command: CopyObject) -> Steps[Written]:
    """See :class:`CopyObject`."""
    key = command.key.encode()
    bucket_id, current = find_current(tx, command.bucket, key, command.bucket_owner_id)
    try:
        _, source = find_current(tx, command.source_bucket, command.source_key.encode())
    except NoSuchBucket:
        raise SourceChanged from None
    if source is None or source.content_id != command.source_content_id:
        raise SourceChanged
    if command.conditions is not None:
        check_write(command.conditions, current.etag if current else None, command.key)
    share_content(tx, source.content_id)
    yield from publish(
        tx,
        bucket_id,
        key,
        current,
        version_id=command.version_id,
        content_id=source.content_id,
        size=source.size,
        etag=source.etag,
        at=command.at,
        owner_id=command.owner_id,
        acl=command.acl,
        description=command.description,
        checksum=command.checksum,
        part_count=source.part_count,
        inline=bool(source.inline),
    )
    return Written(
        version_id=command.version_id,
        etag=source.etag,
        size=source.size,
        last_modified=command.at,
        checksum=command.checksum,
    )


def put_object_acl(tx: Transaction, command: PutObjectAcl) -> Steps[Done]:
    """See :class:`PutObjectAcl`."""
    key = command.key.encode()
    bucket_id, current = find_current(tx, command.bucket, key)
    if current is None:
        raise NoSuchKey(Key=command.key)
    where = (bucket_id, key, current.seq)
    ((owner_id, acl),) = tx.execute(
        "SELECT owner_id, acl FROM versions WHERE bucket_id = ? AND key = ? AND seq = ?", where
    ).fetchall()
    if command.acl.owner_id != owner_id:
        raise AccessDenied
    if command.decided_by is not None and command.decided_by != decode_acl(acl, owner_id):
        raise AccessDenied
    tx.execute(
        "UPDATE versions SET acl = ? WHERE bucket_id = ? AND key = ? AND seq = ?",
        (encode_acl(command.acl, owner_id), *where),
    )
    return Done()
    yield


def delete_object(tx: Transaction, command: DeleteObject) -> Steps[Deleted]:
    """See :class:`DeleteObject`."""
    bucket_id = tx.bucket_id(command.bucket, command.bucket_owner_id)
    target = DeleteTarget(command.key, command.version_id, command.if_match)
    existed = yield from _delete(tx, bucket_id, target)
    return Deleted(existed=existed)


def delete_objects(tx: Transaction, command: DeleteObjects) -> Steps[DeletedMany]:
    """See :class:`DeleteObjects`."""
    bucket_id = tx.bucket_id(command.bucket, command.bucket_owner_id)
    outcomes: list[Refusal | None] = []
    for number, target in enumerate(command.targets, 1):
        try:
            yield from _delete(tx, bucket_id, target)
        except StoreError as error:
            outcomes.append(Refusal(error.code, error.message, error.details))
        else:
            outcomes.append(None)
        if number % TARGETS_PER_STEP == 0:
            yield
    return DeletedMany(outcomes=tuple(outcomes))


def _delete(tx: Transaction, bucket_id: int, target: DeleteTarget) -> Steps[bool]:
    """Delete one version if its conditions hold; False if there was none to delete."""
    key = target.key.encode()
    if target.version_id:
        found = find_version_in(tx, bucket_id, key, target.version_id)
    else:
        found = find_current_in(tx, bucket_id, key)
    _check(target, found)
    if found is None:
        return False
    yield from remove(tx, bucket_id, key, found)
    return True


def _check(target: DeleteTarget, found: Found | None) -> None:
    """The conditions of a delete (S3 API reference, DeleteObject and ObjectIdentifier)."""
    if found is None:
        if (target.if_match, target.if_last_modified, target.if_size) != (None, None, None):
            raise NoSuchKey(Key=target.key)
        return
    if target.if_match is not None and target.if_match not in ("*", found.etag):
        raise PreconditionFailed(Condition="If-Match")
    if (
        target.if_last_modified is not None
        and target.if_last_modified // 1000 != found.last_modified // 1000
    ):
        raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
    if target.if_size is not None and target.if_size != found.size:
        raise PreconditionFailed(Condition="x-amz-if-match-size")
