"""Scrapes that share an exposition of the metrics, and take a bounded part of the time together.

Anybody may ask for the metrics, and to write them down takes some milliseconds: twenty times what
another small request does.  So they are written once for all who wait, and after that a pause is
made before it is done again.  Nobody is given what was written before it asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

PAUSE: Final = 9
"""How many times as long as an exposition took nobody makes one: a tenth of the time is theirs."""


class Scrapes:
    """:param expose: makes the exposition."""

    def __init__(self, clock: IReactorTime, expose: Callable[[], Awaitable[bytes]]) -> None:
        self._clock = clock
        self._expose = expose
        self._waiting: list[Deferred[bytes]] = []
        self._due = False  # one is being made, or will be
        self._next = 0.0

    async def text(self) -> bytes:
        """An exposition that is begun no earlier than now.

        A cancelled wait leaves it to the others.

        :raises Exception: what ``expose`` raises.
        """
        mine: Deferred[bytes] = Deferred()
        self._waiting.append(mine)
        if not self._due:
            self._due = True
            self._begin_in(self._next - self._clock.seconds())
        return await mine

    def _begin_in(self, seconds: float) -> None:
        if seconds > 0:
            self._clock.callLater(seconds, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        Deferred.fromCoroutine(self._made()).addBoth(self._tell, waiting)

    async def _made(self) -> bytes:
        began = self._clock.seconds()
        try:
            return await self._expose()
        finally:
            ended = self._clock.seconds()
            self._next = ended + PAUSE * (ended - began)

    def _tell(self, outcome: bytes | Failure, waiting: list[Deferred[bytes]]) -> None:
        if self._waiting:
            self._clock.callLater(max(0.0, self._next - self._clock.seconds()), self._begin)
        else:
            self._due = False
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(outcome)
