"""What blob stores on a disk have in common: refusals, locks, directories, whole writes.

Nearly everything here may block, and is called in threads or before the store serves.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Event, Lock

from bleepstore.errors import InsufficientStorage, SlowDown, StoreError
from bleepstore.files import FULL, sync_directory, sync_file

_NO_ROOM = FULL | {errno.EFBIG, errno.EROFS}
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_IOV_MAX = os.sysconf("SC_IOV_MAX")
_BUFFER = 256 * 1024


class UnusableStore(RuntimeError):
    """What is on the disk cannot be used as this store; the message says why and what to do."""


def refusal_of(error: OSError) -> StoreError | None:
    """What an error of the system amounts to, if it is no defect.

    InsufficientStorage: the disk is full, a quota used up, the file may not grow, or the file
    system became read-only, as many do after an error.  SlowDown: no more files can be open just
    now.
    """
    if error.errno in _NO_ROOM:
        return InsufficientStorage()
    return SlowDown() if error.errno in _NO_DESCRIPTOR else None


def write_all(descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write pieces at an offset, without joining them; gives the offset behind them.

    :raises OSError: some may have been written.
    """
    left = [piece for piece in pieces if len(piece)]
    while left:
        written = os.pwritev(descriptor, left[:_IOV_MAX], offset)
        offset += written
        done = 0
        while done < len(left) and written >= len(left[done]):
            written -= len(left[done])
            done += 1
        del left[:done]
        if written:
            left[0] = memoryview(left[0])[written:]
    return offset


class DirectorySync:
    """Makes directory entries durable for several threads at once.

    Who asks while a directory is being synced waits for the next round, which serves all who
    asked meanwhile.

    A sync that fails is told to whoever asked for it, and a later one succeeds without writing
    what that one could not (fsync(2), on Linux: what it gives up is clean).  So an entry that was
    there when a sync failed is never called durable.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = Lock()
        self._next: dict[str, _Round] = {}
        self._failures: dict[str, tuple[int, OSError]] = {}

    def failures(self, path: str) -> int:
        """How often a directory could not be synced: to be asked before an entry is made."""
        return self._failures.get(path, (0, None))[0]

    def sync(self, path: str, failures: int = 0) -> None:
        """Return when every entry made in a directory before the call is durable.

        :param failures: what :meth:`failures` gave before the entry was made.
        :raises OSError:
        """
        with self._lock:
            round_ = self._next.get(path)
            leads = round_ is None
            if round_ is None:
                round_ = self._next[path] = _Round()
        if leads:
            with self._running:
                with self._lock:
                    del self._next[path]
                try:
                    sync_directory(path)
                except OSError as error:
                    round_.error = error
                    if error.errno not in _NO_DESCRIPTOR:  # for want of one nothing was tried
                        self._failures[path] = (self.failures(path) + 1, error)
                finally:
                    round_.done.set()
        else:
            round_.done.wait()
        if round_.error is not None:
            raise round_.error
        count, failure = self._failures.get(path, (0, None))
        if count > failures and failure is not None:
            raise failure


class _Round:
    """One sync of a directory that several threads wait for."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = Event()
        self.error: OSError | None = None


class FileLock:
    """A file that one process at a time may hold (flock: it ends with the process)."""

    def __init__(self, path: str, what: str) -> None:
        """:param what: what the file stands for, for the message to who comes second."""
        self._path = path
        self._what = what
        self._descriptor = -1

    def acquire(self) -> None:
        """Make the file if need be, and hold it.

        :raises UnusableStore: another process holds it.
        :raises OSError: it cannot be opened.
        """
        if self._descriptor >= 0:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UnusableStore(
                f"{self._what} is in use by another process; two nodes must not share it"
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Hold it no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def require_present(self) -> None:
        """Prove that the file that is held is the one at its path.

        :raises UnusableStore: the file system has gone, or another is mounted in its place.
        """
        try:
            there = os.stat(self._path)
        except OSError as error:
            raise UnusableStore(f"{self._what} has gone: {error.strerror}") from error
        if self._descriptor >= 0 and not os.path.samestat(there, os.fstat(self._descriptor)):
            raise UnusableStore(f"{self._what} was replaced behind this process")


def replace_file(path: str, pieces: Iterable[bytes]) -> None:
    """Write a file durably and atomically: after a crash there is the old one or the new one.

    :raises OSError: the old one is still there.
    """
    temporary = path + ".new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=_BUFFER) as file:
            file.writelines(pieces)
            file.flush()
            sync_file(descriptor)
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise
    sync_directory(os.path.dirname(os.path.abspath(path)))


def remove(path: str) -> None:
    """Unlink a file if it is there.

    :raises OSError: it is there and cannot be removed.
    """
    with suppress(FileNotFoundError):
        os.unlink(path)


def require_writable(path: str) -> None:
    """:raises UnusableStore: no file can be made in a directory, by its rights or its mount."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise UnusableStore(f"{path} is on a file system that is mounted read-only")
    if not os.access(path, os.W_OK | os.X_OK):
        raise UnusableStore(f"{path} is not writable")
