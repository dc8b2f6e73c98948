"""One file of the local store, being written or read.

Knows a file and the threads that work on it; which file it is, ``local_layout`` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock

from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.disk import refusal_of, remove, write_all
from bleepstore.blobs.local_layout import BlobFiles
from bleepstore.errors import InternalError
from bleepstore.files import let_go, read_at_hand, sync_file
from bleepstore.interfaces.blobs import IBlobReader, IBlobWriter
from bleepstore.interfaces.threads import IThreads
from bleepstore.shares import Share

AT_HAND = 64 * 1024
"""Bytes up to which a read is tried on the reactor's thread, if the page cache has them all."""

WRITEBACK = 8 * 1024 * 1024
"""Bytes after which the kernel is told to start writing, so that finish has little left to do:
the sync at the end of 1 GiB takes 10 ms instead of 300."""

KEEP = 64 * 1024 * 1024
"""Bytes of a blob that stay in the page cache when it was written.  The rest of a larger one would
drive out what is worth more; and fresh memory for it costs more than the copying (a third of an
upload's processor time, on a virtual machine whose host takes free memory back)."""

_log = Logger()


@implementer(IBlobWriter)
class FileWriter:
    """All calls go through one lane: abort comes after a write whose wait was cancelled."""

    hashes = False

    __slots__ = (
        "_descriptor",
        "_failures",
        "_files",
        "_lane",
        "_made",
        "_offset",
        "_path",
        "_started",
    )

    def __init__(self, files: BlobFiles, path: str, threads: IThreads) -> None:
        self._files = files
        self._path = path
        self._lane = threads.lane()
        self._descriptor = -1
        self._failures = 0
        self._made = False
        self._offset = 0
        self._started = 0

    async def write(self, *data: bytes | memoryview) -> None:
        await self._lane.run(self._refusing, self._write, *data)

    async def finish(self, md5: str = "") -> str:
        await self._lane.run(self._refusing, self._finish)
        return md5

    async def abort(self) -> None:
        try:
            await self._lane.run(self._discard)
        except Exception:
            # What is left is an unreferenced blob; the next start removes it.
            _log.failure("The unfinished blob {path} could not be removed", path=self._path)

    # In a thread

    def _refusing(self, function: Callable[..., None], *args: object) -> None:
        try:
            function(*args)
        except OSError as error:
            if (refusal := refusal_of(error)) is not None:
                raise refusal from error
            raise

    def _make(self) -> None:
        if not self._made:
            self._failures = self._files.syncs.failures(os.path.dirname(self._path))
            self._descriptor = self._files.make(self._path)
            self._made = True

    def _write(self, *data: bytes | memoryview) -> None:
        self._make()
        self._offset = write_all(self._descriptor, data, self._offset)
        if self._offset - self._started >= WRITEBACK:
            # Those of two rounds ago will have been written by now.
            first = self._started
            if first > KEEP:
                first = max(KEEP, first - 2 * WRITEBACK)
            let_go(self._descriptor, first, self._offset - first)
            self._started = self._offset

    def _finish(self) -> None:
        self._make()
        sync_file(self._descriptor)
        self._close()
        self._files.syncs.sync(os.path.dirname(self._path), self._failures)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _discard(self) -> None:
        try:
            self._close()
        finally:
            if self._made:
                remove(self._path)


@implementer(IBlobReader)
class FileReader:
    """Small reads are answered from the page cache at once, all others in a thread.

    :param reads: what readers of more than :data:`AT_HAND` divide; closing leaves it.
    """

    __slots__ = ("_blob_id", "_file", "_left", "_position", "_reads", "_threads")

    def __init__(
        self,
        blob_id: str,
        descriptor: int,
        offset: int,
        length: int,
        threads: IThreads,
        reads: Share,
    ) -> None:
        self._blob_id = blob_id
        self._file = _Descriptor(descriptor)
        self._position = offset
        self._left = length
        self._threads = threads
        self._reads: Share | None = None
        if length > AT_HAND:
            self._reads = reads
            reads.enter()

    def __del__(self) -> None:
        self.close()

    async def read(self) -> bytes:
        size = self._left
        if size > AT_HAND and self._reads is not None:
            size = min(size, self._reads.size)
        if not size:
            return b""
        data = self._file.cached(size, self._position) if size <= AT_HAND else b""
        if not data:
            try:
                data = await self._threads.run(self._file.read, size, self._position)
            except OSError as error:
                raise InternalError(f"blob {self._blob_id} cannot be read: {error}") from error
            if not self._left:
                return b""  # it was closed meanwhile
            if not data:
                raise InternalError(f"blob {self._blob_id} ends at {self._position}")
        self._position += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._left = 0
        self._file.close()
        if self._reads is not None:
            self._reads.leave()
            self._reads = None


class _Descriptor:
    """A file descriptor that is closed when nobody uses it any more: closed under a thread's
    read, its number could be another file's by then."""

    __slots__ = ("_closed", "_descriptor", "_lock", "_users")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = Lock()
        self._users = 0
        self._closed = False

    def cached(self, size: int, offset: int) -> bytes:
        """The bytes, if the page cache has them; else, and at the end of the file, none."""
        if self._closed:
            return b""
        buffer = bytearray(size)
        read = read_at_hand(self._descriptor, (buffer,), offset)
        return bytes(buffer) if read == size else bytes(memoryview(buffer)[:read])

    def read(self, size: int, offset: int) -> bytes:
        """The bytes, fewer at the end of the file; none after :meth:`close`.

        :raises OSError:
        """
        with self._lock:
            if self._closed:
                return b""
            self._users += 1
        try:
            return os.pread(self._descriptor, size, offset)
        finally:
            with self._lock:
                self._users -= 1
                if self._closed and not self._users:
                    os.close(self._descriptor)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                if not self._users:
                    os.close(self._descriptor)
