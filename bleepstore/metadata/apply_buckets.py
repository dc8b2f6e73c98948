"""CreateBucket, DeleteBucket, PutBucketAcl."""

from __future__ import annotations

from bleepstore.errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    NoSuchBucket,
)
from bleepstore.metadata.apply_uploads import remove_upload
from bleepstore.metadata.records import decode_bucket, encode_bucket
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model.acl import Acl
from bleepstore.model.commands import CreateBucket, DeleteBucket, Done, PutBucketAcl
from bleepstore.model.objects import Bucket

UPLOADS_PER_STEP = 16

FORGIVING_REGION = "us-east-1"
"""Where creating one's own bucket again succeeds (S3 API reference, CreateBucket, Errors)."""


def create_bucket(tx: Transaction, command: CreateBucket) -> Steps[Done]:
    """See :class:`CreateBucket`."""
    existing = _find(tx, command.bucket)
    if existing is not None:
        if existing.owner_id != command.owner_id:
            raise BucketAlreadyExists(BucketName=command.bucket)
        if command.region != FORGIVING_REGION:
            raise BucketAlreadyOwnedByYou(BucketName=command.bucket)
        _store_acl(tx, existing, command.acl)
        return Done()
    bucket = Bucket(command.bucket, command.owner_id, command.at, command.region, command.acl)
    tx.next_bucket += 1
    tx.buckets += 1
    tx.execute(
        "INSERT INTO buckets VALUES (?, ?, ?, ?)",
        (bucket.name, tx.next_bucket, bucket.owner_id, encode_bucket(bucket)),
    )
    return Done()
    yield  # a generator, as all apply functions are


def delete_bucket(tx: Transaction, command: DeleteBucket) -> Steps[Done]:
    """See :class:`DeleteBucket`."""
    bucket_id = tx.bucket_id(command.bucket, command.bucket_owner_id)
    found = tx.execute("SELECT 1 FROM versions WHERE bucket_id = ? LIMIT 1", (bucket_id,))
    if found.fetchone() is not None:
        raise BucketNotEmpty(BucketName=command.bucket)
    under_way = tx.execute("SELECT 1 FROM intents WHERE bucket_id = ? LIMIT 1", (bucket_id,))
    if under_way.fetchone() is not None:
        raise BucketNotEmpty(BucketName=command.bucket)
    while uploads := tx.execute(
        "SELECT upload_id FROM uploads WHERE bucket_id = ? ORDER BY key, initiated, upload_id"
        " LIMIT ?",
        (bucket_id, UPLOADS_PER_STEP),
    ).fetchall():
        for (upload_id,) in uploads:
            yield from remove_upload(tx, upload_id)
        yield
    tx.execute("DELETE FROM buckets WHERE name = ?", (command.bucket,))
    tx.forget_bucket(command.bucket)
    tx.buckets -= 1
    return Done()


def put_bucket_acl(tx: Transaction, command: PutBucketAcl) -> Steps[Done]:
    """See :class:`PutBucketAcl`."""
    existing = _find(tx, command.bucket)
    if existing is None:
        raise NoSuchBucket(BucketName=command.bucket)
    if command.acl.owner_id != existing.owner_id:
        raise AccessDenied
    _store_acl(tx, existing, command.acl)
    return Done()
    yield


def _find(tx: Transaction, name: str) -> Bucket | None:
    row = tx.execute("SELECT record FROM buckets WHERE name = ?", (name,)).fetchone()
    return None if row is None else decode_bucket(row[0])


def _store_acl(tx: Transaction, bucket: Bucket, acl: Acl) -> None:
    changed = Bucket(bucket.name, bucket.owner_id, bucket.created, bucket.region, acl)
    tx.execute(
        "UPDATE buckets SET record = ? WHERE name = ?", (encode_bucket(changed), bucket.name)
    )
    tx.forget_bucket(bucket.name)
