"""Rounds that are shared, confirmed, repeated and given up."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.python.failure import Failure

from bleepstore.cluster.barriers import Barriers
from bleepstore.errors import ServiceUnavailable


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.barriers = Barriers(5.0, lambda: self.now)
        self.answers: list[list[Any]] = []

    def wait(self) -> list[Any]:
        seen: list[Any] = []
        self.barriers.wait().addBoth(seen.append)
        return seen


@pytest.fixture
def world() -> World:
    return World()


def refused(seen: list[Any]) -> bool:
    return bool(seen) and isinstance(seen[0], Failure) and bool(seen[0].check(ServiceUnavailable))


def test_all_of_a_turn_share_a_round_and_those_of_the_next_have_another(world: World) -> None:
    barriers = world.barriers
    first = [world.wait() for _ in range(3)]
    assert barriers.due
    round_ = barriers.ask()
    assert not barriers.due
    later = world.wait()
    assert barriers.ask() == round_ + 1
    barriers.answered(round_, 10, 10)
    assert first == [[None]] * 3
    assert later == []
    assert (barriers.passed, len(barriers)) == (3, 1)


def test_who_is_confirmed_waits_until_that_is_applied(world: World) -> None:
    barriers = world.barriers
    seen = {}
    for index in (12, 10, 11):
        seen[index] = world.wait()
        barriers.answered(barriers.ask(), index, 9)
    barriers.applied(9)
    assert seen == {12: [], 10: [], 11: []}
    barriers.applied(11)
    assert seen == {12: [], 10: [None], 11: [None]}
    barriers.applied(12)
    assert seen[12] == [None]


def test_what_nobody_confirmed_is_asked_for_again_with_what_came_since(world: World) -> None:
    barriers = world.barriers
    old = world.wait()
    barriers.answered(barriers.ask(), -1, 0)
    assert not barriers.due, "not at once: it would fail again"
    new = world.wait()
    barriers.answered(barriers.ask(), -1, 0)
    barriers.retry()
    assert barriers.due
    barriers.answered(barriers.ask(), 3, 3)
    assert old == new == [None]
    barriers.retry()
    assert not barriers.due


def test_each_is_refused_when_its_own_time_is_over_wherever_it_waits(world: World) -> None:
    barriers = world.barriers
    asked = world.wait()
    barriers.ask()
    confirmed = world.wait()
    barriers.answered(barriers.ask(), 50, 0)
    failed = world.wait()
    barriers.answered(barriers.ask(), -1, 0)
    world.now += 3
    late = world.wait()
    world.now += 2
    barriers.tick()
    assert refused(asked)
    assert refused(confirmed)
    assert refused(failed)
    assert late == []
    barriers.applied(50)
    barriers.answered(barriers.ask(), 50, 50)
    assert late == [None]
    assert len(asked) == len(confirmed) == len(failed) == 1


def test_a_stop_refuses_all(world: World) -> None:
    barriers = world.barriers
    waiting = [world.wait()]
    barriers.ask()
    waiting.append(world.wait())
    barriers.stop()
    assert all(refused(each) for each in waiting)
    assert not barriers.due
    with pytest.raises(ServiceUnavailable):
        barriers.wait()


def test_an_answer_to_nothing_that_was_asked_does_nothing(world: World) -> None:
    world.barriers.answered(99, 5, 5)
    assert len(world.barriers) == 0


def test_it_is_known_when_one_was_passed_last(world: World) -> None:
    barriers = world.barriers
    assert not barriers.passed_within(1000)
    world.wait()
    barriers.answered(barriers.ask(), 10, 9)
    assert not barriers.passed_within(1000), "confirmed, but not applied"
    barriers.applied(10)
    world.now += 3
    assert barriers.passed_within(3)
    assert not barriers.passed_within(2)
