"""The log on a disk that tears, rots, fills and is another's: what was promised is kept, or its
loss is found out."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from awscrt.checksums import crc32c
from twisted.internet.defer import Deferred

from bleepstore.cluster.log_file import _checksum_of
from bleepstore.cluster.log_store import ON_REACTOR, UNIT, SqliteLog
from bleepstore.cluster.unusable import DamagedLog, UnusableLog
from bleepstore.cluster.witness import Witness
from bleepstore.interfaces.threads import IThreads
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, SnapshotMark
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.blobs import open_files
from tests.contract.log_stores import ALL, entries
from tests.contract.metadata_engines import Turns
from tests.streams.turns import HeldThreads, start

PAGE = 4096
FRAME = PAGE + 24
HEADER = 32
NORMAL, FULL = 1, 2  # of PRAGMA synchronous


@pytest.fixture
def turns() -> Turns:
    return Turns()


def opened(directory: Path, turns: Turns, node_id: str = "a", **more: int) -> SqliteLog:
    return SqliteLog(str(directory), node_id, turns.clock, ImmediateThreads(), **more)


def held(directory: Path, turns: Turns, threads: IThreads) -> SqliteLog:
    return SqliteLog(str(directory), "a", turns.clock, threads)


def all_of(log: SqliteLog) -> list[Entry]:
    """What a log holds, read from its file."""
    found: list[Entry] = []
    while (low := log.first_index() + len(found)) <= log.last_index():
        found += log.entries(low, log.last_index() + 1, ALL)
    return found


def close(log: SqliteLog, turns: Turns) -> None:
    turns.run(log.stop())


def spoil(directory: Path, turns: Turns, *rounds: list[str]) -> None:
    """Leave a log of nine entries in which statements were executed, each round by a connection of
    its own."""
    log = opened(directory, turns)
    turns.run(log.save(Persist(1, None, entries(1, 10))))
    close(log, turns)
    for statements in rounds:
        with sqlite3.connect(directory / "raft.db") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()


def abandon(log: SqliteLog) -> None:
    """Let go of the files as a process does that is killed: nothing is checkpointed."""
    log._witness.close()
    log._file.close()
    log.checkpoints._connection.close()


class Moment:
    """The files of a log, and what it had promised when they were copied."""

    def __init__(self, source: Path, target: Path, log: SqliteLog) -> None:
        shutil.copytree(source, target)
        self.directory = target
        self.wal = (source / "raft.db-wal").read_bytes()
        self.state = log.state()
        self.entries = all_of(log)


def tear(moment: Moment, turns: Turns, wal: bytes, directory: Path) -> SqliteLog:
    """Open a moment's files, but with another write-ahead log."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(moment.directory, directory)
    (directory / "raft.db-wal").write_bytes(wal)
    (directory / "raft.db-shm").unlink(missing_ok=True)
    return opened(directory, turns)


@pytest.fixture
def history(tmp_path: Path, turns: Turns) -> list[Moment]:
    """A log that is saved to and compacted, looked at after each promise."""
    directory = tmp_path / "raft"
    log = opened(directory, turns)
    turns.run(log.save(Persist(1, HardState(1, "a"), entries(1, 4, size=3000))))
    moments = [Moment(directory, tmp_path / "0", log)]
    saves = (
        Persist(2, HardState(2, "b")),
        Persist(3, HardState(2, "b"), entries(3, 7, term=2, size=2000), commit=2),
        Persist(4, None, entries(7, 8, term=2), commit=6),
    )
    for number, save in enumerate(saves, 1):
        turns.run(log.save(save))
        moments.append(Moment(directory, tmp_path / f"{number}", log))
    turns.run(log.compact(SnapshotMark(2, 1)))
    moments.append(Moment(directory, tmp_path / "compacted", log))
    abandon(log)
    return moments


