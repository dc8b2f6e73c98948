"""What lies between the nodes of a test's cluster, and can be made to fail.

Three of them: the loopback as it is; relays, which any user may run; and network namespaces, in
which the kernel itself drops packets, so that connections see what a pulled cable does to them.

Namespaces need root and iproute2.  Each node has one, joined to that of a router by a link of its
own; no link leads out of them, so nothing of the machine's own network changes.  A node's S3 port
is the loopback's all the same: the test opens it, and hands it over as systemd does.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from tests.fakes.relay import Relays

PEER_PORT = 9002

_numbers = itertools.count(1)


class Network(Protocol):
    """Where nodes are, for each other.

    :ivar apart: whether a node runs in a place of its own, where the test's loopback is not.
    """

    apart: bool

    def place(self, node_id: str, port: int) -> tuple[str, str]:
        """``cluster.bind_addr`` and ``cluster.advertise_addr`` of one more node.

        :param port: that is free on the loopback.
        """

    def inside(self, node_id: str, command: Sequence[str]) -> list[str]:
        """The command that runs a command where the node is."""

    def block(self, source: str, destination: str) -> None:
        """Nothing of what one node sends arrives at another one; its answers do."""

    def heal(self) -> None:
        """All that was blocked passes again."""

    def close(self) -> None:
        """Leave nothing behind."""


def isolate(network: Network, node_ids: Iterable[str], others: Iterable[str]) -> None:
    """Nothing passes between these and those, either way."""
    rest = tuple(others)
    for one in node_ids:
        for other in rest:
            network.block(one, other)
            network.block(other, one)


class Loopback:
    """Nothing between them."""

    apart = False

    def place(self, node_id: str, port: int) -> tuple[str, str]:
        """See Network."""
        return f"127.0.0.1:{port}", ""

    def inside(self, node_id: str, command: Sequence[str]) -> list[str]:
        """See Network."""
        return list(command)

    def block(self, source: str, destination: str) -> None:
        """It does not fail."""
        raise AssertionError("the loopback cannot be blocked")

    def heal(self) -> None:
        """See Network."""

    def close(self) -> None:
        """See Network."""


class Relayed(Loopback):
    """A relay in front of each node."""

    def __init__(self) -> None:
        self.relays = Relays()

    def place(self, node_id: str, port: int) -> tuple[str, str]:
        """See Network."""
        return f"127.0.0.1:{port}", f"127.0.0.1:{self.relays.serve(node_id, port)}"

    def block(self, source: str, destination: str) -> None:
        """See Network."""
        self.relays.block(source, destination)

    def heal(self) -> None:
        """See Network."""
        self.relays.heal()

    def close(self) -> None:
        """See Network."""
        self.relays.close()


class Namespaces:
    """A namespace for each node, and a router between them.

    What is blocked is dropped by the router without a word, by a rule for what comes in by the
    sender's link and goes to the other's address.
    """

    apart = True

    def __init__(self) -> None:
        self._name = f"bleepstore-{os.getpid()}-{next(_numbers)}"
        self._router = f"{self._name}-router"
        self._nodes: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._rules: list[list[str]] = []
        self._made: list[str] = []
        self._etc: list[Path] = []
        try:
            self._add(self._router)
            # A packet's way back is no business of the router's: it may be blocked.
            self._write("net/ipv4/conf/all/rp_filter", "0")
            self._write("net/ipv4/conf/default/rp_filter", "0")
            self._write("net/ipv4/ip_forward", "1")
        except BaseException:
            self.close()
            raise

    def place(self, node_id: str, port: int) -> tuple[str, str]:
        """See Network."""
        number = self._nodes[node_id] = len(self._nodes) + 1
        self._hosts[node_id] = 2
        own = self._own(node_id)
        self._add(own)
        link = f"node{number}"
        ip("link", "add", link, "netns", self._router, "type", "veth",
           "peer", "name", "eth0", "netns", own)  # fmt: skip
        for namespace, device, host in ((self._router, link, 1), (own, "eth0", 2)):
            ip("-n", namespace, "address", "add", f"10.9.{number}.{host}/29", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", own, "route", "add", "default", "via", self._gateway(node_id))
        return f"{self.address(node_id)}:{PEER_PORT}", ""

    def inside(self, node_id: str, command: Sequence[str]) -> list[str]:
        """See Network."""
        return ["ip", "netns", "exec", self._own(node_id), *command]

    def at_router(self, command: Sequence[str]) -> list[str]:
        """The command that runs a command at the router, which all nodes reach."""
        return ["ip", "netns", "exec", self._router, *command]

    def ask_router_for_names(self, node_id: str) -> None:
        """Have what is started at a node from now on ask the router's port 53 (ip-netns(8))."""
        etc = Path("/etc/netns", self._own(node_id))
        etc.mkdir(parents=True)
        self._etc.append(etc)
        options = "options timeout:1 attempts:1"
        (etc / "resolv.conf").write_text(f"nameserver {self._gateway(node_id)}\n{options}\n")

    def move(self, node_id: str) -> str:
        """Give a node that does not run another address: its ``cluster.bind_addr``."""
        own = self._own(node_id)
        ip("-n", own, "address", "delete", f"{self.address(node_id)}/29", "dev", "eth0")
        self._hosts[node_id] += 1
        ip("-n", own, "address", "add", f"{self.address(node_id)}/29", "dev", "eth0")
        ip("-n", own, "route", "add", "default", "via", self._gateway(node_id))
        return f"{self.address(node_id)}:{PEER_PORT}"

    def block(self, source: str, destination: str) -> None:
        """See Network."""
        rule = ["iif", f"node{self._nodes[source]}", "to", self.address(destination), "blackhole"]
        ip("-n", self._router, "rule", "add", *rule)
        self._rules.append(rule)

    def heal(self) -> None:
        """See Network."""
        while self._rules:
            ip("-n", self._router, "rule", "delete", *self._rules.pop())

    def close(self) -> None:
        """See Network.  A namespace takes its links with it."""
        while self._etc:
            shutil.rmtree(self._etc.pop())
        while self._made:
            ip("netns", "delete", self._made.pop())

    def _add(self, namespace: str) -> None:
        ip("netns", "add", namespace)
        self._made.append(namespace)
        ip("-n", namespace, "link", "set", "lo", "up")

    def _write(self, name: str, value: str) -> None:
        # What /proc/sys/net shows is the namespace of who looks.
        command = ["ip", "netns", "exec", self._router, "tee", f"/proc/sys/{name}"]
        subprocess.run(command, input=value.encode(), check=True, stdout=subprocess.DEVNULL)

    def _own(self, node_id: str) -> str:
        return f"{self._name}-{self._nodes[node_id]}"

    def _gateway(self, node_id: str) -> str:
        return f"10.9.{self._nodes[node_id]}.1"

    def address(self, node_id: str) -> str:
        """Where a node is, without a port."""
        return f"10.9.{self._nodes[node_id]}.{self._hosts[node_id]}"


def ip(*arguments: str) -> None:
    """Run iproute2's ``ip``.

    :raises AssertionError: it says no.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert not done.returncode, f"ip {' '.join(arguments)}: {done.stderr.strip()}"


def namespaces_allowed() -> bool:
    """Whether namespaces can be had here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None
