"""The S3 front on its HTTP channels, with its instruments and the pages beside S3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from bleepstore.config.sections import Config, ServerConfig
from bleepstore.errors import StoreError
from bleepstore.http.factory import HTTPFactory
from bleepstore.http.settings import Limits
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.node.stores import Metadata
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
        checks: dict[str, Check] = {"metadata": metadata.totals, "storage": known(blobs.check)}
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
    """The check, whose StoreErrors are no news: a cloud that is away is in the log already."""

    async def checked() -> object:
        try:
            return await check()
        except StoreError as error:
            raise Unusable(reason=f"{error.code}: {error}") from error

    return checked


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