def places(low: int, high: int) -> list[int]:
    """Offsets of a write-ahead log, ``low`` to ``high``: every frame, and some in between."""
    found = {low, high}
    for frame in range((low - HEADER) // FRAME, (high - HEADER) // FRAME + 1):
        begin = HEADER + frame * FRAME
        found |= {begin, begin + 23, begin + 24 + PAGE // 2}
    return sorted(place for place in found if low <= place <= high)


def test_what_was_durable_before_a_torn_save_stays(
    history: list[Moment], turns: Turns, tmp_path: Path
) -> None:
    """The save was under way and had promised nothing: the log is as it was before, or after."""
    both = set()
    for before, after in pairwise(history):
        assert after.wal.startswith(before.wal), "a checkpoint would spoil the test"
        dice = random.Random(len(before.wal))
        for place in places(len(before.wal), len(after.wal)):
            garbled = bytearray(after.wal)
            garbled[place:] = dice.randbytes(len(garbled) - place)
            zeroed = after.wal[:place].ljust(len(after.wal), b"\0")
            for wal in (after.wal[:place], bytes(garbled), zeroed):
                log = tear(before, turns, wal, tmp_path / "torn")
                expected = after if log.state().last_index != before.state.last_index else before
                if log.state().hard_state != before.state.hard_state:
                    expected = after
                if log.first_index() != before.state.first_index:
                    expected = after
                assert log.state().hard_state == expected.state.hard_state
                assert all_of(log) == expected.entries
                both.add(expected is after)
                close(log, turns)
    assert both == {False, True}


def test_a_tear_within_what_was_promised_is_found_out(
    history: list[Moment], turns: Turns, tmp_path: Path
) -> None:
    last = history[-1]
    found_out = 0
    for place in places(0, len(last.wal) - 1):
        garbled = bytearray(last.wal)
        garbled[place] ^= 0x55
        for wal in (last.wal[:place], bytes(garbled)):
            try:
                log = tear(last, turns, wal, tmp_path / "torn")
            except DamagedLog:
                found_out += 1
                continue
            # Only what the promises do not rest on may differ: deleted rows, unused bytes.
            assert all_of(log) == last.entries
            assert log.state().hard_state == last.state.hard_state
            assert place > len(history[-2].wal)
            close(log, turns)
    assert found_out > 50


def test_a_flipped_byte_of_the_database_is_found_out_or_means_nothing(
    turns: Turns, tmp_path: Path
) -> None:
    directory = tmp_path / "raft"
    log = opened(directory, turns)
    turns.run(log.save(Persist(1, HardState(3, "b"), entries(1, 60, term=3, size=700))))
    expected, state = all_of(log), log.state()
    close(log, turns)
    whole = (directory / "raft.db").read_bytes()
    dice = random.Random(1)
    found_out = 0
    for _ in range(120):
        place = dice.randrange(len(whole))
        broken = bytearray(whole)
        broken[place] ^= 1 << dice.randrange(8)
        target = tmp_path / "broken"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(directory, target)
        (target / "raft.db").write_bytes(broken)
        try:
            log = opened(target, turns)
        except UnusableLog:
            found_out += 1
            continue
        assert all_of(log) == expected, place
        assert log.state().hard_state == state.hard_state
        close(log, turns)
    assert found_out > 60


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM entries WHERE number = 5", "entry 5 is missing"),
        ("DELETE FROM entries WHERE number >= 9", "ends at entry 8 instead of 9"),
        ("DELETE FROM entries", "ends at entry 0 instead of 9"),
        ("UPDATE entries SET term = 2 WHERE number = 5", "entry 5 does not match its checksum"),
        ("UPDATE entries SET kind = 9 WHERE number = 5", "entry 5 does not match its checksum"),
        ("UPDATE entries SET data = x'00' WHERE number = 5", "entry 5 does not match"),
        ("INSERT INTO entries SELECT 10, term, kind, checksum, data FROM entries WHERE number = 9",
         "entry 10 does not match"),
        ("UPDATE record SET data = x'00'", "its record does not match its checksum"),
        (f"UPDATE record SET data = x'00', checksum = {crc32c(bytes(1))}",
         "its record cannot be read"),
        (f"UPDATE entries SET term = 2, checksum = {_checksum_of(Entry(5, 2, data=b'x'))},"
         " data = x'78' WHERE number = 5", "entry 6 has term 1"),
        ("DELETE FROM record", "its record is missing"),
    ],
)  # fmt: skip
def test_a_damaged_middle_stops_the_node_and_says_what_to_do(
    tmp_path: Path, turns: Turns, statement: str, message: str
) -> None:
    spoil(tmp_path, turns, [statement])
    with pytest.raises(DamagedLog, match=message) as caught:
        opened(tmp_path, turns)
    assert "remove it from the cluster, empty cluster.data_dir" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE record SET data = NULL", "its record does not match its checksum"),
        ("UPDATE entries SET data = NULL WHERE number = 5", "entry 5 does not match"),
        ("UPDATE entries SET term = NULL WHERE number = 5", "entry 5 does not match"),
    ],
)
def test_values_that_the_tables_do_not_allow_are_damage(
    tmp_path: Path, turns: Turns, statement: str, message: str
) -> None:
    """A page that rotted may have them all the same."""
    unbind = [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '')",
    ]
    spoil(tmp_path, turns, unbind, [statement])
    with pytest.raises(DamagedLog, match=message):
        opened(tmp_path, turns)


