"""Whatever fails, at whatever step: nothing half done is visible, and no blob is forgotten."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred

from bleepstore.errors import (
    IncompleteBody,
    InsufficientStorage,
    InternalError,
    NoSuchBucket,
    NoSuchKey,
    ServiceUnavailable,
    StoreError,
)
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import (
    Claims,
    CopyRequest,
    PutRequest,
    ReadRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.wire.copying import CopySource
from tests.objectstore.driving import Running, run
from tests.objectstore.world import ALICE, LARGE, Payload, World, content, vanishing

FULL = InsufficientStorage()


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def begin_upload(world: World) -> UploadName:
    upload = run(
        world.store.uploads.create(world.caller(ALICE), UploadRequest("bucket", "k", Description()))
    )
    return UploadName("bucket", "k", upload.upload_id)


Store = Callable[[World, Payload], Running[object]]


def put_object(world: World, payload: Payload) -> Running[object]:
    request = PutRequest("bucket", "k", Description())
    return Running(world.store.objects.put(world.caller(ALICE), request, payload))


def put_part(world: World, payload: Payload) -> Running[object]:
    upload = begin_upload(world)
    return Running(world.store.uploads.put_part(world.caller(ALICE), upload, 1, payload, Claims()))


WRITES = pytest.mark.parametrize("store", [put_object, put_part])


def assert_nothing_is_left(world: World) -> None:
    assert world.stored() == set()
    with pytest.raises(NoSuchKey):
        world.get("k")
    world.put("other", content(LARGE))  # and the store goes on
    assert world.get("other") == content(LARGE)


@WRITES
@pytest.mark.parametrize("step", ["create", "write", "finish"])
@pytest.mark.parametrize("error", [FULL, InternalError(), OSError("I/O error")])
def test_a_disk_that_fails_under_the_body(
    world: World, store: Store, step: str, error: Exception
) -> None:
    if step == "create":
        world.blobs.fail("create", error)
    else:
        world.blobs.writer_faults[step] = error
    with pytest.raises(type(error)):
        store(world, Payload(content(LARGE))).result()
    assert_nothing_is_left(world)


@WRITES
@pytest.mark.parametrize("body", [[], [b"small"], [content(LARGE)], [content(LARGE), b"more"]])
def test_a_client_that_vanishes_before_the_end_of_its_body(
    world: World, store: Store, body: list[bytes]
) -> None:
    with pytest.raises(IncompleteBody):
        store(world, vanishing(*body)).result()
    assert_nothing_is_left(world)


@pytest.mark.parametrize("error", [FULL, NoSuchBucket()])
def test_a_refused_command_takes_its_blob_with_it(world: World, error: StoreError) -> None:
    world.metadata.fail("submit", error)
    with pytest.raises(type(error)):
        put_object(world, Payload(content(LARGE))).result()
    assert_nothing_is_left(world)


def test_a_refused_part_takes_its_blob_with_it(world: World) -> None:
    upload = begin_upload(world)
    world.metadata.fail("submit", FULL)
    with pytest.raises(InsufficientStorage):
        run(
            world.store.uploads.put_part(
                world.caller(ALICE), upload, 1, Payload(content(LARGE)), Claims()
            )
        )
    assert_nothing_is_left(world)


def test_a_blob_that_cannot_be_taken_back_does_not_hide_why(world: World) -> None:
    world.metadata.fail("submit", FULL)
    world.blobs.fail("delete", OSError("I/O error"))
    with pytest.raises(InsufficientStorage):
        put_object(world, Payload(content(LARGE))).result()


@pytest.mark.parametrize("error", [ServiceUnavailable(), InternalError(), ValueError("defect")])
def test_a_command_of_unknown_outcome_keeps_its_blob(world: World, error: Exception) -> None:
    """It was applied, and only its answer was lost: deleting the blob would lose the object."""

    def lose_the_answer() -> None:
        raise error

    world.metadata.after("submit", lose_the_answer)
    with pytest.raises(type(error)):
        put_object(world, Payload(content(LARGE))).result()
    assert world.get("k") == content(LARGE)


def test_a_front_that_stops_waiting_before_a_put_has_begun_ends_it(world: World) -> None:
    gate = world.metadata.hang("get_object")
    request = PutRequest("bucket", "k", Description(), conditions=WriteConditions())
    putting = Running(
        world.store.objects.put(world.caller(ALICE), request, Payload(content(LARGE)))
    )
    putting.cancel()
    with pytest.raises(CancelledError):
        putting.result()
    gate.callback(None)
    assert_nothing_is_left(world)


@pytest.mark.parametrize("stage", ["create", "submit"])
def test_a_front_that_stops_waiting_does_not_stop_a_put(world: World, stage: str) -> None:
    stores = world.blobs if stage == "create" else world.metadata
    gate = stores.hang(stage)
    putting = put_object(world, Payload(content(LARGE)))
    assert not putting.done
    putting.cancel()
    with pytest.raises(CancelledError):
        putting.result()
    gate.callback(None)
    assert world.get("k") == content(LARGE)
    assert world.leaked() == set()


def test_a_front_that_stops_waiting_in_the_body_leaves_the_end_to_the_body(world: World) -> None:
    rest: Deferred[bytes] = Deferred()
    putting = put_object(world, Payload(content(LARGE), rest))
    putting.cancel()
    rest.errback(IncompleteBody())
    with pytest.raises(CancelledError):
        putting.result()
    assert_nothing_is_left(world)


@pytest.mark.parametrize("stage", ["get_object", "open"])
def test_a_read_that_fails_or_is_cancelled_pins_nothing(world: World, stage: str) -> None:
    world.put("k", content(LARGE))
    stores = world.blobs if stage == "open" else world.metadata
    stores.fail(stage, InternalError())
    with pytest.raises(InternalError):
        world.get("k")
    gate = stores.hang(stage)
    reading = Running(world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "k")))
    reading.cancel()
    with pytest.raises(CancelledError):
        reading.result()
    if not gate.called:
        gate.callback(None)
    assert world.pins.count == 0
    assert run(settled(world)) is None


async def settled(world: World) -> None:
    await world.pins.settled()


def test_a_copy_whose_source_cannot_be_read_pins_nothing(world: World) -> None:
    world.put("source", content(LARGE))
    world.blobs.fail("open", InternalError())
    request = CopyRequest(
        CopySource("bucket", "source"),
        "bucket",
        "k",
        checksum_algorithm=ChecksumAlgorithm.SHA1,
    )
    with pytest.raises(InternalError):
        run(world.store.copies.copy(world.caller(ALICE), request))
    assert world.pins.count == 0
    with pytest.raises(NoSuchKey):
        world.get("k")


def test_a_full_disk_refuses_commands_and_nothing_else(world: World) -> None:
    world.put("k", b"before")
    for operation in (
        lambda: world.put("k", b"after"),
        lambda: run(world.store.objects.delete(world.caller(ALICE), "bucket", "k")),
        lambda: world.bucket("another"),
        lambda: begin_upload(world),
    ):
        world.metadata.fail("submit", FULL)
        with pytest.raises(InsufficientStorage):
            operation()
        assert world.get("k") == b"before"
    world.put("k", b"after")
    assert world.get("k") == b"after"
