"""Blobs as files of the local disk, one each.

    ROOT/bleepstore-blobs              the marker: what this directory is, its format, and its lock
    ROOT/{epoch}/{serial / 4096}/{id}  a blob: its bytes and nothing else

A blob is written under its final name at once: nobody looks for it before metadata names it, so
there is no temporary name and no rename.  ``finish`` returns when the file *and* its directory
entry are on disk.  Consecutive ids share a directory, so that one sync of it serves many.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from zope.interface import implementer

from bleepstore.blobs.disk import FileLock, refusal_of, remove, require_writable
from bleepstore.blobs.local_file import FileReader, FileWriter
from bleepstore.blobs.local_layout import MARKER, BlobFiles
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
from bleepstore.interfaces.threads import IThreads
from bleepstore.shares import Share

READS = 4 * 1024 * 1024
"""Bytes that one chunk for each reader may take; a few of each are in memory (``egress``)."""

_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC


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
        self._files = BlobFiles(self._root)
        self._reads = Share(READS)
        marker = os.path.join(self._root, MARKER)
        self._lock = FileLock(marker, f"the blob store {self._root}")
        make_directories(self._root)
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
        return FileWriter(self._files, self._files.path(blob_id), self._threads)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IBlobStore`.  Opens the file on the reactor's thread: that costs 8 µs
        where the inode is cached, a hop to a thread always 57."""
        try:
            descriptor = os.open(self._files.path(blob_id), _READ_FLAGS)
        except FileNotFoundError:
            raise InternalError(f"there is no blob {blob_id}") from None
        except OSError as error:
            if (refusal := refusal_of(error)) is not None:
                raise refusal from error
            raise
        return FileReader(blob_id, descriptor, offset, length, self._threads, self._reads)

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
