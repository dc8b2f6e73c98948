"""Directories of the stores: made for their owner alone, writable, and used by one process.

Runs before the reactor does; everything here may block.
"""

from __future__ import annotations

import fcntl
import os

from bleepstore.files import make_directories
from bleepstore.node.problems import StartError


def make_directory(path: str, setting: str) -> None:
    """Make a directory and its parents, durably and readable by the owner alone, and see that it
    can be used.

    :param setting: whose value it is, for the message.
    :raises StartError: it is not there afterwards, is no directory, or cannot be written.
    """
    if os.path.lexists(path) and not os.path.isdir(path):
        raise StartError(f"{setting}: {path} is not a directory")
    try:
        make_directories(path)
    except OSError as error:
        raise StartError(f"{setting}: cannot make {path}: {error.strerror}") from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        here = os.statvfs(path).f_flag & os.ST_RDONLY  # as under systemd's ProtectSystem
        whose = "on a read-only file system" if here else "by this user"
        raise StartError(f"{setting}: {path} cannot be written {whose}")


class DataLock:
    """The right of one process to use a store's data, held until it ends or lets go.

    A second process would take this one's unpublished blobs for a crash's leftovers and sweep
    them.  The lock is the kernel's (flock), so that it ends with the process, however it ends;
    the file stays and means nothing.

    :param path: of the data; the lock file lies beside it, ``.lock`` added.
    :raises StartError: another process has it.
    """

    def __init__(self, path: str, setting: str) -> None:
        name = path.rstrip("/") + ".lock"
        try:
            self._descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"{setting}: cannot open {name}: {error.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StartError(
                f"{setting}: {path} is in use by another BleepStore"
                + (f" (process {holder})" if holder else "")
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StartError(f"{setting}: cannot lock {name}: {error.strerror}") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
