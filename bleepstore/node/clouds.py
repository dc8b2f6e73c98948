"""The store in a cloud that a configuration means, with all that it needs of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from twisted.internet.interfaces import IReactorTime

from bleepstore.blobs.disk import UnusableStore
from bleepstore.config.sections import Config
from bleepstore.interfaces.threads import IThreads
from bleepstore.node.clocks import wall_clock
from bleepstore.node.directories import make_directory

if TYPE_CHECKING:
    from bleepstore.blobs.aws import AwsBlobStore
    from bleepstore.blobs.azure import AzureBlobStore
    from bleepstore.blobs.cache import CachedStore
    from bleepstore.blobs.gcp import GcpBlobStore

Cloud: TypeAlias = "AwsBlobStore | AzureBlobStore | GcpBlobStore"


def build_cloud(config: Config, reactor: IReactorTime, threads: IThreads) -> Cloud:
    """The store.  Nothing is connected before it starts to be used.

    :raises UnusableStore: what the environment has does not go with the settings.
    """
    # Imported where it is chosen: a node that keeps its own data pays nothing for it.
    from bleepstore.remote.connections import endpoints
    from bleepstore.remote.surroundings import Surroundings

    async def read_file(path: str) -> bytes:
        return await threads.run(_read, path)

    endpoint_for = endpoints(reactor, _ca_bundle())
    near = Surroundings(os.environ, read_file, wall_clock, reactor, endpoint_for, os.urandom)
    spoken = (near, reactor, wall_clock, endpoint_for, os.urandom)
    if config.storage.backend == "gcp":
        from bleepstore.blobs.gcp_connection import gcp_store

        return gcp_store(config.storage.gcp, *spoken)
    if config.storage.backend == "azure":
        from bleepstore.blobs.azure_connection import azure_store

        try:
            return azure_store(config.storage.azure, *spoken)
        except ValueError as error:
            raise UnusableStore(f"storage.azure: {error}") from None
    from bleepstore.blobs.aws_connection import aws_store

    return aws_store(config.storage.aws, *spoken)


def build_cached(config: Config, store: Cloud, threads: IThreads) -> Cloud | CachedStore:
    """The store, behind a cache if there is to be one.

    :raises StartError: the cache's directory cannot be used.
    """
    cache = config.storage.cache
    if not cache.dir:
        return store
    from bleepstore.blobs.cache import Blocks, CachedStore

    make_directory(cache.dir, "storage.cache.dir")
    return CachedStore(store, Blocks(cache.dir, cache.max_bytes, threads))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _ca_bundle() -> bytes:
    """Certificates that are trusted in place of the platform's, where AWS_CA_BUNDLE names them."""
    path = os.environ.get("AWS_CA_BUNDLE", "")
    return _read(path) if path else b""
