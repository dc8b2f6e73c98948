"""Blobs in memory."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bleepstore.interfaces.threads import IThreads


class MemoryBlobStore:
    """:param max_size_bytes: of all blobs together; 0: unlimited."""

    def __init__(
        self,
        clock: IReactorTime,
        threads: IThreads,
        max_size_bytes: int = 0,
        persistence: str = "none",
        snapshot_path: str = "",
        snapshot_interval_seconds: float = 300,
    ) -> None:
        raise NotImplementedError
