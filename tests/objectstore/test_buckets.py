"""Buckets: names, regions, owners, ACLs."""

import pytest

from bleepstore.errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    IllegalLocationConstraintException,
    InvalidBucketName,
    InvalidLocationConstraint,
    NoSuchBucket,
)
from bleepstore.model.acl import ALL_USERS, CannedAcl, Grant, Permission
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import UploadRequest
from bleepstore.wire.grants import RequestedAcl, RequestedGrant
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, World


@pytest.fixture
def world() -> World:
    return World()


def test_a_bucket_is_its_creators(world: World) -> None:
    world.bucket("bucket")
    bucket = run(world.store.buckets.head(world.caller(ALICE), "bucket"))
    assert (bucket.owner_id, bucket.region) == (ALICE.id, "us-east-1")
    assert bucket.created == world.time - 1000
    assert run(world.store.buckets.location(world.caller(ALICE), "bucket")) == "us-east-1"


def test_a_name_is_taken_once(world: World) -> None:
    world.bucket("bucket")
    world.bucket("bucket", canned=CannedAcl.PUBLIC_READ)  # in us-east-1 it succeeds again
    assert run(world.store.buckets.head(world.caller(None), "bucket"))
    with pytest.raises(BucketAlreadyExists):
        world.bucket("bucket", BOB)


def test_elsewhere_ones_own_name_is_taken_too() -> None:
    world = World(region="eu-west-1")
    world.bucket("bucket")
    with pytest.raises(BucketAlreadyOwnedByYou):
        world.bucket("bucket")


@pytest.mark.parametrize("name", ["", "ab", "UPPER", "a..b", "health", "x" * 64])
def test_names_that_cannot_be(world: World, name: str) -> None:
    with pytest.raises(InvalidBucketName):
        world.bucket(name)


@pytest.mark.parametrize(
    ("region", "location", "error"),
    [
        ("us-east-1", "", None),
        ("us-east-1", "us-east-1", None),
        ("eu-central-1", "", None),
        ("eu-central-1", "eu-central-1", None),
        ("eu-west-1", "EU", None),
        ("us-east-1", "EU", IllegalLocationConstraintException),
        ("us-east-1", "us-gov-west-1", IllegalLocationConstraintException),
        ("us-east-1", "eusc-de-east-1", IllegalLocationConstraintException),
        ("us-east-1", "nowhere", InvalidLocationConstraint),
        ("lab", "lab", None),
    ],
)
def test_a_location_is_this_region_or_none(
    region: str, location: str, error: type[Exception] | None
) -> None:
    world = World(region=region)
    creating = world.store.buckets.create(world.caller(ALICE), "bucket", location=location)
    if error is None:
        run(creating)
        assert run(world.store.buckets.location(world.caller(ALICE), "bucket")) == region
    else:
        with pytest.raises(error):
            run(creating)
        with pytest.raises(NoSuchBucket):
            run(world.store.buckets.head(world.caller(ALICE), "bucket"))


def test_everybody_lists_their_own(world: World) -> None:
    for name, owner in (("alpha", ALICE), ("beta", BOB), ("gamma", ALICE), ("alphabet", ALICE)):
        world.bucket(name, owner)

    def names(prefix: str = "", after: str = "", limit: int = 10) -> list[str]:
        page = run(world.store.buckets.list(world.caller(ALICE), prefix, after, limit))
        return [bucket.name for bucket in page.buckets]

    assert names() == ["alpha", "alphabet", "gamma"]
    assert names(prefix="alpha") == ["alpha", "alphabet"]
    assert names(after="alpha", limit=1) == ["alphabet"]


def test_a_bucket_goes_when_it_is_empty_with_its_uploads(world: World) -> None:
    world.bucket()
    world.put("k", b"body")
    with pytest.raises(BucketNotEmpty):
        run(world.store.buckets.delete(world.caller(ALICE), "bucket"))
    run(world.store.objects.delete(world.caller(ALICE), "bucket", "k"))
    request = UploadRequest("bucket", "k", Description())
    run(world.store.uploads.create(world.caller(ALICE), request))
    woken = world.released
    run(world.store.buckets.delete(world.caller(ALICE), "bucket"))
    assert world.released == woken + 1
    with pytest.raises(NoSuchBucket):
        run(world.store.buckets.delete(world.caller(ALICE), "bucket"))


def test_an_acl_is_shown_with_names_and_replaced_as_a_whole(world: World) -> None:
    world.bucket()
    acl = RequestedAcl(grants=(RequestedGrant(Permission.READ, account_id=BOB.id),))
    run(world.store.buckets.put_acl(world.caller(ALICE), "bucket", acl))
    view = run(world.store.buckets.get_acl(world.caller(ALICE), "bucket"))
    assert view.acl.owner_id == ALICE.id
    assert view.acl.grants == (Grant(Permission.READ, account_id=BOB.id),)
    assert view.names == {ALICE.id: "alice", BOB.id: "bob"}


def test_who_may_write_the_acl_does_not_become_the_owner(world: World) -> None:
    world.bucket(canned=CannedAcl.PRIVATE)
    everybody = RequestedAcl(grants=(RequestedGrant(Permission.WRITE_ACP, group=ALL_USERS),))
    run(world.store.buckets.put_acl(world.caller(ALICE), "bucket", everybody))
    private = RequestedAcl(canned=CannedAcl.PRIVATE)
    with pytest.raises(AccessDenied):
        run(world.store.buckets.put_acl(world.caller(BOB), "bucket", RequestedAcl(owner_id=BOB.id)))
    run(world.store.buckets.put_acl(world.caller(BOB), "bucket", private))
    view = run(world.store.buckets.get_acl(world.caller(ALICE), "bucket"))
    assert view.acl.grants == (Grant(Permission.FULL_CONTROL, account_id=ALICE.id),)
