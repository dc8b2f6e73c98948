"""Reactors for tests: one that only turns for threads and a clock, and threads that are held."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.interfaces.threads import ILane, IThreads

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a result that does not come is a failure; no test passes by waiting."""


@implementer(IReactorFromThreads)
class Turns(Clock):
    """A clock, and the queue by which threads reach the reactor's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.Queue()
        self.wake_ups = 0

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        self._calls.put((function, args))

    def turn(self) -> None:
        """Make one call that a thread asked for; waits for it."""
        function, args = self._calls.get(timeout=PATIENCE)
        self.wake_ups += 1
        function(*args)

    def run(self, waiting: Awaitable[T]) -> T:
        """The result of an awaitable, or what it raises; turns until it is there."""
        return self.result(start(waiting))

    def result(self, deferred: Deferred[T]) -> T:
        """The result of a Deferred, or what it fails with; turns until it is there."""
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        while not outcome:
            self.turn()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result


def start(waiting: Awaitable[T]) -> Deferred[T]:
    """Start something, to see later what becomes of it."""

    async def wait() -> T:
        return await waiting

    return Deferred.fromCoroutine(wait())


@implementer(IThreads, ILane)
class HeldThreads:
    """Threads whose calls wait until the test lets them run, in their order."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Deferred[Any], Callable[..., Any], tuple[object, ...]]] = deque()

    def run(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        deferred: Deferred[T] = Deferred()
        self.waiting.append((deferred, function, args))
        return deferred

    def lane(self) -> ILane:
        return self

    def step(self) -> None:
        """Let the oldest call run to its end."""
        deferred, function, args = self.waiting.popleft()
        try:
            result = function(*args)
        except Exception as error:
            deferred.errback(error)
        else:
            deferred.callback(result)

    def go_on(self) -> None:
        """Let all calls run, and those that come of them."""
        while self.waiting:
            self.step()
