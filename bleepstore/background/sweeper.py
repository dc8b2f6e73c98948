"""The sweeper: deletes what a crash left in the blob store and nothing knows.

A blob is written first and published after; a process that dies in between leaves one that
metadata never heard of.  That such a blob is garbage is certain, not guessed:

- its id begins with the epoch of the process that wrote it (``OpenEpoch``), and an epoch older
  than ours belongs to a process that has ended, since one process at a time has the store;
- only the process that wrote a blob publishes it first, and only what is referenced can be
  referenced once more (a copy whose source is gone is refused inside its transaction).

So an unreferenced blob of an older epoch can never be referenced again.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.objectstore.ids import Ids
from bleepstore.objectstore.pins import Pins


@implementer(IPart)
class Sweeper:
    """Walks the blob store once after each start, at leisure."""

    def __init__(
        self,
        clock: IReactorTime,
        metadata: IMetadataReader,
        blobs: IBlobStore,
        pins: Pins,
        ids: Ids,
    ) -> None: ...

    async def start(self) -> None:
        """Begin the walk a little later, so that a start answers first."""

    async def stop(self) -> None:
        """End after the unit under way; the next start walks again."""