def test_a_page_that_sqlite_cannot_read_is_damage(tmp_path: Path, turns: Turns) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 60, size=700))))
    close(log, turns)
    path = tmp_path / "raft.db"
    whole = bytearray(path.read_bytes())
    whole[-PAGE : 8 - PAGE] = b"\xff" * 8  # of the last leaf, its kind and where its cells begin
    path.write_bytes(whole)
    with pytest.raises(DamagedLog, match="malformed"):
        opened(tmp_path, turns)


def test_a_schema_that_cannot_be_quoted_is_damage(tmp_path: Path, turns: Turns) -> None:
    """SQLite's message repeats it, and Python cannot decode that."""
    close(opened(tmp_path, turns), turns)
    path = tmp_path / "raft.db"
    path.write_bytes(path.read_bytes().replace(b"term INTEGER", b"term INT\xffGER"))
    with pytest.raises(DamagedLog, match="its schema cannot be read"):
        opened(tmp_path, turns)


def test_damage_that_comes_while_it_runs_is_found_when_it_is_read(
    tmp_path: Path, turns: Turns
) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 10))))
    with sqlite3.connect(tmp_path / "raft.db") as connection:
        connection.execute("UPDATE entries SET data = x'00' WHERE number = 5")
    connection.close()
    assert list(log.entries(1, 5, ALL)) == list(entries(1, 5))
    with pytest.raises(DamagedLog, match="entry 5"):
        log.entries(1, 6, ALL)
    with sqlite3.connect(tmp_path / "raft.db") as connection:
        connection.execute("DELETE FROM entries WHERE number = 9")
    connection.close()
    with pytest.raises(DamagedLog, match="entry 9 is missing"):
        log.entries(9, 10, ALL)
    close(log, turns)


def test_a_log_that_vanished_is_missed(tmp_path: Path, turns: Turns) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, HardState(1, "a"))))
    close(log, turns)
    (tmp_path / "raft.db").unlink()
    with pytest.raises(DamagedLog, match="it is empty, but this node has made promises"):
        opened(tmp_path, turns)


def test_a_damaged_witness_is_not_believed(tmp_path: Path, turns: Turns) -> None:
    close(opened(tmp_path, turns), turns)
    promised = tmp_path / "raft.promised"
    whole = promised.read_bytes()
    for broken in (b"x", whole[:-8], b"\1" + whole[1:], whole[:8] + b"\xff" + whole[9:]):
        promised.write_bytes(broken)
        with pytest.raises(DamagedLog, match=r"raft\.promised is damaged"):
            opened(tmp_path, turns)
    promised.unlink()  # a power cut may have kept nothing of it: the log alone is believed then
    close(opened(tmp_path, turns), turns)
    assert promised.read_bytes() != whole


