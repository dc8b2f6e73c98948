"""Blobs as chunk rows of an SQLite file of their own."""

from __future__ import annotations

from bleepstore.interfaces.threads import IThreads


class SqliteBlobStore:
    """:param path: the database file; made if it is missing."""

    def __init__(self, path: str, threads: IThreads) -> None:
        raise NotImplementedError
