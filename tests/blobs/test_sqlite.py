"""What is particular to blobs in an SQLite file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from bleepstore.blobs.disk import UnusableStore
from bleepstore.blobs.sqlite import SqliteBlobStore
from bleepstore.blobs.sqlite_file import Database, refusing
from bleepstore.errors import InsufficientStorage, InternalError
from bleepstore.streams.threads import ImmediateThreads
from tests.blobs.worlds import files_of_at_most
from tests.contract.blob_stores import STORES
from tests.contract.blobs import CHUNK, World, blob_id, open_files, random_bytes
from tests.streams.turns import PATIENCE, start


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(STORES[SqliteBlobStore], tmp_path)
    yield world
    world.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blobs.db"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_file_is_made_for_its_owner_alone(path: Path) -> None:
    store = SqliteBlobStore(str(path), ImmediateThreads())
    for made in path.parent.iterdir():
        assert made.stat().st_mode & 0o777 == 0o600, made
    stopping = start(store.stop())
    assert stopping.called


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"a letter to my aunt" * 1000)
    with pytest.raises(UnusableStore, match="no database"):
        SqliteBlobStore(str(path), ImmediateThreads())
    assert path.read_bytes() == b"a letter to my aunt" * 1000


def test_another_program_s_database_is_refused(path: Path) -> None:
    rows(path, "CREATE TABLE songs (title)")
    before = open_files()
    with pytest.raises(UnusableStore, match="no blob store"):
        SqliteBlobStore(str(path), ImmediateThreads())
    assert open_files() == before


def test_the_names_of_a_new_file_are_durable(tmp_path: Path, synced: list[str]) -> None:
    Database(str(tmp_path / "new" / "blobs.db")).close()
    assert synced == [str(tmp_path), str(tmp_path / "new")]


def test_a_start_brings_what_the_page_cache_has_into_the_database(
    world: World, path: Path, tmp_path: Path
) -> None:
    """After a sync that failed it may be there alone, and be called clean."""
    world.put(blob_id(1), random_bytes(100_000))
    (tmp_path / "killed").mkdir()
    for name in ("blobs.db", "blobs.db-wal"):
        shutil.copy(path.with_name(name), tmp_path / "killed" / name)
    wal = tmp_path / "killed" / "blobs.db-wal"
    assert wal.stat().st_size > 100_000
    database = Database(str(tmp_path / "killed" / "blobs.db"))
    assert wal.stat().st_size == 0
    assert database.ids(0, 9) == (1, (blob_id(1),))
    database.close()


CHECKPOINT, COMMIT = "PRAGMA wal_checkpoint", "COMMIT"


class Disk:
    """What the connections say of it, and what they ask of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing, self.code = "nothing", 0
        self.asked: list[str] = []
        disk = self

        class Writer(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                disk.asked.append(statement)
                if statement.startswith(disk.failing):
                    error = sqlite3.OperationalError("refused")
                    error.sqlite_errorcode = disk.code
                    raise error
                return super().execute(statement, *values)

        connect = partial(sqlite3.connect, factory=Writer)
        monkeypatch.setattr("bleepstore.blobs.sqlite_file.sqlite3.connect", connect)

    def fail(self, failing: str, code: int = sqlite3.SQLITE_IOERR_FSYNC) -> None:
        self.failing, self.code = failing, code

    def checkpoints(self) -> int:
        """How many there were since this was asked."""
        count = sum(statement.startswith(CHECKPOINT) for statement in self.asked)
        self.asked.clear()
        return count


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC])
def test_at_a_start_a_full_disk_is_no_obstacle_and_a_failing_one_is(
    path: Path, disk: Disk, code: int
) -> None:
    disk.fail(CHECKPOINT, code)
    before = open_files()
    if code == sqlite3.SQLITE_FULL:
        Database(str(path)).close()
    else:
        with pytest.raises(sqlite3.OperationalError, match="refused"):
            Database(str(path))
    assert open_files() == before


