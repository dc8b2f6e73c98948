"""What the settings of one node of a cluster must not say."""

from __future__ import annotations

from typing import Any

import pytest

from bleepstore.config.cluster_refusals import cluster_problems
from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.sections import (
    ClusterConfig,
    ClusterTlsConfig,
    Config,
    MetadataConfig,
    PeerConfig,
    SqliteMetadataConfig,
)
from bleepstore.config.storage_sections import SqliteStorageConfig, StorageConfig

PEERS = (PeerConfig(id="node-2", addr="10.0.1.2:9002"), PeerConfig(id="node-3", addr="c:9002"))


def problems(**settings: Any) -> list[str]:
    """What is wrong with a cluster's settings, a line each."""
    config = Config(
        metadata=MetadataConfig(engine="raft"),
        cluster=ClusterConfig(**{"peers": PEERS, **settings}),
    )
    return [f"{key}: {sentence}" for key, sentence in cluster_problems(config)]


def peers(*pairs: tuple[str, str]) -> tuple[PeerConfig, ...]:
    return tuple(PeerConfig(id=node_id, addr=address) for node_id, address in pairs)


def test_three_nodes_with_the_defaults_are_a_cluster() -> None:
    assert problems() == []


def test_a_node_may_begin_alone_or_wait_to_be_added() -> None:
    assert problems(peers=()) == []
    assert problems(peers=(), join=True) == []
    assert problems(bind_addr="127.0.0.1:0", advertise_addr="10.0.0.9:9002") == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"node_id": "node-2"},
            "cluster.peers[0].id: node-2 is this node (cluster.node_id); name only the others",
        ),
        (
            {"peers": peers(("a", "x:1"), ("a", "y:1"))},
            "cluster.peers[1].id: a is given twice",
        ),
        (
            {"peers": peers(("a", "x:1"), ("b", "x:1"))},
            "cluster.peers[1].addr: x:1 is a's address",
        ),
        (
            {"advertise_addr": "c:9002"},
            "cluster.peers[1].addr: c:9002 is this node's own address",
        ),
        (
            {"bind_addr": "10.0.1.2:9002"},
            "cluster.peers[0].addr: 10.0.1.2:9002 is this node's own address",
        ),
        ({"bind_addr": "9002"}, "cluster.bind_addr: must be host:port, not '9002'"),
        ({"advertise_addr": "a"}, "cluster.advertise_addr: must be host:port, not 'a'"),
        (
            {"advertise_addr": "0.0.0.0:9002"},
            "cluster.advertise_addr: peers cannot reach 0.0.0.0:9002",
        ),
        ({"bind_addr": "127.0.0.1:0"}, "cluster.bind_addr: must have a port that peers can know"),
        (
            {"peers": peers(("a", "[::]:1"))},
            "cluster.peers[0].addr: nobody can reach [::]:1",
        ),
        ({"peers": peers(("a", "b:x"))}, "cluster.peers[0].addr: must end with a port from 0"),
        ({"node_id": "a b"}, "cluster.node_id: must be 1 to 63 letters, digits"),
        ({"name": "x" * 64}, "cluster.name: must be 1 to 63 letters, digits"),
        ({"peers": peers(("ü", "b:1"))}, "cluster.peers[0].id: must be 1 to 63 letters"),
        ({"join": True}, "cluster.join: a node that is added by others begins without peers"),
        ({"discovery": "dns"}, "cluster.dns.name: is needed with"),
        (
            {"heartbeat_interval_ms": 501},
            "cluster.heartbeat_interval_ms: must be at most half of cluster.election_timeout_ms",
        ),
        (
            {"heartbeat_interval_ms": 1000},
            "cluster.heartbeat_interval_ms: must be at most half of cluster.election_timeout_ms",
        ),
        (
            {"request_timeout_ms": 1000},
            "cluster.request_timeout_ms: must be more than cluster.election_timeout_ms (1000)",
        ),
        (
            {"tls": ClusterTlsConfig(certificate="a", key="b")},
            "cluster.tls.ca: is needed with the other two of cluster.tls",
        ),
        ({"data_dir": "data/metadata.db"}, "cluster.data_dir: must be another path than metadata"),
        ({"data_dir": "./data/objects"}, "cluster.data_dir: must be another path than storage"),
        (
            {"data_dir": "data/objects/raft"},
            "cluster.data_dir: must not lie within storage.local.root_dir",
        ),
        ({"data_dir": "data"}, "metadata.sqlite.path: must not lie within cluster.data_dir"),
        ({"control_socket": "x" * 108}, "cluster.control_socket: "),
    ],
)
def test_each_mistake_is_named(settings: dict[str, Any], complaint: str) -> None:
    found = problems(**settings)
    assert found
    assert found[0].startswith(complaint)


def test_a_long_data_dir_asks_for_another_control_socket() -> None:
    (problem,) = problems(data_dir="x" * 100)
    assert problem.startswith("cluster.control_socket: ")
    assert problems(data_dir="x" * 100, control_socket="s") == []


def test_the_paths_that_count_are_those_of_the_backend() -> None:
    config = Config(
        metadata=MetadataConfig(engine="raft", sqlite=SqliteMetadataConfig(path="m.db")),
        storage=StorageConfig(backend="sqlite", sqlite=SqliteStorageConfig(path="raft/o.db")),
        cluster=ClusterConfig(data_dir="raft"),
    )
    assert cluster_problems(config) == [
        ("storage.sqlite.path", "must not lie within cluster.data_dir")
    ]


def loaded(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(environ={"BLEEPSTORE__METADATA__ENGINE": "raft", **environ}, directory="/nonexistent")
    return caught.value.problems


def test_a_start_says_all_of_it_with_where_it_was_given() -> None:
    assert loaded(
        BLEEPSTORE__CLUSTER__PEERS="[{id: node-1, addr: 'a:1'}]",
        BLEEPSTORE__CLUSTER__HEARTBEAT_INTERVAL_MS="900",
    ) == (
        "BLEEPSTORE__CLUSTER__PEERS: cluster.peers[0].id: node-1 is this node (cluster.node_id); "
        "name only the others",
        "BLEEPSTORE__CLUSTER__HEARTBEAT_INTERVAL_MS: cluster.heartbeat_interval_ms: must be at "
        "most half of cluster.election_timeout_ms (1000): one word that is lost must not cost an "
        "election",
    )


def test_stores_that_make_no_sense_in_a_cluster_are_refused() -> None:
    (problem,) = loaded(BLEEPSTORE__STORAGE__BACKEND="memory")
    assert problem.endswith("memory is not for a node of a cluster; choose local or sqlite")
    (problem,) = loaded(BLEEPSTORE__STORAGE__INLINE_MAX_BYTES="0")
    assert problem.endswith("must be more than 0 in a cluster, which stores nothing larger")
    (problem,) = loaded(BLEEPSTORE__CLUSTER__REPLICATION_FACTOR="2")
    assert "replication of large objects is not in this version" in problem


def test_a_node_of_a_cluster_can_be_configured_in_one_word() -> None:
    config = load(environ={"BLEEPSTORE__METADATA__ENGINE": "raft"}, directory="/nonexistent")
    assert config.cluster == ClusterConfig()
