"""Credentials are fetched once for all, and again before their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import EARLY, PAUSE, SKEW, Lease, Refreshing
from tests.remote.memory import Outcome, result

HOUR = 3_600_000


class World:
    def __init__(self) -> None:
        self.time = 1_000_000
        self.fetches: list[Deferred[Any]] = []
        self.held: Refreshing[str] = Refreshing("somewhere", self.fetch, lambda: self.time)

    async def fetch(self) -> Lease[str]:
        self.fetches.append(Deferred())
        lease: Lease[str] = await self.fetches[-1]
        return lease

    def give(self, value: str, life: int | None = HOUR) -> None:
        self.fetches[-1].callback(Lease(value, None if life is None else self.time + life))

    def fail(self) -> None:
        self.fetches[-1].errback(CredentialsUnavailable("no more"))

    def holding(self, value: str, life: int | None = HOUR) -> None:
        getting = Outcome(self.held.get())
        self.give(value, life)
        assert getting.get() == value


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_all_who_ask_wait_for_one_fetch(world: World) -> None:
    getting = [Outcome(world.held.get()) for _ in range(5)]
    assert len(world.fetches) == 1
    world.give("one")
    assert [each.get() for each in getting] == ["one"] * 5
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 1


def test_one_who_gives_up_does_not_stop_the_others(world: World) -> None:
    first, second = Outcome(world.held.get()), Outcome(world.held.get())
    first.cancel()
    with pytest.raises(CancelledError):
        first.get()
    world.give("one")
    assert second.get() == "one"


def test_all_who_wait_hear_of_a_failure_and_the_next_tries_again(world: World) -> None:
    getting = [Outcome(world.held.get()) for _ in range(2)]
    world.fail()
    for each in getting:
        with pytest.raises(CredentialsUnavailable):
            each.get()
    world.holding("one")
    assert len(world.fetches) == 2


def test_what_does_not_end_is_kept(world: World) -> None:
    world.holding("one", None)
    world.time += 1000 * HOUR
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 1


def test_near_their_end_the_old_ones_serve_while_new_ones_are_fetched(world: World) -> None:
    world.holding("one")
    world.time += HOUR - EARLY - 1
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 1
    world.time += 1
    assert [result(world.held.get()) for _ in range(3)] == ["one"] * 3
    assert len(world.fetches) == 2
    world.give("two")
    assert result(world.held.get()) == "two"


def test_a_failure_ahead_of_time_is_logged_and_tried_again_after_a_pause(
    world: World, log: list[str]
) -> None:
    world.holding("one")
    world.time += HOUR - EARLY
    assert result(world.held.get()) == "one"
    world.fail()
    assert log == ["New credentials from somewhere cannot be had: no more"]
    world.time += PAUSE - 1
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 2
    world.time += 1
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 3


def test_after_their_end_all_wait(world: World) -> None:
    world.holding("one")
    world.time += HOUR - SKEW
    getting = Outcome(world.held.get())
    assert getting.pending
    world.give("two")
    assert getting.get() == "two"


def test_short_lives_are_used_for_most_of_their_time(world: World) -> None:
    world.holding("one", 60_000)
    world.time += 44_999
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 1
    world.time += 1
    assert result(world.held.get()) == "one"
    assert len(world.fetches) == 2
    world.time += 9_000
    assert Outcome(world.held.get()).pending


def test_what_is_not_taken_any_more_is_forgotten(world: World) -> None:
    world.holding("one", None)
    world.held.forget()
    world.holding("two", None)
    assert len(world.fetches) == 2


def test_a_stop_ends_a_fetch_under_way(world: World, log: list[str]) -> None:
    getting = Outcome(world.held.get())
    world.held.stop()
    with pytest.raises(CancelledError):
        getting.get()
    world.holding("one")
    world.time += HOUR - EARLY
    assert result(world.held.get()) == "one"
    world.held.stop()
    assert log == []
