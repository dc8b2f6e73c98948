"""Listings: pages of metadata, with the names of owners."""

import pytest

from bleepstore.errors import NoSuchBucket
from bleepstore.model.acl import CannedAcl
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import PageRequest, UploadRequest, UploadsPageRequest
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, World


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket(canned=CannedAcl.PUBLIC_READ_WRITE)
    return world


def test_a_page_of_keys_and_prefixes(world: World) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        world.put(key, b"x")
    request = PageRequest("bucket", delimiter="/", after="a", limit=1)
    listed = run(world.store.listings.objects(world.caller(None), request, with_owners=False))
    assert (listed.page.objects, listed.page.common_prefixes) == ((), ("b/",))
    assert listed.page.next_after == "b/"
    assert listed.names == {}


def test_owners_are_named_where_asked_for(world: World) -> None:
    world.put("a", b"x", account=ALICE)
    world.put("b", b"x", account=BOB)
    world.put("c", b"x", account=None)
    listed = run(
        world.store.listings.objects(world.caller(ALICE), PageRequest("bucket"), with_owners=True)
    )
    assert [listed.names[each.owner_id] for each in listed.page.objects] == [
        "alice",
        "bob",
        "anonymous",
    ]


def test_uploads_with_the_names_of_their_initiators(world: World) -> None:
    for account, key in ((BOB, "k"), (ALICE, "j"), (BOB, "l")):
        request = UploadRequest("bucket", key, Description())
        run(world.store.uploads.create(world.caller(account), request))
    listed = run(
        world.store.listings.uploads(
            world.caller(ALICE), UploadsPageRequest("bucket", after_key="j", limit=1)
        )
    )
    assert [upload.key for upload in listed.page.uploads] == ["k"]
    assert listed.page.next_key == "k"
    assert listed.names == {BOB.id: "bob"}


def test_a_bucket_that_is_not_there(world: World) -> None:
    with pytest.raises(NoSuchBucket):
        run(
            world.store.listings.objects(
                world.caller(None), PageRequest("nowhere"), with_owners=False
            )
        )
    with pytest.raises(NoSuchBucket):
        run(world.store.listings.uploads(world.caller(None), UploadsPageRequest("nowhere")))
