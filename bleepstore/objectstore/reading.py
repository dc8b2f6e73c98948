"""Reading an object's bytes: which runs of which blobs, pinned until they were sent.

Knows versions, pins and the blob store; no HTTP, no authorization.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from bleepstore.interfaces.blobs import IBlobReader, IBlobStore
from bleepstore.model.checksums import Checksum
from bleepstore.model.objects import Extent, ObjectVersion
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.shield import shield
from bleepstore.streams.egress import BodyReader


@implementer(IBlobReader)
class ObjectRead:
    """The bytes of a version that a read sends, in order.  Whoever gets one closes it.

    :ivar version: what is read.
    :ivar offset: of the first byte that is sent.
    :ivar length: bytes that are sent.
    :ivar partial: whether the client asked for a range or a part (206 rather than 200).
    :ivar part_count: the parts of the whole object if a part was asked for, else 0.
    :ivar checksum: of just the bytes that are sent, if it is known: the object's, or a part's.
    :ivar inline: all that is sent, if it is at hand: then there is nothing to read, and closing
        is not necessary.
    """

    __slots__ = (
        "_blob_ids",
        "_body",
        "_pins",
        "checksum",
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
        partial: bool,
        part_count: int,
        checksum: Checksum | None,
        blobs: IBlobStore,
        pins: Pins,
    ) -> None:
        """Pins what is to be read, without suspending; see :meth:`Pins.enter`."""
        self.version = version
        self.offset = offset
        self.length = length
        self.partial = partial
        self.part_count = part_count
        self.checksum = checksum
        self._body: BodyReader | None = None
        if not runs:
            self.inline: bytes | None = b""
        elif len(runs) == 1 and not runs[0].blob_id:
            self.inline = runs[0].data
        else:
            self.inline = None
            self._body = BodyReader(blobs, runs)
            self._blob_ids = [run.blob_id for run in runs if run.blob_id]
            self._pins = pins
            pins.pin(self._blob_ids)

    async def open(self) -> None:
        """Read the first piece, so that what cannot be read is known before a head is sent.

        :raises InternalError: it cannot be read.
        """
        if self._body is None:
            return
        try:
            # Shielded: an opening that is cancelled half-way would leave a reader that nobody has.
            self.inline = await shield(self._body.prime())
        except BaseException:
            self.close()
            raise
        if self.inline is not None:
            self.close()

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        return b"" if self._body is None else await self._body.read()

    def close(self) -> None:
        """See :class:`IBlobReader`; lets go of the blobs, too."""
        body, self._body = self._body, None
        if body is not None:
            body.close()
            self._pins.unpin(self._blob_ids)
