"""Whether a cloud can be reached, asked no more often than every few seconds.

A load balancer may ask a server whether it is ready ten times a second; the cloud is not to hear
of that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

FRESH = 5.0
"""Seconds for which an answer is taken as it was."""


class Reachability:
    """Remembers the last answer.

    :param ask: asks the cloud; raises what is wrong.
    """

    def __init__(self, clock: IReactorTime, ask: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._ask = ask
        self._asked_at: float | None = None
        self._error: Exception | None = None
        self._waiting: list[Deferred[None]] | None = None

    async def check(self) -> None:
        """Ask, or give the last answer; those who come while it is asked wait for that.

        :raises Exception: the cloud cannot be used.
        """
        if self._waiting is not None:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter
        elif self._asked_at is None or self._clock.seconds() >= self._asked_at + FRESH:
            waiting: list[Deferred[None]] = []
            self._waiting = waiting
            # Not the caller's own wait: he may be cancelled, and the others not.
            asking = Deferred.fromCoroutine(self._run(waiting))
            mine: Deferred[None] = Deferred()
            asking.chainDeferred(mine)
            await mine
        if self._error is not None:
            raise self._error

    async def _run(self, waiting: list[Deferred[None]]) -> None:
        try:
            await self._ask()
        except Exception as error:
            self._error = error
        else:
            self._error = None
        self._asked_at = self._clock.seconds()
        self._waiting = None
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)
