"""A proxy in front of a cluster, as tap/cluster has it."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.integration import clients
from tests.integration.cluster import BOUND, Cluster, content, eventually, keys
from tests.integration.test_cluster_deployment import ROOT, moved

AWKWARD = ["a//b", "/a", "../a", "a b+c%2F&?=é", "a/", "~!*'()", "a;b"]

AROUND_NGINX = """
user {user};
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    include {directory}/nginx.conf;
}}
"""
"""What Debian's nginx.conf has, where nobody but the test's user may write."""


def haproxy(config: Path) -> list[str]:
    return [str(clients.find("haproxy")), "-db", "-f", str(config)]


def nginx(config: Path) -> list[str]:
    around = config.with_name("around.conf")
    around.write_text(AROUND_NGINX.format(directory=config.parent, user=getpass.getuser()))
    log = config.with_name("error.log")
    return [str(clients.find("nginx")), "-c", str(around), "-e", str(log), "-g", "daemon off;"]


@contextmanager
def proxied(cluster: Cluster, name: str) -> Iterator[int]:
    """A proxy by the file of this name, until the end; its port."""
    port = cluster.ports.take()
    config = cluster.directory / "proxy" / name
    config.parent.mkdir()
    text = (ROOT / "tap" / "cluster" / name).read_text()
    for number, node in enumerate(cluster):
        assert f"127.0.0.1:{9000 + 10 * number}" in text
        text = text.replace(f"127.0.0.1:{9000 + 10 * number}", f"127.0.0.1:{node.port}")
    config.write_text(moved(text, cluster).replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    command = (haproxy if name == "haproxy.cfg" else nginx)(config)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None)
        yield port
    finally:
        process.terminate()
        print(process.communicate(timeout=BOUND)[0])


@pytest.mark.parametrize("name", ["haproxy.cfg", "nginx.conf"])
def test_clients_notice_neither_the_proxy_nor_the_end_of_a_node(tmp_path: Path, name: str) -> None:
    clients.find(name.split(".")[0])
    cluster = Cluster(tmp_path)
    with cluster, proxied(cluster, name) as port:
        once = cluster.client(port=port, attempts=1)
        cluster.leader()
        once.create_bucket(Bucket="bucket")
        for key in AWKWARD:
            once.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"a_b": "c  d"})
            assert content(once, "bucket", key) == key.encode()
            assert once.head_object(Bucket="bucket", Key=key)["Metadata"] == {"a_b": "c  d"}
            with pytest.raises(ClientError, match="PreconditionFailed"):
                once.put_object(Bucket="bucket", Key=key, Body=b"again", IfNoneMatch="*")
        with pytest.raises(ClientError, match="NotImplemented"):
            once.put_object(Bucket="bucket", Key="large", Body=bytes(300_000))
        assert sorted(keys(once, "bucket")) == sorted(AWKWARD)
        cluster.leader().kill()
        client = cluster.client(port=port)
        for number in range(20):
            client.put_object(Bucket="bucket", Key=f"k{number}", Body=b"x")
        assert len(keys(client, "bucket")) == len(AWKWARD) + 20
