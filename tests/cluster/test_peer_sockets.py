"""The transport on real sockets, plain and with TLS: who may talk to whom, and what is said."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from bleepstore.cluster.peer_hello import Self
from bleepstore.cluster.peer_settings import PeerSettings
from bleepstore.cluster.tls import BadCertificate, PeerContexts
from bleepstore.cluster.transport import AmpTransport
from bleepstore.cluster.wires import PeerTls, wires
from bleepstore.interfaces.replication import IReceiver
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    Member,
    Members,
    Message,
    SnapshotMark,
)
from bleepstore.streams.threads import ReactorThreads

LARGE = AppendEntries(3, 10, 2, tuple(Entry(11 + n, 3, data=bytes(4096)) for n in range(200)), 9, 4)
SETTINGS = PeerSettings(backoff_first=0.01, backoff_most=0.05)


@implementer(IReceiver)
class Ears:
    """Gives what is heard, one after another, to who waits for it."""

    def __init__(self) -> None:
        self._heard: list[Any] = []
        self._waiting: list[Deferred[Any]] = []

    def _hear(self, event: Any) -> None:
        if self._waiting:
            self._waiting.pop(0).callback(event)
        else:
            self._heard.append(event)

    def next(self) -> Awaitable[Any]:
        waiting: Deferred[Any] = Deferred()
        self._waiting.append(waiting)
        if self._heard:
            self._waiting.pop().callback(self._heard.pop(0))
        return waiting.addTimeout(30, reactor)

    def received(self, sender: str, message: Message) -> None:
        self._hear((sender, message))

    def snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        self._hear((sender, term, mark, path))

    def peer_lost(self, peer: str) -> None:
        self._hear(("lost", peer))


class Line:
    """Waits for a line of the log."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self._found: Deferred[str] = Deferred()
        globalLogPublisher.addObserver(self._observe)

    def _observe(self, event: LogEvent) -> None:
        line = formatEvent(event)
        if self._pattern.search(line) and not self._found.called:
            self._found.callback(line)

    async def __call__(self) -> str:
        try:
            return await self._found.addTimeout(30, reactor)
        finally:
            globalLogPublisher.removeObserver(self._observe)


class Node:
    def __init__(self, node_id: str, directory: Path, tls: PeerTls | None, threads: Any) -> None:
        self.id = node_id
        self.ears = Ears()
        sockets = wires(reactor, "127.0.0.1", 0, tls)
        self.transport = AmpTransport(
            Self(node=node_id, address="", cluster="one"),
            reactor,
            threads,
            sockets.listen_on,
            sockets.endpoints,
            str(directory / f"incoming-{node_id}"),
            Random(1).random,
            vouch=sockets.vouch,
            settings=SETTINGS,
        )
        self.transport.listen(self.ears)

    @property
    def port(self) -> int:
        assert self.transport.port is not None
        port: int = self.transport.port.getHost().port
        return port


@asynccontextmanager
async def two(
    directory: Path, tls: Callable[[str], PeerTls | None], host: str = "127.0.0.1"
) -> AsyncIterator[tuple[Node, Node]]:
    threads = ReactorThreads(reactor, 2)
    await threads.start()
    a, b = (Node(name, directory, tls(name), threads) for name in ("a", "b"))
    try:
        for node in (a, b):
            await node.transport.start()
        members = Members(tuple(Member(node.id, f"{host}:{node.port}") for node in (a, b)))
        for node in (a, b):
            node.transport.connect(members)
        yield a, b
    finally:
        for node in (a, b):
            await node.transport.stop()
        await threads.stop()


async def say(sender: Node, receiver: Node, message: Message) -> None:
    """Send again until it arrives: at the beginning there is no connection yet."""
    heard = receiver.ears.next()
    assert isinstance(heard, Deferred)
    while not heard.called:
        sender.transport.send(receiver.id, message)
        pause: Deferred[None] = Deferred()
        reactor.callLater(0.01, pause.callback, None)
        await pause
    assert await heard == (sender.id, message)


async def converse(a: Node, b: Node, directory: Path) -> None:
    await say(a, b, AppendEntries(3, 1, 1))
    a.transport.send("b", LARGE)
    while (heard := await b.ears.next()) != ("a", LARGE):
        assert heard == ("a", AppendEntries(3, 1, 1))
    b.transport.send("a", Appended(3, True, 210))
    assert await a.ears.next() == ("b", Appended(3, True, 210))
    path = directory / "snapshot"
    path.write_bytes(bytes(range(256)) * 20_000)
    mark = SnapshotMark(7, 2)
    await a.transport.send_snapshot("b", 3, mark, str(path))
    sender, term, got, arrived = await b.ears.next()
    assert (sender, term, got) == ("a", 3, mark)
    assert Path(arrived).read_bytes() == path.read_bytes()


