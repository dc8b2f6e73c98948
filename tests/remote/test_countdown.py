"""Deadlines that are put off, given up and met."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from bleepstore.remote.countdown import Countdown, Deadlines
from bleepstore.remote.failures import Fault


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.over: list[tuple[float, Fault]] = []
        self.countdown = Countdown(
            Deadlines(self.clock), lambda fault: self.over.append((self.clock.seconds(), fault))
        )

    def run(self) -> None:
        """To the end of all that is due."""
        while calls := self.clock.getDelayedCalls():
            self.clock.advance(calls[0].getTime() - self.clock.seconds())


@pytest.fixture
def world() -> World:
    return World()


def test_time_is_up_once(world: World) -> None:
    world.countdown.start(10, Fault.STALLED)
    world.run()
    assert world.over == [(10, Fault.STALLED)]


def test_a_later_start_counts(world: World) -> None:
    world.countdown.start(10, Fault.STALLED)
    world.clock.advance(6)
    world.countdown.start(10, Fault.HEAD_TIMEOUT)
    world.run()
    assert world.over == [(16, Fault.HEAD_TIMEOUT)]


def test_a_nearer_deadline_is_met_in_time(world: World) -> None:
    world.countdown.start(100, Fault.HEAD_TIMEOUT)
    world.countdown.start(10, Fault.STALLED)
    world.run()
    assert world.over == [(10, Fault.STALLED)]


def test_what_was_stopped_does_not_happen_unless_it_is_started_again(world: World) -> None:
    world.countdown.start(10, Fault.STALLED)
    world.clock.advance(5)
    world.countdown.stop()
    world.clock.advance(2)
    world.countdown.start(10, Fault.STALLED)
    world.run()
    assert world.over == [(17, Fault.STALLED)]
    world.countdown.start(10, Fault.STALLED)
    world.countdown.stop()
    world.run()
    assert len(world.over) == 1
    world.countdown.start(10, Fault.STALLED)
    world.run()
    assert world.over[1:] == [(37, Fault.STALLED)]


def test_an_end_leaves_nothing(world: World) -> None:
    world.countdown.start(10, Fault.STALLED)
    world.countdown.end()
    world.countdown.end()
    assert world.clock.getDelayedCalls() == []
