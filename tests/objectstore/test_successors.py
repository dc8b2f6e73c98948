"""What was allowed for a bucket or an object is not done to another one of its name.

Between the moment that a use case decides on what it has read and the moment that its command is
applied, others' commands are: the bucket may be gone, and another account have made one of its
name; the object may have been replaced, and its successor have another ACL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bleepstore.errors import AccessDenied, NoSuchBucket, OperationAborted
from bleepstore.model.acl import ALL_USERS, CannedAcl, Permission, private_acl
from bleepstore.model.commands import DeleteBucket, DeleteTarget
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import (
    CopyRequest,
    PageRequest,
    UploadRequest,
    UploadsPageRequest,
)
from bleepstore.wire.copying import CopySource
from bleepstore.wire.grants import RequestedAcl, RequestedGrant
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, LARGE, World, content

PUBLIC = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
SHARED = RequestedAcl(canned=CannedAcl.AUTHENTICATED_READ)
OPEN = RequestedAcl(
    grants=(
        RequestedGrant(Permission.READ, group=ALL_USERS),
        RequestedGrant(Permission.WRITE_ACP, group=ALL_USERS),
    )
)


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    world.bucket("other")
    world.put("source", b"data", bucket="other")
    return world


def hand_over(world: World) -> None:
    """Alice's bucket goes, and Bob has one of its name."""
    run(world.metadata.submit(DeleteBucket(at=world.time, bucket="bucket")))
    world.bucket(owner=BOB)


CHANGES: dict[str, Callable[[World], Any]] = {
    "PutObject": lambda world: world.put("k", content(LARGE)),
    "PutObject with a condition": lambda world: world.put(
        "k", b"data", conditions=WriteConditions(if_none_match=True)
    ),
    "CopyObject": lambda world: run(
        world.store.copies.copy(
            world.caller(ALICE), CopyRequest(CopySource("other", "source"), "bucket", "k")
        )
    ),
    "CreateMultipartUpload": lambda world: run(
        world.store.uploads.create(world.caller(ALICE), UploadRequest("bucket", "k", Description()))
    ),
    "DeleteBucket": lambda world: run(world.store.buckets.delete(world.caller(ALICE), "bucket")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_bucket_of_anothers_is_not_changed(world: World, change: Callable[[World], Any]) -> None:
    world.metadata.before("submit", lambda: hand_over(world))
    with pytest.raises(NoSuchBucket):
        change(world)
    assert run(world.metadata.get_bucket("bucket")).owner_id == BOB.id
    assert run(world.metadata.list_objects("bucket")).objects == ()
    assert run(world.metadata.list_uploads("bucket")).uploads == ()
    assert world.leaked() == set()


def test_an_object_in_a_bucket_of_anothers_is_not_deleted(world: World) -> None:
    def put_there() -> None:
        hand_over(world)
        world.put("k", b"bob's", account=BOB)

    world.metadata.before("submit", put_there)
    with pytest.raises(NoSuchBucket):
        run(world.store.objects.delete(world.caller(ALICE), "bucket", "k"))
    assert world.get("k", account=BOB) == b"bob's"


def test_nor_are_many(world: World) -> None:
    def put_there() -> None:
        hand_over(world)
        world.put("k", b"bob's", account=BOB)

    world.metadata.before("submit", put_there)
    with pytest.raises(NoSuchBucket):
        run(world.store.objects.delete_many(world.caller(ALICE), "bucket", [DeleteTarget("k")]))
    assert world.get("k", account=BOB) == b"bob's"


def test_a_bucket_of_anothers_is_not_listed(world: World) -> None:
    def put_there() -> None:
        hand_over(world)
        world.put("secret", b"bob's", account=BOB)

    world.metadata.before("list_objects", put_there)
    with pytest.raises(AccessDenied):
        run(
            world.store.listings.objects(
                world.caller(ALICE), PageRequest("bucket"), with_owners=False
            )
        )


def test_nor_are_its_uploads(world: World) -> None:
    world.metadata.before("list_uploads", lambda: hand_over(world))
    with pytest.raises(AccessDenied):
        run(world.store.listings.uploads(world.caller(ALICE), UploadsPageRequest("bucket")))


def test_an_acl_is_not_put_on_a_successor_that_does_not_allow_it(world: World) -> None:
    world.put("k", b"anybody's", acl=OPEN)
    world.metadata.before("submit", lambda: world.put("k", b"secret"))
    with pytest.raises(AccessDenied):
        run(world.store.objects.put_acl(world.caller(BOB), "bucket", "k", PUBLIC))
    view = run(world.store.objects.get_acl(world.caller(ALICE), "bucket", "k"))
    assert view.acl == private_acl(ALICE.id)


def test_an_acl_is_put_on_a_successor_that_allows_it(world: World) -> None:
    world.put("k", b"anybody's", acl=OPEN)
    world.metadata.before("submit", lambda: world.put("k", b"alice's"))
    run(world.store.objects.put_acl(world.caller(ALICE), "bucket", "k", PUBLIC))
    assert world.get("k", account=None) == b"alice's"


def test_an_object_that_is_replaced_all_the_time_keeps_its_acl(world: World) -> None:
    world.put("k", b"data")

    def replace(number: int) -> None:
        world.metadata.before("submit", lambda: None)  # its own put's
        world.put("k", b"data", acl=SHARED if number % 2 else None)
        if number:
            world.metadata.before("submit", lambda: replace(number - 1))

    world.metadata.before("submit", lambda: replace(9))
    with pytest.raises(OperationAborted):
        run(world.store.objects.put_acl(world.caller(ALICE), "bucket", "k", PUBLIC))
    with pytest.raises(AccessDenied):
        world.get("k", account=None)
