"""Blobs as files of the local disk, one each.

    ROOT/bleepstore-blobs              the marker: what this directory is, its format, and its lock
    ROOT/{epoch}/{serial / 4096}/{id}  a blob: its bytes and nothing else

A blob is written under its final name at once: nobody looks for it before metadata names it, so
there is no temporary name and no rename.  ``finish`` returns when the file *and* its directory
entry are on disk.  Consecutive ids share a directory, so that one sync of it serves many.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from threading import Lock

from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.disk import (
    DirectorySync,
    FileLock,
    UnusableStore,
    no_room,
    remove,
    require_writable,
    sync_directory,
    write_all,
)
from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobStore,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import IThreads

MARKER = "bleepstore-blobs"
FORMAT = b"BleepStore blobs in files, format 1\n"

CHUNK = 256 * 1024
"""Bytes that a reader gives at once."""

AT_HAND = 64 * 1024
"""Bytes up to which a read is tried on the reactor's thread, if the page cache has them all."""

WRITEBACK = 8 * 1024 * 1024
"""Bytes after which the kernel is told to start writing, so that finish has little left to do."""

_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")

_log = Logger()


@implementer(IBlobStore, IPart)
class LocalBlobStore:
    """The directory is checked, marked and locked at construction.

    :param root: the directory; made if it is missing.
    :raises UnusableStore: it holds something else, or another process uses it.
    :raises OSError: it cannot be made, read or written.
    """

    capabilities = BlobCapabilities()

    def __init__(self, root: str, threads: IThreads) -> None:
        self._root = os.path.abspath(root)
        self._threads = threads
        self._files = _Files(self._root)
        marker = os.path.join(self._root, MARKER)
        self._lock = FileLock(marker, f"the blob store {self._root}")
        os.makedirs(self._root, mode=0o700, exist_ok=True)
        self._files.require_own()
        self._lock.acquire()
        try:
            require_writable(self._root)
            self._files.mark()
        except BaseException:
            self._lock.release()
            raise

    async def start(self) -> None:
        """Hold the directory (again, after a stop)."""
        self._lock.acquire()

    async def stop(self) -> None:
        """Let another process have the directory.  Blobs being read or written go on."""
        self._lock.release()

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        """See :class:`IBlobStore`.  The file is made by the first write."""
        return _Writer(self._files, self._files.path(blob_id), self._threads)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IBlobStore`.  Opens the file on the reactor's thread: that costs 8 µs
        where the inode is cached, a hop to a thread always 57."""
        try:
            descriptor = os.open(self._files.path(blob_id), _READ_FLAGS)
        except FileNotFoundError:
            raise InternalError(f"there is no blob {blob_id}") from None
        return _Reader(blob_id, descriptor, offset, length, self._threads)

    async def delete(self, blob_id: str) -> None:
        """See :class:`IBlobStore`.  Not synced: a blob that a power cut brings back is garbage
        that the next start removes."""
        await self._threads.run(remove, self._files.path(blob_id))

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IBlobStore`.  Removes directories that it finds empty."""
        for directory in await self._threads.run(self._files.directories):
            if ids := await self._threads.run(self._files.ids, directory):
                yield ids

    async def check(self) -> None:
        """See :class:`IBlobStore`: the directory is there, the same, and can be written."""
        await self._threads.run(self._check)

    def _check(self) -> None:
        self._lock.require_present()
        require_writable(self._root)


class _Files:
    """The layout of the root.  Used by many threads at once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._making = Lock()
        self.syncs = DirectorySync()

    def require_own(self) -> None:
        """:raises UnusableStore: the root is neither empty nor a blob store of this format."""
        marker = os.path.join(self._root, MARKER)
        try:
            with open(marker, "rb") as file:
                found = file.read(256)
        except FileNotFoundError:
            others = sorted(set(os.listdir(self._root)) - {"lost+found"})
            if others:
                raise UnusableStore(
                    f"{self._root} is no blob store, and not empty (it holds {others[0]!r}): "
                    "give an empty directory"
                ) from None
            return
        if found not in (b"", FORMAT):  # empty: a crash between making and writing it
            raise UnusableStore(
                f"{marker} says {found[:80]!r}: this version knows {FORMAT.decode().strip()!r}"
            )

    def mark(self) -> None:
        """Write the marker, durably; the caller holds its lock."""
        marker = os.path.join(self._root, MARKER)
        if os.path.getsize(marker):
            return
        with open(marker, "wb") as file:
            file.write(FORMAT)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(self._root)
        sync_directory(os.path.dirname(self._root))

    def path(self, blob_id: str) -> str:
        """The file of a blob.

        :raises InternalError: the id is not of the form all ids have.
        """
        epoch, dash, serial = blob_id[:8], blob_id[8:9], blob_id[9:]
        if len(blob_id) != 17 or dash != "-" or not _HEX.issuperset(epoch + serial):
            raise InternalError(f"{blob_id!r} is no blob id")
        return f"{self._root}/{epoch}/{serial[:5]}/{blob_id}"

    def make(self, path: str) -> int:
        """Make the file of a blob, and durably the directories that lead to it.

        One thread at a time: so no file comes into a directory that is not durable yet, or that
        is about to be removed.

        :raises OSError: FileExistsError if there is such a blob.
        """
        with self._making:
            try:
                return os.open(path, _WRITE_FLAGS, 0o600)
            except FileNotFoundError:
                directory = os.path.dirname(path)
                epoch = os.path.dirname(directory)
                with suppress(FileExistsError):
                    os.mkdir(epoch, 0o700)
                with suppress(FileExistsError):
                    os.mkdir(directory, 0o700)
                sync_directory(self._root)
                sync_directory(epoch)
                return os.open(path, _WRITE_FLAGS, 0o600)

    def directories(self) -> list[str]:
        """The directories that hold blobs, or may."""
        found: list[str] = []
        for epoch in _directories(self._root, 8):
            if not (inner := _directories(epoch, 5)):
                self._prune(epoch)
            found += inner
        return found

    def ids(self, directory: str) -> tuple[str, ...]:
        """The blobs of a directory; it is removed if there are none."""
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return ()
        if not names:
            self._prune(directory)
        return tuple(name for name in names if len(name) == 17)

    def _prune(self, directory: str) -> None:
        with self._making, suppress(OSError):  # not empty any more, most likely
            os.rmdir(directory)


