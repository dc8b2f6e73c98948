"""Blobs as files of the local disk, one each."""

from __future__ import annotations

from bleepstore.interfaces.threads import IThreads


class LocalBlobStore:
    """:param root: the directory; made if it is missing."""

    def __init__(self, root: str, threads: IThreads) -> None:
        raise NotImplementedError
