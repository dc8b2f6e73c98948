"""Reading an object's bytes: which runs of which blobs, pinned until they were sent.

Knows manifests, pins and the blob store; no HTTP, no authorization.
"""

from __future__ import annotations

from collections.abc import Sequence

from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import IBlobReader, IBlobStore
from bleepstore.model.objects import Extent, ObjectVersion
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.shield import shield

_JOINED = 1024 * 1024
"""Inline runs of at most so many bytes are given as one piece."""


def cut(extents: Sequence[Extent], offset: int, length: int) -> list[Extent]:
    """The extents of ``length`` bytes from ``offset``, the first and last one shortened.

    :raises InternalError: the extents end before that.
    """
    if len(extents) == 1:
        only = extents[0]
        if not offset and only.length == length:
            return [only] if length else []
    runs: list[Extent] = []
    for extent in extents:
        if not length:
            break
        if offset >= extent.length:
            offset -= extent.length
            continue
        take = min(length, extent.length - offset)
        if take == extent.length:
            runs.append(extent)
        elif extent.blob_id:
            runs.append(Extent(take, extent.blob_id, extent.offset + offset))
        else:
            runs.append(Extent(take, data=extent.data[offset : offset + take]))
        length -= take
        offset = 0
    if length:
        raise InternalError(f"an object's extents are {length} bytes short")
    return runs


class ObjectRead:
    """The bytes of a version that a read sends, in order.  Whoever gets one closes it.

    :ivar version: what is read.
    :ivar offset: of the first byte that is sent.
    :ivar length: bytes that are sent.
    :ivar partial: whether the client asked for a range or a part (206 rather than 200).
    :ivar part_count: the parts of the whole object if a part was asked for, else 0.
    :ivar inline: all that is sent, if it is at hand; then :meth:`read` need not be called.
    """

    __slots__ = (
        "_blob_ids",
        "_blobs",
        "_closed",
        "_next",
        "_pins",
        "_reader",
        "_runs",
        "inline",
        "length",
        "offset",
        "part_count",
        "partial",
        "version",
    )

    def __init__(
        self,
        version: ObjectVersion,
        runs: Sequence[Extent],
        offset: int,
        length: int,
        *,
        partial: bool,
        part_count: int,
        blobs: IBlobStore,
        pins: Pins,
    ) -> None:
        """Pins what is to be read, without suspending; see :meth:`Pins.enter`."""
        self.version = version
        self.offset = offset
        self.length = length
        self.partial = partial
        self.part_count = part_count
        self._blobs = blobs
        self._pins = pins
        self._runs = runs
        self._next = 0
        self._reader: IBlobReader | None = None
        self._closed = False
        self._blob_ids: Sequence[str] = ()
        if len(runs) == 1 and not runs[0].blob_id:
            self.inline: bytes | None = runs[0].data
            return
        self._blob_ids = [run.blob_id for run in runs if run.blob_id]
        if self._blob_ids or length > _JOINED:
            self.inline = None
            pins.pin(self._blob_ids)
        else:
            self.inline = b"".join([run.data for run in runs])

    async def open(self) -> None:
        """Open the first run, so that a blob that cannot be read is known before the head is sent.

        :raises InternalError: it cannot.
        """
        if self._runs and self._runs[0].blob_id and self._reader is None and not self._next:
            self._next = 1
            await shield(self._open(self._runs[0]))

    async def read(self) -> bytes:
        """The next bytes, between 1 byte and 1 MiB or one inline extent; empty at the end.

        :raises InternalError: a blob ends early or cannot be read.
        """
        while not self._closed:
            if self._reader is not None:
                data: bytes = await self._reader.read()
                if data:
                    return data
                if self._reader is not None:
                    self._reader.close()
                    self._reader = None
            if self._next == len(self._runs):
                return b""
            run = self._runs[self._next]
            self._next += 1
            if not run.blob_id:
                return run.data
            await shield(self._open(run))
        return b""

    def close(self) -> None:
        """Let go of readers and pins; may be called at any time, and more than once."""
        if self._closed:
            return
        self._closed = True
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._blob_ids:
            self._pins.unpin(self._blob_ids)

    async def _open(self, run: Extent) -> None:
        reader = await self._blobs.open(run.blob_id, run.offset, run.length)
        if self._closed:
            reader.close()
        else:
            self._reader = reader
