"""Whose log this is, and with whom its node begins a cluster (``cluster.bootstrap`` has how)."""

from __future__ import annotations

from bleepstore.cluster.bootstrap import is_named
from bleepstore.config.sections import ClusterConfig
from bleepstore.interfaces.replication import Identity
from bleepstore.node.problems import StartError
from bleepstore.raft.messages import Member, Members


def founders(cluster: ClusterConfig, address: str) -> Members:
    """The members that the configuration has a cluster begin with; none where this node joins.

    :param address: at which peers reach this node.
    """
    if cluster.join:
        return Members()
    others = [Member(peer.id, peer.addr) for peer in cluster.peers]
    members = sorted([Member(cluster.node_id, address), *others], key=lambda member: member.id)
    return Members(tuple(members))


def require_own(identity: Identity, cluster: ClusterConfig) -> None:
    """:raises StartError: the log is another cluster's than the configured one."""
    if identity.cluster_id and not is_named(identity.cluster_id, cluster.name):
        other = identity.cluster_id.rpartition(".")[0]
        raise StartError(
            f"cluster.data_dir: {cluster.data_dir} belongs to a node of cluster {other!r}, but "
            f"this one is of {cluster.name!r} (cluster.name)"
        )
