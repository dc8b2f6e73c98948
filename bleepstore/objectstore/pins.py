"""Which blobs are being read, so that none is deleted under its reader.

Knows no blob store and no metadata; process-local, like the readers and the collector it
stands between.

A reader first looks an object up, and then pins the blobs that it found.  In between, the
object may be deleted and the collector may take its blobs.  So a reader announces itself
before it looks (:meth:`Pins.enter`) and the collector, once it knows which blobs nothing
references, waits for everybody who may have looked before that (:meth:`Pins.settled`).  Who
looks later can no longer find them.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred


class Lookup:
    """A generation of readers that look something up; opaque to them."""

    __slots__ = ("active", "waiters")

    def __init__(self) -> None:
        self.active = 0
        self.waiters: list[Deferred[None]] = []


class Pins:
    """The registry.  All methods belong to the reactor's thread."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lookup = Lookup()
        self._draining: list[Lookup] = []

    def enter(self) -> Lookup:
        """Announce a look-up; ended by exactly one :meth:`leave`, after the blobs are pinned."""
        lookup = self._lookup
        lookup.active += 1
        return lookup

    def leave(self, lookup: Lookup) -> None:
        """The look-up is over: what it found is pinned, or will not be read."""
        lookup.active -= 1
        if not lookup.active and lookup is not self._lookup:
            self._draining.remove(lookup)
            waiters, lookup.waiters = lookup.waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def pin(self, blob_ids: Iterable[str]) -> None:
        """Keep these blobs until :meth:`unpin` was called as often as this."""
        counts = self._counts
        for blob_id in blob_ids:
            counts[blob_id] = counts.get(blob_id, 0) + 1

    def unpin(self, blob_ids: Iterable[str]) -> None:
        """Let go of what was pinned, once."""
        counts = self._counts
        for blob_id in blob_ids:
            left = counts[blob_id] - 1
            if left:
                counts[blob_id] = left
            else:
                del counts[blob_id]

    @property
    def count(self) -> int:
        """How many blobs are being read."""
        return len(self._counts)

    def is_pinned(self, blob_id: str) -> bool:
        """Whether somebody reads it."""
        return blob_id in self._counts

    async def settled(self) -> None:
        """Wait until every look-up that was announced before has ended."""
        if self._lookup.active:
            self._draining.append(self._lookup)
            self._lookup = Lookup()
        for lookup in tuple(self._draining):
            if lookup.active:
                waiter: Deferred[None] = Deferred()
                lookup.waiters.append(waiter)
                await waiter
