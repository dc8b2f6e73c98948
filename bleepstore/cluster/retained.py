"""What a node of a cluster has of object data: the blobs it kept from before it was one.

An embedded node that becomes the first of a cluster brings its blobs along.  They are served by
that node, and deleted there once no object has them.  No node of a cluster makes new ones: a blob
is on one disk, and what a cluster stores must outlive each of them.

Knows a blob store and no metadata.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from zope.interface import implementer

from bleepstore import errors
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.lifecycle import IPart

REASON = "the nodes of a cluster do not store large objects together in this version"


@implementer(IBlobStore, IPart)
class RetainedBlobs:
    """A blob store that is read and emptied, and never written.

    :param store: the blob store; it is started before and stopped after this.
    :ivar any: whether there were blobs at the start; False before it.
    """

    capabilities = BlobCapabilities(read_only=REASON)

    def __init__(self, store: IBlobStore) -> None:
        self._store = store
        self.any = False

    async def start(self) -> None:
        """See whether there is anything in the store."""
        async for _ in self._store.blob_ids():
            self.any = True
            break

    async def stop(self) -> None:
        """See :class:`IPart`."""

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """:raises NotImplemented: always; whoever asks has not looked at the capabilities."""
        raise errors.NotImplemented(f"No blob can be made: {REASON}.")

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IBlobStore`.

        :raises NotImplemented: it is not here, but with the node that had it before there was a
            cluster, if that is still there.
        """
        try:
            return await self._store.open(blob_id, offset, length)
        except errors.InternalError:
            raise errors.NotImplemented(
                "The data of this object is not on this node, and the nodes of a cluster do not "
                "fetch large objects from each other in this version: ask the node that stored it."
            ) from None

    async def delete(self, blob_id: str) -> None:
        """See :class:`IBlobStore`."""
        await self._store.delete(blob_id)

    def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IBlobStore`."""
        return self._store.blob_ids()

    async def check(self) -> None:
        """See :class:`IBlobStore`."""
        await self._store.check()
