"""The file: its schema is checked, its permissions tight, its log bounded, its queries indexed."""

from __future__ import annotations

import os
import re
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bleepstore.errors import InsufficientStorage
from bleepstore.metadata import listing, reader, upload_listing, versions
from bleepstore.metadata.database import Database, open_in_memory
from bleepstore.metadata.digest import TABLES
from bleepstore.metadata.schema import SCHEMA_VERSION, UnusableDatabase
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model.commands import Written
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.blobs import open_files
from tests.contract.metadata_engines import Turns
from tests.metadata.values import bucket, put, upload


@pytest.fixture
def turns() -> Turns:
    return Turns()


def opened(path: Path, turns: Turns, **more: int) -> SqliteMetadata:
    return SqliteMetadata(path, turns.clock, ImmediateThreads(), **more)


def test_a_database_is_created_with_its_directory_and_for_its_owner_alone(
    tmp_path: Path, turns: Turns
) -> None:
    path = tmp_path / "new" / "dir" / "m.db"
    store = opened(path, turns)
    turns.run(store.submit(bucket()))
    for suffix in ("", "-wal", "-shm"):
        mode = stat.S_IMODE(os.stat(f"{path}{suffix}").st_mode)
        assert mode == 0o600, suffix
    turns.run(store.stop())
    store = opened(path, turns)
    assert turns.run(store.get_bucket("bucket")).name == "bucket"
    turns.run(store.stop())


def test_commits_are_synced_in_full(tmp_path: Path, turns: Turns) -> None:
    store = opened(tmp_path / "m.db", turns)
    writer = store._database.writer
    assert writer.execute("PRAGMA synchronous").fetchall() == [(2,)]
    assert writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    for connection in (writer, store._checkpointer):
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchall() == [(0,)]
    turns.run(store.stop())


def test_the_names_of_a_new_database_are_durable(tmp_path: Path, synced: list[str]) -> None:
    Database(tmp_path / "new" / "m.db").close()
    assert synced == [str(tmp_path), str(tmp_path / "new")]


def test_a_start_brings_what_the_page_cache_has_into_the_database(
    tmp_path: Path, turns: Turns
) -> None:
    """After a sync that failed it may be there alone, and be called clean."""
    (tmp_path / "killed").mkdir()
    store = opened(tmp_path / "m.db", turns)
    turns.run(store.submit(bucket()))
    turns.run(store.submit(put("key", b"x" * 100_000)))
    for name in ("m.db", "m.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "killed" / name)
    turns.run(store.stop())
    wal = tmp_path / "killed" / "m.db-wal"
    assert wal.stat().st_size > 100_000
    database = Database(tmp_path / "killed" / "m.db")
    assert wal.stat().st_size == 0
    database.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC])
