"""Group commit: one transaction for what waits together, nothing acknowledged before its fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bleepstore.errors import (
    InsufficientStorage,
    InternalError,
    NoSuchBucket,
    ServiceUnavailable,
)
from bleepstore.interfaces.threads import ILane
from bleepstore.metadata.groupcommit import MAX_TURNS
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model.commands import DeleteObjects, DeleteTarget, Written
from tests.contract.metadata_engines import Turns
from tests.metadata.values import bucket, put

T = TypeVar("T")


class HeldThreads:
    """Threads whose calls are made when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Callable[..., Any], tuple[object, ...]]] = []
        self.at_once = True

    def run(self, function: Callable[..., T], *args: object) -> Deferred[T]:
        waiting: Deferred[T] = Deferred()
        self.calls.append((waiting, function, args))
        if self.at_once:
            self.release()
        return waiting

    def lane(self) -> ILane:
        raise AssertionError("not used")

    def release(self) -> None:
        calls, self.calls = self.calls, []
        for waiting, function, args in calls:
            try:
                result = function(*args)
            except Exception as error:
                waiting.errback(error)
            else:
                waiting.callback(result)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def threads() -> HeldThreads:
    return HeldThreads()


@pytest.fixture
def store(turns: Turns, threads: HeldThreads, tmp_path: Path) -> Iterator[SqliteMetadata]:
    store = SqliteMetadata(tmp_path / "m.db", turns.clock, threads)
    turns.run(store.submit(bucket()))
    yield store
    threads.at_once = True
    threads.release()
    turns.run(store.stop())


def some_turns(clock: Clock, number: int = 20) -> None:
    for _ in range(number):
        clock.advance(0)


def test_commands_that_wait_together_share_one_commit(store: SqliteMetadata, turns: Turns) -> None:
    commits = store.counters.commits
    waiting = [turns.start(store.submit(put(f"k{n}"))) for n in range(20)]
    assert store.queue.depth == 20
    results = [turns.result(each) for each in waiting]
    assert all(isinstance(result, Written) for result in results)
    assert store.counters.commits == commits + 1
    assert (store.counters.last_group, store.counters.largest_group) == (20, 20)
    assert store.counters.commands == 21


def commands(store: SqliteMetadata, turns: Turns, names: str) -> list[Deferred[Any]]:
    """Submit a PutObject for each letter."""
    return [turns.start(store.submit(put(name))) for name in names]


def test_a_group_waits_for_half_of_the_two_before_it(
    store: SqliteMetadata, turns: Turns, threads: HeldThreads
) -> None:
    threads.at_once = False
    commands(store, turns, "a")
    some_turns(turns.clock)
    answered = commands(store, turns, "bcdefgh")
    threads.release()
    some_turns(turns.clock)
    assert len(threads.calls) == 1, "of the group of seven"
    commands(store, turns, "i")
    threads.release()
    assert all(each.called for each in answered)
    some_turns(turns.clock, 3)
    assert not threads.calls, "it would be alone, and seven were just answered"
    commands(store, turns, "bcd")
    some_turns(turns.clock, 1)
    assert len(threads.calls) == 1
    threads.release()
    assert store.counters.last_group == 4


def test_a_group_does_not_wait_long_for_those_who_do_not_come(
    store: SqliteMetadata, turns: Turns, threads: HeldThreads
) -> None:
    for each in commands(store, turns, "abcdefgh"):
        turns.result(each)
    threads.at_once = False
    commands(store, turns, "i")
    some_turns(turns.clock, MAX_TURNS)
    assert not threads.calls
    some_turns(turns.clock, 2)
    assert len(threads.calls) == 1
    threads.release()
    threads.at_once = True
    for name in "jk":
        turns.run(store.submit(put(name)))
    threads.at_once = False
    commands(store, turns, "l")
    some_turns(turns.clock, 1)
    assert len(threads.calls) == 1, "one client alone waits for nobody"


def test_nothing_is_acknowledged_or_seen_before_its_commit_is_on_disk(
    store: SqliteMetadata, turns: Turns, threads: HeldThreads
) -> None:
    threads.at_once = False
    first = turns.start(store.submit(put("first")))
    some_turns(turns.clock)
    assert [call[1].__name__ for call in threads.calls] == ["commit"]
    assert not first.called
    assert turns.at_once(store.get_object("bucket", "first")).version is None
    second = turns.start(store.submit(put("second")))
    some_turns(turns.clock)
    assert store.queue.depth == 1, "it gathers while the first one is being committed"
    threads.release()
    assert first.called
    assert not second.called
    assert turns.at_once(store.get_object("bucket", "first")).version is not None
    some_turns(turns.clock)
    threads.release()
    assert second.called


def test_what_is_called_after_a_commit_may_fail_and_all_are_answered(
    store: SqliteMetadata, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store.queue, "_committed", fail)
    for each in commands(store, turns, "ab"):
        assert isinstance(turns.result(each), Written)
    assert isinstance(turns.run(store.submit(put("c"))), Written)


def test_a_refused_command_does_not_disturb_its_group(store: SqliteMetadata, turns: Turns) -> None:
    good = turns.start(store.submit(put("good")))
    bad = turns.start(store.submit(put("bad", to="missing")))
    assert isinstance(turns.result(good), Written)
    with pytest.raises(NoSuchBucket):
        turns.result(bad)


