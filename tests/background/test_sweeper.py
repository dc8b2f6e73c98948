"""The sweeper: deletes what earlier processes left unpublished, and nothing else."""

from math import inf

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from bleepstore.background import sweeper as module
from bleepstore.background.sweeper import Sweeper
from bleepstore.interfaces.blobs import Placement
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.objects import Description
from bleepstore.objectstore import ObjectStore
from bleepstore.objectstore.requests import Claims, UploadName, UploadRequest
from tests.objectstore.driving import run
from tests.objectstore.world import (
    ALICE,
    CREDENTIALS,
    LARGE,
    FaultyBlobs,
    Payload,
    World,
    content,
)


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def leave(world: World, store: ObjectStore) -> str:
    """A blob that was written and never published."""
    blob_id = store.ids.blob_id()

    async def write() -> None:
        writer = await world.disk.create(blob_id, Placement())
        await writer.write(b"garbage")
        await writer.finish()

    run(write())
    return blob_id


def sweeper_of(
    world: World,
    store: ObjectStore,
    clock: Clock | None = None,
    blobs: FaultyBlobs | None = None,
) -> Sweeper:
    return Sweeper(
        clock or world.clock,
        world.metadata,  # type: ignore[arg-type]
        blobs or world.blobs,  # type: ignore[arg-type]
        world.pins,
        store.ids,
    )


def walk(sweeper: Sweeper) -> None:
    while run(sweeper.sweep()) != inf:
        pass


def test_it_is_a_part(world: World) -> None:
    assert verifyObject(IPart, sweeper_of(world, world.store))


def test_only_what_an_earlier_epoch_left_unreferenced_is_deleted(world: World) -> None:
    garbage = leave(world, world.store)
    world.put("object", content(LARGE))
    upload = run(
        world.store.uploads.create(
            world.caller(ALICE), UploadRequest("bucket", "upload", Description())
        )
    )
    name = UploadName("bucket", "upload", upload.upload_id)
    run(
        world.store.uploads.put_part(
            world.caller(ALICE), name, 1, Payload(content(LARGE)), Claims()
        )
    )
    now = world.process()
    writing = leave(world, now)
    before = world.stored()
    walk(sweeper_of(world, now))
    assert world.stored() == before - {garbage}
    assert writing in world.stored()
    assert world.get("object") == content(LARGE)


def test_nothing_is_garbage_before_an_epoch_is_open(world: World) -> None:
    leave(world, world.store)
    before = world.stored()
    fresh = ObjectStore(
        metadata=world.metadata,  # type: ignore[arg-type]
        blobs=world.blobs,  # type: ignore[arg-type]
        threads=world.threads,
        now=lambda: world.time,
        dice=bytes,
        pins=world.pins,
        credentials=CREDENTIALS,
        region="us-east-1",
        node_id="node-1",
        max_object_size=1,
        released=lambda: None,
    )
    walk(sweeper_of(world, fresh))
    assert world.stored() == before


def test_a_name_that_is_none_of_ours_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = world.process()

    async def strange() -> object:
        yield ("lost+found", "README", "00000001-xyz")

    monkeypatch.setattr(world.disk, "blob_ids", strange)
    walk(sweeper_of(world, now))
    assert "delete" not in world.blobs.calls


def test_a_released_blob_that_is_being_read_is_left_to_the_collector(world: World) -> None:
    world.put("k", content(LARGE))
    world.put("k", b"")
    (blob_id,) = world.stored()
    now = world.process()
    world.pins.pin([blob_id])
    walk(sweeper_of(world, now))
    assert world.stored() == {blob_id}
    world.pins.unpin([blob_id])
    walk(sweeper_of(world, now))
    assert world.stored() == set()


def test_a_crash_in_the_walk_is_made_up_for_by_the_next(world: World) -> None:
    garbage = {leave(world, world.store) for _ in range(3)}
    now = world.process()
    world.blobs.after("delete", lambda: 1 / 0)
    sweeper = sweeper_of(world, now)
    with pytest.raises(ZeroDivisionError):
        walk(sweeper)
    assert len(world.stored() & garbage) == 2
    walk(sweeper)
    assert world.stored() == set()


def test_it_walks_once_after_a_start_a_batch_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        leave(world, world.store)
    blob_ids = sorted(world.stored())
    walks = []

    async def one_by_one() -> object:
        walks.append(None)
        for blob_id in blob_ids:
            yield (blob_id,)

    monkeypatch.setattr(world.disk, "blob_ids", one_by_one)
    clock = Clock()
    sweeper = sweeper_of(world, world.process(), clock)
    run(sweeper.start())
    clock.advance(module.FIRST)
    clock.pump([module.PAUSE] * 3)
    assert "delete" not in world.blobs.calls  # so far it only looked
    clock.pump([module.PAUSE] * 2)
    assert world.blobs.calls.count("delete") == 2
    clock.pump([module.PAUSE] * 2)
    assert world.blobs.calls.count("delete") == 3
    assert len(walks) == 2
    assert not clock.getDelayedCalls()
    run(sweeper.stop())


def test_blobs_of_another_store_are_not_swept(world: World) -> None:
    """The blobs' true metadata has opened more epochs than the one that is configured."""
    leave(world, world.store)
    leave(world, world.process())
    leave(world, world.process())
    other = World()
    other.blobs, other.disk = world.blobs, world.disk
    now = other.process()
    assert now.ids.epoch == 2
    before = world.stored()
    walk(sweeper_of(other, now))
    assert world.stored() == before


def test_metadata_that_was_lost_begins_after_the_epochs_of_its_blobs(world: World) -> None:
    world.put("k", content(LARGE))
    leave(world, world.process())
    other = World()
    fresh = ObjectStore(
        metadata=other.metadata,  # type: ignore[arg-type]
        blobs=world.blobs,  # type: ignore[arg-type]
        threads=world.threads,
        now=lambda: world.time,
        dice=bytes,
        pins=world.pins,
        credentials=CREDENTIALS,
        region="us-east-1",
        node_id="node-1",
        max_object_size=1,
        released=lambda: None,
        volatile=True,
    )
    run(fresh.start())
    assert fresh.ids.epoch == 3
    walk(sweeper_of(world=other, store=fresh, blobs=world.blobs))
    assert world.stored() == set()
