"""Stores with many objects, made once a run through the state machine itself."""

from __future__ import annotations

from pathlib import Path

from bleepstore.metadata.database import Database
from bleepstore.metadata.machine import StateMachine
from bleepstore.model.accounts import derived_owner_id
from bleepstore.model.acl import private_acl
from bleepstore.model.commands import AnyCommand, CreateBucket, PutObject
from bleepstore.model.objects import Description, Extent, Manifest

OWNER = derived_owner_id("bleepstore")
GROUP = 2_000
CHECKPOINT_EVERY = 20


def directory(parent: Path, many: int) -> Path:
    """A store with the buckets ``many`` (ten prefixes), ``few`` (10,000) and ``tiny`` (10)."""
    path = parent / f"store-of-{many}"
    if path.exists():
        return path
    path.mkdir()
    database = Database(path / "data" / "metadata.db")
    machine = StateMachine(lambda: database.writer)
    for bucket, count in (("many", many), ("few", 10_000), ("tiny", 10)):
        machine.apply_group(
            [
                CreateBucket(
                    at=0, bucket=bucket, owner_id=OWNER, region="us-east-1", acl=private_acl(OWNER)
                )
            ]
        )
        each = max(count // 10, 1)
        for number, start in enumerate(range(0, count, GROUP)):
            group: list[AnyCommand] = [
                _object(bucket, f"prefix-{n // each}/object-{n:09}")
                for n in range(start, min(start + GROUP, count))
            ]
            machine.apply_group(group)
            if number % CHECKPOINT_EVERY == 0:
                database.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


def _object(bucket: str, key: str) -> PutObject:
    return PutObject(
        at=1_700_000_000_000,
        bucket=bucket,
        key=key,
        version_id="bench",
        size=16,
        etag="0" * 32,
        owner_id=OWNER,
        acl=private_acl(OWNER),
        description=Description(headers={"content-type": "binary/octet-stream"}),
        checksum=None,
        manifest=Manifest((Extent(16, data=b"0123456789abcdef"),)),
    )


def used(store: Path) -> int:
    """Bytes of blob files in a store."""
    return sum(p.stat().st_size for p in (store / "data" / "objects").rglob("*") if p.is_file())
