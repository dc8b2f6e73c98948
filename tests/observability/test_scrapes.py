"""Scrapes: one exposition for all who wait, not too often, and never one from before."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bleepstore.observability.scrapes import PAUSE, Scrapes

TOOK = 0.5
"""Seconds that an exposition takes here."""


class _World:
    """:ivar made: how many expositions were begun."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.made = 0
        self.answer: Deferred[None] | None = None
        self.scrapes = Scrapes(self.clock, self._expose)

    async def _expose(self) -> bytes:
        self.made += 1
        text = b"%d" % self.made
        if self.answer is not None:
            await self.answer
        self.clock.rightNow += TOOK
        return text

    def ask(self) -> tuple[Deferred[bytes], list[bytes]]:
        told: list[bytes] = []
        return Deferred.fromCoroutine(self.scrapes.text()).addCallback(told.append), told


def test_a_scrape_after_a_while_is_answered_at_once() -> None:
    world = _World()
    assert world.ask()[1] == [b"1"]
    world.clock.advance(PAUSE * TOOK)
    assert world.ask()[1] == [b"2"]


def test_those_who_ask_soon_after_wait_and_share_the_next() -> None:
    world = _World()
    world.ask()
    told = [world.ask()[1] for _ in range(3)]
    world.clock.advance(PAUSE * TOOK - 0.1)
    assert (world.made, told) == (1, [[], [], []])
    world.clock.advance(0.1)
    assert (world.made, told) == (2, [[b"2"]] * 3)


def test_who_asks_while_one_is_made_gets_a_later_one() -> None:
    world = _World()
    answer = world.answer = Deferred()
    first, second = world.ask()[1], world.ask()[1]
    world.answer = None
    answer.callback(None)
    assert (first, second) == ([b"1"], [])
    world.clock.advance(PAUSE * TOOK)
    assert second == [b"2"]
    assert not world.clock.getDelayedCalls()


def test_who_goes_away_is_not_missed() -> None:
    world = _World()
    world.ask()
    gone, _ = world.ask()
    gone.addErrback(lambda failure: None).cancel()
    _, told = world.ask()
    world.clock.advance(PAUSE * TOOK)
    assert told == [b"2"]


def test_a_failure_is_everybodys_and_the_next_is_tried() -> None:
    world = _World()
    answer = world.answer = Deferred()
    failing, _ = world.ask()
    world.answer = None
    answer.errback(OSError("no totals"))
    with pytest.raises(OSError, match="no totals"):
        failing.result.raiseException()  # type: ignore[attr-defined]
    failing.addErrback(lambda failure: None)
    assert world.ask()[1] == [b"2"]
