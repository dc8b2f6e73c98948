"""The ids of clusters: the same for nodes that mean the same cluster, and for no others."""

from __future__ import annotations

import pytest

from bleepstore.cluster.bootstrap import cluster_id_of, is_named
from bleepstore.raft.messages import Member


def members(*ids: str) -> list[Member]:
    return [Member(node_id, f"{node_id}:1") for node_id in ids]


def test_founders_agree_whatever_their_logs_and_addresses_are() -> None:
    first = cluster_id_of(members("node-1", "node-2"), "a.b", "log 1")
    other = [Member("node-2", "there:2"), Member("node-1", "here:2")]
    assert first == cluster_id_of(other, "a.b", "log 2")
    assert first.startswith("a.b.")
    assert len(first) == len("a.b.") + 32


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("b", ["node-1", "node-2", "node-3"]),
        ("a", ["node-1", "node-2", "node-4"]),
        ("a", ["node-1", "node-2"]),
        ("a", ["node-1", "node-2", "node-3", "node-4"]),
    ],
)
def test_founders_who_mean_others_found_another_cluster(name: str, ids: list[str]) -> None:
    assert cluster_id_of(members(*ids), name, "") != cluster_id_of(
        members("node-1", "node-2", "node-3"), "a", ""
    )


def test_who_founds_alone_founds_a_new_one() -> None:
    first, second = (cluster_id_of(members("x"), "a", log) for log in ("log 1", "log 2"))
    assert first != second
    assert first == cluster_id_of(members("x"), "a", "log 1")


def test_a_cluster_is_known_by_its_name() -> None:
    made = cluster_id_of(members("x"), "a.b", "")
    assert is_named(made, "a.b")
    assert not is_named(made, "a")
    assert not is_named("", "a")
