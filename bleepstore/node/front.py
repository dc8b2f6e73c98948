"""The S3 front on its HTTP channels, with its instruments and the pages beside S3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bleepstore.config.sections import Config, ServerConfig
from bleepstore.errors import StoreError
from bleepstore.http.factory import HTTPFactory
from bleepstore.http.settings import Limits
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.metadata.schema import UnusableDatabase
from bleepstore.node.stores import UNUSABLE, Metadata
from bleepstore.objectstore.store import ObjectStore
from bleepstore.observability.families import Distribution, Family
from bleepstore.observability.health import Check, Health, Unusable
from bleepstore.observability.log import AccessLog
from bleepstore.observability.metrics import Metrics
from bleepstore.s3.authentication import Authentication
from bleepstore.s3.endpoints import endpoint_groups
from bleepstore.s3.front import Instruments, S3Front
from bleepstore.s3.openapi import openapi_document
from bleepstore.s3.pages import SystemPages
from bleepstore.wire.routing import Router

_log = Logger()


class ClusterView(Protocol):
    """What a front shows of a cluster."""

    async def check(self) -> object:
        """The part ``cluster`` of ``/health``."""

    def families(self) -> Iterable[Family | Distribution]:
        """Its metrics."""


def build_front(
    config: Config,
    store: ObjectStore,
    metadata: Metadata,
    blobs: IBlobStore,
    reactor: IReactorTime,
    *,
    now: Now,
    dice: Dice,
    access_log: AccessLog,
    cluster: ClusterView | None = None,
) -> S3Front:
    """The front of the use cases.

    :param cluster: what is told of the cluster that the node is one of.
    """
    server = config.server
    router = Router(server.domains)
    metrics = Metrics(config.observability.metrics)
    metrics.add_counters("bleepstore_metadata", _counters(metadata))
    if cluster is not None:
        metrics.add_families(cluster.families)
    health = None
    if config.observability.health_check:
        checks: dict[str, Check] = {
            "metadata": known(unmoved(metadata.totals, _database(config))),
            "storage": known(blobs.check),
        }
        if cluster is not None:
            checks["cluster"] = cluster.check
        health = Health(reactor, checks)
    return S3Front(
        reactor=reactor,
        now=now,
        router=router,
        authentication=Authentication(store.accounts, server.region, config.auth.enabled),
        groups=endpoint_groups(store, server.region, reactor),
        pages=SystemPages(
            router, health, metrics.scrapes(reactor, metadata.totals), openapi_document
        ),
        instruments=Instruments(metrics, access_log),
        seed=int.from_bytes(dice(8), "big"),
    )


def known(check: Check) -> Check:
    """The check, whose StoreErrors are no news: a cloud that is away is in the log already.  What
    is wrong with the data is one line of the log, and not for who asks."""

    async def checked() -> object:
        try:
            return await check()
        except StoreError as error:
            raise Unusable(reason=f"{error.code}: {error}") from error
        except UNUSABLE as error:
            _log.error("A health check failed: {error}", error=str(error))
            raise Unusable from error

    return checked


def unmoved(check: Check, path: str) -> Check:
    """The check, and whether a file is still the one of the first check: SQLite writes on to one
    that was moved away or replaced, and all of that is lost with the process.

    :param path: empty: there is no file.
    """
    if not path:
        return check
    opened: os.stat_result | None = None

    async def checked() -> object:
        nonlocal opened
        said = await check()
        try:
            found = os.stat(path)
        except OSError:
            found = None
        opened = opened or found
        if opened is None or found is None or not os.path.samestat(opened, found):
            raise UnusableDatabase(
                f"{path} is not the database that is open: it was moved or replaced while the "
                "server runs, and what is written is lost with it; put back what was there, and "
                "stop the server before it is replaced"
            )
        return said

    return checked


def _database(config: Config) -> str:
    """The file of the metadata, empty if there is none."""
    metadata = config.metadata
    return metadata.sqlite.path if metadata.engine in ("sqlite", "raft") else ""


def channels_of(
    front: S3Front, server: ServerConfig, reactor: IReactorTime, now: Now
) -> HTTPFactory:
    """The factory to listen with."""
    limits = Limits(
        max_connections=server.max_connections,
        read_timeout=server.read_timeout,
        write_timeout=server.write_timeout,
        idle_timeout=server.idle_timeout,
    )
    return HTTPFactory(front.handle, limits, reactor, front.refuse, now=now)


def _counters(metadata: Metadata) -> Callable[[], Mapping[str, int]]:
    """What /metrics shows of group commit: how many changes shared how many fsyncs."""
    counters = metadata.counters

    def read() -> Mapping[str, int]:
        return {
            "commands": counters.commands,
            "commits": counters.commits,
            "failures": counters.failures,
        }

    return read
