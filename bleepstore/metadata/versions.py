"""Versions of keys: finding the current one, publishing one, removing one."""

from __future__ import annotations

from typing import NamedTuple

from bleepstore.metadata.contents import drop_content
from bleepstore.metadata.records import checksum_columns, encode_acl, encode_description
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model.acl import Acl
from bleepstore.model.checksums import Checksum
from bleepstore.model.objects import Description


class Found(NamedTuple):
    """What a command needs to know of the version it meets."""

    seq: int
    version_id: str
    content_id: int
    size: int
    etag: str
    last_modified: int
    part_count: int
    upload_id: str
    inline: int


_COLUMNS = (
    "v.seq, v.version_id, v.content_id, v.size, v.etag, v.last_modified, v.part_count,"
    " v.upload_id, v.inline"
)

FIND_CURRENT_IN = (
    f"SELECT {_COLUMNS} FROM versions v WHERE v.bucket_id = ? AND v.key = ? ORDER BY v.seq LIMIT 1"
)
FIND_VERSION_IN = (
    f"SELECT {_COLUMNS} FROM versions v WHERE v.bucket_id = ? AND v.key = ? AND v.version_id = ?"
)


def find_current(
    tx: Transaction, bucket: str, key: bytes, owner_id: str = ""
) -> tuple[int, Found | None]:
    """The bucket's id, and the current version of a key.

    :param owner_id: whose bucket it must be; empty: whoever's.
    :raises NoSuchBucket:
    """
    bucket_id = tx.bucket_id(bucket, owner_id)
    return bucket_id, find_current_in(tx, bucket_id, key)


def find_current_in(tx: Transaction, bucket_id: int, key: bytes) -> Found | None:
    """The current version of a key."""
    row = tx.execute(FIND_CURRENT_IN, (bucket_id, key)).fetchone()
    return None if row is None else Found._make(row)


def find_version_in(tx: Transaction, bucket_id: int, key: bytes, version_id: str) -> Found | None:
    """One version of a key by its id; costs by the number of the key's versions."""
    row = tx.execute(FIND_VERSION_IN, (bucket_id, key, version_id)).fetchone()
    return None if row is None else Found._make(row)


def publish(
    tx: Transaction,
    bucket_id: int,
    key: bytes,
    current: Found | None,
    *,
    version_id: str,
    content_id: int,
    size: int,
    etag: str,
    at: int,
    owner_id: str,
    acl: Acl,
    description: Description,
    checksum: Checksum | None,
    part_count: int = 0,
    upload_id: str = "",
    inline: bool,
) -> Steps[None]:
    """Make a version the current one.  A version of the same id ("null") is replaced.

    :param current: the current version, as :func:`find_current` gave it.
    :param inline: whether its manifest names no blob.
    """
    replaced = current
    seq = 0
    if current is None:
        tx.objects += 1
    elif current.version_id == version_id:
        seq = current.seq
    else:
        seq = current.seq - 1
        replaced = find_version_in(tx, bucket_id, key, version_id)
    kind, checksum_value = checksum_columns(checksum)
    tx.execute(
        "INSERT OR REPLACE INTO versions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            bucket_id,
            key,
            seq,
            version_id,
            content_id,
            size,
            etag,
            at,
            owner_id,
            description.storage_class,
            kind,
            checksum_value,
            part_count,
            upload_id,
            encode_acl(acl, owner_id),
            encode_description(description),
            inline,
        ),
    )
    if replaced is not None:
        if replaced.seq != seq:
            _delete(tx, bucket_id, key, replaced.seq)
        yield from drop_content(tx, replaced.content_id, replaced.inline)


def remove(tx: Transaction, bucket_id: int, key: bytes, found: Found) -> Steps[None]:
    """Remove one version; the next older one becomes current, if it was."""
    _delete(tx, bucket_id, key, found.seq)
    if find_current_in(tx, bucket_id, key) is None:
        tx.objects -= 1
    yield from drop_content(tx, found.content_id, found.inline)


def _delete(tx: Transaction, bucket_id: int, key: bytes, seq: int) -> None:
    tx.execute(
        "DELETE FROM versions WHERE bucket_id = ? AND key = ? AND seq = ?", (bucket_id, key, seq)
    )
