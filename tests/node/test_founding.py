"""Whom a configuration has a cluster begin with, and whose log is whose."""

from __future__ import annotations

import pytest

from bleepstore.config.sections import ClusterConfig, PeerConfig
from bleepstore.interfaces.replication import Identity
from bleepstore.node.founding import founders, require_own
from bleepstore.node.problems import StartError
from bleepstore.raft.messages import Member, Members

PEERS = (PeerConfig(id="node-3", addr="c:1"), PeerConfig(id="node-2", addr="b:1"))


def test_the_founders_are_this_node_and_its_peers() -> None:
    assert founders(ClusterConfig(peers=PEERS), "a:1") == Members(
        (Member("node-1", "a:1"), Member("node-2", "b:1"), Member("node-3", "c:1"))
    )
    assert founders(ClusterConfig(), "a:1") == Members((Member("node-1", "a:1"),))
    assert founders(ClusterConfig(join=True), "a:1") == Members()


def test_the_log_of_another_cluster_is_refused() -> None:
    cluster = ClusterConfig(name="prod", data_dir="/d")
    require_own(Identity("", "node-1"), cluster)
    require_own(Identity("prod.00", "node-1"), cluster)
    with pytest.raises(StartError, match=r"/d belongs to a node of cluster 'test', but this one"):
        require_own(Identity("test.00", "node-1"), cluster)
