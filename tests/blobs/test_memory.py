"""What is particular to blobs in memory: the limit, and the snapshots."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bleepstore.blobs import memory_snapshot
from bleepstore.blobs.disk import UnusableStore
from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.blobs.memory_snapshot import read_snapshot, write_snapshot
from bleepstore.errors import InsufficientStorage, InternalError
from bleepstore.interfaces.threads import IThreads
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.blob_stores import Make
from tests.contract.blobs import World, blob_id, random_bytes
from tests.streams.turns import HeldThreads, Turns


def making(**settings: Any) -> Make:
    def make(directory: Path, turns: Turns, threads: IThreads) -> MemoryBlobStore:
        if "snapshot_path" in settings:
            settings["snapshot_path"] = str(directory / "snap")
        return MemoryBlobStore(turns, ImmediateThreads(), **settings)

    return make


@pytest.fixture
def open_world(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., World]:
    def open_(**settings: Any) -> World:
        world = World(making(**settings), tmp_path)
        request.addfinalizer(world.close)
        return world

    return open_


SNAPSHOT = {"persistence": "snapshot", "snapshot_path": "snap", "snapshot_interval_seconds": 60}


# The limit


def test_more_than_the_limit_is_insufficient_storage(open_world: Callable[..., World]) -> None:
    world = open_world(max_size_bytes=100)
    world.put(blob_id(1), b"x" * 60)
    writer = world.create(blob_id(2))
    world.run(writer.write(b"y" * 40))
    with pytest.raises(InsufficientStorage):
        world.run(writer.write(b"y"))
    world.run(writer.abort())
    assert world.ids() == {blob_id(1)}
    world.put(blob_id(3), b"z" * 40)


def test_what_is_deleted_or_aborted_makes_room(open_world: Callable[..., World]) -> None:
    world = open_world(max_size_bytes=100)
    for serial in range(5):
        world.put(blob_id(serial), b"x" * 100)
        world.run(world.store.delete(blob_id(serial)))
        writer = world.create(blob_id(100 + serial))
        world.run(writer.write(b"x" * 100))
        world.run(writer.abort())
        world.run(writer.abort())
    world.put(blob_id(9), b"x" * 100)
    writer = world.create(blob_id(10))
    with pytest.raises(InsufficientStorage):
        world.run(writer.write(b"x"))
    world.run(writer.abort())


def test_no_limit_is_zero(open_world: Callable[..., World]) -> None:
    world = open_world(max_size_bytes=0)
    world.put(blob_id(1), random_bytes(3_000_000))


def test_an_id_is_never_used_twice(open_world: Callable[..., World]) -> None:
    world = open_world()
    world.put(blob_id(1), b"first")
    with pytest.raises(InternalError, match="exists already"):
        world.create(blob_id(1))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="none or snapshot"):
        MemoryBlobStore(Turns(), ImmediateThreads(), persistence="disk")
    with pytest.raises(ValueError, match="needs a snapshot_path"):
        MemoryBlobStore(Turns(), ImmediateThreads(), persistence="snapshot")


# Snapshots


def test_without_persistence_nothing_survives_and_nothing_is_written(
    open_world: Callable[..., World], tmp_path: Path
) -> None:
    world = open_world()
    world.put(blob_id(1), b"x")
    world.restart()
    assert world.ids() == set()
    assert world.turns.getDelayedCalls() == []
    assert os.listdir(tmp_path) == []


def test_a_snapshot_is_written_at_the_interval_if_there_is_something_new(
    open_world: Callable[..., World], tmp_path: Path
) -> None:
    world = open_world(**SNAPSHOT)
    world.turns.advance(60)
    assert os.listdir(tmp_path) == []
    world.put(blob_id(1), b"data")
    world.turns.advance(59)
    assert os.listdir(tmp_path) == []
    world.turns.advance(1)
    assert read_snapshot(str(tmp_path / "snap")) == {blob_id(1): (b"data",)}
    world.run(world.store.delete(blob_id(1)))
    world.turns.advance(60)
    assert read_snapshot(str(tmp_path / "snap")) == {}
    assert os.listdir(tmp_path) == ["snap"]


def test_what_came_after_the_last_snapshot_is_lost_with_the_process(
    open_world: Callable[..., World], tmp_path: Path
) -> None:
    world = open_world(**SNAPSHOT)
    world.put(blob_id(1), b"before")
    world.turns.advance(60)
    world.put(blob_id(2), b"after")
    killed_here = making(**SNAPSHOT)(tmp_path, Turns(), ImmediateThreads())
    world.run(killed_here.start())
    world.store, running = killed_here, world.store
    assert world.ids() == {blob_id(1)}
    world.run(running.stop())


def test_a_stop_writes_a_last_snapshot_and_stops_the_clock(
    open_world: Callable[..., World], tmp_path: Path
) -> None:
    world = open_world(**SNAPSHOT)
    data = random_bytes(700_000)
    world.put(blob_id(1), data)
    world.run(world.store.stop())
    assert world.turns.getDelayedCalls() == []
    world.restart()
    assert world.get(blob_id(1), 0, len(data)) == data
    world.turns.advance(60)


def test_the_limit_counts_what_a_snapshot_brought_back(open_world: Callable[..., World]) -> None:
    world = open_world(max_size_bytes=100, **SNAPSHOT)
    world.put(blob_id(1), b"x" * 90)
    world.restart()
    writer = world.create(blob_id(2))
    with pytest.raises(InsufficientStorage):
        world.run(writer.write(b"x" * 11))
    world.run(writer.abort())


def test_writing_goes_on_while_a_snapshot_is_written(tmp_path: Path) -> None:
    turns, held = Turns(), HeldThreads()
    path = tmp_path / "snap"
    store = MemoryBlobStore(
        turns, held, persistence="snapshot", snapshot_path=str(path), snapshot_interval_seconds=1
    )
    world = World(lambda *_: MemoryBlobStore(turns, ImmediateThreads()), tmp_path)
    world.store = store
    from tests.streams.turns import start

    starting = start(store.start())
    held.go_on()
    assert starting.called
    world.put(blob_id(1), b"one")
    turns.advance(1)
    world.put(blob_id(2), b"two")
    held.go_on()
    assert set(read_snapshot(str(path))) == {blob_id(1)}
    turns.advance(1)
    held.go_on()
    assert set(read_snapshot(str(path))) == {blob_id(1), blob_id(2)}
    stopping = start(store.stop())
    assert stopping.called
    world.close()


def test_a_snapshot_that_cannot_be_written_fails_the_check_until_one_can(
    open_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_world(**SNAPSHOT)
    world.put(blob_id(1), b"x")
    world.turns.advance(60)
    before = (tmp_path / "snap").read_bytes()
    world.put(blob_id(2), b"y")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        world.turns.advance(60)
    assert (tmp_path / "snap").read_bytes() == before
    assert os.listdir(tmp_path) == ["snap"]
    with pytest.raises(OSError, match="No space left"):
        world.run(world.store.check())
    world.turns.advance(60)
    world.run(world.store.check())
    assert len(read_snapshot(str(tmp_path / "snap"))) == 2


# The file


@given(
    st.dictionaries(
        st.from_regex(r"[0-9a-f]{8}-[0-9a-f]{8}", fullmatch=True),
        st.lists(st.binary(max_size=50), max_size=3).map(tuple),
        max_size=5,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_snapshot_round_trip(tmp_path: Path, blobs: dict[str, tuple[bytes, ...]]) -> None:
    path = str(tmp_path / "snap")
    write_snapshot(path, blobs)
    assert read_snapshot(path) == blobs


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "snap"
    write_snapshot(str(path), {blob_id(1): (b"some", b"data"), blob_id(2): ()})
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(UnusableStore):
            read_snapshot(str(path))
        path.write_bytes(good[:place])
        with pytest.raises(UnusableStore):
            read_snapshot(str(path))
    path.write_bytes(good + b"\0")
    with pytest.raises(UnusableStore, match=r"is damaged.*move it away"):
        read_snapshot(str(path))


def test_a_damaged_snapshot_keeps_the_store_from_starting(
    open_world: Callable[..., World], tmp_path: Path
) -> None:
    (tmp_path / "snap").write_bytes(b"BleepStore blobs\n" + bytes(30))
    with pytest.raises(UnusableStore, match="format 0"):
        open_world(**SNAPSHOT)
    (tmp_path / "snap").write_bytes(b"a letter to my aunt")
    with pytest.raises(UnusableStore, match="no snapshot"):
        open_world(**SNAPSHOT)
    assert (tmp_path / "snap").read_bytes() == b"a letter to my aunt"


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "snap")
    with monkeypatch.context() as patch:
        patch.setattr(memory_snapshot, "FORMAT", 2)
        write_snapshot(path, {})
    with pytest.raises(UnusableStore, match="has format 2; this version reads 1"):
        read_snapshot(path)
