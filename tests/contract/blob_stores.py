"""Every implementation of IBlobStore, and how to make one.

``tests/blobs/test_contract.py`` finds an implementation that is missing here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bleepstore.blobs.aws import AwsBlobStore
from bleepstore.blobs.azure import AzureBlobStore
from bleepstore.blobs.cache import CachedStore
from bleepstore.blobs.gcp import GcpBlobStore
from bleepstore.blobs.local import LocalBlobStore
from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.blobs.sqlite import SqliteBlobStore
from bleepstore.interfaces.threads import IThreads
from tests.streams.turns import Turns


def local(directory: Path, turns: Turns, threads: IThreads) -> LocalBlobStore:
    return LocalBlobStore(str(directory / "blobs"), threads)


def sqlite(directory: Path, turns: Turns, threads: IThreads) -> SqliteBlobStore:
    return SqliteBlobStore(str(directory / "blobs.db"), threads)


def memory(directory: Path, turns: Turns, threads: IThreads) -> MemoryBlobStore:
    return MemoryBlobStore(
        turns, threads, persistence="snapshot", snapshot_path=str(directory / "blobs.snap")
    )


Make = Callable[[Path, Turns, IThreads], Any]

STORES: dict[type[Any], Make] = {
    LocalBlobStore: local,
    MemoryBlobStore: memory,
    SqliteBlobStore: sqlite,
}

IN_PLACE = (AwsBlobStore, AzureBlobStore, CachedStore, GcpBlobStore)
"""Those that keep objects in place; ``contract.in_place`` is their suite, each in a module of its
own, before a real server."""

DURABLE = (LocalBlobStore, SqliteBlobStore)
"""Those whose ``finish`` survives the process."""
