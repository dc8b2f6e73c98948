"""Blobs: immutable bytes under an id.  A blob store knows nothing of S3.

Ids are given by the caller: ``{epoch:08x}-{serial:08x}`` in hex (``OpenEpoch``), never used
twice.  Data is written first and made durable; a metadata commit that names the blob
publishes it.  So a blob store needs no rename, no locking and no notion of visibility.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

from msgspec import Struct
from zope.interface import Attribute, Interface

from bleepstore.model.objects import Description


class Placement(Struct, frozen=True):
    """What the bytes are for.  Gateways name their objects by it; local stores ignore it.

    :ivar size: total bytes if known beforehand, else -1.
    :ivar description: of the object, for its own headers in a cloud.
    :ivar upload: the locator of the upload that the bytes are a part of (``interfaces.in_place``);
        empty: they are an object.
    :ivar part: the part's number.
    """

    bucket: str = ""
    key: str = ""
    content_type: str = ""
    size: int = -1
    description: Description = Description()
    upload: str = ""
    part: int = 0


class BlobCapabilities(Struct, frozen=True):
    """What a store does natively, so that the use cases need not.

    :ivar inline_small: small objects may be kept beside their metadata instead.  A gateway says
        no: its objects are to be readable with the cloud's own tools.
    :ivar read_only: why no blob can be created, in words that end a sentence for clients; empty
        where they can.  Then only what is kept beside the metadata can be stored.
    :ivar in_place: it is an ``interfaces.in_place.IInPlaceStore``: its bytes lie under the object's
        own name, where a write shows at once.
    """

    inline_small: bool = True
    read_only: str = ""
    in_place: bool = False


class IBlobWriter(Interface):
    """One blob being written.  Calls do not overlap; exactly one of finish and abort ends it."""

    hashes = Attribute(
        """Whether it is told the MD5 of the bytes where it writes them to, so that nobody else
        has to compute it; does not change."""
    )

    def write(*data: bytes | memoryview) -> Awaitable[None]:
        """Take the next bytes, together at most 1 MiB; returns when more are welcome.

        Several pieces are written one after another, as if they were one: the caller need not
        join what came from the network.  The data must not change until it returns.  A write
        that failed, or whose wait was cancelled, can only be followed by abort.

        :raises InsufficientStorage: there is no room.
        :raises SlowDown: the process has no descriptor left.
        """

    def finish(md5: str = "") -> Awaitable[str]:
        """Make the blob durable.  When it returns, a power cut does not lose it.

        :param md5: of the bytes, in hex, by whoever has computed it.
        :return: the same; or else, of a writer that ``hashes``, what it was told; empty: that will
            come with its place (``IInPlaceStore.place``).
        :raises InsufficientStorage: there is no room.
        :raises InternalError: other bytes were kept than were written.
        :raises ServiceUnavailable: nothing was told after all.
        """

    def abort() -> Awaitable[None]:
        """Remove what was written.  Never fails; may follow a failed write or finish."""


class IBlobReader(Interface):
    """A run of a blob being read.  Stays valid while the blob is deleted behind it, if the
    caller holds it pinned (see objectstore's pins)."""

    def read() -> Awaitable[bytes]:
        """The next bytes, between 1 byte and 1 MiB; empty at the end.

        :raises InternalError: the blob ends early or cannot be read.
        """

    def close() -> None:
        """Release it; may be called at any time, more than once, also during a read."""


class IBlobStore(Interface):
    """Blobs.  Also an IPart."""

    capabilities = Attribute("What it does natively: a BlobCapabilities.")

    def create(blob_id: str, placement: Placement) -> Awaitable[IBlobWriter]:
        """Start a new blob under an id that was never used.

        :raises InsufficientStorage: there is no room.
        """

    def open(blob_id: str, offset: int, length: int) -> Awaitable[IBlobReader]:
        """Read ``length`` bytes from ``offset``.

        :raises InternalError: there is no such blob (its message names it for the log).
        :raises SlowDown: the process has no descriptor left.
        """

    def delete(blob_id: str) -> Awaitable[None]:
        """Remove a blob; it is no error if there is none."""

    def blob_ids() -> AsyncIterator[tuple[str, ...]]:
        """All blobs, in batches, in no order; those being written may or may not be among them."""

    def check() -> Awaitable[None]:
        """A cheap proof that the store can be used, for health checks.

        :raises Exception: it cannot.
        """
