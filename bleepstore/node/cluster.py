"""The parts of a node that is one of a cluster, joined: who applies, keeps, carries and agrees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from random import SystemRandom

from msgspec import Struct

from bleepstore.cluster.backoff import Dice
from bleepstore.cluster.consensus import Consensus
from bleepstore.cluster.consensus_settings import ConsensusSettings, measured
from bleepstore.cluster.control import ControlSocket
from bleepstore.cluster.discovery import DnsDiscovery
from bleepstore.cluster.log_store import SqliteLog
from bleepstore.cluster.peer_hello import Self
from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.cluster.transport import AmpTransport
from bleepstore.cluster.wires import PeerTls, Wires, wires
from bleepstore.config.addresses import parse_host_port
from bleepstore.config.cluster_refusals import check_member, control_socket
from bleepstore.config.sections import ClusterConfig, Config
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import Identity
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.model import commands, proposals
from bleepstore.node.addresses import advertised_address
from bleepstore.node.clocks import steady
from bleepstore.node.founding import founders, require_own
from bleepstore.node.problems import StartError
from bleepstore.node.reactor import INodeReactor
from bleepstore.node.services import STOP_SECONDS
from bleepstore.observability.families import Distribution, Family
from bleepstore.observability.health import Unusable


class ClusterParts(Struct, frozen=True):
    """What a node has beside the parts of an embedded one.

    :ivar metadata: for the use cases.
    :ivar stored: the parts below consensus, in their order: state and log.
    :ivar agreed: consensus, and what stands on it.
    """

    metadata: ReplicatedMetadata
    consensus: Consensus
    stored: tuple[IPart, ...]
    agreed: tuple[IPart, ...]

    def leads(self) -> bool:
        """Whether this node leads."""
        return self.consensus.status().role == "leader"

    def families(self) -> Iterable[Family | Distribution]:
        """See ClusterView."""
        return self.consensus.families()

    async def check(self) -> Mapping[str, str]:
        """The part ``cluster`` of ``/health``.

        :raises Unusable: there is no leader, or this node is no member, or does not keep up.
        """
        status = self.consensus.status()
        told = {"role": status.role, "leader": status.leader, "term": str(status.term)}
        if not status.leader or status.role == "joining":
            raise Unusable(**told)
        if not await self.consensus.keeps_up():
            raise Unusable(**told, caught_up="no")
        return told


def build_cluster(
    config: Config,
    reactor: INodeReactor,
    threads: IThreads,
    commit_threads: IThreads,
    log_threads: IThreads,
    *,
    ended: Callable[[str], object],
    led: Callable[[str], object],
) -> ClusterParts:
    """Open what this node keeps, and join the parts; nothing is said to anybody before the start.

    :param commit_threads: for the commits of the state alone.
    :param log_threads: for those of the log alone.
    :param ended: called once, with the reason, when the node cannot go on.
    :param led: called with the id of the leader whenever that changes; empty: none is known.
    :raises StartError: the log is of another cluster, or a certificate cannot be used.
    :raises UnusableDatabase: the state cannot be used.
    :raises UnusableLog: the log cannot be used.
    """
    cluster = config.cluster
    dice = SystemRandom()
    replica = MetadataReplica(
        ReplicaFile(config.metadata.sqlite.path), reactor, threads, commit_threads=commit_threads
    )
    log = SqliteLog(cluster.data_dir, cluster.node_id, reactor, log_threads)
    require_own(log.identity, cluster)
    address = str(advertised_address(cluster))
    me = Self(node=cluster.node_id, address=address)

    found = _wires(cluster, reactor)
    transport = AmpTransport(
        me,
        reactor,
        threads,
        found.listen_on,
        found.endpoints,
        os.path.join(cluster.data_dir, "incoming"),
        dice.random,
        adopt=lambda cluster_id: consensus.adopt(cluster_id),
        vouch=found.vouch,
    )

    def introduce(identity: Identity) -> None:
        me.cluster, me.log, me.founders = identity.cluster_id, identity.log_id, identity.founders

    consensus = Consensus(
        cluster.node_id,
        consensus_settings(cluster),
        log,
        SnapshotFiles(os.path.join(cluster.data_dir, "snapshots"), threads),
        replica,
        transport,
        reactor,
        dice.randrange,
        on_fatal=ended,
        members=founders(cluster, address),
        name=cluster.name,
        introduce=introduce,
        admit=_require_known,
        on_leader=led,
        steady=steady,
    )
    metadata = ReplicatedMetadata(
        replica,
        consensus,
        reactor,
        threads,
        eventual=cluster.read_consistency == "eventual",
    )
    discovery: tuple[IPart, ...] = ()
    if cluster.discovery == "dns":
        discovery = (_discovery(cluster, reactor, transport, dice.random),)
    control = ControlSocket(control_socket(cluster), reactor, reactor, consensus, check_member)
    return ClusterParts(
        metadata,
        consensus,
        stored=(replica, log),
        agreed=(consensus, *discovery, metadata, control),
    )


def _discovery(
    cluster: ClusterConfig, reactor: INodeReactor, transport: AmpTransport, dice: Dice
) -> DnsDiscovery:
    """Who tells the transport where members are now."""
    dns = cluster.dns
    return DnsDiscovery(
        reactor,
        reactor.nameResolver,
        transport.ask,
        transport.moved,
        dns.name,
        dns.port,
        dns.refresh_interval_s,
        cluster.node_id,
        dice,
    )


def consensus_settings(cluster: ClusterConfig) -> ConsensusSettings:
    """The measures of the driver.  A leader that stops hands over within what a stop may take.
    Who takes snapshots often wants a short log, so its tail is no more than a third of what lies
    between two of them."""
    return measured(
        cluster.election_timeout_ms,
        cluster.heartbeat_interval_ms,
        max_entries=cluster.max_append_entries,
        decision=cluster.request_timeout_ms / 1000,
        handover=min(2 * cluster.election_timeout_ms / 1000, STOP_SECONDS / 2),
        snapshot_entries=cluster.snapshot_interval,
        snapshot_bytes=cluster.snapshot_log_bytes,
        tail_entries=min(ConsensusSettings().tail_entries, cluster.snapshot_interval // 3),
        tail_bytes=min(ConsensusSettings().tail_bytes, cluster.snapshot_log_bytes // 3),
    )


def _wires(cluster: ClusterConfig, reactor: INodeReactor) -> Wires:
    """The sockets of peers, with TLS where it is configured.

    :raises StartError: a file of it cannot be used.
    """
    bind, tls = parse_host_port(cluster.bind_addr), cluster.tls
    if not tls.ca:
        return wires(reactor, bind.host, bind.port)
    from bleepstore.cluster.tls import BadCertificate  # 40 ms that plain text need not wait

    files = PeerTls(certificate=tls.certificate, key=tls.key, authority=tls.ca)
    try:
        return wires(reactor, bind.host, bind.port, files)
    except BadCertificate as error:
        raise StartError(f"cluster.tls: {error}") from None


def _require_known(data: bytes) -> None:
    """:raises ValueError: a proposal that this version could not apply."""
    commands.decode(proposals.decode(data).command)
