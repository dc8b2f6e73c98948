"""One configuration becomes one tree of services, in the order in which they start.

    bleepstore
    ├── threads     the pool for disks and digests, and those that commit
    ├── metadata    SQLite, or memory; in a cluster this node's replica, and its log
    ├── raft        consensus and its peers, the control socket (cluster)
    ├── blobs       local files, memory, or SQLite; a cloud, with its connections and credentials
    ├── jobs        the epoch of this process; settler (gateway), collector, sweeper, expiry
    └── s3          the HTTP endpoints, opened last

The stores are made when the service starts, not before: by then twistd has forked, changed its
directory and its user.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from bleepstore.background.periodic import always
from bleepstore.config.refusals import uses_default_credentials
from bleepstore.config.sections import Config
from bleepstore.config.storage_sections import CLOUDS
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.interfaces.replication import IConsensus
from bleepstore.node.announcement import (
    announcement,
    cluster_warnings,
    ownership_warnings,
    warnings,
)
from bleepstore.node.clocks import wall_clock
from bleepstore.node.descriptors import descriptors_for, raise_limit, shortage
from bleepstore.node.directories import DataLock
from bleepstore.node.foundation import build_foundation
from bleepstore.node.front import build_front, channels_of
from bleepstore.node.listening import Listening, listeners
from bleepstore.node.problems import StartError
from bleepstore.node.reactor import INodeReactor
from bleepstore.node.readiness import notify
from bleepstore.node.services import STOP_SECONDS, OrderedService, PartService
from bleepstore.node.stores import UNUSABLE, lock_data
from bleepstore.node.usecases import build_use_cases
from bleepstore.observability.log import AccessLog

_log = Logger()


class Node(OrderedService):
    """The whole program as a service.

    Its ``startService`` never fails towards Twisted, which would go on as a dead daemon: a node
    that cannot start, or cannot go on, tells ``failed`` why, in one line.

    :param failed: ends the process with that line; called at most once, with whether the node had
        started.
    :ivar urls: where it listens; empty until it does.
    :ivar consensus: the cluster that it is one of: its state, and changes of its members; None
        before the start, and for an embedded node.
    """

    def __init__(
        self,
        config: Config,
        reactor: INodeReactor,
        access_log: AccessLog,
        failed: Callable[[str, bool], None],
    ) -> None:
        super().__init__()
        self.name = "bleepstore"
        self._config = config
        self._reactor = reactor
        self._access_log = access_log
        self._failed = failed
        self._locks: Sequence[DataLock] = ()
        self._listening: Listening | None = None
        self._stopped = False
        self._behind: IBlobStore | None = None
        self._own: IMetadataReader | None = None
        self.consensus: IConsensus | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        return self._listening.urls if self._listening is not None else ()

    def startService(self) -> Deferred[None]:
        """Make the tree, start it, and say so.

        :raises Exception: what ``failed`` raises, if the node failed at once.
        """
        starting = Deferred.fromCoroutine(self._run())
        at_once: list[str] = []
        starting.addCallback(at_once.append)
        if not starting.called:
            return starting.addCallback(lambda _: self._over(at_once.pop()))
        self._over(at_once.pop())
        return succeed(None)

    def _over(self, reason: str) -> None:
        """The start has ended: why it failed, or nothing."""
        if reason:
            self._release()
            self._fail(reason, started=False)

    def _fail(self, reason: str, started: bool) -> None:
        if not self._stopped:  # otherwise nobody asks why
            self._stopped = True
            self._failed(reason, started)

    async def _run(self) -> str:
        """Start, and give the reason why that failed, if it did."""
        connections = self._config.server.max_connections
        allowed = raise_limit(descriptors_for(connections))
        try:
            self._listening = self._compose()
            await super().startService()
        except (StartError, *UNUSABLE) as error:
            return str(error)
        except Exception as error:
            _log.failure("BleepStore cannot start")
            return f"{type(error).__name__}: {error}"
        _log.info("{line}", line=announcement(self._config, self.urls), always=True)
        said = warnings(self._config) + shortage(connections, allowed)
        if self.consensus is not None:
            said += cluster_warnings(self._config, self.consensus.status())
        for warning in said:
            _log.warn("{warning}", warning=warning)
        notify("READY=1")
        if self._behind is not None:
            Deferred.fromCoroutine(self._look_behind(self._behind))
        if self._own is not None:
            Deferred.fromCoroutine(self._look_for_owners(self._own))
        return ""

    async def _look_for_owners(self, metadata: IMetadataReader) -> None:
        """Say of keys that were changed what became of the buckets of the old ones."""
        try:
            owners = await metadata.bucket_owners()
        except Exception as error:
            if not self._stopped:
                _log.error("Whose the buckets are could not be read: {error!r}", error=error)
            return
        for warning in ownership_warnings(self._config, owners):
            _log.warn("{warning}", warning=warning)

    async def _look_behind(self, blobs: IBlobStore) -> None:
        """Ask the cloud whether it can be used: what keeps it from that is in the log before any
        client meets it.  Nobody waits for this, since a cloud may be away for a while."""
        try:
            await blobs.check()
        except Exception as error:
            if not self._stopped:
                _log.warn(
                    "The storage behind this server ({backend}) cannot be used now: {error}",
                    backend=self._config.storage.backend,
                    error=str(error),
                )

    def stopService(self) -> Deferred[None]:
        """Say so, close the listeners, let requests in flight end, stop the parts in reverse."""
        self._stopped = True
        notify("STOPPING=1")
        where = ", ".join(self.urls)
        if where:
            _log.info(
                "BleepStore at {where} stops; requests under way have {seconds:g} s to end",
                where=where,
                seconds=self._config.server.shutdown_timeout,
            )

        def stopped(_: object) -> None:
            self._release()
            if where:
                _log.info("BleepStore at {where} has stopped", where=where)

        return super().stopService().addBoth(stopped)

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()
        self._locks = ()

    def _compose(self) -> Listening:
        """Make every part and add it to the tree.  What can be checked at once raises here."""
        config, reactor = self._config, self._reactor
        self._locks = lock_data(config)
        base = build_foundation(
            config,
            reactor,
            ended=lambda reason: self._fail(reason, started=True),
            led=lambda node_id: front.name_leader(node_id),
        )
        cluster = base.cluster
        if cluster is None:  # of which others know more, and none may while there is no leader
            self._own = base.metadata
        if config.storage.backend in CLOUDS:
            self._behind = base.blobs
        cases = build_use_cases(
            config,
            base.metadata,
            base.blobs,
            base.threads,
            reactor,
            now=wall_clock,
            dice=os.urandom,
            leads=always if cluster is None else cluster.leads,
        )
        front = build_front(
            config,
            cases.store,
            base.metadata,
            base.blobs,
            reactor,
            now=wall_clock,
            dice=os.urandom,
            access_log=self._access_log,
            cluster=cluster,
        )
        if cluster is not None:
            self.consensus = cluster.consensus
            front.name_leader("")
        factory = channels_of(front, config.server, reactor, wall_clock)
        listening = Listening(
            listeners(config.server, reactor),
            factory,
            factory,
            local_only=uses_default_credentials(config)
            and config.auth.enabled
            and not config.auth.allow_default_credentials,
            shutdown_timeout=config.server.shutdown_timeout,
        )
        front_seconds = config.server.shutdown_timeout + STOP_SECONDS
        for name, parts in (*base.services, ("jobs", cases.jobs)):
            self.add(PartService(name, parts, reactor, STOP_SECONDS))
        self.add(PartService("s3", [listening], reactor, front_seconds))
        return listening
