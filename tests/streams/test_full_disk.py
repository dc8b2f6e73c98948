"""A disk that fills while a large body is stored: at any call, and in any order of the threads."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from bleepstore.blobs.local import LocalBlobStore
from bleepstore.errors import InsufficientStorage, StoreError
from bleepstore.interfaces.blobs import Placement
from bleepstore.interfaces.threads import ILane, IThreads
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.shares import LEAST
from bleepstore.streams import batches
from bleepstore.streams.expectations import Expectations
from bleepstore.streams.ingest import Ingest, Ingested
from tests.objectstore.driving import Running
from tests.streams.stores import Payload
from tests.streams.turns import HeldThreads

T = TypeVar("T")
BATCH = 100
CALLS = ("pwritev", "fsync", "open", "mkdir")


@implementer(IThreads)
class AnyOrder:
    """Threads whose calls are made in an order that the test chooses, but in that of each lane."""

    def __init__(self) -> None:
        self._lanes: list[HeldThreads] = []

    def run(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return self.lane().run(function, *args)

    def lane(self) -> ILane:
        lane = HeldThreads()
        self._lanes.append(lane)
        return lane

    def go_on(self, choices: Iterator[int]) -> None:
        while busy := [lane for lane in self._lanes if lane.waiting]:
            busy[next(choices) % len(busy)].step()


@contextmanager
def full_at(function: str, calls: int) -> Iterator[None]:
    """Let a function of ``os`` find no room from its n-th call on."""
    real = getattr(os, function)
    left = calls

    def guarded(*args: Any, **options: Any) -> Any:
        nonlocal left
        # To open what is there, as the sync of a directory does, needs no room.
        if function != "open" or args[1] & os.O_CREAT:
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= 1
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, function, guarded)
        patch.setattr(batches, "MOST", BATCH)
        yield


@contextmanager
def nothing_unheard() -> Iterator[None]:
    """No error of a Deferred that nobody waits for, nor any other, goes to the log."""
    heard: list[LogEvent] = []

    @implementer(ILogObserver)
    def hear(event: LogEvent) -> None:
        if "log_failure" in event:
            heard.append(event)

    globalLogPublisher.addObserver(hear)
    try:
        yield
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(hear)
    assert heard == []


class World:
    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.threads = AnyOrder()
        ids = iter(f"00000001-{serial:08x}" for serial in range(100))
        self.store = LocalBlobStore(root, self.threads)
        self.ingest = Ingest(self.store, self.threads, lambda: next(ids), inline_max=10)

    def take(self, payload: Payload, slow_hash: bool) -> Running[Ingested]:
        algorithm = ChecksumAlgorithm.SHA1 if slow_hash else ChecksumAlgorithm.CRC32
        expectations = Expectations(max_size=LEAST, algorithm=algorithm)
        return Running(self.ingest.take(payload, expectations, Placement()))

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.root.rglob("*") if path.is_file()}


@given(
    function=st.sampled_from(CALLS),
    calls=st.integers(0, 8),
    order=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    network=st.lists(st.booleans(), min_size=8, max_size=8),
    slow_hash=st.booleans(),
)
def test_no_room_is_said_to_be_so_and_leaves_nothing(
    function: str, calls: int, order: list[int], network: list[bool], slow_hash: bool
) -> None:
    """``network``: before which pieces of the body its reader waits, until the threads idle."""
    waits: list[Deferred[None]] = []
    pieces: list[bytes | Exception | Deferred[None]] = []
    for wait in network:
        if wait:
            waits.append(Deferred())
            pieces.append(waits[-1])
        pieces.append(bytes(BATCH))
    with TemporaryDirectory() as root, nothing_unheard():
        world = World(root)
        before = world.files
        choices = iter(order * 1000)
        with full_at(function, calls):
            taking = world.take(Payload(pieces), slow_hash)
            world.threads.go_on(choices)
            for each in waits:
                each.callback(None)
                world.threads.go_on(choices)
            try:
                result = taking.result()
            except InsufficientStorage:
                assert world.files == before
            else:
                assert result.size == BATCH * len(network)
                assert world.files == before | {result.extents[0].blob_id}
        after = world.take(Payload([b"there is room again"]), slow_hash)
        world.threads.go_on(choices)
        assert after.result().size == 19


@pytest.mark.parametrize("function", CALLS)
def test_each_of_these_calls_is_made(function: str) -> None:
    """What the test above lets fail is really called, at the latest for the first bytes."""
    with TemporaryDirectory() as root:
        world = World(root)
        with full_at(function, 0):
            taking = world.take(Payload([bytes(BATCH)] * 3), slow_hash=False)
            world.threads.go_on(iter([0] * 1000))
        with pytest.raises(InsufficientStorage):
            taking.result()


def test_an_error_of_the_network_wins_over_a_write_that_fails_behind_it() -> None:
    class Lost(StoreError):
        pass

    with TemporaryDirectory() as root, nothing_unheard():
        world = World(root)
        before = world.files
        with full_at("pwritev", 0):
            taking = world.take(Payload([bytes(BATCH), bytes(BATCH - 1), Lost()]), slow_hash=True)
            assert not taking.done
            world.threads.go_on(iter([0] * 1000))
        with pytest.raises(Lost):
            taking.result()
        assert world.files == before
