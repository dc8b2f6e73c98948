"""When the write-ahead log of the metadata is emptied, in its two strokes."""

from __future__ import annotations

import sqlite3
from typing import cast

import pytest

from bleepstore.metadata.checkpoints import Checkpoints
from tests.metadata.checkpointing import FIRST, SECOND, Connection
from tests.streams.turns import HeldThreads, start


class World:
    def __init__(self) -> None:
        self.connection = Connection()
        self.threads = HeldThreads()
        self.checkpoints = Checkpoints(cast(sqlite3.Connection, self.connection), self.threads, 100)
        del self.connection.ran[:]

    def second(self) -> None:
        """The second stroke, which is known to be due."""
        assert self.checkpoints.due
        finishing = start(self.checkpoints.finish())
        self.threads.go_on()
        assert finishing.called
        assert not self.checkpoints.due


@pytest.fixture
def world() -> World:
    return World()


def test_the_second_stroke_is_due_after_the_first(world: World) -> None:
    world.checkpoints.consider(99)
    assert not world.threads.waiting
    world.checkpoints.consider(100)
    assert len(world.threads.waiting) == 1
    assert not world.checkpoints.due
    world.threads.step()
    world.second()
    assert world.connection.ran == [FIRST, SECOND]
    assert (world.checkpoints.completed, world.checkpoints.failed) == (1, 0)


def test_none_begins_before_the_last_one_ended_and_as_much_was_written_again(world: World) -> None:
    world.checkpoints.consider(150)
    world.checkpoints.consider(400)
    assert len(world.threads.waiting) == 1
    world.threads.step()
    world.checkpoints.consider(400)
    assert not world.threads.waiting
    world.second()
    world.checkpoints.consider(249)
    assert not world.threads.waiting
    world.checkpoints.consider(250)
    assert len(world.threads.waiting) == 1


@pytest.mark.parametrize("answer", [(1, 3, 3), (0, 3, 2)], ids=["readers", "not all"])
def test_one_that_could_not_copy_all_has_failed(world: World, answer: tuple[int, int, int]) -> None:
    world.connection.answer = answer
    for number in (1, 2):
        world.checkpoints.consider(number * 100)
        world.threads.step()
        world.second()
        assert (world.checkpoints.completed, world.checkpoints.failed) == (0, number)


def test_a_sync_that_failed_is_never_forgotten(world: World) -> None:
    full, failed = (sqlite3.OperationalError("disk I/O error") for _ in range(2))
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    errors = (ZeroDivisionError(), full, failed, full, None)
    for number, (error, unsynced) in enumerate(zip(errors, (0, 0, 1, 1, 1), strict=True), 1):
        world.connection.error = error
        world.checkpoints.consider(number * 100)
        world.threads.step()
        world.second()
        assert world.checkpoints.unsynced == bool(unsynced)
    assert (world.checkpoints.completed, world.checkpoints.failed) == (1, 4)


def test_a_stop_waits_for_the_first_stroke(world: World) -> None:
    assert start(world.checkpoints.stop()).called
    world.checkpoints.consider(100)
    stopping = start(world.checkpoints.stop())
    assert not stopping.called
    world.threads.step()
    assert stopping.called