def test_at_a_start_a_full_disk_is_no_obstacle_and_a_failing_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Writer(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if "wal_checkpoint" in statement:
                error = sqlite3.OperationalError("refused")
                error.sqlite_errorcode = code
                raise error
            return super().execute(statement, *values)

    connect = partial(sqlite3.connect, factory=Writer)
    monkeypatch.setattr("bleepstore.metadata.database.sqlite3.connect", connect)
    before = open_files()
    if code == sqlite3.SQLITE_FULL:
        database = Database(tmp_path / "m.db")
        assert database.writer.execute("PRAGMA busy_timeout").fetchall() == [(0,)]
        database.close()
    else:
        with pytest.raises(UnusableDatabase, match="refused"):
            Database(tmp_path / "m.db")
    assert open_files() == before


def test_a_file_of_another_program_or_version_is_refused_in_one_clear_line(
    tmp_path: Path, turns: Turns
) -> None:
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(UnusableDatabase, match=r"foreign\.db is a database of another program"):
        opened(foreign, turns)
    with sqlite3.connect(foreign) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
    text = tmp_path / "text.db"
    text.write_text("not a database at all" * 100)
    with pytest.raises(UnusableDatabase, match=r"text\.db: file is not a database"):
        opened(text, turns)
    with pytest.raises(UnusableDatabase, match="Not a directory"):
        opened(text / "m.db", turns)
    path = tmp_path / "m.db"
    turns.run(opened(path, turns).stop())
    for version, age in ((SCHEMA_VERSION + 1, "a newer"), (0, "an older")):
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(UnusableDatabase, match=f"{age} version of BleepStore"):
            opened(path, turns)
    rotten = tmp_path / "rotten.db"
    turns.run(opened(rotten, turns).stop())
    rotten.write_bytes(rotten.read_bytes().replace(b"refs INTEGER", b"refs INT\xffGER"))
    with pytest.raises(UnusableDatabase, match=r"rotten\.db: its schema is damaged"):
        opened(rotten, turns)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_of_another_user_is_refused_before_anything_is_written(
    tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / "m.db"
    running = opened(path, turns)
    name = f"{path}{suffix}"
    # Root, as whom the tests may run, may write every file.
    monkeypatch.setattr(os, "access", lambda file, mode: file != name)
    with pytest.raises(UnusableDatabase) as caught:
        opened(path, turns)
    assert str(caught.value) == f"{name} cannot be read and written by this user"
    turns.run(running.stop())


def test_a_file_that_lacks_a_column_is_refused(tmp_path: Path, turns: Turns) -> None:
    """As some had it that were written between two versions."""
    path = tmp_path / "m.db"
    turns.run(opened(path, turns).stop())
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE versions DROP COLUMN inline")
    with pytest.raises(UnusableDatabase, match=r"m\.db .* unfinished .* has no versions\.inline"):
        opened(path, turns)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_cannot_be_read_is_found_out_at_the_start(tmp_path: Path, table: str) -> None:
    database = Database(tmp_path / "m.db")
    ((page,),) = database.writer.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
    ).fetchall()
    ((size,),) = database.writer.execute("PRAGMA page_size").fetchall()
    database.close()
    with (tmp_path / "m.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(UnusableDatabase, match="malformed"):
        Database(tmp_path / "m.db")


def test_the_log_stays_bounded_under_endless_load(tmp_path: Path, turns: Turns) -> None:
    limit = 256 * 1024
    store = opened(tmp_path / "m.db", turns, checkpoint_bytes=limit)
    turns.run(store.submit(bucket()))
    log = tmp_path / "m.db-wal"
    largest = 0
    for round_ in range(60):
        group = [turns.start(store.submit(put(f"{round_}-{n}", b"x" * 4096))) for n in range(30)]
        for each in group:
            turns.result(each)
        turns.run(store.list_objects("bucket", limit=10))  # readers leave no snapshot behind
        turns.at_once(store.get_object("bucket", "0-0", with_manifest=True))
        largest = max(largest, log.stat().st_size)
    assert store._checkpoints.completed > 5
    assert store._checkpoints.failed == 0
    assert largest < 6 * limit
    assert (tmp_path / "m.db").stat().st_size > 2 * largest
    turns.run(store.stop())


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = open_in_memory()
    yield connection
    connection.close()


STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in (reader, listing, upload_listing, versions)
    for name, value in vars(module).items()
    if isinstance(value, str) and value.startswith(("SELECT", "WITH"))
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_query_seeks_by_index_and_sorts_nothing(
    name: str, connection: sqlite3.Connection
) -> None:
    statement = STATEMENTS[name]
    plan = [
        row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", unbound(statement))
    ]
    assert any(step.startswith(("SEARCH", "SCAN released")) for step in plan), plan
    for step in plan:
        assert "TEMP B-TREE" not in step, plan
        if step.startswith("SCAN"):
            # What a query makes itself, or reads from its start with a limit.
            assert step.split()[1] in {"CONSTANT", "json_each", "released", "walk", "n"}, plan


def unbound(statement: str) -> dict[str, None] | tuple[None, ...]:
    """As many NULLs as a statement has parameters."""
    if names := re.findall(r":([a-z]+)", statement):
        return dict.fromkeys(names)
    numbered = re.findall(r"\?([1-9])", statement)
    return (None,) * (max(map(int, numbered)) if numbered else statement.count("?"))


def test_a_point_read_is_one_statement(tmp_path: Path, turns: Turns) -> None:
    store = opened(tmp_path / "m.db", turns)
    turns.run(store.submit(bucket()))
    turns.run(store.submit(put("k")))
    seen: list[str] = []
    store._reader._connection.set_trace_callback(seen.append)
    turns.at_once(store.get_object("bucket", "k", with_manifest=True))
    assert [statement.split()[0] for statement in seen] == ["BEGIN", "SELECT"]
    turns.at_once(store.get_object("bucket", "k", with_manifest=True))
    assert len(seen) == 3, "in one turn there is one snapshot"
    turns.run(store.stop())


def test_below_a_common_prefix_nothing_but_its_first_key_is_read(
    tmp_path: Path, turns: Turns
) -> None:
    store = opened(tmp_path / "m.db", turns)
    turns.run(store.submit(bucket()))
    keys = [f"{p}/{n:03}" for p in "abc" for n in range(400)] + ["d"]
    for key in keys:
        turns.start(store.submit(put(key, b"")))
    turns.run(store.submit(put("e", b"")))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    database = Database(tmp_path / "m.db")
    connection = database.open_reader()
    connection.set_progress_handler(count, 1)
    scan = reader.Reader(connection)
    page = listing.list_objects(scan, "bucket", "", "/", "", 1000)
    assert page.common_prefixes == ("a/", "b/", "c/")
    rolled_up, steps = steps, 0
    assert len(listing.list_objects(scan, "bucket", "", "", "", 2000).objects) == 1202
    assert rolled_up * 20 < steps
    scan.close()
    database.close()
    turns.run(store.stop())


def test_a_page_of_uploads_reads_no_more_than_it_shows(tmp_path: Path, turns: Turns) -> None:
    """However many uploads of the same key are before it, or behind."""
    store = opened(tmp_path / "m.db", turns)
    turns.run(store.submit(bucket()))
    for number in range(1500):
        turns.start(store.submit(upload(f"u{number:04}", "k", at=number // 2)))
    turns.run(store.submit(upload("last", "l")))
    database = Database(tmp_path / "m.db")
    connection = database.open_reader()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 1)
    scan = reader.Reader(connection)
    seen: list[str] = []
    marker = ("", "")
    costs = []
    while True:
        steps = 0
        page = upload_listing.list_uploads(scan, "bucket", "", "", *marker, 100)
        costs.append(steps)
        seen += [listed.upload_id for listed in page.uploads]
        marker = (page.next_key, page.next_upload_id)
        if not marker[0]:
            break
    assert seen == [f"u{number:04}" for number in range(1500)] + ["last"]
    assert max(costs) < 3 * costs[0]
    scan.close()
    database.close()
    turns.run(store.stop())


FILL = """
import resource, signal, sys
from pathlib import Path
from bleepstore.errors import InsufficientStorage
from tests.contract.blobs import open_files
from tests.contract.metadata_engines import Turns
from tests.metadata.test_database import fill
fill(Path(sys.argv[1]))
print("done")
"""


def fill(directory: Path) -> None:
    """Write until a limit on the size of files stops it; go on when the limit is gone."""
    turns = Turns()
    store = opened(directory / "m.db", turns)
    turns.run(store.submit(bucket()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    acknowledged = []
    refused = 0
    for n in range(200):
        try:
            turns.run(store.submit(put(f"k{n:03}", b"x" * 4096)))
            acknowledged.append(f"k{n:03}")
        except InsufficientStorage:
            refused += 1
    assert acknowledged
    assert refused
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert isinstance(turns.run(store.submit(put("last"))), Written)
    listed = [entry.key for entry in turns.run(store.list_objects("bucket")).objects]
    assert listed == [*acknowledged, "last"]
    turns.run(store.stop())
    store = opened(directory / "m.db", turns)
    listed = [entry.key for entry in turns.run(store.list_objects("bucket")).objects]
    assert listed == [*acknowledged, "last"]


def test_a_disk_that_really_refuses_writes_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr
