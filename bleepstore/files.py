"""Files and directories on a disk: when they are there to stay, and what is at hand of them.

A new file, or a new directory, is found again after a power cut once the directory that it is in
was synced (POSIX, ``fsync``): to sync the file alone is not enough.  On macOS ``fsync`` leaves it
to the drive when it writes; only ``F_FULLFSYNC`` has it done (fsync(2), fcntl(2) there).

Systems differ in what else they offer: ``fdatasync`` is missing on macOS, a read that never waits
(``RWF_NOWAIT``) everywhere but on Linux with glibc.  Each is asked for here alone.

All but :func:`read_at_hand` blocks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a disk, or a quota, that is full."""

SQLITE_NO_ROOM: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
"""What SQLite says of a write for which there is no room: FULL for ENOSPC alone; EFBIG and EDQUOT
come as I/O errors of a write."""

SQLITE_SYNCS: Final = ("fullfsync = ON", "checkpoint_fullfsync = ON")
"""Pragmas by which SQLite syncs as :func:`sync_file` does.  They mean nothing but on macOS."""


def sync_file(descriptor: int) -> None:
    """Make a file durable, with its size and times.

    :raises OSError: the disk fails.
    """
    if _FULL_SYNC is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL_SYNC)


def sync_data(descriptor: int) -> None:
    """Make a file's bytes durable, and of the rest what is needed to read them.

    :raises OSError: the disk fails.
    """
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        sync_file(descriptor)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable.

    :raises OSError: it is not there, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: str | os.PathLike[str]) -> None:
    """Make a directory and those above it that are missing, durably, for their owner alone.

    Somebody else may be making the same ones.

    :raises OSError: it cannot be made, or a file is in its place.
    """
    missing = []
    step = os.path.abspath(path)
    while not os.path.lexists(step):
        missing.append(step)
        step = os.path.dirname(step)
    for directory in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        sync_directory(os.path.dirname(directory))
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))


def free_bytes(directory: str) -> int:
    """What the disk of a directory has left for whom the process runs as.

    :raises OSError: it is not there, or the disk fails.
    """
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def same_disk(one: str, other: str) -> bool:
    """Whether two directories share their free bytes; False where one of them is not there."""
    try:
        return os.stat(one).st_dev == os.stat(other).st_dev
    except OSError:
        return False


def read_at_hand(descriptor: int, buffers: Sequence[bytearray], offset: int) -> int:
    """Read what the page cache has of a file, in no time.

    :return: how many bytes of the buffers were filled; 0 at the end of the file, where the cache
        has nothing, and where this cannot be asked.
    """
    if _NO_WAIT is None:
        return 0
    try:
        return os.preadv(descriptor, buffers, offset, _NO_WAIT)
    except OSError:  # EAGAIN: not cached; EOPNOTSUPP: this file system cannot tell
        return 0


def let_go(descriptor: int, offset: int, length: int) -> None:
    """Tell the page cache that a run of a file is not needed any more.

    On Linux this starts writing the pages that are dirty, and returns; it drops those that are on
    the disk already.  Where there is no such advice, it does nothing.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