def test_files_are_for_their_owner_alone_and_saves_are_synced_in_full(
    tmp_path: Path, turns: Turns
) -> None:
    log = opened(tmp_path / "new" / "raft", turns)

    def synchronous() -> int:
        ((found,),) = log._file._writer.execute("PRAGMA synchronous").fetchall()
        return int(found)

    assert synchronous() == FULL, "an incarnation is counted durably"
    turns.run(log.save(Persist(1, None, entries(1, 3))))
    assert synchronous() == FULL
    turns.run(log.compact(SnapshotMark(1, 1)))
    assert synchronous() == NORMAL, "what a crash takes back of this is deleted again"
    turns.run(log.save(Persist(2, None, entries(3, 4))))
    assert synchronous() == FULL, "whatever was done since the last save"
    for connection in (log._file._writer, log.checkpoints._connection):
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchall() == [(0,)]
    assert log._file._writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    directory = tmp_path / "new" / "raft"
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    for name in ("raft.db", "raft.db-wal", "raft.db-shm", "raft.promised"):
        assert stat.S_IMODE(os.stat(directory / name).st_mode) == 0o600, name
    close(log, turns)


def test_the_names_of_a_new_log_are_durable_before_it_promises_anything(
    tmp_path: Path, turns: Turns, synced: list[str]
) -> None:
    close(opened(tmp_path / "new" / "raft", turns), turns)
    directory = tmp_path / "new" / "raft"
    above = [str(tmp_path), str(tmp_path / "new")]
    assert synced == [*above, str(directory), str(directory / "raft.promised")]
    del synced[:]
    close(opened(directory, turns), turns)
    assert synced == [str(directory / "raft.promised")]


def test_a_start_that_cannot_write_ends_in_one_line(
    tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(witness: Witness) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Witness, "sync", full)
        with pytest.raises(UnusableLog, match=r"raft\.db cannot be written: .*No space left"):
            opened(tmp_path, turns)
    close(opened(tmp_path, turns), turns)


def test_a_start_brings_what_the_page_cache_has_into_the_database(
    tmp_path: Path, turns: Turns
) -> None:
    """After a sync that failed it may be there alone, and be called clean."""
    log = opened(tmp_path / "raft", turns)
    turns.run(log.save(Persist(1, None, entries(1, 31, size=5000))))
    moment = Moment(tmp_path / "raft", tmp_path / "killed", log)
    close(log, turns)
    assert len(moment.wal) > 30 * 5000
    log = opened(moment.directory, turns)
    assert (moment.directory / "raft.db-wal").stat().st_size < 10 * FRAME
    assert all_of(log) == list(entries(1, 31, size=5000))
    close(log, turns)


def test_a_transaction_that_sqlite_has_ended_is_no_promise(tmp_path: Path, turns: Turns) -> None:
    """SQLite rolls back by itself after some failures, and ``Connection.commit`` is silent then."""
    threads = HeldThreads()
    log = held(tmp_path, turns, threads)
    saving = start(log.save(Persist(1, None, entries(1, 3))))
    log._file._writer.execute("ROLLBACK")
    threads.go_on()
    with pytest.raises(sqlite3.OperationalError, match="ended by SQLite"):
        turns.result(saving)
    assert log.last_index() == 0
    stopping = start(log.stop())
    threads.go_on()
    assert stopping.called


def test_what_is_no_log_of_this_version_is_refused_in_one_line(
    tmp_path: Path, turns: Turns
) -> None:
    path = tmp_path / "raft.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(UnusableLog, match="is a database, but no log of a cluster"):
        opened(tmp_path, turns)
    path.write_text("no database at all" * 100)
    with pytest.raises(UnusableLog, match="file is not a database"):
        opened(tmp_path, turns)
    with pytest.raises(UnusableLog, match=r"File exists|Not a directory"):
        opened(path, turns)
    path.unlink()
    close(opened(tmp_path, turns), turns)
    for version, age in ((2, "a newer"), (0, "an older")):
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        with pytest.raises(UnusableLog, match=f"{age} version of BleepStore"):
            opened(tmp_path, turns)


