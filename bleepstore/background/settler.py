"""The settler: ends writes to a cloud of which nobody knows what became.

They are left by a crash, or by a cloud that could not be asked.  Whoever needs such a key settles
it himself; the settler sees to it that none waits for that.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.background.periodic import Periodic
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.objectstore.settling import Settling

LOOK = 10.0
"""Seconds between two looks whether something is pending; that costs nothing."""

RETRY = 5.0
"""Seconds until what could not be settled is tried again."""


@implementer(IPart)
class Settler:
    """Settles what was found at the start at once, and later what is left by failures."""

    def __init__(self, clock: IReactorTime, settling: Settling) -> None:
        self._settling = settling
        self._periodic = Periodic(clock, "settler", self.settle, interval=LOOK, first=0)

    async def start(self) -> None:
        """Begin with what an earlier process left; a start does not wait for the cloud."""
        await self._periodic.start()

    async def stop(self) -> None:
        """End after the round under way; the next start begins with what is left."""
        await self._periodic.stop()

    async def settle(self) -> float | None:
        """One round: try every name once."""
        return None if await self._settling.settle_all() else RETRY