def test_after_a_sync_that_failed_nothing_is_written_before_the_next_start(
    path: Path, disk: Disk
) -> None:
    """A later one succeeds without what that one left out, which may be of the log's middle."""
    database = Database(str(path))
    kept, lost = database.begin(blob_id(1)), database.begin(blob_id(2))
    database.append(kept, 0, [b"kept"])
    database.finish([(kept, 4)])
    disk.fail(COMMIT)
    with pytest.raises(sqlite3.OperationalError):
        database.finish([(lost, 0)])
    disk.fail("nothing")
    for change in (
        lambda: database.begin(blob_id(3)),
        lambda: database.append(lost, 0, [b"x"]),
        lambda: database.finish([(lost, 1)]),
        lambda: database.remove(kept),
    ):
        with pytest.raises(InternalError, match="before the next start"):
            change()
    assert database.chunk(kept, 0) == b"kept"
    database.close()
    database = Database(str(path))
    assert database.find(blob_id(2)) is None
    assert database.find(blob_id(1)) == (kept, 4)
    assert database.ids(0, 9) == (kept, (blob_id(1),)), "what is not finished is nobody's"
    database.remove(kept)
    database.close()


def test_check_fails_after_a_sync_that_failed(tmp_path: Path, disk: Disk) -> None:
    world = World(STORES[SqliteBlobStore], tmp_path)
    world.run(world.store.check())
    disk.fail(COMMIT)
    with pytest.raises(sqlite3.OperationalError):
        world.put(blob_id(1), b"x")
    disk.fail("nothing")
    with pytest.raises(InternalError, match="before the next start"):
        world.run(world.store.check())
    world.close()


def test_after_a_full_disk_it_goes_on(path: Path, disk: Disk) -> None:
    database = Database(str(path))
    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
        disk.fail(COMMIT, code)
        with pytest.raises(InsufficientStorage):
            database.begin(blob_id(1))
    disk.fail("nothing")
    assert database.begin(blob_id(1))
    database.close()