def test_nothing_is_reported_or_seen_before_it_is_on_disk(tmp_path: Path, turns: Turns) -> None:
    threads = HeldThreads()
    log = held(tmp_path, turns, threads)
    saving = start(log.save(Persist(1, HardState(1), entries(1, 3))))
    assert not saving.called
    assert (log.last_index(), log.state().hard_state) == (0, HardState())
    threads.step()
    assert saving.called
    assert (log.last_index(), log.state().hard_state) == (2, HardState(1))
    large = entries(3, 4, size=ON_REACTOR + 1)
    saving = start(log.save(Persist(2, None, large)))
    assert not log._file._writer.in_transaction, "what is large goes to the thread whole"
    threads.step()
    assert saving.called
    assert list(log.entries(3, 4, ALL)) == list(large)
    stopping = start(log.stop())
    threads.go_on()
    assert stopping.called


def test_compaction_makes_way_for_saves(tmp_path: Path, turns: Turns) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 10 * UNIT + 1))))
    compacting = start(log.compact(SnapshotMark(10 * UNIT, 1)))
    assert log.first_index() == 10 * UNIT + 1
    for number in range(5):
        turns.clock.advance(0)
        high = log.last_index() + 1
        saving = start(log.save(Persist(2 + number, None, entries(high, high + 1))))
        assert saving.called, "it need not wait for more than a unit"
        assert not compacting.called
    turns.result(compacting)
    ((left,),) = log._file._reader.execute("SELECT count(*) FROM entries").fetchall()
    assert left == 5
    close(log, turns)


def test_a_compaction_that_was_broken_off_is_finished_by_the_next_start(
    tmp_path: Path, turns: Turns
) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 10 * UNIT + 1))))
    compacting = start(log.compact(SnapshotMark(9 * UNIT, 1)))
    assert not compacting.called
    abandon(log)
    log = opened(tmp_path, turns)
    assert (log.first_index(), log.last_index()) == (9 * UNIT + 1, 10 * UNIT)
    turns.run(log.start())
    assert log._dropping is not None
    turns.result(log._dropping)
    ((left,),) = log._file._reader.execute("SELECT count(*) FROM entries").fetchall()
    assert left == UNIT
    close(log, turns)


def test_stopping_breaks_a_compaction_off(tmp_path: Path, turns: Turns) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 10 * UNIT + 1))))
    compacting = start(log.compact(SnapshotMark(9 * UNIT, 1)))
    close(log, turns)
    assert compacting.called
    log = opened(tmp_path, turns)
    assert log.first_index() == 9 * UNIT + 1
    close(log, turns)


def test_a_snapshot_far_ahead_leaves_no_work_for_what_is_between(
    tmp_path: Path, turns: Turns
) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 5))))
    turns.run(log.save(Persist(2, None, restore=SnapshotMark(10**12, 2))))
    while log._dropping is not None:
        turns.result(log._dropping)
    ((left,),) = log._file._reader.execute("SELECT count(*) FROM entries").fetchall()
    assert left == 0
    close(log, turns)


def test_the_files_stay_bounded_under_endless_load(tmp_path: Path, turns: Turns) -> None:
    limit = 512 * 1024
    log = opened(tmp_path, turns, checkpoint_bytes=limit)
    database, wal = tmp_path / "raft.db", tmp_path / "raft.db-wal"
    kept = 200
    sizes: list[int] = []
    for number in range(150):
        high = log.last_index() + 1
        turns.run(log.save(Persist(number, None, entries(high, high + 32, size=2000))))
        if log.last_index() - log.first_index() > 2 * kept:
            turns.run(log.compact(SnapshotMark(log.last_index() - kept, 1)))
        sizes.append(wal.stat().st_size)
    assert log.checkpoints.completed > 5
    assert max(sizes) < 6 * limit
    # 4,800 entries of 2 kB passed through, of which some 430 were there at a time.
    assert database.stat().st_size < 3 * 2 * kept * 2000
    close(log, turns)


