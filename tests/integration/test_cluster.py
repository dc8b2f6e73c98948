"""Three real processes as one store: at any node, while nodes come and go."""

from __future__ import annotations

import json
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.cluster import BOUND, Cluster, Node, content, eventually, keys
from tests.integration.raw import send

ROOT = Path(__file__).parents[2]
SMALL = bytes(range(256)) * 16
CALM = {"election_timeout_ms": 3000, "heartbeat_interval_ms": 300, "request_timeout_ms": 10_000}
"""Settings of a cluster whose leader is to stay, however busy the machine is."""
LARGE = bytes(range(256)) * 400  # more than what is kept beside the metadata


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes for the tests that harm none of them."""
    with Cluster(tmp_path_factory.mktemp("cluster"), settings=CALM) as cluster:
        yield cluster


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


# One consistent store


def test_what_is_done_at_one_node_is_seen_at_every_other(shared: Cluster) -> None:
    clients = [shared.client(node.node_id) for node in shared]
    for turn, writer in enumerate(clients):
        bucket = f"bucket-{turn}"
        writer.create_bucket(Bucket=bucket)
        for reader in clients:
            assert keys(reader, bucket) == []
        writer.put_object(Bucket=bucket, Key="k", Body=SMALL)
        writer.put_object(Bucket=bucket, Key="other", Body=b"")
        for reader in clients:
            assert content(reader, bucket, "k") == SMALL
            assert keys(reader, bucket) == ["k", "other"]
        for number, replacer in enumerate(clients):
            replacer.put_object(Bucket=bucket, Key="k", Body=b"%d" % number)
            for reader in clients:
                assert content(reader, bucket, "k") == b"%d" % number
        writer.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
        for reader in clients:
            assert content(reader, bucket, "copy") == b"2"
        clients[turn - 1].delete_object(Bucket=bucket, Key="k")
        for reader in clients:
            assert keys(reader, bucket) == ["copy", "other"]
            with pytest.raises(reader.exceptions.NoSuchKey):
                content(reader, bucket, "k")


def test_conditions_are_decided_once_for_all_nodes(shared: Cluster) -> None:
    clients = [shared.client(node.node_id) for node in shared]
    clients[0].create_bucket(Bucket="conditions")
    clients[0].put_object(Bucket="conditions", Key="k", Body=b"1", IfNoneMatch="*")
    for client in clients:
        with pytest.raises(ClientError) as caught:
            client.put_object(Bucket="conditions", Key="k", Body=b"2", IfNoneMatch="*")
        assert caught.value.response["Error"]["Code"] == "PreconditionFailed"


def test_small_multipart_uploads_work_across_nodes(shared: Cluster) -> None:
    first, second, third = (shared.client(node.node_id) for node in shared)
    first.create_bucket(Bucket="multipart")
    upload = first.create_multipart_upload(Bucket="multipart", Key="k")["UploadId"]
    part = second.upload_part(
        Bucket="multipart", Key="k", UploadId=upload, PartNumber=1, Body=SMALL
    )
    third.complete_multipart_upload(
        Bucket="multipart",
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert content(first, "multipart", "k") == SMALL


# What answers say


def test_every_answer_names_the_leader(shared: Cluster) -> None:
    leader = shared.leader().node_id
    for node in shared:
        for method, target, body in (
            ("GET", "/", b""),
            ("GET", "/none", b""),
            ("PUT", f"/named-{node.node_id}", b""),
            ("GET", "/health", b""),
            ("PATCH", "/x", b""),
        ):
            assert node.request(method, target, body).headers["x-bleepstore-leader"] == leader


def test_health_and_metrics_tell_of_the_cluster(shared: Cluster) -> None:
    leader = shared.leader()
    shared.caught_up()
    for node in shared:
        health = json.loads(send(node.port, "GET", "/health", {"host": "x"}).body)
        assert health["status"] == "ok"
        role = "leader" if node is leader else "follower"
        part = health["checks"]["cluster"]
        assert (part["status"], part["role"], part["leader"]) == ("ok", role, leader.node_id)
        text = send(node.port, "GET", "/metrics", {"host": "x"}).body.decode()
        assert f'bleepstore_raft_role{{role="{role}"}} 1.0' in text
        found = dict(re.findall(r"(?m)^(bleepstore_raft_\w+(?:\{[^}]*\})?) (\S+)$", text))
        assert float(found["bleepstore_raft_term"]) >= 1
        assert float(found["bleepstore_raft_commit_index"]) >= 1
        assert float(found["bleepstore_raft_append_seconds_count"]) >= 1
        peers = [name for name in found if name.startswith("bleepstore_raft_peer_lag")]
        assert len(peers) == (2 if node is leader else 0)


def test_the_metrics_that_operations_names_exist(shared: Cluster) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(bleepstore_raft_\w+)`", text))
    assert named
    served = send(shared.leader().port, "GET", "/metrics", {"host": "x"}).body.decode()
    assert named <= {line.split()[2] for line in served.splitlines() if line.startswith("# TYPE")}


def test_the_status_is_that_of_the_cluster(shared: Cluster) -> None:
    leader = shared.leader()
    statuses = [node.status() for node in shared]
    assert len({status["cluster_id"] for status in statuses}) == 1
    assert {status["leader"] for status in statuses} == {leader.node_id}
    assert {status["leader_address"] for status in statuses} == {leader.address}
    assert sorted(status["role"] for status in statuses) == ["follower", "follower", "leader"]


# What is too large


@pytest.mark.parametrize("node_id", ["node-1", "node-2", "node-3"])
def test_an_object_too_large_to_be_inline_is_refused_clearly(shared: Cluster, node_id: str) -> None:
    client = shared.client(node_id, attempts=1)
    client.create_bucket(Bucket=f"large-{node_id}")
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=f"large-{node_id}", Key="k", Body=LARGE)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert "more than 16384 bytes (storage.inline_max_bytes) cannot be stored" in error["Message"]
    assert keys(client, f"large-{node_id}") == []


def test_a_large_body_is_refused_before_it_is_sent(shared: Cluster) -> None:
    node = shared["node-1"]
    node.request("PUT", "/expect")
    presigned = node.account.presigned("PUT", "/expect/k")
    with socket.create_connection(("127.0.0.1", node.port), timeout=BOUND) as client:
        client.sendall(
            f"PUT {presigned} HTTP/1.1\r\nHost: {node.account.host}\r\n"
            f"Expect: 100-continue\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 501 ")


# Nodes that die


def test_a_follower_dies_and_comes_back(directory: Path) -> None:
    with Cluster(directory) as cluster:
        client = cluster.client(cluster.leader().node_id)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="before", Body=SMALL)
        lost = cluster.followers()[0]
        lost.kill()
        for number in range(20):
            client.put_object(Bucket="bucket", Key=f"k{number}", Body=b"%d" % number)
        lost.start()
        again = cluster.client(lost.node_id)
        assert len(keys(again, "bucket")) == 21
        assert content(again, "bucket", "k19") == b"19"
        again.put_object(Bucket="bucket", Key="after", Body=b"")
        assert content(client, "bucket", "after") == b""


def test_the_leader_dies_and_comes_back(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="before", Body=SMALL)
        lost = cluster.leader()
        lost.kill()
        survivors = [cluster.client(node.node_id) for node in cluster.running]
        for number, client in enumerate(survivors):
            client.put_object(Bucket="bucket", Key=f"k{number}", Body=b"x")
        for client in survivors:
            assert keys(client, "bucket") == ["before", "k0", "k1"]
        assert cluster.leader() is not lost
        lost.start()
        assert keys(cluster.client(lost.node_id), "bucket") == ["before", "k0", "k1"]


def test_a_leader_that_stands_still_is_replaced_and_gives_no_stale_answer(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="k", Body=b"old")
        still = cluster.leader()
        still.pause()
        other = cluster.running[0]
        cluster.client(other.node_id).put_object(Bucket="bucket", Key="k", Body=b"new")
        still.resume()
        assert content(cluster.client(still.node_id), "bucket", "k") == b"new"


def test_everything_outlives_the_death_of_all(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        for number in range(30):
            cluster.client().put_object(Bucket="bucket", Key=f"k{number:02}", Body=b"%d" % number)
        for node in cluster:
            node.kill()
        cluster.start()
        for node in cluster:
            client = cluster.client(node.node_id)
            assert keys(client, "bucket") == [f"k{number:02}" for number in range(30)]
            assert content(client, "bucket", "k29") == b"29"
        for node in cluster:
            node.stop()
        assert len(set(cluster.digests().values())) == 1
        assert len(cluster.digests()) == 3


def test_without_a_majority_the_answer_is_503_within_the_bound(directory: Path) -> None:
    with Cluster(directory, settings={"request_timeout_ms": 1000}) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        cluster.client().put_object(Bucket="bucket", Key="k", Body=b"1")
        left, *others = cluster
        for other in others:
            other.kill()
        for method, target in (
            ("PUT", "/bucket/k"),
            ("GET", "/bucket/k"),
            ("GET", "/bucket"),
            ("DELETE", "/bucket/k"),
        ):
            answer = left.request(method, target, b"2" if method == "PUT" else b"")
            assert answer.error == (503, "ServiceUnavailable")
            assert int(answer.headers["retry-after"]) >= 1
        health = eventually(lambda: _degraded(left))
        assert health["checks"]["cluster"]["leader"] == ""
        assert left.request("GET", "/bucket/k").headers["x-bleepstore-leader"] == ""
        others[0].start()
        assert content(cluster.client(left.node_id), "bucket", "k") in (b"1", b"2")


def _degraded(node: Node) -> Any:
    answer = send(node.port, "GET", "/health", {"host": "x"})
    return json.loads(answer.body) if answer.status == 503 else None


def test_eventual_reads_need_nobody(directory: Path) -> None:
    with Cluster(directory, settings={"read_consistency": "eventual"}) as cluster:
        leader = cluster.leader()
        cluster.client(leader.node_id).create_bucket(Bucket="bucket")
        cluster.client(leader.node_id).put_object(Bucket="bucket", Key="k", Body=b"1")
        for node in cluster:
            eventually(lambda at=node: at.request("GET", "/bucket/k").body == b"1")
        left, *others = cluster
        for other in others:
            other.kill()
        assert left.request("GET", "/bucket/k").body == b"1"
        assert left.request("GET", "/bucket").status == 200


def test_a_node_starts_and_stops_without_a_majority(directory: Path) -> None:
    cluster = Cluster(directory, settings={"request_timeout_ms": 700})
    node = cluster["node-1"]
    try:
        node.start()
        answer = node.request("GET", "/bucket")
        assert answer.error == (503, "ServiceUnavailable")
        assert b"waits for the other first members" in answer.body
        assert send(node.port, "GET", "/readyz", {"host": "x"}).status == 503
        assert send(node.port, "GET", "/healthz", {"host": "x"}).status == 200
        assert node.status()["leader"] == ""
        assert node.stop() in (0, -15)
    finally:
        cluster.stop()
    assert not cluster.defects()


# What ends a node


def test_a_disk_that_fails_ends_the_node_and_the_others_go_on(directory: Path) -> None:
    with Cluster(directory) as cluster:
        cluster.client().create_bucket(Bucket="bucket")
        lost = cluster.leader()
        client = cluster.client(cluster.followers()[0].node_id)
        resource.prlimit(lost.pid, resource.RLIMIT_FSIZE, (1, 1))  # as if no write could be made
        client.put_object(Bucket="bucket", Key="k", Body=SMALL)
        assert lost.wait() == 1
        assert any("BleepStore cannot go on: " in line for line in lost.log)
        assert content(client, "bucket", "k") == SMALL
        lost.start()
        assert content(cluster.client(lost.node_id), "bucket", "k") == SMALL
