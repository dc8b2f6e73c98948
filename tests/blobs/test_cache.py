"""The read cache: right or not there, fetched once, and never too large."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from bleepstore.blobs.cache import Blocks, CachedStore
from bleepstore.blobs.cache_blocks import BLOCK, HEAD, Run, block_name, read_block, write_block
from bleepstore.errors import Displaced, ServiceUnavailable
from bleepstore.interfaces.blobs import Placement
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.in_place import InPlaceContract
from tests.fakes.cloud import Cloud, FakeInPlaceStore
from tests.objectstore.driving import Running, run


class TestContract(InPlaceContract):
    @pytest.fixture
    def stores(self, tmp_path: Path) -> Any:
        cloud = Cloud()
        stores = [
            CachedStore(
                FakeInPlaceStore(cloud), Blocks(str(tmp_path / name), 1 << 30, ImmediateThreads())
            )
            for name in ("one", "other")
        ]
        for store in stores:
            run(store.start())
        return stores

    test_a_locator_reads_its_own_bytes_or_none = None
    """What was read once is served although the cloud has let go of it: see below."""


class World:
    """A cached store, and blobs of known bytes."""

    def __init__(self, directory: Path, room: int = 1 << 30) -> None:
        self.cloud = Cloud()
        self.directory = directory
        self.serial = 0
        self.store = self.open(room)

    def open(self, room: int = 1 << 30) -> CachedStore:
        """As a new process does."""
        blocks = Blocks(str(self.directory), room, ImmediateThreads())
        self.store = CachedStore(FakeInPlaceStore(self.cloud), blocks)
        run(self.store.start())
        return self.store

    def put(self, data: bytes, key: str = "key") -> str:
        self.serial += 1
        blob_id = f"00000001-{self.serial:08x}"

        async def put() -> str:
            writer = await self.store.create(blob_id, Placement("bucket", key))
            await writer.write(data)
            await writer.finish()
            return await self.store.place(blob_id, "")

        return run(put())

    async def reading(self, locator: str, offset: int, length: int) -> bytes:
        reader = await self.store.open(locator, offset, length)
        pieces = []
        while piece := await reader.read():
            pieces.append(piece)
        reader.close()
        return b"".join(pieces)

    def read(self, locator: str, offset: int, length: int) -> bytes:
        return run(self.reading(locator, offset, length))

    def asked(self) -> int:
        """How often the cloud was asked for bytes since this was called last."""
        count = sum(kind == "read" for kind, _ in self.cloud.requests)
        self.cloud.requests.clear()
        return count

    def files(self) -> list[Path]:
        return [path for path in self.directory.rglob("*") if path.is_file()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Warnings and worse."""
    said: list[str] = []

    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.warn:
            said.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_what_was_read_once_is_read_from_the_disk(world: World, size: int) -> None:
    data = noise(size)
    locator = world.put(data)
    assert world.read(locator, 0, size) == data
    assert world.asked() == 1
    assert world.read(locator, 0, size) == data
    assert world.read(locator, size // 2, size - size // 2) == data[size // 2 :]
    assert world.asked() == 0
    del world.cloud.objects["bucket/key"]
    assert world.read(locator, 0, size) == data


def test_ranges_are_cached_as_they_are_read(world: World) -> None:
    data = noise(4 * BLOCK)
    locator = world.put(data)
    assert world.read(locator, BLOCK + 10, 100) == data[BLOCK + 10 : BLOCK + 110]
    assert world.asked() == 1
    assert world.read(locator, BLOCK + 20, 50) == data[BLOCK + 20 : BLOCK + 70]
    assert world.asked() == 0
    assert world.read(locator, BLOCK, 20) == data[BLOCK : BLOCK + 20]
    assert world.asked() == 1
    assert world.read(locator, 0, len(data)) == data
    assert world.asked() == 1, "one answer for all that is missing"
    for _ in range(20):
        first = random.Random(1).randrange(len(data))
        assert world.read(locator, first, 1000) == data[first : first + 1000]
    assert world.asked() == 0


def test_other_bytes_of_the_same_name_are_other_blocks(world: World) -> None:
    old = world.put(b"old bytes")
    assert world.read(old, 0, 9) == b"old bytes"
    del world.cloud.objects["bucket/key"]
    new = world.put(b"new bytes")
    assert world.read(new, 0, 9) == b"new bytes"
    with pytest.raises(Displaced):
        world.read(world.put(b"x", "other").replace("tag-", "tag-9"), 0, 1)


@pytest.mark.parametrize("blocks", [1, 3])
def test_many_readers_ask_once_for_a_block(world: World, blocks: int) -> None:
    data = noise(blocks * BLOCK)
    locator = world.put(data)
    gate = world.cloud.hold("read")
    readers = [Running(world.reading(locator, 0, len(data))) for _ in range(10)]
    assert not any(reader.done for reader in readers)
    gate.callback(None)
    assert all(reader.result() == data for reader in readers)
    assert world.asked() <= blocks


def test_when_the_first_reader_fails_the_next_one_asks(world: World) -> None:
    locator = world.put(b"data")
    gate = world.cloud.hold("read")
    first, second = (Running(world.reading(locator, 0, 4)) for _ in range(2))
    gate.errback(ServiceUnavailable("away"))
    with pytest.raises(ServiceUnavailable):
        first.result()
    assert second.result() == b"data"


def test_a_reader_that_is_closed_leaves_nothing_waiting(world: World) -> None:
    data = noise(3 * BLOCK)
    locator = world.put(data)
    reader = run(world.store.open(locator, 0, len(data)))
    assert run(reader.read()) == data[:BLOCK]
    reader.close()
    assert run(reader.read()) == b""
    assert world.read(locator, 0, len(data)) == data


def test_what_is_damaged_on_the_disk_is_fetched_anew(world: World) -> None:
    data = noise(2000)
    locator = world.put(data)
    world.read(locator, 0, 2000)
    (path,) = world.files()
    raw = path.read_bytes()
    for damaged in (b"", raw[:10], raw[:-1], raw[:100] + b"!" + raw[101:], b"x" * 99):
        path.write_bytes(damaged)
        world.asked()
        assert world.read(locator, 0, 2000) == data
        assert world.asked() == 1
        assert path.read_bytes() == raw
    path.unlink()
    assert world.read(locator, 0, 2000) == data
    assert world.store.blocks.total == path.stat().st_size, "it is counted once"


def test_what_was_not_read_for_longest_goes(tmp_path: Path) -> None:
    size = 100_000
    world = World(tmp_path, room=3 * (size + HEAD))
    locators = [world.put(noise(size + 0 * n), f"key-{n}") for n in range(4)]
    for locator in locators[:3]:
        world.read(locator, 0, size)
    world.read(locators[0], 0, size)
    world.read(locators[3], 0, size)
    assert world.asked() == 4
    assert world.store.blocks.total == sum(path.stat().st_size for path in world.files())
    assert len(world.files()) == 3
    for locator in (locators[0], locators[2], locators[3]):
        world.read(locator, 0, size)
    assert world.asked() == 0
    world.read(locators[1], 0, size)
    assert world.asked() == 1


def opened(directory: Path) -> list[str]:
    """The files below a directory that this process has open; removed ones say so."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(str(directory))]


def test_few_files_stay_open_and_none_that_has_gone(tmp_path: Path) -> None:
    world = World(tmp_path, room=100 * (HEAD + 1000))

    def read_some(first: int) -> None:
        for number in range(first, first + 100):
            locator = world.put(noise(1000), f"key {number}")
            for _ in range(2):
                assert world.read(locator, 0, 1000) == noise(1000)

    read_some(0)
    assert len(opened(tmp_path)) == 64
    read_some(100)  # in the place of the first ones
    assert len(opened(tmp_path)) == 64
    assert not [path for path in opened(tmp_path) if path.endswith("(deleted)")]
    run(world.store.stop())
    assert opened(tmp_path) == []


def test_a_block_that_was_written_anew_is_read_anew(world: World) -> None:
    data = noise(3000)
    locator = world.put(data)
    assert world.read(locator, 100, 200) == data[100:300]
    assert world.read(locator, 100, 200) == data[100:300]
    assert world.read(locator, 0, 3000) == data
    assert world.asked() == 2
    assert world.read(locator, 0, 3000) == data
    assert world.asked() == 0
    assert world.store.blocks.total == sum(path.stat().st_size for path in world.files())


def test_a_new_process_finds_it_all_and_keeps_to_its_room(world: World) -> None:
    locators = [world.put(noise(5000 + n), f"key-{n}") for n in range(4)]
    for n, locator in enumerate(locators):
        world.read(locator, 0, 5000 + n)
        os.utime(world.directory / "blocks" / block_name(locator, 0), ns=(n, n))
    half = world.files()[0].with_suffix(".new")
    half.write_bytes(b"half-written")
    world.asked()
    world.open()
    assert not half.exists()
    for n, locator in enumerate(locators):
        assert world.read(locator, 0, 5000 + n) == noise(5000 + n)
    assert world.asked() == 0
    world.open(room=2 * 5000 + 1000)
    assert len(world.files()) == 2
    world.read(locators[3], 0, 5000)
    assert world.asked() == 0, "those that were used last have stayed"


def test_a_cache_that_cannot_be_written_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    locator = world.put(b"data")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bleepstore.blobs.cache.write_block", full)
    assert world.read(locator, 0, 4) == b"data"
    assert world.read(locator, 0, 4) == b"data"
    assert world.asked() == 2
    assert world.store.blocks.total == 0
    assert len(log) == 1, "a full disk is not filled with what is said of it"


def test_what_was_not_read_for_longest_goes_where_the_disk_is_full(
    world: World, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    locators = [world.put(b"%d" % number * 5000, f"key{number}") for number in range(6)]

    def tight(directory: str, name: str, run: Run) -> int:
        if sum(path.stat().st_size for path in world.files()) + len(run.data) > 16_000:
            raise OSError(28, "No space left on device")
        return write_block(directory, name, run)

    monkeypatch.setattr("bleepstore.blobs.cache.write_block", tight)
    for locator in locators:
        world.read(locator, 0, 5000)
    asked = world.asked()
    for locator in reversed(locators[-3:]):
        world.read(locator, 0, 5000)
    assert world.asked() == 0
    assert asked == 6
    assert world.store.blocks.total == sum(path.stat().st_size for path in world.files())
    assert log == []


def test_a_block_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_block(str(tmp_path), "ab/x.0", Run(0, b"old"))
    (tmp_path / "ab" / "x.0.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_block(str(tmp_path), "ab/x.0", Run(0, b"new"))
    assert read_block(str(tmp_path), "ab/x.0") == Run(0, b"old")
