"""A put that was admitted by a bucket as it was: on a node that is behind, say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bleepstore.errors import AccessDenied, NoSuchBucket, NoSuchKey, OperationAborted
from bleepstore.metadata.records import access_of, encode_bucket
from bleepstore.model.acl import CannedAcl
from bleepstore.model.commands import DeleteBucket, PutBucketAcl
from bleepstore.model.objects import Bucket
from bleepstore.wire.grants import RequestedAcl
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, LARGE, World, content

Known = tuple[Bucket, bytes]

BODIES = pytest.mark.parametrize("body", [b"small", content(LARGE)], ids=["inline", "blob"])


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket(canned=CannedAcl.PUBLIC_READ_WRITE)
    return world


def now(world: World, name: str = "bucket") -> Known:
    bucket = run(world.metadata.get_bucket(name))
    return bucket, access_of(encode_bucket(bucket))


def behind(world: World, *peeks: Known | Exception) -> None:
    """Have the node know its bucket so, one after another; then as it is."""
    waiting: Iterator[Known | Exception] = iter(peeks)

    def peek(name: str) -> Known:
        known = next(waiting, None)
        if isinstance(known, Exception):
            raise known
        return known or now(world, name)

    world.metadata.peek_bucket = peek


def change(world: World, canned: CannedAcl) -> None:
    """What another node has done."""
    acl = RequestedAcl(canned=canned)
    run(world.store.buckets.put_acl(world.caller(ALICE), "bucket", acl))


def require_nothing(world: World) -> None:
    with pytest.raises(NoSuchKey):
        world.get("k")
    assert world.stored() == set()


@BODIES
def test_what_is_no_longer_allowed_is_refused(world: World, body: bytes) -> None:
    behind(world, now(world))
    change(world, CannedAcl.PRIVATE)
    with pytest.raises(AccessDenied):
        world.put("k", body, account=BOB)
    require_nothing(world)


@BODIES
def test_what_is_still_allowed_is_done(world: World, body: bytes) -> None:
    behind(world, now(world))
    change(world, CannedAcl.PRIVATE)
    world.put("k", body, account=ALICE)
    assert world.get("k") == body
    assert world.leaked() == set()


@pytest.mark.parametrize("peek", [NoSuchBucket(), "private"], ids=["unknown", "denied"])
def test_what_is_allowed_by_now_is_done(world: World, peek: Any) -> None:
    change(world, CannedAcl.PRIVATE)
    behind(world, now(world) if peek == "private" else peek)
    change(world, CannedAcl.PUBLIC_READ_WRITE)
    world.put("k", b"data", account=BOB)
    assert world.get("k", account=BOB) == b"data"


@BODIES
def test_a_bucket_that_is_gone_is_not_there(world: World, body: bytes) -> None:
    behind(world, now(world))
    run(world.metadata.submit(DeleteBucket(at=world.time, bucket="bucket")))
    with pytest.raises(NoSuchBucket):
        world.put("k", body, account=BOB)
    assert world.stored() == set()


def test_a_bucket_of_another_is_written_by_its_own_rules(world: World) -> None:
    """Whom an ACL gives to is decided anew as well."""
    behind(world, now(world))
    run(world.metadata.submit(DeleteBucket(at=world.time, bucket="bucket")))
    world.bucket(owner=BOB, canned=CannedAcl.PUBLIC_READ_WRITE)
    full = RequestedAcl(canned=CannedAcl.BUCKET_OWNER_FULL_CONTROL)
    world.put("k", b"data", account=ALICE, acl=full)
    assert world.get("k", account=BOB) == b"data"


@BODIES
def test_a_bucket_that_changes_all_the_time_is_given_up(world: World, body: bytes) -> None:
    stale = now(world)
    change(world, CannedAcl.PRIVATE)
    behind(world, *[stale] * 100)
    with pytest.raises(OperationAborted):
        world.put("k", body, account=ALICE)
    require_nothing(world)


def test_the_acl_is_the_one_that_is_replaced(world: World) -> None:
    """What tells a bucket from another is its record: the same again is the same."""
    before = now(world)
    change(world, CannedAcl.PRIVATE)
    assert now(world)[1] != before[1]
    run(world.metadata.submit(PutBucketAcl(at=world.time + 1, bucket="bucket", acl=before[0].acl)))
    assert now(world) == before
