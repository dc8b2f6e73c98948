"""A unit of work, again and again: never two at once, and stopped only between two.

Knows nothing of what is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart

_log = Logger()

Unit = Callable[[], Awaitable[float | None]]
"""Does a little, and says in how many seconds it wants to be called again; None: after the
interval; infinity: not again, unless it is woken."""

When = Callable[[], bool]
"""Whether the work is this process's at all, asked before each unit: of the nodes of a cluster some
have it to do, and others not."""


def always() -> bool:
    """For a process that is alone."""
    return True


@implementer(IPart)
class Periodic:
    """Calls a unit of work every ``interval`` seconds, and earlier when it is woken or asks for it.

    A unit that fails is logged, and called again after the interval; so is one that finds its
    store unavailable, which a cluster without a leader is.

    :param name: for the log.
    :param first: seconds from the start to the first unit.
    """

    def __init__(
        self, clock: IReactorTime, name: str, unit: Unit, *, interval: float, first: float
    ) -> None:
        self._clock = clock
        self._name = name
        self._unit = unit
        self._interval = interval
        self._first = first
        self._call: IDelayedCall | None = None
        self._working = False
        self._woken: float | None = None
        self._running = False
        self._idle: list[Deferred[None]] = []

    async def start(self) -> None:
        """Have the first unit called."""
        self._running = True
        self._schedule(self._first)

    async def stop(self) -> None:
        """Call no more units, and wait for the one under way."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._working:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    def wake(self, delay: float = 0) -> None:
        """Have the next unit called within ``delay`` seconds; cheap, and ignored while stopped."""
        if not self._running:
            return
        if self._working:
            self._woken = delay if self._woken is None else min(delay, self._woken)
        elif self._call is None:
            self._schedule(delay)
        elif self._call.getTime() > self._clock.seconds() + delay:
            self._call.reset(delay)

    def _schedule(self, delay: float) -> None:
        if delay != inf:
            self._call = self._clock.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._call = None
        self._working = True
        self._woken = None
        Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        delay: float | None = None
        try:
            delay = await self._unit()
        except ServiceUnavailable as error:
            _log.info("{name} waits: {reason}", name=self._name, reason=error.message)
        except Exception:
            _log.failure("{name} failed, and is tried again later", name=self._name)
        self._working = False
        if self._running:
            wanted = self._interval if delay is None else delay
            self._schedule(wanted if self._woken is None else min(wanted, self._woken))
            return
        idle, self._idle = self._idle, []
        for waiter in idle:
            waiter.callback(None)
