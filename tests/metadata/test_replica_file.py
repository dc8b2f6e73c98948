"""A replica's file: what survives which crash, copies beside writers, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred

from bleepstore.errors import NoSuchBucket
from bleepstore.metadata import copies, database
from bleepstore.metadata import replica as replica_module
from bleepstore.metadata.copies import become_copy
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.model.commands import DeleteObjects, DeleteTarget
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.blobs import open_files
from tests.contract.metadata_engines import Turns
from tests.metadata.entries import Log
from tests.metadata.values import bucket, put

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def turns() -> Turns:
    return Turns()


Open = Callable[..., MetadataReplica]


@pytest.fixture
def opened(tmp_path: Path, turns: Turns) -> Iterator[Open]:
    """Opens replicas, which are stopped at the end."""
    all_of_them: list[MetadataReplica] = []

    def open_(path: Path | None = None, **more: Any) -> MetadataReplica:
        database = ReplicaFile(path or tmp_path / "m.db")
        replica = MetadataReplica(database, turns.clock, ImmediateThreads(), **more)
        all_of_them.append(replica)
        return replica

    yield open_
    for replica in all_of_them:
        turns.run(replica.stop())


def digest_of(path: Path, turns: Turns) -> tuple[int, str]:
    """What a process finds that opens the file."""
    replica = MetadataReplica(ReplicaFile(path), turns.clock, ImmediateThreads())
    found = replica.applied_index(), turns.run(replica.digest())
    turns.run(replica.stop())
    return found


# Power cuts


class Disk:
    """Remembers what a write-ahead log held when it was last synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: bytes | None = None
        self.directories = 0
        monkeypatch.setattr(replica_module.os, "fsync", self.fsync)

    def fsync(self, file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            self.directories += 1
        else:
            self.synced = os.pread(file, 1 << 30, 0)


def test_what_sync_told_of_survives_the_loss_of_everything_after_it(
    opened: Open, turns: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = opened()
    disk = Disk(monkeypatch)
    log = Log()
    turns.run(replica.apply(log(bucket(), put("a"))))
    turns.run(replica.apply(log(put("b"))))
    assert disk.synced is None, "applying waits for no disk"
    assert turns.run(replica.sync()) == 3
    assert disk.synced is not None
    assert disk.directories == 1, "the log's name is durable too"
    digest = turns.run(replica.digest())
    turns.run(replica.apply(log(*(put(f"c{n}", b"x" * 5000) for n in range(20)))))
    whole = (tmp_path / "m.db-wal").read_bytes()
    kept = disk.synced
    assert len(whole) > len(kept) + 50_000
    for number, left in enumerate(
        (
            kept,
            kept + b"\0" * 100_000,
            kept + whole[len(kept) : len(kept) + 5000],
            kept + b"\0" * 8192 + whole[len(kept) + 8192 :],
        )
    ):
        after = tmp_path / f"after-{number}"
        after.mkdir()
        shutil.copy(tmp_path / "m.db", after / "m.db")
        (after / "m.db-wal").write_bytes(left)
        assert digest_of(after / "m.db", turns) == (3, digest), number
    after = tmp_path / "whole"
    after.mkdir()
    shutil.copy(tmp_path / "m.db", after / "m.db")
    (after / "m.db-wal").write_bytes(whole)
    assert digest_of(after / "m.db", turns)[0] == 23


@pytest.mark.parametrize("what", ["sync", "checkpoint"])
def test_after_a_sync_that_failed_no_other_is_believed(
    opened: Open, turns: Turns, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It would succeed without what the first one left out, and the log would forget that."""
    replica = opened(checkpoint_bytes=1)
    log = Log()
    broken = sqlite3.OperationalError("disk I/O error")
    broken.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    def fail(*_: object) -> None:
        raise broken

    with monkeypatch.context() as patch:
        patch.setattr(replica.database if what == "sync" else replica._checkpoints,
                      "sync" if what == "sync" else "_checkpoint", fail)  # fmt: skip
        turns.run(replica.apply(log(bucket())))
        with pytest.raises((OSError, sqlite3.Error)):
            turns.run(replica.sync())
    with pytest.raises((OSError, sqlite3.Error)):
        turns.run(replica.apply(log(put("a"))))
    assert replica.applied_index() == 1


def test_every_connection_that_may_checkpoint_syncs_the_log_before_and_the_database_after(
    opened: Open,
) -> None:
    """Else the log might be written over while what it held is on no disk (pragma synchronous)."""
    replica = opened()
    for connection in (replica.database.writer, replica._checkpointer):
        ((synchronous,),) = connection.execute("PRAGMA synchronous").fetchall()
        assert synchronous >= 1
    assert replica.database.writer.execute("PRAGMA synchronous").fetchall() == [(1,)]


# Applying


def test_reads_between_two_slices_see_what_was_before(opened: Open, turns: Turns) -> None:
    replica = opened()
    log = Log()
    keys = [f"k{n:04}" for n in range(1000)]
    turns.run(replica.apply(log(bucket(), *map(put, keys))))
    points, _ = replica.database.point_reader(turns.clock)
    targets = tuple(map(DeleteTarget, keys))
    waiting = Deferred.fromCoroutine(
        replica.apply(log(DeleteObjects(at=1, bucket="bucket", targets=targets), put("new")))
    )
    slices = 0
    while not waiting.called:
        assert replica.applied_index() == 1001
        assert points.totals().objects == 1000
        assert points.get_object("bucket", "k0000", "", False).version is not None
        turns.clock.advance(0)
        slices += 1
    assert slices > 20
    assert replica.applied_index() == 1003
    turns.clock.advance(0)
    assert points.totals().objects == 1
    points.close()


def test_a_long_row_of_entries_is_decoded_in_slices(opened: Open, turns: Turns) -> None:
    replica = opened()
    log = Log()
    turns.run(replica.apply(log(bucket())))
    waiting = Deferred.fromCoroutine(replica.apply(log(*(put(f"k{n}") for n in range(500)))))
    decoding = 0
    while not replica.database.writer.in_transaction:
        turns.clock.advance(0)
        decoding += 1
    assert decoding >= 7
    assert len(turns.result(waiting)) == 500


def test_a_full_disk_leaves_nothing_and_the_same_entries_can_be_applied_later(
    opened: Open, turns: Turns
) -> None:
    replica = opened()
    log = Log()
    turns.run(replica.apply(log(bucket())))
    before = turns.run(replica.digest())
    writer = replica.database.writer
    ((pages,),) = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count = {pages + 5}").fetchall()
    entries = log(put("small"), put("large", b"x" * 100_000))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        turns.run(replica.apply(entries))
    assert (replica.applied_index(), turns.run(replica.digest())) == (1, before)
    writer.execute("PRAGMA max_page_count = 1000000").fetchall()
    assert all(verdict.applied for verdict in turns.run(replica.apply(entries)))


def test_the_log_stays_bounded_but_while_a_copy_needs_it(
    opened: Open, turns: Turns, tmp_path: Path
) -> None:
    limit = 256 * 1024
    replica = opened(checkpoint_bytes=limit)
    log = Log()
    turns.run(replica.apply(log(bucket())))
    wal = tmp_path / "m.db-wal"

    def write(rounds: int, name: str) -> int:
        largest = 0
        for round_ in range(rounds):
            turns.run(
                replica.apply(log(*(put(f"{name}{round_}-{n}", b"x" * 4096) for n in range(30))))
            )
            largest = max(largest, wal.stat().st_size)
        return largest

    assert write(60, "a") < 6 * limit
    before = replica._checkpoints.completed
    assert before > 5
    replica._copies += 1
    assert write(20, "b") > 6 * limit
    assert replica._checkpoints.completed <= before + 1
    replica._copies -= 1
    write(60, "c")
    assert replica._checkpoints.completed > before + 5
    assert replica._checkpoints.failed == 0


# Copies


def test_a_copy_is_made_while_others_write(
    opened: Open, turns: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = opened()
    log = Log()
    turns.run(replica.apply(log(bucket(), *(put(f"k{n}", b"x" * 4096) for n in range(40)))))
    digest = turns.run(replica.digest())
    monkeypatch.setattr(copies, "PAGES_PER_STEP", 8)
    real = os.fdatasync
    written = 0

    def write_between_two_steps(file: int) -> None:
        nonlocal written
        written += 1
        turns.run(replica.apply(log(put(f"k{written}", b"y" * 5000), put(f"n{written}"))))
        real(file)

    monkeypatch.setattr(copies.os, "fdatasync", write_between_two_steps)
    path = tmp_path / "copy"
    assert turns.run(replica.copy(str(path))) == 41
    assert written > 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "copy",
        "m.db",
        "m.db-shm",
        "m.db-wal",
    ]
    other = opened(tmp_path / "other.db")
    turns.run(other.replace(str(path), 41))
    assert turns.run(other.digest()) == digest


def test_a_copy_is_synced_when_it_is_whole_and_then_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database.open_in_memory()
    StateMachine(lambda: source).apply_group([bucket(), put("k", b"x" * 100_000)], mark=7)
    synced: list[tuple[str, int]] = []

    def fsync(file: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{file}"), os.fstat(file).st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    before = open_files()
    path = tmp_path / "copy"
    assert copies.write_copy(source, str(path)) == 7
    assert open_files() == before
    assert not source.in_transaction, "what is read would keep the log from being emptied"
    assert synced[0] == (str(path), path.stat().st_size)
    assert [name for name, _ in synced[1:]] == [str(tmp_path)]


def test_a_copy_that_fails_leaves_no_file(
    opened: Open, turns: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = opened()
    turns.run(replica.apply(Log()(bucket())))

    def fail(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies.os, "fdatasync", fail)
    with pytest.raises(OSError, match="No space"):
        turns.run(replica.copy(str(tmp_path / "copy")))
    assert not (tmp_path / "copy").exists()
    monkeypatch.undo()
    assert turns.run(replica.copy(str(tmp_path / "copy"))) == 1
    assert not replica._copies


def damage(path: Path) -> None:
    """Write over a page in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(b"\xff" * 4096)


def change(statement: str) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(statement)
        connection.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    return apply


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def write_text(path: Path) -> None:
    path.write_text("not a database at all" * 1000)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damage, "damaged|malformed"),
        (cut, "damaged|malformed"),
        (write_text, "not a database"),
        (os.unlink, "unable to open"),
        (change("PRAGMA application_id = 7"), "no copy of this version's"),
        (change("PRAGMA user_version = 99"), "no copy of this version's"),
        (change("CREATE TABLE more (x)"), "other tables"),
        (
            change("CREATE TRIGGER t AFTER INSERT ON epochs BEGIN DELETE FROM buckets; END"),
            "other tables",
        ),
        (change("UPDATE state SET value = 7 WHERE name = 'mark'"), "stands at index 7, not at 41"),
        (change("DELETE FROM state WHERE name = 'mark'"), "stands at index 0"),
    ],
    ids=[
        "damaged",
        "cut",
        "text",
        "missing",
        "foreign",
        "version",
        "tables",
        "trigger",
        "mark",
        "no mark",
    ],
)
def test_a_damaged_or_foreign_copy_replaces_nothing(
    spoil: Callable[[Path], None], said: str, opened: Open, turns: Turns, tmp_path: Path
) -> None:
    source, target = opened(), opened(tmp_path / "other.db")
    turns.run(source.apply(Log()(bucket(), *(put(f"k{n}", b"x" * 4096) for n in range(40)))))
    path = tmp_path / "copy"
    turns.run(source.copy(str(path)))
    log = Log()
    turns.run(target.apply(log(bucket("old"))))
    before = turns.run(target.digest())
    spoil(path)
    with pytest.raises(ValueError, match=said):
        turns.run(target.replace(str(path), 41))
    assert (target.applied_index(), turns.run(target.digest())) == (1, before)
    turns.run(target.apply(log(bucket("more"))))


