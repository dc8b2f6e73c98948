"""Where the local store keeps its files: the marker, the directories, the names.

Nearly everything here may block, and is called in threads or before the store serves.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock

from bleepstore.blobs.disk import DirectorySync, UnusableStore
from bleepstore.errors import InternalError
from bleepstore.files import sync_directory, sync_file

MARKER = "bleepstore-blobs"
FORMAT = b"BleepStore blobs in files, format 1\n"

_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_HEX = frozenset("0123456789abcdef")


class BlobFiles:
    """The layout of the root.  Used by many threads at once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._making = Lock()
        self._doubtful: set[str] = set()
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
            sync_file(file.fileno())
        sync_directory(self._root)
        sync_directory(os.path.dirname(self._root))  # if it was made by somebody, just now

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
        is about to be removed.  Nor does one after a directory could not be made durable, were it
        for want of a file descriptor: it would be there, and look like any other.

        :raises OSError: FileExistsError if there is such a blob.
        """
        directory = os.path.dirname(path)
        with self._making:
            if directory not in self._doubtful:
                try:
                    return os.open(path, _WRITE_FLAGS, 0o600)
                except FileNotFoundError:
                    pass
            self._make_directory(directory)
            return os.open(path, _WRITE_FLAGS, 0o600)

    def _make_directory(self, directory: str) -> None:
        epoch = os.path.dirname(directory)
        self._doubtful.add(directory)
        try:
            with suppress(FileExistsError):
                os.mkdir(epoch, 0o700)
            with suppress(FileExistsError):
                os.mkdir(directory, 0o700)
            sync_directory(self._root)
            sync_directory(epoch)
        except OSError:
            # Made anew the next time: what a failed sync left out, no later one of the same
            # names need write.
            for made in (directory, epoch):
                with suppress(OSError):
                    os.rmdir(made)
            raise
        self._doubtful.discard(directory)

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
