"""Directories on a disk, and when their names are there to stay.

A new file, or a new directory, is found again after a power cut once the directory that it is in
was synced (POSIX, ``fsync``): to sync the file alone is not enough.

Everything here blocks.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable.

    :raises OSError: it is not there, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
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
