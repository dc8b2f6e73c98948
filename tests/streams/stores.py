"""A blob store that shows what is asked of it, and payloads and requests to feed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from twisted.internet.defer import Deferred
from zope.interface import implementer

from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.http import IPayload


@implementer(IPayload)
class Payload:
    """Gives its pieces; an exception among them is raised, a Deferred is waited for first."""

    def __init__(
        self,
        pieces: Iterable[bytes | Exception | Deferred[None]],
        length: int | None = None,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self._pieces = list(pieces)
        self.length = length
        self.reads = 0
        self._announced = dict(trailers or {})
        self.trailers: dict[str, str] = {}

    async def read(self) -> bytes:
        self.reads += 1
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                return piece
            await piece
        self.trailers.update(self._announced)
        return b""


@implementer(IBlobStore)
class Ledger:
    """Keeps blobs in a dict, and an account of every call.

    :ivar held: when it is set, writes wait for it.
    :ivar held_abort: when it is set, aborts wait for it.
    :ivar pieces: in which the bytes of blobs were written.
    """

    def __init__(self, inline_small: bool = True, read_only: str = "") -> None:
        self.capabilities = BlobCapabilities(inline_small=inline_small, read_only=read_only)
        self.blobs: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.open_readers = 0
        self.unwritten = 0
        self.pieces = 0
        self.held: Deferred[None] | None = None
        self.held_abort: Deferred[None] | None = None
        self.fail_write: Exception | None = None
        self.fail_finish: Exception | None = None
        self.chunk = 4
        self.told = ""  # the MD5 that writers say they were told

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        self.calls.append("create")
        return _Writer(self, blob_id)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        if blob_id not in self.blobs:
            raise InternalError(f"there is no blob {blob_id}")
        self.open_readers += 1
        return _Reader(self, self.blobs[blob_id][offset : offset + length])

    async def delete(self, blob_id: str) -> None:
        self.blobs.pop(blob_id, None)

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        yield tuple(self.blobs)

    async def check(self) -> None:
        return None


@implementer(IBlobWriter)
class _Writer:
    def __init__(self, ledger: Ledger, blob_id: str) -> None:
        self._ledger = ledger
        self._blob_id = blob_id
        self._data = b""
        self._busy = False
        self.hashes = bool(ledger.told)

    async def write(self, *data: bytes | memoryview) -> None:
        assert not self._busy, "writes overlap"
        assert sum(map(len, data)) <= 1 << 20
        self._ledger.pieces += len(data)
        self._ledger.calls.append("write")
        self._busy = True
        try:
            if self._ledger.held is not None:
                waiting: Deferred[None] = Deferred()
                self._ledger.held.chainDeferred(waiting)
                await waiting
            if self._ledger.fail_write is not None:
                raise self._ledger.fail_write
            self._data += b"".join(data)
        finally:
            self._busy = False

    async def finish(self, md5: str = "") -> str:
        assert not self._busy
        self._ledger.calls.append("finish")
        if self._ledger.fail_finish is not None:
            raise self._ledger.fail_finish
        self._ledger.blobs[self._blob_id] = self._data
        return self._ledger.told if self.hashes else md5

    async def abort(self) -> None:
        assert not self._busy
        self._ledger.calls.append("abort")
        if self._ledger.held_abort is not None:
            await self._ledger.held_abort
        self._ledger.blobs.pop(self._blob_id, None)


@implementer(IBlobReader)
class _Reader:
    def __init__(self, ledger: Ledger, data: bytes) -> None:
        self._ledger = ledger
        self._data = data
        self._closed = False

    async def read(self) -> bytes:
        ledger = self._ledger
        if ledger.held is not None:
            waiting: Deferred[None] = Deferred()
            ledger.held.chainDeferred(waiting)
            await waiting
        data, self._data = self._data[: ledger.chunk], self._data[ledger.chunk :]
        return data

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ledger.open_readers -= 1
