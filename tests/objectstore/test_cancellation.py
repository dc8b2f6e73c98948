"""A client that goes away, at every step of every operation, leaves nothing half done.

Both stores answer late: each call waits before it does anything, and once more when it is done.
The front stops waiting at one of these waits; the rest goes on.  Then nothing may be leaked, pinned
or lost, and each key has what it had before, or all of what it was to have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from bleepstore.errors import NoSuchKey
from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import (
    Claims,
    CompleteRequest,
    CopyRequest,
    PartCopyRequest,
    PutRequest,
    ReadRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.wire.copying import CopySource
from tests.fakes.cloud import FakeInPlaceStore
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import Running, run
from tests.objectstore.world import ALICE, LARGE, Faulty, Payload, World, content

OLD, NEW, SOURCE = content(LARGE), content(LARGE + 4), content(LARGE + 8)


class Waits:
    """Those of both stores, which end one by one.

    :ivar open: whether calls wait at all.
    """

    def __init__(self) -> None:
        self.open = False
        self._waiting: list[Deferred[None]] = []

    async def one(self, *_: object) -> None:
        """Wait, and do what a test has asked for."""
        if self.open:
            wait: Deferred[None] = Deferred()
            self._waiting.append(wait)
            await wait

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method that waits before and after."""

        async def call(*args: Any) -> Any:
            await self.one()
            result = await method(*args)
            await self.one()
            return result

        return call

    def end_next(self) -> bool:
        """End the oldest; whether there was one."""
        while self._waiting:
            wait = self._waiting.pop(0)
            if not wait.called:
                wait.callback(None)
                return True
        return False


class Furnished(World):
    """With an object, the source of copies, and an upload of one part."""

    def furnish(self) -> None:
        self.put("k", OLD)
        self.put("source", SOURCE)
        upload = run(
            self.store.uploads.create(
                self.caller(ALICE), UploadRequest("bucket", "k", Description())
            )
        )
        self.upload = UploadName("bucket", "k", upload.upload_id)
        part = run(
            self.store.uploads.put_part(
                self.caller(ALICE), self.upload, 1, Payload(NEW, length=len(NEW)), Claims()
            )
        )
        self.parts = (CompletedPart(1, part.etag),)

    def require_order(self, allowed: Sequence[bytes | None]) -> None:
        """What must hold when all has come to rest."""
        assert self.pins.count == 0
        self.require_nothing_lost_sight_of()
        self.collect()
        assert self.get("source") == SOURCE
        try:
            found = self.get("k")
        except NoSuchKey:
            found = None
        assert found in allowed
        self.put("k", OLD)  # and the store goes on
        assert self.get("k") == OLD

    def require_nothing_lost_sight_of(self) -> None:
        raise NotImplementedError

    def collect(self) -> None:
        """As the collector does: delete what was released, but for what is read."""


class OnDisk(Furnished):
    """With blobs of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.bucket()
        self.furnish()

    def require_nothing_lost_sight_of(self) -> None:
        assert self.leaked() == set()

    def collect(self) -> None:

        async def collect() -> None:
            await self.pins.settled()
            for blob_id in await self.metadata.released_blobs(1000):
                if not self.pins.is_pinned(blob_id):
                    await self.disk.delete(blob_id)

        run(collect())


class InCloud(CloudWorld, Furnished):
    """In place."""

    def __init__(self) -> None:
        super().__init__()
        self.furnish()

    def require_nothing_lost_sight_of(self) -> None:
        assert self.store.settling is not None
        assert run(self.store.settling.settle_all())
        self.require_agreement()


Operation = Callable[[Furnished], Any]


def put(world: Furnished, body: bytes, conditions: WriteConditions | None = None) -> Any:
    half = len(body) // 2
    request = PutRequest("bucket", "k", Description(), conditions=conditions)
    payload = Payload(body[:half], body[half:], length=len(body))
    return world.store.objects.put(world.caller(ALICE), request, payload)


async def get(world: Furnished) -> None:
    read = await world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "k"))
    try:
        while await read.read():
            pass
    finally:
        read.close()


OPERATIONS: dict[str, tuple[Operation, tuple[bytes | None, ...]]] = {
    "put": (lambda world: put(world, NEW), (NEW,)),
    "put, small": (lambda world: put(world, b"small"), (b"small",)),
    "put, on condition": (
        lambda world: put(world, NEW, WriteConditions(if_match="*")),
        (NEW,),
    ),
    "get": (get, ()),
    "delete": (
        lambda world: world.store.objects.delete(world.caller(ALICE), "bucket", "k"),
        (None,),
    ),
    "delete many": (
        lambda world: world.store.objects.delete_many(
            world.caller(ALICE), "bucket", [DeleteTarget("k"), DeleteTarget("x")]
        ),
        (None,),
    ),
    "copy": (
        lambda world: world.store.copies.copy(
            world.caller(ALICE), CopyRequest(CopySource("bucket", "source"), "bucket", "k")
        ),
        (SOURCE,),
    ),
    "upload part": (
        lambda world: world.store.uploads.put_part(
            world.caller(ALICE), world.upload, 1, Payload(OLD, length=len(OLD)), Claims()
        ),
        (),
    ),
    "copy part": (
        lambda world: world.store.uploads.copy_part(
            world.caller(ALICE),
            PartCopyRequest(world.upload, 2, CopySource("bucket", "source")),
        ),
        (),
    ),
    "complete": (
        lambda world: world.store.uploads.complete(
            world.caller(ALICE), CompleteRequest(world.upload, world.parts)
        ),
        (NEW,),
    ),
    "abort": (lambda world: world.store.uploads.abort(world.caller(ALICE), world.upload), ()),
}


CLOUD = ("create", "open", "delete", "place", "stage_copy", "stage_parts", "copy_part", "look")
"""Requests to the cloud."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    monkeypatch.setattr(Faulty, "_act", waits.one)
    for name in CLOUD:
        monkeypatch.setattr(FakeInPlaceStore, name, waits.around(getattr(FakeInPlaceStore, name)))
    return waits


@pytest.mark.parametrize("make", [OnDisk, InCloud])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_client_that_goes_away_at_any_step(
    name: str, make: Callable[[], Furnished], waits: Waits
) -> None:
    operation, after = OPERATIONS[name]
    steps = 0
    while True:
        waits.open = False
        world = make()
        waits.open = True
        running = Running(operation(world))
        for _ in range(steps):
            waits.end_next()
        over = running.done
        running.cancel()
        while waits.end_next():
            pass
        assert running.done, "who waits is told"
        waits.open = False
        try:
            running.result()
        except CancelledError:
            world.require_order((OLD, *after))
        else:
            world.require_order(after or (OLD,))
        if over:
            break
        steps += 1
    assert steps >= 2, "it has waited"
