"""When the log's write-ahead log is emptied, and who waits for it."""

from __future__ import annotations

import sqlite3
from typing import Any, cast

import pytest
from twisted.internet.defer import DeferredLock

from bleepstore.cluster.log_checkpoints import LogCheckpoints
from tests.metadata.checkpointing import FIRST, SECOND, Connection
from tests.streams.turns import HeldThreads, start


class World:
    def __init__(self) -> None:
        self.connection = Connection()
        self.threads = HeldThreads()
        self.writing = DeferredLock()
        self.broken: list[bool] = []
        self.checkpoints = LogCheckpoints(
            cast(sqlite3.Connection, self.connection),
            self.threads,
            self.writing,
            lambda: self.broken.append(self.writing.locked),
            limit=100,
        )
        del self.connection.ran[:]

    def checkpoint(self) -> None:
        """One of which is known that it begins."""
        self.checkpoints.wrote(100)
        assert self.threads.waiting
        self.threads.go_on()
        assert not self.writing.locked


@pytest.fixture
def world() -> World:
    return World()


def test_saves_wait_for_the_second_stroke_alone(world: World) -> None:
    saving: Any = world.writing.acquire()
    world.checkpoints.wrote(100)
    world.threads.step()
    assert world.connection.ran == [FIRST]
    assert not world.threads.waiting, "while a save is under way"
    world.writing.release()
    assert saving.called
    assert world.writing.locked
    world.threads.step()
    assert world.connection.ran == [FIRST, SECOND]
    assert not world.writing.locked
    assert world.checkpoints.completed == 1


def test_one_runs_at_a_time_and_what_comes_meanwhile_counts_for_the_next(world: World) -> None:
    world.checkpoints.wrote(99)
    assert not world.threads.waiting
    world.checkpoints.wrote(1)
    world.checkpoints.wrote(99)
    world.checkpoints.wrote(99)
    assert len(world.threads.waiting) == 1
    world.threads.go_on()
    assert world.checkpoints.completed == 1
    world.checkpoints.wrote(0)
    world.threads.go_on()
    assert world.checkpoints.completed == 2
    world.checkpoints.wrote(99)
    assert not world.threads.waiting


@pytest.mark.parametrize("answer", [(1, 3, 3), (0, 3, 2)], ids=["readers", "not all"])
def test_one_that_could_not_copy_all_is_not_counted(
    world: World, answer: tuple[int, int, int]
) -> None:
    world.connection.answer = answer
    world.checkpoint()
    assert world.checkpoints.completed == 0
    world.checkpoint()


@pytest.mark.parametrize(
    ("code", "broken"), [(sqlite3.SQLITE_IOERR_FSYNC, [True]), (sqlite3.SQLITE_FULL, [])]
)
def test_a_sync_that_fails_ends_all_promises_and_nothing_else_does(
    world: World, code: int, broken: list[bool]
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    world.connection.error = error
    world.checkpoint()
    assert world.broken == broken, "while nothing is saved"
    world.connection.error = ZeroDivisionError()
    world.checkpoint()
    assert world.broken == broken
    world.connection.error = None
    world.checkpoint()
    assert world.checkpoints.completed == 1


def test_a_stop_waits_for_the_one_under_way(world: World) -> None:
    world.checkpoints.wrote(100)
    stopping = start(world.checkpoints.stop())
    assert not world.connection.closed
    world.threads.go_on()
    assert stopping.called
    assert world.connection.closed
