"""The collector: deletes the blobs that metadata has let go of.

Metadata remembers a released blob until it is told that the blob is gone.  So each step may
be the last one before a crash: a blob that was deleted and not forgotten is deleted again
(which is no error), and forgotten then.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.background.periodic import Periodic, When, always
from bleepstore.errors import StoreError
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now
from bleepstore.model.commands import ForgetBlobs
from bleepstore.objectstore.pins import Pins

_log = Logger()

BATCH = 256
"""Blobs a unit: some tens of milliseconds of work for a disk."""

PAUSE = 0.05
"""Seconds between two units while there is more to do: half the disk's time is left to others."""

GATHER = 1.0
"""Seconds from a release to its collection, so that one unit serves many of them."""

PINNED = 5.0
"""Seconds until blobs are tried again that were being read."""


@implementer(IPart)
class Collector:
    """Collects when it is woken, and every ``interval`` seconds what a crash left over.

    :param when: a node that has no blobs must not have those forgotten that are another's to
        delete.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Now,
        metadata: IMetadataStore,
        blobs: IBlobStore,
        pins: Pins,
        *,
        interval: float,
        when: When = always,
    ) -> None:
        self._when = when
        self._now = now
        self._metadata = metadata
        self._blobs = blobs
        self._pins = pins
        self._periodic = Periodic(clock, "collector", self.collect, interval=interval, first=GATHER)

    def wake(self) -> None:
        """Blobs may have been released: collect them soon.  Cheap enough for every request."""
        self._periodic.wake(GATHER)

    async def start(self) -> None:
        """Begin with what was released before the last stop or crash."""
        await self._periodic.start()

    async def stop(self) -> None:
        """End after the unit under way."""
        await self._periodic.stop()

    async def collect(self) -> float | None:
        """One unit: delete a batch, then forget what was deleted.

        A blob that is being read is left for later, and so is one that cannot be deleted.
        """
        if not self._when():
            return None
        skipped = self._pins.count
        limit = BATCH + skipped
        released = await self._metadata.released_blobs(limit)
        if not released:
            return None
        await self._pins.settled()
        deleted: list[str] = []
        pinned = 0
        for blob_id in released:
            if len(deleted) == BATCH:
                break
            if self._pins.is_pinned(blob_id):
                pinned += 1
                continue
            try:
                await self._blobs.delete(blob_id)
            except StoreError as error:
                _log.warn(
                    "blob {blob_id} could not be deleted: {error}", blob_id=blob_id, error=error
                )
                continue
            except Exception:
                _log.failure("blob {blob_id} could not be deleted", blob_id=blob_id)
                continue
            deleted.append(blob_id)
        if deleted:
            await self._metadata.submit(ForgetBlobs(at=self._now(), blob_ids=tuple(deleted)))
            if len(released) == limit:
                return PAUSE
        return PINNED if pinned else None
