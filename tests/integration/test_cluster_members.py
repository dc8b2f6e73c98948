"""Who belongs to a cluster: members come and go, embedded nodes begin one, strangers are none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from botocore.exceptions import ClientError

from bleepstore.cli.cluster import Refused
from tests.integration.cluster import BOUND, Cluster, Node, content, eventually, keys
from tests.integration.daemon import Daemon
from tests.integration.raw import send
from tests.integration.test_operator import refusal

ROOT = Path(__file__).parents[2]
SMALL = bytes(range(256)) * 16
LARGE = bytes(range(256)) * 400  # more than what is kept beside the metadata


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def voters(node: Node) -> list[str]:
    """The others that vote, as a node knows."""
    return [peer["id"] for peer in node.status()["peers"] if peer["voter"]]


# Members


def test_members_are_added_and_removed_while_the_cluster_serves(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="k", Body=SMALL)
        fourth = cluster.joiner("node-4")
        assert fourth.status()["role"] == "joining"
        cluster.followers()[0].control("add", id="node-4", address=fourth.address)
        assert content(cluster.client("node-4"), "bucket", "k") == SMALL
        assert "node-4" in voters(cluster["node-1"])
        old = cluster.leader()
        cluster["node-4"].control("remove", id=old.node_id)
        old.stop()
        assert cluster.leader() is not old
        cluster.client("node-4").put_object(Bucket="bucket", Key="k2", Body=b"2")
        for node in cluster.running:
            assert content(cluster.client(node.node_id), "bucket", "k2") == b"2"
            assert old.node_id not in [peer["id"] for peer in node.status()["peers"]]


def test_leadership_is_handed_over_on_request(directory: Path) -> None:
    with Cluster(directory) as cluster:
        target = cluster.followers()[0]
        target.control("transfer", id=target.node_id)
        assert cluster.leader() is target
        with pytest.raises(Refused, match="nobody"):
            target.control("transfer", id="nobody")


def test_a_snapshot_is_taken_on_request_and_brings_a_new_node_up(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        for number in range(50):
            cluster.client().put_object(Bucket="bucket", Key=f"k{number}", Body=SMALL)
        for node in cluster:
            index = node.control("snapshot")["index"]
            assert node.status()["snapshot_index"] == index >= 1
        fourth = cluster.joiner("node-4")
        cluster["node-1"].control("add", id="node-4", address=fourth.address)
        assert len(keys(cluster.client("node-4"), "bucket")) == 50
        assert fourth.status()["snapshot_index"] >= 1


def test_a_first_member_that_lost_its_disk_takes_no_part_until_it_joins_anew(
    directory: Path,
) -> None:
    """Else it would be a majority with the one that was away, and forget what was acknowledged."""
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        leader = cluster.leader()
        lost, away = (node for node in cluster if node is not leader)
        cluster.caught_up()  # one that was killed before it had begun would wait for the leader
        away.kill()
        for number in range(10):
            cluster.client(leader.node_id).put_object(Bucket="bucket", Key=f"{number}", Body=b"x")
        leader.kill()
        lost.kill()
        shutil.rmtree(lost.directory / "data")
        lost.start()
        assert lost.request("GET", "/bucket").error == (503, "ServiceUnavailable")
        away.start()
        assert lost.wait() == 1
        (reason,) = (line for line in lost.log if "BleepStore cannot go on: " in line)
        assert "Its disk was lost or replaced" in reason
        assert away.request("GET", "/bucket").error == (503, "ServiceUnavailable")
        leader.start()
        assert len(keys(cluster.client(away.node_id), "bucket")) == 10

        shutil.rmtree(lost.directory / "data")
        lost.settings = settings_of(lost, join=True, peers=[])
        lost.start()
        with pytest.raises(Refused, match="was lost or replaced"):
            away.control("add", id=lost.node_id, address=lost.address)
        away.control("remove", id=lost.node_id)
        away.control("add", id=lost.node_id, address=lost.address)
        assert len(keys(cluster.client(lost.node_id), "bucket")) == 10


# From one node to several


def test_an_embedded_node_becomes_the_first_of_a_cluster(directory: Path) -> None:
    cluster = Cluster(directory, size=0, sections={"jobs": {"interval_seconds": 1}})
    first = cluster.make("node-1")
    first.directory.mkdir(exist_ok=True)
    with Daemon(first.directory) as embedded:
        account = first.account
        account.port = embedded.port
        account.host = f"127.0.0.1:{embedded.port}"
        account.request("PUT", "/bucket")
        account.request("PUT", "/bucket/small", body=SMALL)
        account.request("PUT", "/bucket/large", body=LARGE)
        account.request("PUT", "/bucket/gone", body=LARGE)
    with cluster:
        assert content(cluster.client("node-1"), "bucket", "small") == SMALL
        assert content(cluster.client("node-1"), "bucket", "large") == LARGE
        cluster.client("node-1").put_object(Bucket="bucket", Key="new", Body=b"n")
        for node_id in ("node-2", "node-3"):
            cluster["node-1"].control("add", id=node_id, address=cluster.joiner(node_id).address)
        for node_id in ("node-2", "node-3"):
            client = cluster.client(node_id, attempts=1)
            assert content(client, "bucket", "small") == SMALL
            assert content(client, "bucket", "new") == b"n"
            with pytest.raises(ClientError) as caught:
                content(client, "bucket", "large")
            assert caught.value.response["Error"]["Code"] == "NotImplemented"
            assert "not on this node" in caught.value.response["Error"]["Message"]
        cluster.client("node-2").delete_object(Bucket="bucket", Key="gone")
        assert content(cluster.client("node-1"), "bucket", "large") == LARGE
        eventually(lambda: len(_blobs(first)) == 1)
        first.kill()
        assert content(cluster.client("node-3"), "bucket", "small") == SMALL
        first.start()
        assert content(cluster.client("node-1"), "bucket", "large") == LARGE
        assert len(_blobs(first)) == 1


def _blobs(node: Node) -> list[Path]:
    return list((node.directory / "data" / "objects").rglob("0*-*"))


# Encrypted, and each node who it says it is


def certified(directory: Path, cluster: Cluster) -> None:
    """Give each node a certificate for its address and its id."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    for node in cluster:
        issued = authority.issue_cert("127.0.0.1", node.node_id)
        files = {name: str(node.directory / f"{name}.pem") for name in ("certificate", "key")}
        issued.private_key_pem.write_to_path(files["key"])
        Path(files["certificate"]).write_bytes(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        node.settings["cluster"]["tls"] = {**files, "ca": str(directory / "ca.pem")}


def test_nodes_with_certificates_are_a_cluster(directory: Path) -> None:
    cluster = Cluster(directory)
    certified(directory, cluster)
    with cluster:
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="k", Body=SMALL)
        for node in cluster:
            assert content(cluster.client(node.node_id), "bucket", "k") == SMALL


