"""Health checks do not hammer the cloud."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from bleepstore.blobs.reachability import FRESH, Reachability
from tests.objectstore.driving import Running, run


class Asked:
    """A cloud that answers when it is told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.waiting: list[Deferred[None]] = []
        self.reachability = Reachability(self.clock, self._ask)

    async def _ask(self) -> None:
        self.waiting.append(Deferred())
        await self.waiting[-1]

    def check(self) -> Running[None]:
        return Running(self.reachability.check())


def test_an_answer_is_taken_for_some_seconds() -> None:
    asked = Asked()
    first, second = asked.check(), asked.check()
    assert len(asked.waiting) == 1
    asked.waiting[0].callback(None)
    first.result(), second.result()
    asked.clock.advance(FRESH - 0.1)
    run(asked.reachability.check())
    assert len(asked.waiting) == 1
    asked.clock.advance(0.1)
    again = asked.check()
    assert len(asked.waiting) == 2
    asked.waiting[1].errback(ValueError("away"))
    with pytest.raises(ValueError, match="away"):
        again.result()
    with pytest.raises(ValueError, match="away"):
        run(asked.reachability.check())
    assert len(asked.waiting) == 2
    asked.clock.advance(FRESH)
    last = asked.check()
    asked.waiting[2].callback(None)
    last.result()


def test_who_gives_up_does_not_end_the_asking() -> None:
    asked = Asked()
    first, second = asked.check(), asked.check()
    first.cancel()
    with pytest.raises(CancelledError):
        first.result()
    asked.waiting[0].callback(None)
    second.result()
    run(asked.reachability.check())
    assert len(asked.waiting) == 1
