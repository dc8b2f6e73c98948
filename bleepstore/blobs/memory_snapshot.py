"""The snapshot file of the memory store.

    "BleepStore blobs" LF  format version (u32)  number of blobs (u64)
    for each blob:  id (u16 length, ASCII)  number of chunks (u32)
                    for each chunk:  length (u32)  bytes
    CRC64NVME of everything before (u64)

Integers are big-endian.  Runs in threads: everything here may block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from bleepstore.blobs.disk import UnusableStore, replace_file
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.streams.digests import load

Blobs = dict[str, tuple[bytes, ...]]
"""Blob id → its chunks."""

MAGIC = b"BleepStore blobs\n"
FORMAT = 1

_HEAD = struct.Struct(">IQ")
_CHUNK = struct.Struct(">I")
_BLOB = struct.Struct(">H")
_SUM = struct.Struct(">Q")


def write_snapshot(path: str, blobs: Mapping[str, tuple[bytes, ...]]) -> None:
    """Replace the snapshot, atomically and durably.

    :raises OSError: the old one is still there.
    """
    replace_file(path, _encode(blobs))


def _encode(blobs: Mapping[str, tuple[bytes, ...]]) -> Iterator[bytes]:
    crc64 = load()[ChecksumAlgorithm.CRC64NVME]
    value = 0
    for piece in _pieces(blobs):
        value = crc64(piece, value)
        yield piece
    yield _SUM.pack(value)


def _pieces(blobs: Mapping[str, tuple[bytes, ...]]) -> Iterator[bytes]:
    yield MAGIC + _HEAD.pack(FORMAT, len(blobs))
    for blob_id, chunks in blobs.items():
        name = blob_id.encode("ascii")
        yield _BLOB.pack(len(name)) + name + _CHUNK.pack(len(chunks))
        for chunk in chunks:
            yield _CHUNK.pack(len(chunk))
            yield chunk


def read_snapshot(path: str) -> Blobs:
    """The blobs of a snapshot; none if there is no such file.

    :raises UnusableStore: it is damaged, or of another format.
    :raises OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return _Decoder(file, path).blobs()
    except FileNotFoundError:
        return {}


class _Decoder:
    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._crc64 = load()[ChecksumAlgorithm.CRC64NVME]
        self._sum = 0

    def blobs(self) -> Blobs:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise UnusableStore(f"{self._path} is no snapshot of BleepStore's memory store")
        self._sum = self._crc64(MAGIC, 0)
        version, count = _HEAD.unpack(self._take(_HEAD.size))
        if version != FORMAT:
            raise UnusableStore(
                f"the snapshot {self._path} has format {version}; this version reads {FORMAT}"
            )
        blobs: Blobs = {}
        for _ in range(count):
            blob_id = self._take(*_BLOB.unpack(self._take(_BLOB.size))).decode("ascii", "replace")
            (chunks,) = _CHUNK.unpack(self._take(_CHUNK.size))
            blobs[blob_id] = tuple(
                [self._take(*_CHUNK.unpack(self._take(_CHUNK.size))) for _ in range(chunks)]
            )
        expected = self._sum
        if self._take(_SUM.size) != _SUM.pack(expected) or self._file.read(1):
            raise self._damaged()
        return blobs

    def _take(self, size: int) -> bytes:
        # A damaged length must not allocate what the file cannot hold: read() stops at its end,
        # but reserves the room first when it is asked for more than its buffer.
        data = self._file.read(size) if size <= _LARGEST else b""
        if len(data) != size:
            raise self._damaged()
        self._sum = self._crc64(data, self._sum)
        return data

    def _damaged(self) -> UnusableStore:
        return UnusableStore(
            f"the snapshot {self._path} is damaged. "
            "Restore it from a copy, or move it away to start with no blobs."
        )


_LARGEST = 1 << 20
"""Bytes of the largest chunk that is believed; those written have 256 KiB."""