def test_a_node_of_another_authority_is_nobody(directory: Path) -> None:
    cluster = Cluster(directory, settings={"request_timeout_ms": 1000})
    certified(directory, cluster)
    stranger = cluster["node-3"]
    other = trustme.CA().issue_cert("127.0.0.1", "node-3")
    with cluster:
        cluster.client("node-3").create_bucket(Bucket="bucket")
        stranger.stop()
        other.private_key_pem.write_to_path(str(stranger.directory / "key.pem"))
        (stranger.directory / "certificate.pem").write_bytes(other.cert_chain_pems[0].bytes())
        stranger.start()
        cluster.client("node-1").put_object(Bucket="bucket", Key="k", Body=SMALL)
        answer = stranger.request("GET", "/bucket")
        assert answer.error == (503, "ServiceUnavailable")


# What must not start


def settings_of(node: Node, **changes: Any) -> dict[str, Any]:
    return {**node.settings, "cluster": {**node.settings["cluster"], **changes}}


def test_the_data_of_another_node_is_refused(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.leader()
        node = cluster["node-2"]
        node.stop()
        wrong = settings_of(node, node_id="node-9")
        assert "is the log of node 'node-2', but this node is 'node-9'" in refusal(
            node.directory, wrong
        )
        wrong = settings_of(node, name="other")
        assert "belongs to a node of cluster 'bleepstore', but this one is of 'other'" in refusal(
            node.directory, wrong
        )
        node.start()
        assert node.request("GET", "/").status == 200


def test_a_damaged_log_is_named_with_what_to_do_and_the_others_go_on(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        for number in range(20):
            cluster.client().put_object(Bucket="bucket", Key=f"k{number}", Body=SMALL)
        node = cluster.followers()[0]
        node.stop()
        log = node.directory / "data" / "raft" / "raft.db"
        damaged = bytearray(log.read_bytes())
        at = damaged.index(SMALL[:64])  # within an entry
        damaged[at] ^= 1
        log.write_bytes(damaged)
        line = refusal(node.directory, node.settings)
        assert "raft.db is damaged: " in line
        assert "remove it from the cluster" in line
        assert len(keys(cluster.client(), "bucket")) == 20


def test_data_of_ones_own_is_not_brought_into_a_cluster_with_others(directory: Path) -> None:
    cluster = Cluster(directory)
    try:
        first = cluster["node-1"]
        with Daemon(first.directory) as embedded:
            send(embedded.port, "GET", "/healthz", {"host": "x"})
        line = refusal(first.directory, first.settings)
        assert "this node has metadata of its own, and so could each of the others" in line
        line = refusal(first.directory, settings_of(first, peers=[], join=True))
        assert "is to join a cluster, but has metadata of its own" in line
    finally:
        cluster.stop()


def test_a_node_leaves_its_cluster_with_its_data_and_not_otherwise(directory: Path) -> None:
    with Cluster(directory, size=1) as cluster:
        node = cluster["node-1"]
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="k", Body=SMALL)
        node.stop()
        assert "belongs to a node of a cluster" in refusal(node.directory, {})
        config = node.directory / "bleepstore.yaml"
        config.write_text(yaml.safe_dump(node.settings))
        subprocess.run(
            [sys.executable, "-m", "bleepstore", "cluster", "detach", "--config", config],
            cwd=node.directory, check=True, timeout=BOUND,
        )  # fmt: skip
        with Daemon(node.directory) as embedded:
            account = node.account
            account.port, account.host = embedded.port, f"127.0.0.1:{embedded.port}"
            assert account.request("GET", "/bucket/k").body == SMALL
            assert account.request("PUT", "/bucket/large", body=LARGE).status == 200
        node.start()  # a cluster of one again, and a new one
        assert content(cluster.client(), "bucket", "k") == SMALL
        assert content(cluster.client(), "bucket", "large") == LARGE