class World:
    """Certificates of one authority, and of another one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.other = trustme.CA()
        for name, authority in (("ca", self.authority), ("other", self.other)):
            authority.cert_pem.write_to_path(str(directory / f"{name}.pem"))

    def issue(self, name: str, *names: str, by: trustme.CA | None = None, **more: Any) -> PeerTls:
        issued = (by or self.authority).issue_cert(*names)
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}-key.pem"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        authority = str(self.directory / "ca.pem")
        return PeerTls(certificate=str(certificate), key=str(key), authority=authority, **more)


@pytest_twisted.ensureDeferred
async def test_nodes_talk_over_plain_sockets(tmp_path: Path) -> None:
    async with two(tmp_path, lambda name: None) as (a, b):
        await converse(a, b, tmp_path)


@pytest.mark.parametrize("names_nodes", [False, True])
@pytest_twisted.ensureDeferred
async def test_nodes_talk_over_tls(tmp_path: Path, names_nodes: bool) -> None:
    world = World(tmp_path)

    def tls(name: str) -> PeerTls:
        return world.issue(name, "127.0.0.1", name, names_nodes=names_nodes)

    async with two(tmp_path, tls) as (a, b):
        await converse(a, b, tmp_path)


@pytest_twisted.ensureDeferred
async def test_intermediate_certificates_are_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    between = world.authority.create_child_ca()
    async with two(tmp_path, lambda name: world.issue(name, "127.0.0.1", name, by=between)) as pair:
        await converse(*pair, tmp_path)


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    line = Line(r"Peer b: cannot be reached.*certificate verify failed")

    def tls(name: str) -> PeerTls:
        return world.issue(name, "127.0.0.1", name, by=world.other if name == "b" else None)

    async with two(tmp_path, tls) as (a, _b):
        await line()
        assert a.transport.statistics()["peers_connected"] == 0


@pytest.mark.parametrize("wide", [(), ("*.b",)])
@pytest_twisted.ensureDeferred
async def test_a_certificate_of_another_host_is_refused(
    tmp_path: Path, wide: tuple[str, ...]
) -> None:
    """Not even with a wildcard that covers too much, which Twisted alone lets pass."""
    world = World(tmp_path)
    line = Line(r"Peer b: cannot be reached.*VerificationError")

    def tls(name: str) -> PeerTls:
        return world.issue(name, "127.0.0.1" if name == "a" else "127.0.0.9", name, *wide)

    async with two(tmp_path, tls) as (a, _b):
        await line()
        assert a.transport.statistics()["peers_connected"] == 0


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_names_another_node_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    line = Line(r"Peer b: .*certificate names .*not 'b'")
    async with two(tmp_path, lambda name: world.issue(name, "127.0.0.1", "a")) as (a, _b):
        await line()
        assert a.transport.statistics()["peers_connected"] == 0


@pytest_twisted.ensureDeferred
async def test_who_is_called_checks_the_name_of_the_caller(tmp_path: Path) -> None:
    world = World(tmp_path)
    refused = Line(r"Peer a: at .*certificate names .*not 'b'")

    def tls(name: str) -> PeerTls:
        return world.issue(name, "127.0.0.1", "a", names_nodes=name == "a")

    async with two(tmp_path, tls) as (_a, b):
        await refused()
        assert b.transport.statistics()["peers_connected"] == 0


@pytest_twisted.ensureDeferred
async def test_who_has_no_certificate_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    line = Line(r"Peer 127.0.0.1: .*peer did not return a certificate")
    from twisted.internet import ssl
    from twisted.internet.endpoints import wrapClientTLS

    async with two(tmp_path, lambda name: world.issue(name, "127.0.0.1", name)) as (a, _b):
        trust = ssl.Certificate.loadPEM((tmp_path / "ca.pem").read_bytes())
        ended: Deferred[None] = Deferred()

        class Client(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(b"\0\0")  # type: ignore[union-attr]  # it is connected

            def connectionLost(self, reason: Any = None) -> None:
                ended.callback(None)

        endpoint = wrapClientTLS(
            ssl.optionsForClientTLS("127.0.0.1", trust),
            TCP4ClientEndpoint(reactor, "127.0.0.1", a.port),
        )
        await endpoint.connect(Factory.forProtocol(Client))
        await ended.addTimeout(30, reactor)
        await line()


@pytest_twisted.ensureDeferred
async def test_plain_bytes_are_refused_where_tls_is_wanted(tmp_path: Path) -> None:
    world = World(tmp_path)
    line = Line(r"Peer (127.0.0.1|a): .*(wrong version number|record layer|http request|Error)")

    def tls(name: str) -> PeerTls | None:
        return world.issue(name, "127.0.0.1", name) if name == "b" else None

    async with two(tmp_path, tls) as (a, b):
        await line()
        assert a.transport.statistics()["peers_connected"] == 0
        assert b.transport.statistics()["peers_connected"] == 0


def test_without_tls_nothing_of_it_is_made() -> None:
    """In a process of its own, since others here have imported everything."""
    program = (
        "import sys\n"
        "from twisted.internet import reactor\n"
        "from bleepstore.cluster import transport, discovery\n"
        "from bleepstore.cluster.wires import wires\n"
        "wires(reactor, '127.0.0.1', 0)\n"
        "assert 'bleepstore.cluster.tls' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    good, other = world.issue("a", "127.0.0.1"), world.issue("b", "127.0.0.1")
    (tmp_path / "empty.pem").write_bytes(b"nothing")
    empty = str(tmp_path / "empty.pem")
    for wrong, said in (
        ({"certificate": str(tmp_path / "none.pem")}, "none.pem: No such file"),
        ({"certificate": empty}, "empty.pem holds no certificate"),
        ({"authority": empty}, "empty.pem holds no certificate"),
        ({"key": empty}, "empty.pem holds no private key"),
        ({"key": other.key}, "b-key.pem is not the key of .*a.pem"),
    ):
        files = {
            "certificate": good.certificate,
            "key": good.key,
            "authority": good.authority,
            **wrong,
        }
        with pytest.raises(BadCertificate, match=said):
            PeerContexts(PeerTls(**files), reactor)
