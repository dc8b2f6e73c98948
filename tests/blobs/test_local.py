"""What is particular to blobs in files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bleepstore.blobs import disk, local_file
from bleepstore.blobs.disk import UnusableStore
from bleepstore.blobs.local import READS, LocalBlobStore
from bleepstore.blobs.local_layout import FORMAT
from bleepstore.errors import InsufficientStorage, InternalError, SlowDown
from bleepstore.shares import MOST
from bleepstore.streams.threads import ImmediateThreads
from tests.blobs.worlds import files_of_at_most
from tests.contract.blob_stores import STORES
from tests.contract.blobs import World, blob_id, open_files, random_bytes

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(STORES[LocalBlobStore], tmp_path)
    yield world
    world.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


# The root


def test_the_layout_is_as_documented(world: World, root: Path) -> None:
    world.put("0000002a-00012345", b"bytes and nothing else")
    blob = root / "0000002a/00012/0000002a-00012345"
    assert blob.read_bytes() == b"bytes and nothing else"
    for made, mode in (
        (root / "bleepstore-blobs", 0o600),
        (blob, 0o600),
        (blob.parent, 0o700),
        (blob.parent.parent, 0o700),
    ):
        assert made.stat().st_mode & 0o777 == mode
    assert (root / "bleepstore-blobs").read_bytes() == b"BleepStore blobs in files, format 1\n"


def test_a_directory_that_holds_something_else_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("mine")
    with pytest.raises(UnusableStore, match=r"no blob store, and not empty .*thesis\.tex"):
        LocalBlobStore(str(root), ImmediateThreads())
    assert os.listdir(root) == ["thesis.tex"]


def test_a_fresh_file_system_is_an_empty_directory(root: Path) -> None:
    (root / "lost+found").mkdir(parents=True)
    LocalBlobStore(str(root), ImmediateThreads())


def test_another_format_is_refused(world: World, root: Path) -> None:
    world.run(world.store.stop())
    (root / "bleepstore-blobs").write_bytes(b"BleepStore blobs in files, format 2\n")
    with pytest.raises(UnusableStore, match=r"format 2.*this version knows.*format 1"):
        LocalBlobStore(str(root), ImmediateThreads())


def test_a_crash_before_the_marker_was_written_is_no_obstacle(root: Path) -> None:
    root.mkdir()
    (root / "bleepstore-blobs").touch()
    LocalBlobStore(str(root), ImmediateThreads())
    assert (root / "bleepstore-blobs").read_bytes()


def test_a_second_node_on_the_same_root_is_refused(world: World, root: Path) -> None:
    before = open_files()
    with pytest.raises(UnusableStore, match="in use by another process"):
        LocalBlobStore(str(root), ImmediateThreads())
    assert open_files() == before
    world.run(world.store.stop())
    second = LocalBlobStore(str(root), ImmediateThreads())
    with pytest.raises(UnusableStore, match="in use"):
        world.run(world.store.start())
    world.run(second.stop())
    world.run(world.store.start())


def test_check_fails_when_the_root_has_gone_or_was_replaced(world: World, root: Path) -> None:
    world.run(world.store.check())
    shutil.move(root, root.with_name("elsewhere"))
    with pytest.raises(UnusableStore, match="has gone"):
        world.run(world.store.check())
    root.mkdir()
    (root / "bleepstore-blobs").write_bytes(FORMAT)
    with pytest.raises(UnusableStore, match="was replaced"):
        world.run(world.store.check())


class ReadOnly:
    """What ``statvfs`` tells of a mount that cannot be written."""

    f_flag = os.ST_RDONLY | os.statvfs("/").f_flag


def test_check_fails_on_a_read_only_mount(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    with pytest.raises(UnusableStore, match="read-only"):
        world.run(world.store.check())


def test_a_root_that_cannot_be_written_is_refused_and_let_go_of(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir()
    before = open_files()
    for name, answer, said in (("statvfs", ReadOnly, "read-only"), ("access", False, "writable")):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_, answer=answer: answer)
            with pytest.raises(UnusableStore, match=said):
                LocalBlobStore(str(root), ImmediateThreads())
        assert open_files() == before
    LocalBlobStore(str(root), ImmediateThreads())


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "../../etc/passwd",
        "0000000A-00000001",
        "00000001_00000001",
        "00000001-0000001",
        "00000001-000000001",
        "1" * 17,
    ],
)
def test_what_is_no_id_never_becomes_a_path(world: World, name: str) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: world.create(name),
        lambda: world.open(name, 0, 1),
        lambda: world.run(world.store.delete(name)),
    )
    for call in calls:
        with pytest.raises(InternalError, match="no blob id"):
            call()


# Writing


def test_an_id_is_never_used_twice(world: World) -> None:
    world.put(blob_id(1), b"first")
    writer = world.create(blob_id(1))
    with pytest.raises(FileExistsError):
        world.run(writer.write(b"second"))
    world.run(writer.abort())
    assert world.get(blob_id(1), 0, 5) == b"first"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_insufficient_storage_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(*arguments: Any) -> int:
        raise OSError(code, os.strerror(code))

    writer = world.create(blob_id(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", full)
        with pytest.raises(InsufficientStorage):
            world.run(writer.write(b"x"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InsufficientStorage):
            world.run(writer.finish())
    world.run(writer.abort())
    assert world.ids() == set()
    world.put(blob_id(2), b"there is room again")


def test_a_file_that_the_system_refuses_to_grow_is_insufficient_storage(world: World) -> None:
    writer = world.create(blob_id(1))
    with files_of_at_most(MIB), pytest.raises(InsufficientStorage):
        world.fill(writer, 5)
    world.run(writer.abort())
    assert world.ids() == set()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_who_comes_while_no_more_files_can_be_open_is_told_to_slow_down(
    world: World, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def exhausted(*arguments: Any) -> int:
        raise OSError(code, os.strerror(code))

    world.put(blob_id(1), b"kept")
    writer = world.create(blob_id(2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", exhausted)
        with pytest.raises(SlowDown):
            world.run(writer.write(b"x"))
        with pytest.raises(SlowDown):
            world.open(blob_id(1), 0, 4)
    world.run(writer.abort())
    assert world.get(blob_id(1), 0, 4) == b"kept"
    assert world.ids() == {blob_id(1)}


def test_other_errors_of_the_disk_are_not_taken_for_a_full_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> int:
        raise OSError(errno.EIO, "broken")

    writer = world.create(blob_id(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", broken)
        with pytest.raises(OSError, match="broken"):
            world.run(writer.write(b"x"))
    world.run(writer.abort())


def test_short_writes_are_continued(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwritev
    counts = []

    def stingy(descriptor: int, buffers: list[Any], offset: int) -> int:
        counts.append(len(buffers))
        return real(descriptor, [memoryview(buffers[0])[:1000]], offset)

    monkeypatch.setattr(os, "pwritev", stingy)
    data = random_bytes(10_500)
    world.put(blob_id(1), data)
    writer = world.create(blob_id(2))
    world.run(writer.write(data[:1500], b"", data[1500:2000], data[2000:]))
    world.run(writer.finish())
    assert world.get(blob_id(1), 0, len(data)) == world.get(blob_id(2), 0, len(data)) == data
    assert len(counts) == 11 + 12


def test_more_pieces_than_one_call_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_IOV_MAX", 3)
    data = random_bytes(100)
    writer = world.create(blob_id(1))
    world.run(writer.write(*[data[place : place + 1] for place in range(100)]))
    world.run(writer.finish())
    assert world.get(blob_id(1), 0, 100) == data


def test_writeback_starts_long_before_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_file, "WRITEBACK", 1000)
    told: list[tuple[int, int]] = []
    real = os.posix_fadvise

    def advise(descriptor: int, offset: int, length: int, advice: int) -> None:
        told.append((offset, length))
        real(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", advise)
    writer = world.create(blob_id(1))
    for size in (600, 600, 600, 5000, 10):
        world.run(writer.write(b"x" * size))
    world.run(writer.finish())
    assert told == [(0, 1200), (1200, 5600)]
    assert world.get(blob_id(1), 0, 6810) == b"x" * 6810


def test_of_a_large_blob_only_the_beginning_stays_in_the_page_cache(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_file, "WRITEBACK", 100)
    monkeypatch.setattr(local_file, "KEEP", 250)
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *advice: told.append(advice[:2]))
    writer = world.create(blob_id(1))
    for _ in range(7):
        world.run(writer.write(b"x" * 100))
    world.run(writer.abort())
    starts = [(0, 100), (100, 100), (200, 100)]
    assert told == [*starts, (250, 150), (250, 250), (300, 300), (400, 300)]


def test_an_abort_that_fails_says_so_in_the_log_and_nowhere_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.create(blob_id(1))
    world.run(writer.write(b"x"))

    def broken(path: str) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(local_file, "remove", broken)
        world.run(writer.abort())
    assert world.ids() == {blob_id(1)}


# Reading


def test_readers_of_large_runs_divide_what_chunks_may_take(world: World) -> None:
    size = 3 * MIB
    world.put(blob_id(1), *[random_bytes(MIB)] * 3)
    alone = world.open(blob_id(1), 0, size)
    assert len(world.run(alone.read())) == MOST
    crowd = [world.open(blob_id(1), 0, size) for _ in range(READS // MOST)]
    assert {len(world.run(each.read())) for each in (alone, *crowd)} == {MOST // 2}
    for _ in range(2):
        crowd[0].close()
    assert len(world.run(alone.read())) == MOST
    crowd[0] = world.open(blob_id(1), 0, size)
    assert len(world.run(crowd[1].read())) == MOST // 2
    crowd.clear()  # forgotten, as those of cancelled requests are
    assert len(world.run(crowd_of_small(world).read())) == local_file.AT_HAND
    rest = world.open(blob_id(1), 0, size)
    assert len(world.run(rest.read())) == MOST


def crowd_of_small(world: World) -> Any:
    """Readers that need no large chunks take no share of them."""
    return [world.open(blob_id(1), 0, local_file.AT_HAND) for _ in range(50)][-1]


@pytest.mark.skipif(
    not hasattr(os, "RWF_NOWAIT"), reason="Python was built for a C library without preadv2"
)
def test_a_small_read_that_is_cached_does_not_suspend(world: World) -> None:
    world.put(blob_id(1), random_bytes(1000))
    reader = world.open(blob_id(1), 0, 1000)
    reading = reader.read()
    with pytest.raises(StopIteration) as stopped:
        reading.send(None)
    assert stopped.value.value == random_bytes(1000)
    reader.close()


def test_a_small_read_that_is_not_cached_goes_to_a_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(blob_id(1), b"data")

    def would_block(*arguments: Any) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", would_block)
    reader = world.open(blob_id(1), 0, 4)
    reading = reader.read()
    waiting = reading.send(None)
    assert world.run(waiting) == b"data"
    reading.close()
    reader.close()
    assert world.get(blob_id(1), 1, 2) == b"at"


def test_a_read_that_fails_is_an_internal_error_that_names_the_blob(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(blob_id(1), random_bytes(100_000))

    def broken(*arguments: Any) -> bytes:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(InternalError, match=f"{blob_id(1)} cannot be read.*broken"):
        world.get(blob_id(1), 0, 100_000)


def test_a_reader_outlives_the_deletion_of_its_blob(world: World) -> None:
    data = random_bytes(600_000)
    world.put(blob_id(1), data)
    reader = world.open(blob_id(1), 0, len(data))
    world.run(world.store.delete(blob_id(1)))
    assert world.drain(reader) == data
    reader.close()


def test_a_file_stays_open_while_a_thread_reads_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number could be another file's by then, and that file's bytes would be sent."""
    world.put(blob_id(1), random_bytes(100_000))
    before = open_files()
    reader = world.open(blob_id(1), 0, 100_000)
    opened = open_files()
    real = os.pread
    sizes = []

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        reader.close()
        assert open_files() == opened
        data = real(descriptor, size, offset)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    assert world.run(reader.read()) == b""
    assert sizes == [100_000]
    assert open_files() == before