def test_an_answer_cannot_be_cancelled(
    store: SqliteMetadata, turns: Turns, threads: HeldThreads
) -> None:
    threads.at_once = False
    queued = turns.start(store.submit(put("queued")))
    queued.cancel()
    some_turns(turns.clock)
    running = turns.start(store.submit(put("running")))
    threads.release()
    some_turns(turns.clock)
    running.cancel()
    threads.release()
    for each in (queued, running):
        assert isinstance(turns.result(each), Written)
    for key in ("queued", "running"):
        assert turns.at_once(store.get_object("bucket", key)).version is not None


def test_long_commands_let_the_reactor_turn(store: SqliteMetadata, turns: Turns) -> None:
    targets = tuple(DeleteTarget(f"k{n}") for n in range(1000))
    waiting = turns.start(store.submit(DeleteObjects(at=1, bucket="bucket", targets=targets)))
    taken = 0
    while not waiting.called:
        turns.clock.advance(0)
        taken += 1
    assert taken > 50
    turns.result(waiting)


def test_stopping_ends_what_was_accepted_and_refuses_the_rest(
    store: SqliteMetadata, turns: Turns, threads: HeldThreads
) -> None:
    threads.at_once = False
    running = turns.start(store.submit(put("running")))
    some_turns(turns.clock)
    queued = turns.start(store.submit(put("queued")))
    stopped = turns.start(store.stop())
    with pytest.raises(ServiceUnavailable):
        turns.result(turns.start(store.submit(put("late"))))
    assert not stopped.called
    assert len(threads.calls) == 1, "the commit alone: nothing is closed yet"
    threads.at_once = True
    threads.release()
    turns.result(stopped)
    assert isinstance(turns.result(running), Written)
    assert isinstance(turns.result(queued), Written)


def test_a_full_disk_refuses_the_group_and_the_engine_goes_on(
    store: SqliteMetadata, turns: Turns
) -> None:
    writer = store._database.writer
    before = turns.run(store.digest())
    ((pages,),) = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count = {pages + 5}")
    group = [turns.start(store.submit(put(f"k{n}", b"x" * 9000))) for n in range(10)]
    for each in group:
        with pytest.raises(InsufficientStorage):
            turns.result(each)
    assert turns.run(store.digest()) == before
    assert store.counters.failures == 1
    writer.execute("PRAGMA max_page_count = 1000000")
    assert isinstance(turns.run(store.submit(put("k"))), Written)


class FailingCommit:
    """COMMIT as a disk may treat it: nothing is said of what reached it."""

    def __init__(self, machine: StateMachine, error: sqlite3.Error, after: bool) -> None:
        self.commit, self.error, self.after, self.left = machine.commit, error, after, 1

    def __call__(self) -> None:
        if not self.left:
            return self.commit()
        self.left -= 1
        if self.after:
            self.commit()
        raise self.error


def disk_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("after", [False, True], ids=["not on disk", "on disk"])
def test_a_commit_of_unknown_outcome_is_not_acknowledged(
    store: SqliteMetadata, turns: Turns, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    failing = FailingCommit(store.machine, disk_error(sqlite3.SQLITE_IOERR_FSYNC), after)
    monkeypatch.setattr(store.machine, "commit", failing)
    connection = store._database.writer
    with pytest.raises(InternalError):
        turns.run(store.submit(put("uncertain")))
    assert isinstance(turns.run(store.submit(put("next"))), Written)
    assert store._database.writer is not connection, "what the disk has is read anew"
    found = turns.at_once(store.get_object("bucket", "uncertain")).version
    assert (found is not None) is after


def test_no_room_at_the_commit_itself_changes_nothing(
    store: SqliteMetadata, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = FailingCommit(store.machine, disk_error(sqlite3.SQLITE_FULL), False)
    monkeypatch.setattr(store.machine, "commit", failing)
    with pytest.raises(InsufficientStorage):
        turns.run(store.submit(put("k")))
    assert turns.at_once(store.get_object("bucket", "k")).version is None
    assert isinstance(turns.run(store.submit(put("k"))), Written)


def test_a_group_that_cannot_be_rolled_back_is_of_unknown_outcome(
    store: SqliteMetadata, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = FailingCommit(store.machine, disk_error(sqlite3.SQLITE_FULL), False)
    monkeypatch.setattr(store.machine, "commit", failing)
    connection = store._database.writer

    def refuse() -> None:
        raise disk_error(sqlite3.SQLITE_IOERR)

    with monkeypatch.context() as patch:
        patch.setattr(store.machine, "rollback", refuse)
        with pytest.raises(InternalError):
            turns.run(store.submit(put("k")))
    assert isinstance(turns.run(store.submit(put("next"))), Written)
    assert store._database.writer is not connection
    assert turns.at_once(store.get_object("bucket", "k")).version is None


def test_another_process_that_writes_is_waited_for_but_not_for_ever(
    store: SqliteMetadata, turns: Turns
) -> None:
    other = sqlite3.connect(store._database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = turns.start(store.submit(put("k")))
    for _ in range(100):
        turns.clock.advance(0.02)
    assert not waiting.called
    other.execute("COMMIT")
    turns.clock.advance(0.02)
    assert isinstance(turns.result(waiting), Written)
    other.execute("BEGIN IMMEDIATE")
    waiting = turns.start(store.submit(put("k")))
    for _ in range(600):
        turns.clock.advance(0.02)
    with pytest.raises(ServiceUnavailable):
        turns.result(waiting)
    other.close()
    assert isinstance(turns.run(store.submit(put("k"))), Written)
