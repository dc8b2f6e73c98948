"""What every blob store does.  Subclassed by ``tests/blobs/test_contract.py``."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.streams.threads import ReactorThreads
from tests.contract.blob_stores import Make
from tests.streams.turns import HeldThreads, Turns, start

CHUNK = 256 * 1024
"""The unit in which all present stores read and keep bytes; its neighbourhood is tested."""

SIZES = [0, 1, 4095, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]

PLACEMENT = Placement(bucket="bucket", key="key")


def blob_id(serial: int, epoch: int = 1) -> str:
    return f"{epoch:08x}-{serial:08x}"


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


class World:
    """A store on real threads, and what a caller does with it."""

    def __init__(self, make: Make, directory: Path) -> None:
        self.make = make
        self.directory = directory
        self.turns = Turns()
        self.threads = ReactorThreads(self.turns, size=4)
        self.turns.run(self.threads.start())
        self.store: Any = make(directory, self.turns, self.threads)
        self.turns.run(self.store.start())

    def close(self) -> None:
        self.turns.run(self.store.stop())
        self.turns.run(self.threads.stop())

    def restart(self) -> None:
        """Stop the store, and start another one on the same place."""
        self.turns.run(self.store.stop())
        self.store = self.make(self.directory, self.turns, self.threads)
        self.turns.run(self.store.start())

    def run(self, waiting: Any) -> Any:
        return self.turns.run(waiting)

    def create(self, name: str) -> Any:
        return self.run(self.store.create(name, PLACEMENT))

    def put(self, name: str, *pieces: bytes | memoryview) -> None:
        writer = self.create(name)
        for piece in pieces:
            self.run(writer.write(piece))
        self.run(writer.finish())

    def fill(self, writer: Any, times: int) -> None:
        """Write so many times 256 KiB."""
        for _ in range(times):
            self.run(writer.write(random_bytes(CHUNK)))

    def open(self, name: str, offset: int, length: int) -> Any:
        return self.run(self.store.open(name, offset, length))

    def drain(self, reader: Any) -> bytes:
        pieces = []
        while piece := self.run(reader.read()):
            assert 1 <= len(piece) <= 1 << 20
            pieces.append(piece)
        return b"".join(pieces)

    def get(self, name: str, offset: int, length: int) -> bytes:
        reader = self.open(name, offset, length)
        try:
            return self.drain(reader)
        finally:
            reader.close()

    def ids(self) -> set[str]:
        async def collect() -> list[str]:
            return [name async for batch in self.store.blob_ids() for name in batch]

        found: list[str] = self.run(collect())
        assert len(found) == len(set(found))
        return set(found)


def open_files() -> set[str]:
    """What this process has open, apart from what the interpreter opens for itself."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue  # the listing's own
    return found


def _only_cancelled(failure: Failure) -> None:
    assert isinstance(failure.value, CancelledError)


