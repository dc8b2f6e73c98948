"""Clusters of real ``twistd bleepstore`` processes for tests: started, killed, paused, asked.

    with Cluster(tmp_path, size=3) as cluster:
        cluster.client().put_object(…)       # boto3 at all nodes in turn, retrying as it does
        cluster["node-2"].kill()
        …

What becomes true is waited for by a request that is answered when it is, or by a line of a node's
log.  Whatever fails, the logs of all nodes are printed.
"""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config as BotoConfig

from bleepstore.cli.cluster import Refused, ask
from bleepstore.metadata.digest import digest
from bleepstore.metadata.reader import Reader
from tests.integration import clients
from tests.integration.daemon import Daemon
from tests.integration.networks import Loopback, Network
from tests.integration.raw import Account, Answer

BOUND = 60.0
"""Seconds until a hang is one; nothing is expected to take anywhere near it."""

FAST = {"election_timeout_ms": 300, "heartbeat_interval_ms": 50, "request_timeout_ms": 3000}
"""Settings of ``cluster`` with which a test of elections does not take long."""


HANDED_OVER = "systemd:domain=INET:index=0"

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="s3", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Gives a listening socket to a server, as systemd does."""


class Ports:
    """Free loopback ports, each held for as long as this lives.

    A held port is bound and not listened on: the kernel gives it to nobody who asks for any port,
    and a server that names it (and sets SO_REUSEADDR, as Twisted's do) still gets it.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def take(self) -> int:
        """One more."""
        held = self._held.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port

    def close(self) -> None:
        """Give them all back."""
        self._held.close()


class Node(Daemon):
    """One node: a process, its directory, and its addresses.

    :ivar node_id: ``cluster.node_id``.
    :ivar port: of S3.
    :ivar settings: of the configuration; changed between a stop and a start as a test likes.
    """

    def __init__(
        self,
        directory: Path,
        node_id: str,
        port: int,
        settings: Mapping[str, Any],
        network: Network,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory, settings)
        self.node_id = node_id
        self.port = port
        self.paused = False
        self._network = network

    @property
    def address(self) -> str:
        """``host:port`` for peers."""
        cluster = self.settings["cluster"]
        return str(cluster["advertise_addr"] or cluster["bind_addr"])

    @property
    def running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def control_socket(self) -> Path:
        return self.directory / "data" / "raft" / "control.sock"

    def control(self, do: str, **arguments: str) -> Any:
        """What the control socket answers.

        :raises Refused: it refuses.
        """
        return ask(str(self.control_socket), {"do": do, **arguments}, BOUND)

    def status(self) -> dict[str, Any]:
        """The node's ConsensusStatus."""
        status: dict[str, Any] = self.control("status")
        return status

    @property
    def account(self) -> Account:
        """Who signs requests by hand at this node: the first account of its configuration."""
        keys = self.settings.get("auth", {})
        return Account(
            self.port,
            keys.get("access_key", clients.ACCESS_KEY),
            keys.get("secret_key", clients.SECRET_KEY),
        )

    def request(self, method: str, target: str, body: bytes = b"", **options: Any) -> Answer:
        """One signed request, with no retry."""
        return self.account.request(method, target, body=body, **options)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        if not self._network.apart:
            return super()._spawn(command, environment, pass_fds)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            passed = listener.fileno()
            handing = [sys.executable, "-c", HAND_OVER, str(passed), *command]
            return super()._spawn(
                self._network.inside(self.node_id, handing), environment, [passed]
            )

    def pause(self) -> None:
        """SIGSTOP: the process stands still, its sockets stay open."""
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def end(self) -> None:
        """Stop it whatever it does."""
        if not self.running:
            return
        if self.paused:
            self.kill()
        else:
            self.stop()


class Cluster:
    """Several nodes below one directory.

    :param size: with which it begins; 0 for none.
    :param settings: of ``cluster``, on every node.
    :param sections: other sections of the configuration, on every node.
    :param network: between the nodes; closed with the cluster.
    """

    def __init__(
        self,
        directory: Path,
        size: int = 3,
        settings: Mapping[str, Any] | None = None,
        sections: Mapping[str, Any] | None = None,
        network: Network | None = None,
    ) -> None:
        self.directory = directory
        self.network = network or Loopback()
        self.ports = Ports()
        self.nodes: dict[str, Node] = {}
        self._settings = {**FAST, **(settings or {})}
        self._sections = dict(sections or {})
        self._turn = 0
        founders = [self.make(f"node-{number}") for number in range(1, size + 1)]
        for node in founders:
            node.settings["cluster"]["peers"] = [
                {"id": other.node_id, "addr": other.address}
                for other in founders
                if other is not node
            ]

    def make(self, node_id: str, **settings: Any) -> Node:
        """One more node, not started; without peers unless they are given.

        :param settings: of ``cluster``, on this node.
        """
        bind, advertise = self.network.place(node_id, self.ports.take())
        listen = {"server": {"listen": [HANDED_OVER]}} if self.network.apart else {}
        node = Node(
            self.directory / node_id,
            node_id,
            self.ports.take(),
            {
                **listen,
                **self._sections,
                "metadata": {"engine": "raft", **self._sections.get("metadata", {})},
                "cluster": {
                    **self._settings,
                    "node_id": node_id,
                    "bind_addr": bind,
                    "advertise_addr": advertise,
                    **settings,
                },
            },
            self.network,
        )
        self.nodes[node_id] = node
        return node

    def joiner(self, node_id: str) -> Node:
        """One more node that waits to be added; started."""
        node = self.make(node_id, join=True)
        node.start()
        return node

    def __getitem__(self, node_id: str) -> Node:
        return self.nodes[node_id]

    def __iter__(self) -> Iterator[Node]:
        return iter(tuple(self.nodes.values()))

    @property
    def running(self) -> list[Node]:
        """Nodes that can answer."""
        return [node for node in self if node.running and not node.paused]

    def start(self) -> Cluster:
        """Start all nodes that do not run, at the same time."""
        waiting = [node for node in self if not node.running]
        with ThreadPoolExecutor(max(len(waiting), 1)) as threads:
            for started in [threads.submit(node.start) for node in waiting]:
                started.result(BOUND)
        return self

    def client(self, *nodes: str, attempts: int = 10, port: int = 0, **options: Any) -> Any:
        """A boto3 client at a node, the next one in turn if none is named.

        :param port: of what stands before the nodes, in place of one of them.
        :param attempts: of each request; boto3 waits in between, up to a few seconds.
        :param options: of botocore's Config.
        """
        if nodes:
            node = self.nodes[nodes[0]]
        elif not port:
            running = self.running
            self._turn += 1
            node = running[self._turn % len(running)]
        config = BotoConfig(
            retries={"mode": "standard", "total_max_attempts": attempts},
            **{"connect_timeout": 5, "read_timeout": BOUND, **options},
        )
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}" if port else node.url,
            aws_access_key_id=clients.ACCESS_KEY,
            aws_secret_access_key=clients.SECRET_KEY,
            region_name=clients.REGION,
            config=config,
        )

    def leader(self, *among: Node) -> Node:
        """The node that leads, as the first of these nodes that answers knows it: after a request
        that needed one.

        :raises AssertionError: there is none within the bound.
        """
        for node in among or self.running:
            node_id = eventually(lambda at=node: _confirmed_leader(at))
            if node_id in self.nodes:
                return self.nodes[node_id]
        raise AssertionError("nobody leads")

    def followers(self) -> list[Node]:
        """Those that run and do not lead."""
        leader = self.leader()
        return [node for node in self.running if node is not leader]

    def caught_up(self, nodes: Sequence[Node] | None = None) -> None:
        """Return when each of these nodes has applied all that was acknowledged before: a strong
        read at it says so."""
        for node in self.running if nodes is None else nodes:
            eventually(lambda at=node: at.request("GET", "/").status == 200)

    def digests(self) -> dict[str, str]:
        """The hash of each node's state, by node; all that do not run, and have one.

        Nodes that were stopped after :meth:`caught_up`, with nothing written since, have equal
        ones.
        """
        found = {}
        for node in self:
            path = node.directory / "data" / "metadata.db"
            if not node.running and path.exists():
                with closing(sqlite3.connect(path)) as connection:
                    found[node.node_id] = digest(Reader(connection))
        return found

    def logs(self) -> str:
        """What all nodes have logged."""
        return "\n".join(f"--- {node.node_id}\n{''.join(node.log)}" for node in self)

    def stop(self) -> None:
        """End all nodes, and give back their ports and the network."""
        try:
            for node in self:
                node.end()
        finally:
            self.ports.close()
            self.network.close()

    def __enter__(self) -> Cluster:
        try:
            return self.start()
        except BaseException:
            print(self.logs())
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
            assert error is not None or not self.defects()
        finally:
            print(self.logs())  # pytest shows it with what fails

    def defects(self) -> list[str]:
        """Lines of the logs that no node should write, whatever is done to it."""
        return [
            line for node in self for line in node.log if "Traceback" in line or "Unhandled" in line
        ]


def content(client: Any, bucket: str, key: str) -> bytes:
    """An object's bytes."""
    body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def keys(client: Any, bucket: str) -> list[str]:
    """The keys of a bucket, up to 1,000."""
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def eventually(attempt: Callable[[], Any], within: float = BOUND) -> Any:
    """What an attempt gives once it gives something.

    A request that needs a leader waits for one at the server, up to ``cluster.request_timeout_ms``;
    what is refused at once is asked again a little later, as a client would.
    """
    pause = threading.Event()
    deadline = time.monotonic() + within
    while True:
        try:
            if result := attempt():
                return result
        except (OSError, Refused):
            pass
        assert time.monotonic() < deadline, "it did not become true"
        pause.wait(0.1)


def _confirmed_leader(node: Node) -> str:
    """Who leads, by a node that has just had a request confirmed; empty if it has none."""
    answer = node.request("GET", "/")
    return answer.headers.get("x-bleepstore-leader", "") if answer.status == 200 else ""
