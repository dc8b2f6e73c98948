"""Which concrete stores a configuration means, and the directories they are kept in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from twisted.internet.interfaces import IReactorTime

from bleepstore.blobs.disk import UnusableStore
from bleepstore.cluster.unusable import UnusableLog
from bleepstore.config.sections import Config
from bleepstore.config.storage_sections import CLOUDS
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.schema import UnusableDatabase
from bleepstore.node.clouds import build_cached, build_cloud
from bleepstore.node.directories import DataLock, make_directory
from bleepstore.node.problems import StartError

UNUSABLE = (UnusableStore, UnusableDatabase, UnusableLog)
"""What stores raise whose data cannot be used; the message is for the operator."""


if TYPE_CHECKING:
    from bleepstore.blobs.aws import AwsBlobStore
    from bleepstore.blobs.azure import AzureBlobStore
    from bleepstore.blobs.cache import CachedStore
    from bleepstore.blobs.gcp import GcpBlobStore
    from bleepstore.blobs.local import LocalBlobStore
    from bleepstore.blobs.memory import MemoryBlobStore
    from bleepstore.blobs.sqlite import SqliteBlobStore
    from bleepstore.metadata.memory import MemoryMetadata
    from bleepstore.metadata.replicated import ReplicatedMetadata
    from bleepstore.metadata.sqlite import SqliteMetadata

Embedded: TypeAlias = "SqliteMetadata | MemoryMetadata"
Metadata: TypeAlias = "Embedded | ReplicatedMetadata"
Blobs: TypeAlias = (
    "LocalBlobStore | MemoryBlobStore | SqliteBlobStore | AwsBlobStore | AzureBlobStore"
    " | GcpBlobStore | CachedStore"
)


def lock_data(config: Config) -> tuple[DataLock, ...]:
    """Make the directories of all stores, and take their data for this process alone.

    :raises StartError: a directory cannot be used, or another process has the data.
    """
    metadata, storage = config.metadata, config.storage
    files: list[tuple[str, str]] = []
    if metadata.engine in ("sqlite", "raft"):
        files.append((metadata.sqlite.path, "metadata.sqlite.path"))
    if storage.backend == "memory" and storage.memory.persistence == "snapshot":
        files.append((storage.memory.snapshot_path, "storage.memory.snapshot_path"))
    locks: list[DataLock] = []
    try:
        if storage.backend == "sqlite":  # the store has the file's lock itself, by the same name
            make_directory(os.path.dirname(storage.sqlite.path) or ".", "storage.sqlite.path")
        for path, setting in files:
            make_directory(os.path.dirname(path) or ".", setting)
            locks.append(DataLock(path, setting))
        if storage.backend == "local":
            root, setting = storage.local.root_dir, "storage.local.root_dir"
            make_directory(root, setting)
            locks.append(DataLock(root, setting))
        if metadata.engine == "raft":
            directory, setting = config.cluster.data_dir, "cluster.data_dir"
            make_directory(directory, setting)
            locks.append(DataLock(directory, setting))
    except BaseException:
        for lock in locks:
            lock.release()
        raise
    return tuple(locks)


def build_metadata(
    config: Config, reactor: IReactorTime, threads: IThreads, commit_threads: IThreads
) -> Embedded:
    """The metadata store of an embedded node.  Engines that are not served were refused with the
    configuration.

    :param commit_threads: for commits alone, which must not wait for the work of others.
    :raises UnusableDatabase: its data cannot be used.
    :raises StartError: its data is a cluster's.
    """
    # Each store is imported where it is chosen: the others cost a start nothing.
    if config.metadata.engine == "sqlite":
        from bleepstore.metadata.sqlite import SqliteMetadata

        path = config.metadata.sqlite.path
        store = SqliteMetadata(path, reactor, threads, commit_threads=commit_threads)
        if store.machine.mark():
            raise StartError(
                f"metadata.sqlite.path: {path} belongs to a node of a cluster, whose log does not "
                "have what would be changed here; bleepstore cluster detach makes it an embedded "
                "store's"
            )
        return store
    from bleepstore.metadata.memory import MemoryMetadata

    return MemoryMetadata()


def build_blobs(config: Config, reactor: IReactorTime, threads: IThreads) -> Blobs:
    """The blob store.  Backends that are not served were refused with the configuration.

    :raises UnusableStore: its data cannot be used.
    """
    storage = config.storage
    if storage.backend == "local":
        from bleepstore.blobs.local import LocalBlobStore

        return LocalBlobStore(storage.local.root_dir, threads)
    if storage.backend == "sqlite":
        from bleepstore.blobs.sqlite import SqliteBlobStore

        return SqliteBlobStore(storage.sqlite.path, threads)
    if storage.backend in CLOUDS:
        return build_cached(config, build_cloud(config, reactor, threads), threads)
    from bleepstore.blobs.memory import MemoryBlobStore

    memory = storage.memory
    return MemoryBlobStore(
        reactor,
        threads,
        max_size_bytes=memory.max_size_bytes,
        persistence=memory.persistence,
        snapshot_path=memory.snapshot_path,
        snapshot_interval_seconds=memory.snapshot_interval_seconds,
    )