def test_a_forgotten_reader_closes_its_file(world: World) -> None:
    world.put(blob_id(1), b"x")
    before = open_files()
    reader = world.open(blob_id(1), 0, 1)
    assert open_files() != before
    del reader
    assert open_files() == before


# Listing


def test_directories_that_became_empty_are_removed_and_made_again(world: World, root: Path) -> None:
    for serial in (1, 0x1000):
        world.put(blob_id(serial), b"x")
    world.run(world.store.delete(blob_id(1)))
    assert world.ids() == {blob_id(0x1000)}
    assert os.listdir(root / "00000001") == ["00001"]
    world.run(world.store.delete(blob_id(0x1000)))
    assert world.ids() == set()
    assert world.ids() == set()
    assert os.listdir(root) == ["bleepstore-blobs"]
    world.put(blob_id(2), b"again")
    assert world.get(blob_id(2), 0, 5) == b"again"


def test_what_is_no_blob_is_not_listed(world: World, root: Path) -> None:
    world.put(blob_id(1), b"x")
    (root / "lost+found").mkdir()
    for other in ("abc", "no-epoch"):
        (root / other / "00000").mkdir(parents=True)
        (root / other / "00000" / blob_id(2)).touch()
    (root / "deadbeef").touch()
    (root / "00000001" / "00001").touch()
    (root / "00000001" / "note").touch()
    (root / "00000001" / "00000" / "note").touch()
    assert world.ids() == {blob_id(1)}


def test_a_directory_that_goes_while_they_are_listed_holds_nothing(
    world: World, root: Path
) -> None:
    for serial in (1, 0x1000, 0x2000):
        world.put(blob_id(serial), b"x")

    async def listed() -> list[str]:
        found: list[str] = []
        async for batch in world.store.blob_ids():
            found += batch
            shutil.rmtree(root / "00000001" / "00001", ignore_errors=True)
        return found

    assert world.run(listed()) == [blob_id(1), blob_id(0x2000)]
