"""The sweeper: deletes what a crash left in the blob store and nothing knows.

A blob is written first and published after; a process that dies in between leaves one that
metadata never heard of.  That such a blob is garbage is certain, not guessed:

- its id begins with the epoch of the process that wrote it (``OpenEpoch``), and an epoch older
  than ours belongs to a process that has ended, since one process at a time has the store;
- only the process that wrote a blob publishes it first, and only what is referenced can be
  referenced once more (a copy whose source is gone is refused inside its transaction).

So an unreferenced blob of an older epoch can never be referenced again.

All this is true of the metadata and the blobs of one store.  Should a mistake in the
configuration bring those of two together, everything would look like garbage.  So a first walk
looks for a blob of an epoch that is yet to come; where there is one, nothing is swept at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.background.periodic import Periodic
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.objectstore.ids import Ids, epoch_of
from bleepstore.objectstore.pins import Pins

_log = Logger()

FIRST = 5.0
"""Seconds from the start to the walk: whoever waits for the server is served first."""

PAUSE = 0.05
"""Seconds between two batches: a store of a million blobs is walked within minutes, unnoticed."""

RETRY = 60.0
"""Seconds until a walk that failed begins again."""


@implementer(IPart)
class Sweeper:
    """Walks the blob store after each start, at leisure: once to look, once to sweep.

    Once is enough, since what it looks for is left by earlier processes alone.  No cursor is
    saved: a walk reads names only, and one that was cut short begins again after the next start.
    """

    def __init__(
        self,
        clock: IReactorTime,
        metadata: IMetadataReader,
        blobs: IBlobStore,
        pins: Pins,
        ids: Ids,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._pins = pins
        self._ids = ids
        self._walk: AsyncIterator[tuple[str, ...]] | None = None
        self._surveyed = False
        self._swept = 0
        self._periodic = Periodic(clock, "sweeper", self.sweep, interval=RETRY, first=FIRST)

    async def start(self) -> None:
        """Begin the walk a little later, so that a start answers first."""
        await self._periodic.start()

    async def stop(self) -> None:
        """End after the unit under way; the next start walks again."""
        await self._periodic.stop()

    async def sweep(self) -> float:
        """One unit: look at the next batch of blobs and delete the garbage among them."""
        if self._walk is None:
            self._walk = self._blobs.blob_ids()
            self._swept = 0
        try:
            async for batch in self._walk:
                if self._surveyed:
                    await self._sweep_batch(batch)
                elif self._is_foreign(batch):
                    self._walk = None
                    return inf
                return PAUSE
        except BaseException:
            self._walk = None
            raise
        self._walk = None
        if not self._surveyed:
            self._surveyed = True
            return PAUSE
        if self._swept:
            _log.info("swept {count} blobs that a crash had left", count=self._swept)
        return inf

    def _is_foreign(self, batch: tuple[str, ...]) -> bool:
        """Whether there is a blob that this metadata's processes cannot have written."""
        ours = self._ids.epoch
        for blob_id in batch:
            if (epoch_of(blob_id) or 0) > ours:
                _log.error(
                    "blob {blob_id} is of an epoch after ours ({ours}): these blobs are not those "
                    "of this metadata, and nothing is swept; check the configured paths",
                    blob_id=blob_id,
                    ours=ours,
                )
                return True
        return False

    async def _sweep_batch(self, batch: tuple[str, ...]) -> None:
        ours = self._ids.epoch
        old = [blob_id for blob_id in batch if (epoch_of(blob_id) or ours) < ours]
        if not old:
            return
        referenced = await self._metadata.referenced_blobs(old)
        garbage = [blob_id for blob_id in old if blob_id not in referenced]
        if not garbage:
            return
        # What was referenced a moment ago, and then released, may still be read.  The collector
        # has it on its list.
        await self._pins.settled()
        for blob_id in garbage:
            if not self._pins.is_pinned(blob_id):
                await self._blobs.delete(blob_id)
                self._swept += 1
