"""The settler: ends writes to a cloud of which nobody knows what became.

They are left by a crash, or by a cloud that could not be asked.  Whoever needs such a key settles
it himself; the settler sees to it that none waits for that.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.background.periodic import Periodic
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.objectstore.settling import Settling

LOOK = 10.0
"""Seconds between two looks whether something is pending; that costs nothing."""

RETRY = 5.0
"""Seconds until what could not be settled is tried again."""

PATIENCE = 5.0
"""Seconds that a start waits for the first round: long enough for a cloud that answers, and short
enough that one which does not keeps no server from starting."""

_log = Logger()


@implementer(IPart)
class Settler:
    """Settles what was found at the start, and later what is left by failures."""

    def __init__(self, clock: IReactorTime, settling: Settling) -> None:
        self._clock = clock
        self._settling = settling
        self._started: Deferred[None] | None = None
        self._periodic = Periodic(clock, "settler", self.settle, interval=LOOK, first=0)

    async def start(self) -> None:
        """Settle what an earlier process left; what takes too long goes on beside requests."""
        if not self._settling.pending:
            await self._periodic.start()
            return
        self._started = Deferred()
        late = self._clock.callLater(PATIENCE, self._go_on)
        await self._periodic.start()
        await self._started
        if late.active():
            late.cancel()

    async def stop(self) -> None:
        """End after the round under way; the next start begins with what is left."""
        await self._periodic.stop()

    async def settle(self) -> float | None:
        """One round: try every name once."""
        count = len(self._settling.pending)
        try:
            settled = await self._settling.settle_all()
        finally:
            self._go_on()
        if count:
            _log.info(
                "{count} writes to the cloud were left open, and are {what}",
                count=count,
                what="settled" if settled else "tried again",
            )
        return None if settled else RETRY

    def _go_on(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.callback(None)
