"""Over blobs that take no more: what an embedded store left is served, small objects are stored."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from bleepstore import errors
from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.cluster.retained import RetainedBlobs
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import Claims, CopyRequest, UploadName, UploadRequest
from bleepstore.streams.threads import ImmediateThreads
from bleepstore.wire.copying import CopySource
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, LARGE, Payload, World, content

SMALL = content(16 * 1024)


@pytest.fixture
def world() -> World:
    """A store that was embedded, and is a node of a cluster now."""
    world = World()
    world.bucket()
    world.put("large", content(LARGE))
    world.blobs = RetainedBlobs(world.disk)  # type: ignore[assignment]
    world.store = world.process()
    return world


def copy(world: World, source: str, target: str) -> None:
    request = CopyRequest(CopySource("bucket", source), "bucket", target)
    run(world.store.copies.copy(world.caller(ALICE), request))


def test_no_epoch_is_opened_where_no_blob_is_written(world: World) -> None:
    assert world.store.ids.epoch == 0
    assert run(world.metadata.last_epoch()) == 1


def test_small_objects_are_stored_copied_and_read(world: World) -> None:
    world.put("k", SMALL)
    copy(world, "k", "copy")
    assert world.get("copy") == SMALL


def test_large_objects_are_refused_and_leave_nothing(world: World) -> None:
    with pytest.raises(errors.NotImplemented, match="more than 16384 bytes"):
        world.put("k", SMALL + b"x")
    with pytest.raises(errors.NotImplemented, match="more than 16384 bytes"):
        world.put("k", Payload(SMALL, b"x"))
    with pytest.raises(errors.NoSuchKey):
        world.get("k")
    assert world.leaked() == set()


def test_large_parts_are_refused_and_small_ones_taken(world: World) -> None:
    caller = world.caller(ALICE)
    request = UploadRequest("bucket", "k", Description())
    upload = run(world.store.uploads.create(caller, request))
    name = UploadName("bucket", "k", upload.upload_id)

    def put(body: bytes) -> None:
        payload = Payload(body, length=len(body))
        run(world.store.uploads.put_part(caller, name, 1, payload, Claims()))

    with pytest.raises(errors.NotImplemented, match="more than 16384 bytes"):
        put(SMALL + b"x")
    put(SMALL)
    assert run(world.store.uploads.list_parts(caller, name)).page.parts[0].size == len(SMALL)


def test_what_was_stored_before_is_served_and_copied_where_it_is(world: World) -> None:
    copy(world, "large", "copy")
    assert world.get("copy") == content(LARGE)


def test_what_another_node_has_is_refused_clearly(world: World) -> None:
    world.blobs = RetainedBlobs(  # type: ignore[assignment]
        MemoryBlobStore(Clock(), ImmediateThreads())
    )
    world.store = world.process()
    with pytest.raises(errors.NotImplemented, match="not on this node"):
        world.get("large")
    assert world.pins.count == 0
