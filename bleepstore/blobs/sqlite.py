"""Blobs as chunk rows of an SQLite file of their own: one file to copy, whatever it holds.

For small installations.  Every byte is written twice (log, then database), and one thread writes.
Deleted blobs are gone for readers at once: a read survives a deletion only through objectstore's
pins, which put the deletion off.  ``sqlite_file`` has the schema and the SQL.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Iterator

from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.disk import FileLock, require_writable
from bleepstore.blobs.sqlite_file import CHUNK, Database
from bleepstore.errors import InternalError
from bleepstore.files import make_directories
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import ILane, IThreads

_ID_BATCH = 1000

_log = Logger()


@implementer(IBlobStore, IPart)
class SqliteBlobStore:
    """The file is opened, checked and locked at construction.

    :param path: the database file; made if it is missing, with its directory.
    :raises UnusableStore: it is something else, or another process uses it.
    :raises OSError: it cannot be made or locked.
    """

    capabilities = BlobCapabilities()

    def __init__(self, path: str, threads: IThreads) -> None:
        self._path = os.path.abspath(path)
        self._threads = threads
        self._lane = threads.lane()
        self._finishing: deque[_Finish] = deque()
        make_directories(os.path.dirname(self._path))
        self._lock = FileLock(self._path + ".lock", f"the blob store {self._path}")
        self._database: Database | None = None
        self._hold()

    def _hold(self) -> Database:
        if self._database is None:
            self._lock.acquire()
            try:
                self._database = Database(self._path)
            except BaseException:
                self._lock.release()
                raise
        return self._database

    def _opened(self) -> Database:
        if self._database is None:
            raise InternalError("the blob store was stopped")
        return self._database

    async def start(self) -> None:
        """Remove what a crash left unfinished."""
        await self._lane.run(self._hold().recover)

    async def stop(self) -> None:
        """Let the calls under way end, close the file and let another process have it.

        Blobs still being written or read fail with their next call.
        """
        if self._database is not None:
            database, self._database = self._database, None
            await self._lane.run(database.close)
            self._lock.release()

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`.  Nothing is stored before the first write."""
        return _Writer(self, self._opened(), self._lane, blob_id)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IBlobStore`."""
        database = self._opened()
        found = await self._threads.run(database.find, blob_id)
        if found is None:
            raise InternalError(f"there is no blob {blob_id}")
        return _Reader(database, self._threads, blob_id, found[0], offset, length)

    async def delete(self, blob_id: str) -> None:
        """See :class:`IBlobStore`.  Large ones go in steps, so that writes come in between."""
        database = self._opened()
        number = await self._lane.run(database.number_of, blob_id)
        if number is not None:
            while not await self._lane.run(database.remove_some, number):
                pass

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IBlobStore`."""
        after = 0
        while True:
            after, ids = await self._threads.run(self._opened().ids, after, _ID_BATCH)
            if not ids:
                return
            yield ids

    async def check(self) -> None:
        """See :class:`IBlobStore`: the file is there and can be written and read."""
        database = self._opened()
        await self._threads.run(self._check, database)

    def _check(self, database: Database) -> None:
        self._lock.require_present()
        require_writable(os.path.dirname(self._path))
        database.require_sound()
        database.find("")

    async def finish(self, number: int, size: int) -> None:
        """Finish a blob, in one transaction with all others that are waiting for it."""
        entry = _Finish(number, size)
        self._finishing.append(entry)
        await self._lane.run(self._finish, self._opened(), entry)

    def _finish(self, database: Database, entry: _Finish) -> None:
        if not entry.done:
            entries = [self._finishing.popleft() for _ in range(len(self._finishing))]
            try:
                database.finish([(each.number, each.size) for each in entries])
            except Exception as error:
                for each in entries:
                    each.error = error
            for each in entries:
                each.done = True
        if entry.error is not None:
            raise entry.error


class _Finish:
    """A blob that waits to be finished, and what became of it."""

    __slots__ = ("done", "error", "number", "size")

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.done = False
        self.error: Exception | None = None


@implementer(IBlobWriter)
class _Writer:
    """All calls go through the store's one lane: abort comes after a write whose wait was
    cancelled."""

    __slots__ = ("_blob_id", "_database", "_index", "_lane", "_last", "_number", "_size", "_store")

    hashes = False

    def __init__(
        self, store: SqliteBlobStore, database: Database, lane: ILane, blob_id: str
    ) -> None:
        self._store = store
        self._database = database
        self._lane = lane
        self._blob_id = blob_id
        self._number = 0
        self._index = 0
        self._size = 0
        self._last = bytearray()

    async def write(self, *data: bytes | memoryview) -> None:
        await self._lane.run(self._write, *data)

    async def finish(self, md5: str = "") -> str:
        await self._lane.run(self._flush)
        await self._store.finish(self._number, self._size)
        return md5

    async def abort(self) -> None:
        try:
            while not await self._lane.run(self._discard_some):
                pass
        except Exception:
            # What is left is unfinished; the next start removes it.
            _log.failure("The unfinished blob {id} could not be removed", id=self._blob_id)

    # In a thread

    def _begin(self) -> int:
        if not self._number:
            self._number = self._database.begin(self._blob_id)
        return self._number

    def _write(self, *data: bytes | memoryview) -> None:
        last = self._last
        for piece in data:
            last += piece
            self._size += len(piece)
        if len(last) >= CHUNK:
            self._index = self._database.append(self._begin(), self._index, self._full_chunks())

    def _full_chunks(self) -> Iterator[bytes]:
        last = self._last
        while len(last) >= CHUNK:
            yield bytes(memoryview(last)[:CHUNK])
            del last[:CHUNK]

    def _flush(self) -> None:
        number = self._begin()
        if self._last:
            self._index = self._database.append(number, self._index, (bytes(self._last),))
            self._last = bytearray()

    def _discard_some(self) -> bool:
        return not self._number or self._database.remove_some(self._number)


@implementer(IBlobReader)
class _Reader:
    __slots__ = ("_blob_id", "_database", "_left", "_number", "_position", "_threads")

    def __init__(
        self,
        database: Database,
        threads: IThreads,
        blob_id: str,
        number: int,
        offset: int,
        length: int,
    ) -> None:
        self._database = database
        self._threads = threads
        self._blob_id = blob_id
        self._number = number
        self._position = offset
        self._left = length

    async def read(self) -> bytes:
        if not self._left:
            return b""
        index, start = divmod(self._position, CHUNK)
        chunk = await self._threads.run(self._database.chunk, self._number, index)
        if not self._left:
            return b""  # it was closed meanwhile
        data = (chunk or b"")[start : start + self._left]
        if not data:
            raise InternalError(f"the blob {self._blob_id} ends at {self._position}")
        self._position += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._left = 0
