"""Connections that nobody uses for the moment, kept for the next request to the same server.

The one that was used last is used next, so that those that are too many grow old and are closed.
They are watched by one call of the clock's, not by one each: it comes when the oldest is due that
was there when it was made.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bleepstore.remote.requests import Origin


class Keepable(Protocol):
    """What is kept."""

    def retire(self) -> Deferred[None]:
        """Close it; fires when it is closed.  It tells :meth:`Idle.forget`."""


class Idle:
    """The idle connections of one client.

    :param most: kept for each server; the oldest is closed when there are more.
    :param seconds: how long one is kept.
    """

    def __init__(self, clock: IReactorTime, most: int, seconds: float) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self._kept: dict[Origin, list[tuple[Keepable, float]]] = {}
        self._call: IDelayedCall | None = None

    def take(self, origin: Origin) -> Any:
        """A connection to a server, the one that was used last; None if there is none."""
        kept = self._kept.get(origin)
        return kept.pop()[0] if kept else None

    def put(self, origin: Origin, connection: Keepable) -> None:
        """Keep a connection."""
        kept = self._kept.setdefault(origin, [])
        kept.append((connection, self._clock.seconds() + self._seconds))
        if len(kept) > self._most:
            kept.pop(0)[0].retire()
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._close_old)

    def forget(self, origin: Origin, connection: Keepable) -> None:
        """A connection has ended; nothing happens if it is not kept."""
        kept = self._kept.get(origin)
        if kept:
            kept[:] = [each for each in kept if each[0] is not connection]

    def drop(self, origin: Origin) -> None:
        """Close those to a server."""
        for connection, _ in self._kept.pop(origin, ()):
            connection.retire()

    async def close(self) -> None:
        """Close all; returns when they are closed."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        kept, self._kept = self._kept, {}
        await gatherResults(
            [connection.retire() for each in kept.values() for connection, _ in each]
        )

    def _close_old(self) -> None:
        self._call = None
        now = self._clock.seconds()
        next_due: list[float] = []
        for origin, kept in tuple(self._kept.items()):
            while kept and kept[0][1] <= now:
                kept.pop(0)[0].retire()
            if kept:
                next_due.append(kept[0][1])
            else:
                del self._kept[origin]
        if next_due:
            self._call = self._clock.callLater(min(next_due) - now, self._close_old)