def test_the_log_is_copied_each_time_that_it_has_grown(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleepstore.blobs.sqlite_file._CHECKPOINT", 500_000)
    database = Database(str(path))
    number = database.begin(blob_id(1))

    def finish(times: int) -> None:
        for _ in range(times):
            database.finish([(number, 2_000_000)])

    disk.checkpoints()
    for index in range(40):
        database.append(number, index, [bytes(50_000)])
    assert 8 <= disk.checkpoints() <= 10, "the chunks, and what each transaction costs beside"
    finish(40)
    assert 4 <= disk.checkpoints() <= 6
    assert path.with_name("blobs.db-wal").stat().st_size < 1_000_000
    disk.fail(CHECKPOINT, sqlite3.SQLITE_FULL)
    finish(20)
    disk.fail(CHECKPOINT)
    with pytest.raises(InternalError, match="before the next start"):
        finish(20)
    database.close()


def test_a_crash_before_the_schema_was_committed_is_no_obstacle(path: Path) -> None:
    rows(path, "PRAGMA journal_mode = WAL")
    assert path.stat().st_size
    store = SqliteBlobStore(str(path), ImmediateThreads())
    stopping = start(store.stop())
    assert stopping.called


def test_another_format_is_refused(world: World, path: Path) -> None:
    world.run(world.store.stop())
    rows(path, "PRAGMA user_version = 2")
    with pytest.raises(UnusableStore, match="format 2; this version knows 1"):
        SqliteBlobStore(str(path), ImmediateThreads())


def test_a_second_node_on_the_same_file_is_refused(world: World, path: Path) -> None:
    with pytest.raises(UnusableStore, match="in use by another process"):
        SqliteBlobStore(str(path), ImmediateThreads())


def test_a_refused_file_can_be_opened_when_it_was_put_right(path: Path) -> None:
    path.write_bytes(b"a letter to my aunt" * 1000)
    with pytest.raises(UnusableStore):
        SqliteBlobStore(str(path), ImmediateThreads())
    path.unlink()
    store = SqliteBlobStore(str(path), ImmediateThreads())
    stopping = start(store.stop())
    assert stopping.called


def test_an_id_is_never_used_twice(world: World) -> None:
    world.put(blob_id(1), b"first")
    writer = world.create(blob_id(1))
    with pytest.raises(InternalError, match="exists already"):
        world.run(writer.write(random_bytes(CHUNK)))
    world.run(writer.abort())
    assert world.get(blob_id(1), 0, 5) == b"first"


def test_what_a_crash_left_unfinished_is_removed_at_the_start(world: World, path: Path) -> None:
    writer = world.create(blob_id(1))
    world.run(writer.write(random_bytes(3 * CHUNK)))
    world.run(world.store.stop())
    assert rows(path, "SELECT count(*) FROM chunk") == [(3,)]
    world.run(world.store.start())
    assert rows(path, "SELECT count(*) FROM chunk") == [(0,)]
    assert rows(path, "SELECT count(*) FROM blob") == [(0,)]
    world.put(blob_id(1), b"the id is free again")


def test_a_blob_of_many_chunks_is_removed_to_the_last(world: World, path: Path) -> None:
    writer = world.create(blob_id(1))
    for _ in range(70):
        world.run(writer.write(bytes(CHUNK), b"x"))
    world.run(writer.finish())
    assert rows(path, "SELECT count(*) FROM chunk") == [(71,)]
    world.run(world.store.delete(blob_id(1)))
    assert rows(path, "SELECT count(*) FROM chunk") == [(0,)]


def test_room_of_deleted_blobs_is_used_again(world: World, path: Path) -> None:
    for serial in range(12):
        world.put(blob_id(serial), random_bytes(4 * CHUNK))
        world.run(world.store.delete(blob_id(serial)))
    assert os.path.getsize(path) < 4 * 4 * CHUNK


def test_a_full_database_is_insufficient_storage_and_leaves_nothing(world: World) -> None:
    world.put(blob_id(1), b"kept")
    connection = world.store._database._writer
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    writer = world.create(blob_id(2))
    with pytest.raises(InsufficientStorage):
        world.fill(writer, 5)
    world.run(writer.abort())
    assert world.ids() == {blob_id(1)}
    world.put(blob_id(3), random_bytes(CHUNK))
    assert world.get(blob_id(1), 0, 4) == b"kept"


def test_a_file_that_the_system_refuses_to_grow_is_insufficient_storage(world: World) -> None:
    writer = world.create(blob_id(1))
    with files_of_at_most(1 << 20), pytest.raises(InsufficientStorage):
        world.fill(writer, 8)
    world.run(writer.abort())
    assert world.ids() == set()
    world.put(blob_id(2), random_bytes(2 * CHUNK))


def test_a_finish_that_fails_fails_for_all_that_shared_it(world: World) -> None:
    database = world.store._database
    numbers = [database.begin(blob_id(serial)) for serial in range(3)]
    finish, entered, all_wait = database.finish, Event(), Event()
    shared: list[int] = []

    def full_once(blobs: list[tuple[int, int]]) -> None:
        shared.append(len(blobs))
        if len(shared) == 1:
            entered.set()
            assert all_wait.wait(PATIENCE)
        if len(shared) == 2:
            raise InsufficientStorage
        finish(blobs)

    database.finish = full_once
    first = start(world.store.finish(numbers[0], 0))
    assert entered.wait(PATIENCE)
    others = [start(world.store.finish(number, 0)) for number in numbers[1:]]
    all_wait.set()
    world.turns.result(first)
    for finishing in others:
        with pytest.raises(InsufficientStorage):
            world.turns.result(finishing)
    assert shared == [1, 2]
    assert world.ids() == {blob_id(0)}


def failing(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    ],
)
def test_what_cannot_grow_is_full(code: int) -> None:
    with pytest.raises(InsufficientStorage), refusing():
        raise failing(code)


def test_another_failure_of_the_disk_is_not_taken_for_a_full_one() -> None:
    with pytest.raises(sqlite3.OperationalError), refusing():
        raise failing(sqlite3.SQLITE_IOERR_READ)


def test_a_blob_deleted_under_a_reader_is_an_error_and_never_short(world: World) -> None:
    world.put(blob_id(1), random_bytes(3 * CHUNK))
    reader = world.open(blob_id(1), 0, 3 * CHUNK)
    world.run(reader.read())
    world.run(world.store.delete(blob_id(1)))
    with pytest.raises(InternalError, match="ends at"):
        world.run(reader.read())
    reader.close()


def test_nothing_works_after_a_stop(world: World) -> None:
    world.put(blob_id(1), b"x")
    reader = world.open(blob_id(1), 0, 1)
    world.run(world.store.stop())
    calls: tuple[Callable[[], object], ...] = (
        lambda: world.open(blob_id(1), 0, 1),
        lambda: world.create(blob_id(2)),
        lambda: world.run(world.store.check()),
        lambda: world.run(reader.read()),
    )
    for call in calls:
        with pytest.raises(InternalError, match="was stopped"):
            call()


def test_check_fails_when_the_file_s_place_has_gone(world: World, tmp_path: Path) -> None:
    (tmp_path / "blobs.db.lock").unlink()
    with pytest.raises(UnusableStore, match="has gone"):
        world.run(world.store.check())