def test_readers_see_the_new_state_though_they_have_prepared_their_statements(
    opened: Open, turns: Turns, tmp_path: Path
) -> None:
    source, target = opened(), opened(tmp_path / "other.db")
    log = Log()
    turns.run(source.apply(log(bucket(), *(put(f"k{n}", b"x" * 4096) for n in range(40)))))
    path = str(tmp_path / "copy")
    turns.run(source.copy(path))
    turns.run(target.apply(Log()(bucket("old"), put("k", b"old", to="old"))))
    points, snapshot = target.database.point_reader(turns.clock)
    assert snapshot is not None
    scan = target.database.open_reader()
    assert points.get_object("old", "k", "", True).version is not None
    scan.execute("BEGIN")
    assert scan.execute("SELECT count(*) FROM versions").fetchall() == [(1,)]
    turns.run(target.replace(path, 41))
    assert scan.execute("SELECT count(*) FROM versions").fetchall() == [(1,)], "its snapshot"
    scan.execute("COMMIT")
    assert scan.execute("SELECT count(*) FROM versions").fetchall() == [(40,)]
    snapshot.end()
    with pytest.raises(NoSuchBucket):
        points.get_object("old", "k", "", True)
    assert points.get_object("bucket", "k7", "", True).version is not None
    assert points.totals().objects == 40
    points.close()
    scan.close()
    more = log(put("l"))
    turns.run(target.apply(more))
    turns.run(source.apply(more))
    assert turns.run(target.digest()) == turns.run(source.digest())
    assert target.database.writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_a_log_that_a_copy_went_through_gives_its_place_back(
    opened: Open, turns: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOG_KEEPS", 500_000)
    source, target = opened(), opened(tmp_path / "other.db", checkpoint_bytes=200_000)
    log = Log()
    turns.run(source.apply(log(bucket(), *(put(f"k{n}", b"x" * 4096) for n in range(500)))))
    path = str(tmp_path / "copy")
    turns.run(source.copy(path))
    turns.run(target.replace(path, 501))
    wal = tmp_path / "other.db-wal"
    assert wal.stat().st_size > 2_000_000
    for n in range(3):
        turns.run(target.apply(log(put(f"l{n}"))))
    assert wal.stat().st_size <= 500_000


# Replacing, and dying


@pytest.fixture
def both(opened: Open, turns: Turns, tmp_path: Path) -> tuple[tuple[int, str], tuple[int, str]]:
    """A file ``old.db`` and a copy of another state, ``copy``; the index and digest of each."""
    source, old = opened(tmp_path / "source.db"), opened(tmp_path / "old.db")
    turns.run(source.apply(Log()(bucket(), *(put(f"k{n}", b"x" * 4096) for n in range(100)))))
    turns.run(old.apply(Log()(bucket("old"), *(put(f"o{n}", to="old") for n in range(10)))))
    turns.run(source.copy(str(tmp_path / "copy")))
    states = (11, turns.run(old.digest())), (101, turns.run(source.digest()))
    turns.run(old.stop())
    return states


REPLACE = """
import os, signal, sys
from tests.metadata.test_replica_file import replace_and_die
replace_and_die(sys.argv[1], int(sys.argv[2]))
"""


def replace_and_die(directory: str, step: int) -> None:
    """Die by SIGKILL after so many steps of the replacing, or when it is done."""
    copies.PAGES_PER_STEP = 8
    database = ReplicaFile(Path(directory) / "old.db")
    left = step

    def count(*_: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    become_copy(database.writer, f"{directory}/copy", 101, count)
    os.write(1, b"done\n")
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("step", [1, 2, 8, 15, 1000])
def test_a_process_that_dies_while_it_replaces_has_the_old_state_or_the_new(
    step: int, both: Any, turns: Turns, tmp_path: Path
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", REPLACE, str(tmp_path), str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    old, new = both
    assert digest_of(tmp_path / "old.db", turns) == (new if process.stdout else old)
    assert bool(process.stdout) == (step == 1000)


def test_a_log_that_is_torn_anywhere_while_it_replaces_gives_the_old_state_or_the_new(
    both: Any, turns: Turns, tmp_path: Path
) -> None:
    old, new = both
    path = tmp_path / "old.db"
    before = path.read_bytes()
    database = ReplicaFile(path)
    database.replace(str(tmp_path / "copy"), 101)
    written = Path(f"{path}-wal").read_bytes()
    assert path.read_bytes() == before, "all of it is in the log"
    database.close()
    size = len(written)
    found = []
    for length in (0, 32, 5000, size // 2, size - 4120, size - 1, size):
        after = tmp_path / f"torn-{length}"
        after.mkdir()
        (after / "m.db").write_bytes(before)
        (after / "m.db-wal").write_bytes(written[:length])
        found.append(digest_of(after / "m.db", turns))
    assert found == [old] * 6 + [new]
