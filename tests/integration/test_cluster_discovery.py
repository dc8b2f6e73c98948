"""Nodes that are where DNS says: real processes in network namespaces, and a real DNS server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration import name_server
from tests.integration.cluster import Cluster, content, eventually, keys
from tests.integration.networks import Namespaces, namespaces_allowed

NAME = "nodes.bleepstore.test"
SETTINGS = {"discovery": "dns", "dns": {"name": NAME, "refresh_interval_s": 0.5}}
NOWHERE = "192.0.2.{}:9002"
"""Addresses that nobody has (RFC 5737)."""


@contextmanager
def names(network: Namespaces, table: Path) -> Iterator[subprocess.Popen[str]]:
    """The DNS server, at the router."""
    command = [sys.executable, str(Path(name_server.__file__)), str(table), NAME]
    process = subprocess.Popen(network.at_router(command), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "answers\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_nodes_are_found_where_dns_says_they_are(tmp_path: Path) -> None:
    if not namespaces_allowed():
        pytest.skip("network namespaces need root and iproute2")
    network = Namespaces()
    cluster = Cluster(tmp_path, 3, SETTINGS, network=network)
    table = tmp_path / "addresses"

    def publish() -> None:
        changed = tmp_path / "changed"
        changed.write_text("\n".join(network.address(node.node_id) for node in cluster))
        changed.rename(table)

    for node in cluster:
        node.settings["cluster"]["peers"] = [
            {"id": peer["id"], "addr": NOWHERE.format(number)}
            for number, peer in enumerate(node.settings["cluster"]["peers"])
        ]
        network.ask_router_for_names(node.node_id)
    publish()
    with names(network, table) as server, cluster:
        # Nobody is where the configuration says, but all find each other.
        cluster.client().create_bucket(Bucket="bucket")
        leader = cluster.leader()
        writer = cluster.client(leader.node_id)
        writer.put_object(Bucket="bucket", Key="first", Body=b"1")
        cluster.caught_up()

        # One comes back at another address; no configuration but its own changes.
        moved = cluster.followers()[0]
        moved.kill()
        moved.settings["cluster"]["bind_addr"] = network.move(moved.node_id)
        writer.put_object(Bucket="bucket", Key="second", Body=b"2")
        publish()
        moved.start()
        cluster.caught_up([moved])
        there = cluster.client(moved.node_id)
        assert keys(there, "bucket") == ["first", "second"]
        there.put_object(Bucket="bucket", Key="third", Body=b"3")
        assert content(writer, "bucket", "third") == b"3"

        # Without DNS all goes on: who is known stays where it was, also for the next leader.
        at = f"{moved.node_id} was found at {moved.address}"
        for node in cluster:
            if node is not moved:
                eventually(lambda at=at, node=node: any(at in line for line in node.log))
        server.kill()
        server.wait()
        for node in cluster:
            eventually(lambda node=node: any(f"Peer {NAME}: " in line for line in node.log))
        leader = cluster.leader()
        leader.kill()
        cluster.client().put_object(Bucket="bucket", Key="fourth", Body=b"4")
        cluster.caught_up()
        for node in cluster.running:
            found = keys(cluster.client(node.node_id), "bucket")
            assert found == ["first", "fourth", "second", "third"]