def _directories(path: str, length: int) -> list[str]:
    """The sub-directories whose names have that many hex digits."""
    try:
        with os.scandir(path) as entries:
            return sorted(
                entry.path
                for entry in entries
                if len(entry.name) == length and _HEX.issuperset(entry.name) and entry.is_dir()
            )
    except FileNotFoundError:
        return []


@implementer(IBlobWriter)
class _Writer:
    """All calls go through one lane: abort comes after a write whose wait was cancelled."""

    __slots__ = ("_descriptor", "_files", "_lane", "_made", "_offset", "_path", "_started")

    def __init__(self, files: _Files, path: str, threads: IThreads) -> None:
        self._files = files
        self._path = path
        self._lane = threads.lane()
        self._descriptor = -1
        self._made = False
        self._offset = 0
        self._started = 0

    async def write(self, *data: bytes | memoryview) -> None:
        await self._lane.run(self._refusing, self._write, *data)

    async def finish(self) -> None:
        await self._lane.run(self._refusing, self._finish)

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
            if (refusal := no_room(error)) is not None:
                raise refusal from error
            raise

    def _make(self) -> None:
        if not self._made:
            self._descriptor = self._files.make(self._path)
            self._made = True

    def _write(self, *data: bytes | memoryview) -> None:
        self._make()
        self._offset = write_all(self._descriptor, data, self._offset)
        if self._offset - self._started >= WRITEBACK:
            # On Linux this starts writing what is dirty and returns; nothing dirty is dropped.
            os.posix_fadvise(
                self._descriptor,
                self._started,
                self._offset - self._started,
                os.POSIX_FADV_DONTNEED,
            )
            self._started = self._offset

    def _finish(self) -> None:
        self._make()
        os.fsync(self._descriptor)
        self._close()
        self._files.syncs.sync(os.path.dirname(self._path))

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
class _Reader:
    """Small reads are answered from the page cache at once, all others in a thread."""

    __slots__ = ("_blob_id", "_file", "_left", "_position", "_threads")

    def __init__(
        self, blob_id: str, descriptor: int, offset: int, length: int, threads: IThreads
    ) -> None:
        self._blob_id = blob_id
        self._file = _Descriptor(descriptor)
        self._position = offset
        self._left = length
        self._threads = threads

    async def read(self) -> bytes:
        size = min(self._left, CHUNK)
        if not size:
            return b""
        data = self._file.cached(size, self._position) if size <= AT_HAND else b""
        if not data:
            try:
                data = await self._threads.run(self._file.read, size, self._position)
            except OSError as error:
                raise InternalError(f"blob {self._blob_id} cannot be read: {error}") from error
            if not data and self._left:
                raise InternalError(f"blob {self._blob_id} ends at {self._position}")
        self._position += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._left = 0
        self._file.close()


class _Descriptor:
    """A file descriptor that is closed when nobody uses it any more: closed under a thread's
    read, its number could be another file's by then."""

    __slots__ = ("_closed", "_descriptor", "_lock", "_users")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = Lock()
        self._users = 0
        self._closed = False

    def __del__(self) -> None:
        self.close()

    def cached(self, size: int, offset: int) -> bytes:
        """The bytes, if the page cache has them; else, and at the end of the file, none."""
        if self._closed:
            return b""
        buffer = bytearray(size)
        try:
            read = os.preadv(self._descriptor, (buffer,), offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN: not cached; EOPNOTSUPP: this file system cannot tell
            return b""
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