def test_a_checkpoint_whose_sync_fails_ends_all_promises(
    tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later sync would tell what that one left out, and it may be of the log."""
    log = opened(tmp_path, turns, checkpoint_bytes=100_000)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    def broken(mode: str) -> bool:
        raise error

    monkeypatch.setattr(log.checkpoints, "_checkpoint", broken)
    turns.run(log.save(Persist(1, None, entries(1, 30, size=5000))))
    with pytest.raises(RuntimeError, match="stopped"):
        turns.run(log.save(Persist(2, None, entries(30, 31))))
    assert log.last_index() == 29
    close(log, turns)


def test_a_save_that_fails_ends_all_promises(
    tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, HardState(1, "a"), entries(1, 3))))

    def refuse() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(log._file, "commit", refuse)
        with pytest.raises(sqlite3.OperationalError):
            turns.run(log.save(Persist(2, HardState(2, "b"), entries(3, 5))))
    with pytest.raises(RuntimeError):
        turns.run(log.save(Persist(3, HardState(2, "b"))))
    assert log.state().hard_state == HardState(1, "a")
    close(log, turns)
    log = opened(tmp_path, turns)
    assert (log.state().hard_state, log.last_index()) == (HardState(1, "a"), 2)
    close(log, turns)


def test_a_compaction_that_fails_ends_all_promises(
    tmp_path: Path, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mark is durable, and the rows do no harm; but the disk refused a write."""
    log = opened(tmp_path, turns)
    turns.run(log.save(Persist(1, None, entries(1, 5))))

    def refuse(low: int, high: int) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(log._file, "drop", refuse)
    turns.run(log.compact(SnapshotMark(3, 1)))
    assert not log._file._writer.in_transaction
    with pytest.raises(RuntimeError, match="stopped"):
        turns.run(log.save(Persist(2, None, entries(5, 6))))
    close(log, turns)
    log = opened(tmp_path, turns)
    assert (log.first_index(), log.last_index()) == (4, 4)
    close(log, turns)


FILL = """
import sys
from pathlib import Path
from tests.cluster.test_log_disk import fill
fill(Path(sys.argv[1]))
print("done")
"""


def fill(directory: Path) -> None:
    """Save until a limit on the size of files stops it; go on when the limit is gone."""
    turns = Turns()
    log = opened(directory, turns)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    saved = 0
    try:
        for number in range(200):
            turns.run(log.save(Persist(number, None, entries(saved + 1, saved + 3, size=4096))))
            saved += 2
    except sqlite3.Error:
        assert saved
    else:
        raise AssertionError("the disk was never full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        turns.run(log.save(Persist(900, HardState(1))))
    except RuntimeError:
        pass
    else:
        raise AssertionError("it promised something after it failed")
    abandon(log)
    log = opened(directory, turns)
    assert log.last_index() == saved
    assert all_of(log) == list(entries(1, saved + 1, size=4096))
    turns.run(log.save(Persist(1, None, entries(saved + 1, saved + 2))))
    turns.run(log.stop())


def test_a_full_disk_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr


def test_a_stopped_log_has_let_go_of_its_files(tmp_path: Path, turns: Turns) -> None:
    before = open_files()
    log = opened(tmp_path, turns)
    assert open_files() != before
    close(log, turns)
    close(log, turns)
    assert open_files() == before
    assert sorted(os.listdir(tmp_path)) == ["raft.db", "raft.promised"], "nothing waits in a log"


def test_a_stop_waits_for_the_save_under_way(tmp_path: Path, turns: Turns) -> None:
    threads = HeldThreads()
    log = held(tmp_path, turns, threads)
    saving: Deferred[None] = start(log.save(Persist(1, HardState(1))))
    stopping = start(log.stop())
    assert not stopping.called
    threads.go_on()
    assert saving.called
    assert stopping.called
