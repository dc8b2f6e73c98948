"""Small extents that a part would share become one blob of its own.

A part that is copied shares the blobs of its source.  Of ranges across the parts of objects, and
of ranges of those again, objects of millions of extents could be made, each time twice as many;
and what is kept inline would be carried along, byte by byte, in the metadata.  Whoever read one
byte of such an object would have all of its manifest decoded.  So an extent is shared only if it
is large, or the part's only one, or has none that are small beside it.

Knows extents, and who takes bytes; no use case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from zope.interface import implementer

from bleepstore.interfaces.blobs import IBlobStore, Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.model.objects import Extent
from bleepstore.objectstore.publishing import Publisher
from bleepstore.streams.egress import BodyReader

SHARED_FROM: Final = 1024 * 1024
"""Bytes of an extent that is always worth sharing: all parts but last ones have five times that."""


@implementer(IPayload)
class _Run:
    """The bytes of some extents, as a payload."""

    trailers: Mapping[str, str] = {}

    def __init__(self, blobs: IBlobStore, extents: Sequence[Extent]) -> None:
        self.length = _size(extents)
        self._body = BodyReader(blobs, extents)

    async def read(self) -> bytes:
        """See :class:`IPayload`."""
        return await self._body.read()

    def close(self) -> None:
        self._body.close()


class Joining:
    """Joins small extents.

    :param require_room: see :class:`ObjectStore`.
    """

    def __init__(
        self,
        blobs: IBlobStore,
        publisher: Publisher,
        require_room: Callable[[int | None], None],
    ) -> None:
        self._blobs = blobs
        self._publisher = publisher
        self._require_room = require_room

    async def joined(
        self, extents: Sequence[Extent], placement: Placement
    ) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
        """Extents of the same bytes, and those of them that are new, which the caller discards if
        they are not published.

        :param extents: of blobs that are pinned.
        :raises NotImplemented: the store takes no blobs.
        :raises InsufficientStorage: there is no room.
        :raises InternalError: they cannot be read.
        """
        kept: list[Extent] = []
        fresh: list[Extent] = []
        try:
            for run, alone in _runs(extents):
                if alone:
                    kept += run
                else:
                    kept.append(await self._store(run, placement))
                    fresh.append(kept[-1])
        except Exception:
            await self._publisher.discard(fresh)
            raise
        return tuple(kept), tuple(fresh)

    async def _store(self, run: Sequence[Extent], placement: Placement) -> Extent:
        payload = _Run(self._blobs, run)
        try:
            self._require_room(payload.length)
            return await self._publisher.take_blob(payload, placement)
        finally:
            payload.close()


def _runs(extents: Sequence[Extent]) -> Iterator[tuple[Sequence[Extent], bool]]:
    """Runs of small extents and of large ones, and whether they may stay as they are."""
    for small, group in groupby(extents, lambda extent: extent.length < SHARED_FROM):
        run = tuple(group)
        single = len(run) == 1 and (bool(run[0].blob_id) or len(extents) == 1)
        yield run, single or not small


def _size(extents: Sequence[Extent]) -> int:
    return sum(extent.length for extent in extents)
