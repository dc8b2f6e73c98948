"""Room that is left on the disks of a node: little new is taken while there is little.

To delete takes some room too, for the write-ahead log grows before a checkpoint takes anything
from it; and so does a start.  Else objects would fill a disk to its last byte, and nothing could be
deleted any more.

What was deleted from a database leaves its file as large as it was.  So what is kept in metadata is
taken as long as that file has room, and what is to become a file of its own is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from twisted.logger import Logger

from bleepstore.config.sections import Config
from bleepstore.errors import InsufficientStorage
from bleepstore.files import free_bytes, same_disk

LOOK: Final = 0.1
"""Seconds between two looks at the disks."""

_log = Logger()


class Room:
    """Asked before each operation that stores something.

    :param metadata: directories of the metadata's database.
    :param log: directories of what else every operation writes to, on disks of its own.
    :param files: directories of what bodies that are not small are written to.
    :param least: bytes that are to stay free on their disks, for whom the server runs as; 0: none.
    :param small: bytes up to which a body is kept in metadata.
    :param reusable: bytes that metadata can take before its file grows.
    :param seconds: the time, of a clock that is never set.
    """

    def __init__(
        self,
        metadata: Sequence[str],
        log: Sequence[str],
        files: Sequence[str],
        least: int,
        small: int,
        reusable: Callable[[], int],
        seconds: Callable[[], float],
    ) -> None:
        self._metadata = metadata if least else ()
        self._log = log if least else ()
        self._files = files if least else ()
        self._least = least
        self._small = small
        self._reusable = reusable
        self._seconds = seconds
        self._again = 0.0
        self._none = self._none_for_files = False
        self._said = ""

    def require(self, size: int | None) -> None:
        """See that there is room for a body.

        :param size: bytes, None if it is not known; 0 for what has no body.
        :raises InsufficientStorage: too little is free.
        """
        if (now := self._seconds()) >= self._again:
            self._again = now + LOOK
            self._look()
        if self._none or (self._none_for_files and (size is None or size > self._small)):
            raise InsufficientStorage

    def _look(self) -> None:
        metadata = self._scarce(self._metadata, self._least)
        if metadata:
            metadata = self._scarce(self._metadata, self._least - self._reusable())
        always = metadata or self._scarce(self._log, self._least)
        files = self._scarce(self._files, self._least)
        self._none, self._none_for_files = bool(always), bool(files)
        self._say(always or files)

    def _say(self, directory: str) -> None:
        if directory and not self._said:
            _log.warn(
                "Less than {least} bytes are free at {directory} (storage.min_free_bytes): no new "
                "objects are stored there until there are more",
                least=self._least,
                directory=directory,
            )
        elif self._said and not directory:
            _log.info("There is room again at {directory}", directory=self._said, always=True)
        self._said = directory

    def _scarce(self, directories: Sequence[str], least: int) -> str:
        """The first of these directories whose disk has less; empty if none."""
        for directory in directories:
            try:
                if free_bytes(directory) < least:
                    return directory
            except OSError:
                continue  # what is the matter there shows when it is written to
        return ""


def room_of(config: Config, reusable: Callable[[], int], seconds: Callable[[], float]) -> Room:
    """The room of all that a node writes to its own disks.

    Where objects are in a database of their own too, nobody knows how much that can still take:
    then no room is kept.
    """
    metadata, storage = config.metadata, config.storage
    least = storage.min_free_bytes if storage.backend != "sqlite" else 0
    database, log, files = [], [], []
    if metadata.engine in ("sqlite", "raft"):
        database.append(os.path.dirname(metadata.sqlite.path) or ".")
    if metadata.engine == "raft" and not same_disk(database[0], config.cluster.data_dir):
        log.append(config.cluster.data_dir)
    if storage.backend == "local":
        files.append(storage.local.root_dir)
    return Room(database, log, files, least, storage.inline_max_bytes, reusable, seconds)
