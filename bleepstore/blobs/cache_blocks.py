"""Blocks of blobs in files of the local disk: a cache, so nothing of it is ever needed.

    DIR/blocks/{xx}/{digest of the locator}.{number}   one block

A block is up to :data:`BLOCK` bytes of a blob, whole or a run of it: what was once read.  The file
says which run, and has a checksum over it, since nobody syncs it and a disk may rot: what does not
match is not there.  A file is written under another name and renamed, so a crash leaves the old one
or the new one; the next start removes what is half-written.

All functions block, and run in threads; :class:`OpenFiles` does not.  Which blocks there are, and
which go when there is no room, ``cache`` knows.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from bleepstore.files import read_at_hand
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.streams.digests import Crc, load

BLOCK = 1024 * 1024
"""Bytes of a blob that one file holds at most: what a reader gives at once at most."""

AT_HAND = 64 * 1024 + 64
"""Bytes of a file up to which it is read on the reactor's thread, if the page cache has it."""

_READ = os.O_RDONLY | os.O_CLOEXEC
_HEAD = struct.Struct("<4sIIQ")
_MAGIC = b"BlC1"
_HALF = ".new"

HEAD = _HEAD.size


class Run(NamedTuple):
    """A run of a block: offset of its first byte in the block, and its bytes."""

    start: int
    data: bytes


def block_name(blob_id: str, number: int) -> str:
    """The name of a block's file, below the directory."""
    digest = sha256(blob_id.encode()).hexdigest()[:40]
    return f"{digest[:2]}/{digest}.{number}"


def read_block(directory: str, name: str) -> Run | None:
    """What a block's file holds; None if it is not there or damaged."""
    try:
        descriptor = os.open(os.path.join(directory, name), _READ)
    except OSError:
        return None
    try:
        return _run_of(os.read(descriptor, HEAD + BLOCK + 1))
    except OSError:
        return None
    finally:
        os.close(descriptor)


class OpenFiles:
    """The files of small blocks that were read lately, left open: to open and to close one takes
    longer than to read it.  One that is removed or replaced must be closed first.

    For the reactor's thread alone.

    :param directory: of the cache.
    :param most: files that are open at most; the one that was opened first goes.
    """

    def __init__(self, directory: str, most: int = 64) -> None:
        self._directory = directory
        self._most = most
        self._descriptors: dict[str, int] = {}

    def read(self, name: str, size: int) -> Run | None:
        """What a block's file holds, from the page cache, in no time; None also if it is not
        there.

        :param size: of the file, at most :data:`AT_HAND`.
        """
        descriptor = self._descriptors.get(name)
        if descriptor is None:
            try:
                descriptor = os.open(f"{self._directory}/{name}", _READ)
            except OSError:
                return None
            if len(self._descriptors) >= self._most:
                self.close(next(iter(self._descriptors)))
            self._descriptors[name] = descriptor
        head, body = bytearray(HEAD), bytearray(size - HEAD)
        read = read_at_hand(descriptor, (head, body), 0)
        return _checked(head, bytes(body)) if read == size else None

    def close(self, name: str) -> None:
        """Close a block's file, if it is open."""
        descriptor = self._descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)

    def close_all(self) -> None:
        """Close all of them."""
        for name in tuple(self._descriptors):
            self.close(name)


def _run_of(raw: bytes) -> Run | None:
    if len(raw) < HEAD:
        return None
    return _checked(raw[:HEAD], bytes(memoryview(raw)[HEAD:]))


def _checked(head: bytes | bytearray, data: bytes) -> Run | None:
    magic, start, size, checksum = _HEAD.unpack(head)
    if magic != _MAGIC or len(data) != size or checksum != _checksum(start, data):
        return None
    return Run(start, data)


def write_block(directory: str, name: str, run: Run) -> int:
    """Write a block's file; gives its size.

    :raises OSError: it cannot be written; what was there stays.
    """
    path = os.path.join(directory, name)
    half = path + _HALF
    head = _HEAD.pack(_MAGIC, run.start, len(run.data), _checksum(run.start, run.data))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        with open(half, "wb", buffering=0) as file:
            file.write(head)
            file.write(run.data)
        os.replace(half, path)
    except OSError:
        remove_block(directory, name + _HALF)
        raise
    return HEAD + len(run.data)


def remove_block(directory: str, name: str) -> None:
    """Remove a block's file, if it can be."""
    with suppress(OSError):
        os.unlink(os.path.join(directory, name))


def blocks_in(directory: str) -> list[tuple[str, int]]:
    """Names and sizes of all blocks, the one that was written longest ago first; removes what was
    half-written.

    :raises OSError: the directory cannot be made or read.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    found = sorted(_files(directory))
    return [(name, size) for _, name, size in found]


def _files(directory: str) -> Iterator[tuple[int, str, int]]:
    for folder in os.scandir(directory):
        if folder.is_dir(follow_symlinks=False) and len(folder.name) == 2:
            for entry in os.scandir(folder.path):
                name = f"{folder.name}/{entry.name}"
                if entry.name.endswith(_HALF):
                    remove_block(directory, name)
                else:
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime_ns, name, status.st_size


def _checksum(start: int, data: bytes) -> int:
    """CRC64NVME, which costs least of those that find what a disk does to 1 MiB."""
    return _crc64nvme()(data, start)


@cache
def _crc64nvme() -> Crc:
    return load()[ChecksumAlgorithm.CRC64NVME]
