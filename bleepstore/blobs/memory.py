"""Blobs in memory, for tests and for data that may be lost.

With ``persistence="snapshot"`` all blobs are written to one file at an interval and when the store
stops, and are read back when it starts.  **What came after the last snapshot is lost with the
process**, though it was acknowledged: this store's ``finish`` makes nothing durable.
``memory_snapshot`` has the file's format.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.memory_snapshot import Blobs, read_snapshot, write_snapshot
from bleepstore.errors import InsufficientStorage, InternalError
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import IThreads

CHUNK = 256 * 1024
"""Bytes of each chunk of a blob but the last."""

_ID_BATCH = 1000

_log = Logger()


@implementer(IBlobStore, IPart)
class MemoryBlobStore:
    """Blobs as chunks of bytes.

    :param max_size_bytes: of all blobs together, those being written included; 0: unlimited.
    :param persistence: ``none`` or ``snapshot``.
    :param snapshot_path: the file; its directory exists.
    :param snapshot_interval_seconds: from the end of a snapshot to the start of the next one.
    """

    capabilities = BlobCapabilities()

    def __init__(
        self,
        clock: IReactorTime,
        threads: IThreads,
        max_size_bytes: int = 0,
        persistence: str = "none",
        snapshot_path: str = "",
        snapshot_interval_seconds: float = 300,
    ) -> None:
        if persistence not in ("none", "snapshot"):
            raise ValueError("persistence is none or snapshot")
        if persistence == "snapshot" and not snapshot_path:
            raise ValueError("persistence by snapshot needs a snapshot_path")
        self._clock = clock
        self._lane = threads.lane()
        self._max_size = max_size_bytes
        self._path = snapshot_path if persistence == "snapshot" else ""
        self._interval = snapshot_interval_seconds
        self._blobs: Blobs = {}
        self._used = 0
        self._changed = False
        self._timer: IDelayedCall | None = None
        self._snapshot_error: Exception | None = None
        self._running = False

    async def start(self) -> None:
        """Read the snapshot, if there is to be one.

        :raises UnusableStore: the snapshot is damaged, or of another format.
        """
        if self._path:
            self._blobs = await self._lane.run(read_snapshot, self._path)
            self._used = sum(len(chunk) for chunks in self._blobs.values() for chunk in chunks)
            self._running = True
            self._schedule()

    async def stop(self) -> None:
        """Write a last snapshot."""
        if self._running:
            self._running = False
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            await self.snapshot()

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`."""
        if blob_id in self._blobs:
            raise InternalError(f"the blob {blob_id} exists already")
        return _Writer(self, blob_id)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IBlobStore`."""
        chunks = self._blobs.get(blob_id)
        if chunks is None:
            raise InternalError(f"there is no blob {blob_id}")
        return _Reader(blob_id, chunks, offset, length)

    async def delete(self, blob_id: str) -> None:
        """See :class:`IBlobStore`."""
        chunks = self._blobs.pop(blob_id, None)
        if chunks is not None:
            self._changed = True
            self._used -= sum(map(len, chunks))

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IBlobStore`."""
        ids = tuple(self._blobs)
        for start in range(0, len(ids), _ID_BATCH):
            yield ids[start : start + _ID_BATCH]

    async def check(self) -> None:
        """See :class:`IBlobStore`.  Fails while the last snapshot could not be written."""
        if self._snapshot_error is not None:
            raise self._snapshot_error

    async def snapshot(self) -> None:
        """Write a snapshot now, if anything changed since the last one.  Never fails; it logs."""
        if not self._changed:
            return
        self._changed = False
        try:
            await self._lane.run(write_snapshot, self._path, dict(self._blobs))
        except Exception as error:
            self._changed = True
            self._snapshot_error = error
            _log.failure("The snapshot {path} could not be written", path=self._path)
        else:
            self._snapshot_error = None

    def _schedule(self) -> None:
        if self._running:
            self._timer = self._clock.callLater(self._interval, self._tick)

    def _tick(self) -> None:
        Deferred.fromCoroutine(self.snapshot()).addCallback(lambda _: self._schedule())

    # For the writer

    def take_room(self, size: int) -> None:
        """Count bytes that are being written.

        :raises InsufficientStorage: they would be more than allowed.
        """
        if self._max_size and self._used + size > self._max_size:
            raise InsufficientStorage
        self._used += size

    def give_back(self, size: int) -> None:
        """Count bytes no more that were not kept."""
        self._used -= size

    def keep(self, blob_id: str, chunks: tuple[bytes, ...]) -> None:
        """A blob is finished."""
        self._blobs[blob_id] = chunks
        self._changed = True


@implementer(IBlobWriter)
class _Writer:
    """Copies what comes into chunks of one size, so that a reader finds an offset at once."""

    __slots__ = ("_blob_id", "_chunks", "_last", "_size", "_store")

    hashes = False

    def __init__(self, store: MemoryBlobStore, blob_id: str) -> None:
        self._store = store
        self._blob_id = blob_id
        self._chunks: list[bytes] = []
        self._last = bytearray()
        self._size = 0

    async def write(self, *data: bytes | memoryview) -> None:
        size = sum(map(len, data))
        self._store.take_room(size)
        self._size += size
        last = self._last
        for piece in data:
            last += piece
        while len(last) >= CHUNK:
            self._chunks.append(bytes(memoryview(last)[:CHUNK]))
            del last[:CHUNK]

    async def finish(self, md5: str = "") -> str:
        if self._last:
            self._chunks.append(bytes(self._last))
            self._last = bytearray()
        self._store.keep(self._blob_id, tuple(self._chunks))
        self._size = 0
        return md5

    async def abort(self) -> None:
        if self._size:
            self._store.give_back(self._size)
            self._size = 0
        else:
            await self._store.delete(self._blob_id)
        self._chunks.clear()
        self._last = bytearray()


@implementer(IBlobReader)
class _Reader:
    """Holds the chunks themselves, so that it survives the blob's deletion."""

    __slots__ = ("_blob_id", "_chunks", "_left", "_position")

    def __init__(self, blob_id: str, chunks: tuple[bytes, ...], offset: int, length: int) -> None:
        self._blob_id = blob_id
        self._chunks = chunks
        self._position = offset
        self._left = length

    async def read(self) -> bytes:
        if not self._left:
            return b""
        index, start = divmod(self._position, CHUNK)
        chunk = self._chunks[index] if index < len(self._chunks) else b""
        data = chunk[start : start + self._left] if start or self._left < len(chunk) else chunk
        if not data:
            raise InternalError(f"the blob {self._blob_id} ends at {self._position}")
        self._position += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._left = 0
        self._chunks = ()