class BlobStoreContract:
    """One instance of the suite runs for each store; ``make`` is a fixture of the subclass."""

    @pytest.fixture
    def world(self, make: Make, tmp_path: Path) -> Iterator[World]:
        world = World(make, tmp_path)
        yield world
        world.close()

    def test_it_provides_its_contracts(self, world: World) -> None:
        verifyObject(IBlobStore, world.store)
        verifyObject(IPart, world.store)
        assert isinstance(world.store.capabilities, BlobCapabilities)
        writer = world.create(blob_id(1))
        verifyObject(IBlobWriter, writer)
        world.run(writer.write(b"x"))
        world.run(writer.finish())
        reader = world.open(blob_id(1), 0, 1)
        verifyObject(IBlobReader, reader)
        reader.close()

    @pytest.mark.parametrize("size", SIZES)
    def test_what_was_written_is_read(self, world: World, size: int) -> None:
        data = random_bytes(size)
        world.put(blob_id(1), data)
        assert world.get(blob_id(1), 0, size) == data

    def test_pieces_of_any_kind_and_number_make_one_blob(self, world: World) -> None:
        data = random_bytes(600_000)
        view = memoryview(data)
        writer = world.create(blob_id(1))
        world.run(writer.write())
        world.run(writer.write(b"", data[:5], view[5:5], view[5:70_000], data[70_000:300_000]))
        many = [view[place : place + 100] for place in range(300_000, 600_000, 100)]
        world.run(writer.write(*many))
        world.run(writer.finish())
        assert world.get(blob_id(1), 0, len(data)) == data

    @pytest.mark.parametrize("offset", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 99])
    @pytest.mark.parametrize("length", [0, 1, 2, CHUNK - 1, CHUNK, CHUNK + 1])
    def test_any_range_is_read(self, world: World, offset: int, length: int) -> None:
        data = random_bytes(3 * CHUNK + 100)
        world.put(blob_id(1), data)
        assert world.get(blob_id(1), offset, length) == data[offset : offset + length]

    def test_a_range_that_ends_with_the_blob(self, world: World) -> None:
        data = random_bytes(CHUNK + 10)
        world.put(blob_id(1), data)
        assert world.get(blob_id(1), CHUNK + 9, 1) == data[-1:]
        assert world.get(blob_id(1), CHUNK + 10, 0) == b""

    def test_a_range_behind_the_end_is_an_error_and_never_short(self, world: World) -> None:
        world.put(blob_id(1), random_bytes(CHUNK + 10))
        for offset, length in ((0, CHUNK + 11), (CHUNK + 10, 1), (5 * CHUNK, 1)):
            with pytest.raises(InternalError):
                world.get(blob_id(1), offset, length)

    def test_a_blob_that_is_not_there_is_an_error_that_names_it(self, world: World) -> None:
        with pytest.raises(InternalError, match=blob_id(7)):
            world.get(blob_id(7), 0, 1)

    def test_a_reader_gives_nothing_more_after_its_end_or_its_close(self, world: World) -> None:
        world.put(blob_id(1), b"data")
        reader = world.open(blob_id(1), 0, 4)
        assert world.run(reader.read()) == b"data"
        assert world.run(reader.read()) == b""
        reader.close()
        reader.close()
        assert world.run(reader.read()) == b""

    def test_many_are_written_and_read_at_once(self, world: World) -> None:
        blobs = {blob_id(serial): random_bytes(CHUNK + serial, serial) for serial in range(20)}

        async def put(name: str, data: bytes) -> None:
            writer = await world.store.create(name, PLACEMENT)
            for place in range(0, len(data), 100_000):
                await writer.write(data[place : place + 100_000])
            await writer.finish()

        async def get(name: str) -> bytes:
            reader = await world.store.open(name, 0, len(blobs[name]))
            pieces = []
            while piece := await reader.read():
                pieces.append(piece)
            reader.close()
            return b"".join(pieces)

        for writing in [start(put(*item)) for item in blobs.items()]:
            world.turns.result(writing)
        readings = {name: start(get(name)) for name in blobs for _ in range(2)}
        for name, reading in readings.items():
            assert world.turns.result(reading) == blobs[name]
        assert world.ids() == set(blobs)

    def test_all_blobs_are_listed(self, world: World) -> None:
        assert world.ids() == set()
        names = {blob_id(serial, epoch) for epoch in (1, 2, 0xFFFF) for serial in (1, 2, 5000)}
        for name in names:
            world.put(name, b"x")
        assert world.ids() == names

    def test_a_deleted_blob_is_gone(self, world: World) -> None:
        world.put(blob_id(1), b"x")
        world.put(blob_id(2), random_bytes(70 * CHUNK))
        world.run(world.store.delete(blob_id(2)))
        assert world.ids() == {blob_id(1)}
        with pytest.raises(InternalError):
            world.get(blob_id(2), 0, 1)

    def test_deleting_what_is_not_there_is_no_error(self, world: World) -> None:
        world.run(world.store.delete(blob_id(1)))
        world.put(blob_id(1), b"x")
        world.run(world.store.delete(blob_id(1)))
        world.run(world.store.delete(blob_id(1)))

    def test_one_deletion_leaves_the_neighbours_whole(self, world: World) -> None:
        data = {serial: random_bytes(2 * CHUNK + serial, serial) for serial in range(1, 6)}
        for serial, each in data.items():
            world.put(blob_id(serial), each)
        world.run(world.store.delete(blob_id(3)))
        for serial in (1, 2, 4, 5):
            assert world.get(blob_id(serial), 0, len(data[serial])) == data[serial]

    def test_deletions_while_others_are_read(self, world: World) -> None:
        kept = random_bytes(4 * CHUNK)
        world.put(blob_id(1), kept)
        for serial in range(2, 12):
            world.put(blob_id(serial), random_bytes(CHUNK, serial))
        reader = world.open(blob_id(1), 0, len(kept))
        deleting = [start(world.store.delete(blob_id(serial))) for serial in range(2, 12)]
        assert world.drain(reader) == kept
        for each in deleting:
            world.turns.result(each)
        reader.close()
        assert world.ids() == {blob_id(1)}

    # What does not come to its end

    @pytest.mark.parametrize("size", [0, 10, CHUNK, 3 * CHUNK + 5])
    def test_an_aborted_blob_leaves_nothing(self, world: World, size: int) -> None:
        writer = world.create(blob_id(1))
        if size:
            world.run(writer.write(random_bytes(size)))
        world.run(writer.abort())
        assert world.ids() == set()
        with pytest.raises(InternalError):
            world.get(blob_id(1), 0, 1)

    def test_a_finished_blob_can_be_aborted_and_twice(self, world: World) -> None:
        writer = world.create(blob_id(1))
        world.run(writer.write(b"x"))
        world.run(writer.finish())
        world.run(writer.abort())
        world.run(writer.abort())
        assert world.ids() == set()

    def test_abort_follows_a_cancelled_write_and_leaves_nothing(self, world: World) -> None:
        writer = world.create(blob_id(1))
        writing = start(writer.write(random_bytes(3 * CHUNK)))
        writing.cancel()
        writing.addErrback(_only_cancelled)
        world.run(writer.abort())
        assert world.ids() == set()

    def test_a_cancelled_read_leaves_the_reader_closable(self, world: World) -> None:
        before = open_files()
        world.put(blob_id(1), random_bytes(2 * CHUNK))
        reader = world.open(blob_id(1), 0, 2 * CHUNK)
        reading = start(reader.read())
        reading.cancel()
        reading.addErrback(_only_cancelled)
        reader.close()
        world.run(world.threads.stop())  # now the thread's read has ended too
        world.run(world.threads.start())
        assert not [each for each in open_files() - before if each.endswith(blob_id(1))]

    def test_a_reader_may_be_closed_while_a_thread_reads(self, make: Make, tmp_path: Path) -> None:
        world = World(make, tmp_path)
        data = random_bytes(2 * CHUNK)
        world.put(blob_id(1), data)
        world.close()
        held = HeldThreads()
        store = make(tmp_path, world.turns, held)
        starting = start(store.start())
        held.go_on()
        assert starting.called
        opening = start(store.open(blob_id(1), 0, len(data)))
        held.go_on()
        reader = world.turns.result(opening)
        reading = start(reader.read())
        outcome: list[Any] = []
        reading.addBoth(outcome.append)
        reader.close()
        held.go_on()
        assert len(outcome) == 1
        assert outcome[0] == b"" or data.startswith(outcome[0])
        stopping = start(store.stop())
        held.go_on()
        assert stopping.called

    def test_reads_and_writes_under_way_end_while_the_store_stops(
        self, make: Make, tmp_path: Path
    ) -> None:
        world = World(make, tmp_path)
        data = random_bytes(4 * CHUNK)
        world.put(blob_id(1), data)
        reader = world.open(blob_id(1), 0, len(data))
        writer = world.create(blob_id(2))
        reading, writing = start(reader.read()), start(writer.write(data))
        stopping = start(world.store.stop())
        assert data.startswith(world.turns.result(reading))
        world.turns.result(writing)
        world.turns.result(stopping)
        reader.close()
        world.run(world.store.stop())
        world.run(world.threads.stop())

    def test_nothing_stays_open(self, make: Make, tmp_path: Path) -> None:
        before = open_files()
        world = World(make, tmp_path)
        for serial in range(10):
            world.put(blob_id(serial), random_bytes(CHUNK + 1))
            world.get(blob_id(serial), 0, CHUNK + 1)
            writer = world.create(blob_id(100 + serial))
            world.run(writer.write(b"x"))
            world.run(writer.abort())
            reader = world.open(blob_id(serial), 0, 2)
            world.run(reader.read())
            reader.close()
        world.close()
        assert open_files() == before

    # Over its life

    def test_blobs_are_there_after_a_restart(self, world: World) -> None:
        data = random_bytes(2 * CHUNK + 3)
        world.put(blob_id(1), data)
        world.put(blob_id(2))
        world.put(blob_id(3), b"gone")
        world.run(world.store.delete(blob_id(3)))
        world.restart()
        assert world.ids() == {blob_id(1), blob_id(2)}
        assert world.get(blob_id(1), 0, len(data)) == data
        assert world.get(blob_id(2), 0, 0) == b""
        world.put(blob_id(1, epoch=2), b"new")
        assert world.get(blob_id(1, epoch=2), 0, 3) == b"new"

    def test_check_passes_while_it_serves(self, world: World) -> None:
        world.run(world.store.check())

    def test_stop_may_be_called_twice(self, world: World) -> None:
        world.run(world.store.stop())
        world.run(world.store.stop())
