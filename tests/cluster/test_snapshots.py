"""Snapshot files: the newest whole one is kept, and none is taken away from who is sending it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.cluster.unusable import UnusableLog
from bleepstore.interfaces.replication import ISnapshots
from bleepstore.raft.messages import Member, Members, SnapshotMark
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import Turns
from tests.streams.turns import HeldThreads, start

MEMBERS = Members((Member("a", "localhost:1"),))


def mark(index: int, term: int = 1) -> SnapshotMark:
    return SnapshotMark(index, term, MEMBERS)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotFiles:
    return again(tmp_path)


def again(tmp_path: Path) -> SnapshotFiles:
    return SnapshotFiles(str(tmp_path / "snapshots"), ImmediateThreads())


def taken(snapshots: SnapshotFiles, turns: Turns, index: int, term: int = 1) -> str:
    path = snapshots.reserve()
    Path(path).write_bytes(b"%d" % index * 1000)
    return turns.run(snapshots.keep(path, mark(index, term)))


def names(snapshots: SnapshotFiles) -> set[str]:
    return set(os.listdir(snapshots.directory))


def test_it_provides_its_interface(snapshots: SnapshotFiles) -> None:
    assert verifyObject(ISnapshots, snapshots)


def test_the_newest_is_kept_over_a_restart_with_its_members(
    snapshots: SnapshotFiles, turns: Turns, tmp_path: Path
) -> None:
    assert snapshots.newest() is None
    assert turns.run(snapshots.borrow()) is None
    taken(snapshots, turns, 5)
    path = taken(snapshots, turns, 9)
    assert names(snapshots) == {os.path.basename(path), os.path.basename(path) + ".mark"}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(snapshots.directory).st_mode) == 0o700
    for each in (snapshots, again(tmp_path)):
        assert each.newest() == (mark(9), path)
        assert turns.run(each.borrow()) == (mark(9), path)
    assert "1" in path
    assert f"{9:016x}" in path


def test_what_is_borrowed_stays_until_it_is_given_back_by_all(
    snapshots: SnapshotFiles, turns: Turns
) -> None:
    old = taken(snapshots, turns, 5)
    for _ in range(2):
        assert turns.run(snapshots.borrow()) == (mark(5), old)
    new = taken(snapshots, turns, 9)
    assert os.path.exists(old)
    assert turns.run(snapshots.borrow()) == (mark(9), new)
    snapshots.give_back(old)
    assert os.path.exists(old)
    snapshots.give_back(old)
    assert not os.path.exists(old)
    snapshots.give_back(new)
    assert os.path.exists(new)


def test_the_same_mark_twice_leaves_the_first_file_alone(
    snapshots: SnapshotFiles, turns: Turns
) -> None:
    path = taken(snapshots, turns, 5)
    inode = os.stat(path).st_ino
    assert taken(snapshots, turns, 5) == path
    assert os.stat(path).st_ino == inode
    assert len(names(snapshots)) == 2


def test_an_older_one_that_comes_later_does_not_take_the_place_of_the_newest(
    turns: Turns, tmp_path: Path
) -> None:
    threads = HeldThreads()
    snapshots = SnapshotFiles(str(tmp_path / "snapshots"), threads)
    waiting = []
    for index in (9, 5, 12):
        path = snapshots.reserve()
        Path(path).write_bytes(b"%d" % index)
        waiting.append(start(snapshots.keep(path, mark(index))))
    threads.go_on()
    nine, five, twelve = (turns.result(each) for each in waiting)
    assert five == nine
    assert snapshots.newest() == (mark(12), twelve)
    assert len(names(snapshots)) == 2


def test_what_a_crash_left_is_removed(
    snapshots: SnapshotFiles, turns: Turns, tmp_path: Path
) -> None:
    path = Path(taken(snapshots, turns, 5))
    directory = path.parent
    kept = names(snapshots)
    (directory / "incoming-7").write_bytes(b"half")
    unmarked = directory / f"snapshot-{1:016x}-{9:016x}"
    unmarked.write_bytes(b"whole, but its mark was not written")
    orphan = directory / f"snapshot-{1:016x}-{8:016x}.mark"
    orphan.write_bytes(path.with_name(path.name + ".mark").read_bytes())
    torn = directory / f"snapshot-{1:016x}-{7:016x}"
    torn.write_bytes(b"x")
    (directory / (torn.name + ".mark.new")).write_bytes(b"")
    older = directory / f"snapshot-{1:016x}-{4:016x}"
    older.write_bytes(path.read_bytes())
    (directory / (older.name + ".mark")).write_bytes(b"not a mark")
    other = directory / "note"
    other.write_bytes(b"somebody else's")
    opened = again(tmp_path)
    assert opened.newest() == (mark(5), str(path))
    assert names(opened) == kept | {"note"}


def test_a_crash_between_two_steps_leaves_the_old_one_or_the_new_one(
    snapshots: SnapshotFiles, turns: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails before each call that changes the directory."""

    class PowerCut(BaseException):
        pass

    real = {"replace": os.replace, "open": os.open, "fsync": os.fsync, "rename": os.rename}
    old = taken(snapshots, turns, 5)
    for calls in range(6):
        left = calls

        def guarded(name: str):  # type: ignore[no-untyped-def]
            def call(*args, **options):  # type: ignore[no-untyped-def]
                nonlocal left
                if not left:
                    raise PowerCut
                left -= 1
                return real[name](*args, **options)

            return call

        path = snapshots.reserve()
        Path(path).write_bytes(b"new" * 1000)
        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, guarded(name))
            with pytest.raises(PowerCut):
                snapshots._adopt(path, old.replace(f"{5:016x}", f"{9:016x}"), mark(9))
        opened = again(tmp_path)
        assert opened.newest() == (mark(5), old), calls
        assert len(names(opened)) == 2
    assert taken(snapshots, turns, 9)


def test_a_file_that_came_to_nothing_is_discarded(snapshots: SnapshotFiles) -> None:
    path = snapshots.reserve()
    snapshots.discard(path)
    Path(path).write_bytes(b"half")
    snapshots.discard(path)
    assert names(snapshots) == set()


@pytest.mark.parametrize("damage", ["changed", "shorter", "gone"])
def test_a_damaged_snapshot_is_found_out_before_it_is_sent(
    snapshots: SnapshotFiles, turns: Turns, damage: str
) -> None:
    path = Path(taken(snapshots, turns, 5))
    if damage == "gone":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(b"x" + content[1:] if damage == "changed" else content[1:])
    assert turns.run(snapshots.borrow()) is None
    assert snapshots.newest() is None
    assert names(snapshots) == set()
    path = Path(taken(snapshots, turns, 5))
    assert turns.run(snapshots.borrow()) == (mark(5), str(path))


def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_bytes(b"a file")
    with pytest.raises(UnusableLog, match="snapshots: Not a directory"):
        again(tmp_path)
