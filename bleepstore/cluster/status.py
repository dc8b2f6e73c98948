"""What a node tells of its consensus: a picture of now, and the counts since its start.

Only looks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bleepstore.interfaces.replication import ConsensusStatus, PeerStatus
from bleepstore.observability.families import Distribution, Family, Sample, counter, gauge
from bleepstore.raft.core import Raft
from bleepstore.raft.effects import Role
from bleepstore.raft.messages import SnapshotMark

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the distributions of times."""


class Counters:
    """What the driver has done since its start.

    :ivar elections: how often this node stood for election (pre-votes not counted).
    :ivar role_changes: of the role, the term or the known leader.
    :ivar leader_changes: how often another node than before was found to lead.
    :ivar refused_messages: which no correct peer would have sent.
    :ivar applied_entries: of all kinds.
    :ivar append: seconds from handing entries or a vote to the disk until they are durable.
    :ivar commit: seconds from a proposal of this node until its outcome.
    :ivar apply: seconds that a batch of entries took to be applied.
    """

    def __init__(self) -> None:
        self.elections = 0
        self.role_changes = 0
        self.leader_changes = 0
        self.refused_messages = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.applied_entries = 0
        self.saves = 0
        self.snapshots_taken = 0
        self.snapshots_failed = 0
        self.snapshots_sent = 0
        self.snapshots_unsent = 0
        self.snapshots_received = 0
        self.append = Distribution(
            "bleepstore_raft_append_seconds", "Until what was promised was on disk.", SECONDS
        )
        self.commit = Distribution(
            "bleepstore_raft_commit_seconds", "Until a proposal of this node was decided.", SECONDS
        )
        self.apply = Distribution(
            "bleepstore_raft_apply_seconds", "To apply a batch of committed entries.", SECONDS
        )

    def plain(self) -> dict[str, int]:
        """Those that are numbers, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


def role_of(raft: Raft, node_id: str, removed: bool) -> str:
    """The role in one word, as :class:`ConsensusStatus` has it."""
    if removed and not raft.leader:
        return "removed"
    if raft.members.get(node_id) is None:
        return "joining"
    if raft.is_learner:
        return "learner"
    return raft.role.value


def picture(
    raft: Raft,
    node_id: str,
    cluster_id: str,
    snapshot: SnapshotMark,
    pending: int,
    heard: Mapping[str, float],
    now: float,
    removed: bool,
) -> ConsensusStatus:
    """The state of consensus on a node.

    :param snapshot: the newest.
    :param removed: whether it has been told that it is no member any more.
    :param heard: when each peer was last heard of, in seconds of the clock that gives ``now``.
    """
    members = raft.members
    leader, own = members.get(raft.leader), members.get(node_id)
    peers = []
    for member in members.nodes:
        if member.id == node_id:
            continue
        progress = raft.progress(member.id)
        contact = (now - heard[member.id]) * 1000 if member.id in heard else -1.0
        peers.append(
            PeerStatus(
                id=member.id,
                address=member.address,
                voter=member.voter,
                match=-1 if progress is None else progress.match,
                last_contact_ms=contact,
            )
        )
    return ConsensusStatus(
        cluster_id=cluster_id,
        node_id=node_id,
        role=role_of(raft, node_id, removed),
        term=raft.term,
        leader=raft.leader,
        leader_address="" if leader is None else leader.address,
        last_index=raft.last_index,
        last_term=raft.last_term,
        commit_index=raft.commit,
        applied_index=raft.applied_index,
        snapshot_index=snapshot.index,
        snapshot_term=snapshot.term,
        pending=pending,
        peers=tuple(peers),
        address="" if own is None else own.address,
    )


def idle_picture(
    node_id: str, cluster_id: str, snapshot: SnapshotMark, role: str
) -> ConsensusStatus:
    """The same while there is no core yet."""
    return ConsensusStatus(
        cluster_id=cluster_id,
        node_id=node_id,
        role=role,
        term=0,
        leader="",
        leader_address="",
        last_index=snapshot.index,
        last_term=snapshot.term,
        commit_index=snapshot.index,
        applied_index=snapshot.index,
        snapshot_index=snapshot.index,
        snapshot_term=snapshot.term,
        pending=0,
        peers=(),
    )


def families(
    status: ConsensusStatus,
    counters: Counters,
    proposals: Mapping[str, int],
    transport: Mapping[str, int],
    snapshots: Mapping[str, int],
) -> Iterator[Family | Distribution]:
    """The same for a scrape.

    :param snapshots: how many are under way, by what is done with them.
    """
    leads = status.role == Role.LEADER.value
    roles = (
        "leader", "follower", "pre-candidate", "candidate", "learner", "joining", "founding",
        "removed",
    )  # fmt: skip
    yield Family(
        "gauge",
        "bleepstore_raft_role",
        "1 for the role that this node has.",
        tuple(Sample(float(status.role == role), (role,)) for role in roles),
        ("role",),
    )
    yield gauge("bleepstore_raft_term", "The latest term that was seen.", status.term)
    yield gauge("bleepstore_raft_last_index", "The last entry of the log.", status.last_index)
    yield gauge("bleepstore_raft_commit_index", "The last entry committed.", status.commit_index)
    yield gauge("bleepstore_raft_applied_index", "The last entry applied.", status.applied_index)
    yield gauge("bleepstore_raft_snapshot_index", "The newest snapshot.", status.snapshot_index)
    yield gauge("bleepstore_raft_has_leader", "Whether one is known.", float(bool(status.leader)))
    yield gauge("bleepstore_raft_pending", "Proposals of this node undecided.", status.pending)
    yield Family(
        "gauge",
        "bleepstore_raft_peer_lag",
        "Entries that a member lacks, where this node leads.",
        tuple(Sample(status.last_index - p.match, (p.id,)) for p in status.peers if leads),
        ("peer",),
    )
    yield Family(
        "gauge",
        "bleepstore_raft_peer_contact_seconds",
        "Since a peer was last heard of.",
        tuple(
            Sample(p.last_contact_ms / 1000, (p.id,))
            for p in status.peers
            if p.last_contact_ms >= 0
        ),
        ("peer",),
    )
    yield Family(
        "gauge",
        "bleepstore_raft_snapshots_under_way",
        "Snapshots that are being taken or sent.",
        tuple(Sample(count, (what,)) for what, count in snapshots.items()),
        ("what",),
    )
    yield Family(
        "counter",
        "bleepstore_raft_proposals",
        "Proposals of this node that ended, by result.",
        tuple(Sample(count, (result,)) for result, count in proposals.items()),
        ("result",),
    )
    for name, value in counters.plain().items():
        yield counter(f"bleepstore_raft_{name}", f"Count of {name.replace('_', ' ')}.", value)
    for name, value in transport.items():
        if name == "peers_connected":
            yield gauge("bleepstore_raft_peers_connected", "Peers there is a connection to.", value)
        else:
            doc = f"Count of {name.replace('_', ' ')} by the transport."
            yield counter(f"bleepstore_peer_{name}", doc, value)
    yield counters.append
    yield counters.commit
    yield counters.apply
