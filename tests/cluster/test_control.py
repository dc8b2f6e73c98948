"""The control socket over a real UNIX socket, and the console command that speaks to it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bleepstore.cli import cluster
from bleepstore.cluster.control import (
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_LINE,
    ControlSocket,
    ControlSocketInUse,
)
from bleepstore.config.cluster_refusals import check_member
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import ConsensusStatus, IConsensus, PeerStatus

STATUS = ConsensusStatus(
    cluster_id="bleepstore.0123",
    node_id="node-1",
    role="leader",
    term=7,
    leader="node-1",
    leader_address="a:1",
    last_index=12,
    last_term=7,
    commit_index=11,
    applied_index=10,
    snapshot_index=3,
    snapshot_term=2,
    pending=0,
    peers=(
        PeerStatus(id="node-2", address="b:1", voter=True, match=9, last_contact_ms=1500),
        PeerStatus(id="node-3", address="c:1", voter=False, match=-1, last_contact_ms=-1),
    ),
)


@implementer(IConsensus)
class Consensus:
    """Writes down what is asked of it, and answers, refuses or waits as it is told."""

    node_id = "node-1"

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refusal: Exception | None = None
        self.gate: Deferred[None] | None = None

    async def propose(self, command: bytes) -> object:
        raise AssertionError

    async def barrier(self) -> None:
        raise AssertionError

    def status(self) -> ConsensusStatus:
        return STATUS

    async def add_member(self, node_id: str, address: str) -> None:
        await self._act("add", node_id, address)

    async def remove_member(self, node_id: str) -> None:
        await self._act("remove", node_id)

    async def transfer_leadership(self, node_id: str = "") -> None:
        await self._act("transfer", node_id)

    async def take_snapshot(self) -> int:
        await self._act("snapshot")
        return 12

    async def _act(self, *what: str) -> None:
        self.asked.append(what)
        if self.gate is not None:
            await self.gate
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def consensus() -> Consensus:
    return Consensus()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "control.sock")


@asynccontextmanager
async def listening(
    path: str, consensus: Consensus, clock: Any = reactor
) -> AsyncIterator[ControlSocket]:
    control = ControlSocket(path, cast(Any, reactor), clock, consensus, check_member)
    await control.start()
    try:
        yield control
    finally:
        await control.stop()


async def ask(path: str, **request: str) -> Any:
    return await deferToThread(cluster.ask, path, request, 30.0)


async def refusal(path: str, **request: str) -> str:
    with pytest.raises(cluster.Refused) as caught:
        await ask(path, **request)
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_each_command_reaches_the_consensus(path: str, consensus: Consensus) -> None:
    async with listening(path, consensus) as control:
        assert verifyObject(IPart, control)
        assert verifyObject(IConsensus, consensus)
        assert msgspec.convert(await ask(path, do="status"), ConsensusStatus) == STATUS
        assert await ask(path, do="add", id="node-4", address="d:1") is None
        assert await ask(path, do="remove", id="node-4") is None
        assert await ask(path, do="transfer") is None
        assert await ask(path, do="transfer", id="node-2") is None
        assert await ask(path, do="snapshot") == {"index": 12}
    assert consensus.asked == [
        ("add", "node-4", "d:1"),
        ("remove", "node-4"),
        ("transfer", ""),
        ("transfer", "node-2"),
        ("snapshot",),
    ]


@pytest_twisted.ensureDeferred
async def test_refusals_say_why_and_whether_to_ask_again(path: str, consensus: Consensus) -> None:
    async with listening(path, consensus):
        consensus.refusal = ValueError("it is a member already")
        assert await refusal(path, do="add", id="b", address="b:1") == "it is a member already"
        consensus.refusal = ServiceUnavailable("no leader")
        assert await refusal(path, do="remove", id="b") == "no leader (try again)"
        assert "an id is needed" in await refusal(path, do="remove")
        assert "must be host:port" in await refusal(path, do="add", id="b", address="b")
        assert "nothing is called 'x'; known are status, add" in await refusal(path, do="x")
        assert "unknown field" in await refusal(path, do="status", more="x")


@pytest_twisted.ensureDeferred
async def test_nobody_but_the_owner_may_ask(path: str, consensus: Consensus) -> None:
    async with listening(path, consensus):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)


@pytest_twisted.ensureDeferred
async def test_what_a_crash_left_is_replaced_and_nothing_else(
    path: str, consensus: Consensus
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    async with listening(path, consensus):
        assert await ask(path, do="transfer") is None
        with pytest.raises(ControlSocketInUse, match="another process listens"):
            async with listening(path, consensus):
                raise AssertionError
        assert await ask(path, do="transfer") is None
    Path(path).write_text("precious")
    with pytest.raises(ControlSocketInUse, match="is no socket"):
        async with listening(path, consensus):
            raise AssertionError
    assert Path(path).read_text() == "precious"


class Raw:
    """A client that sends what it likes; each call runs in a thread."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)

    async def send(self, data: bytes) -> None:
        await deferToThread(self.socket.sendall, data)

    async def receive(self) -> bytes:
        """What comes next; empty when the connection was ended, in either way."""
        try:
            return await deferToThread(self.socket.recv, 65536)
        except ConnectionError:
            return b""


@pytest.fixture
def clients() -> Iterator[list[Raw]]:
    made: list[Raw] = []
    yield made
    for client in made:
        client.socket.close()


@pytest_twisted.ensureDeferred
async def test_garbage_is_answered_and_a_line_without_end_is_cut(
    path: str, consensus: Consensus, clients: list[Raw]
) -> None:
    async with listening(path, consensus):
        clients += [Raw(path), Raw(path)]
        await clients[0].send(b"\x00\xff\n")
        assert (await clients[0].receive()).startswith(b'{"ok":false,"error":"')
        await clients[1].send(b"x" * (MAX_LINE + 2))
        assert await clients[1].receive() == b""


@pytest_twisted.ensureDeferred
async def test_requests_of_one_connection_are_answered_in_order_one_at_a_time(
    path: str, consensus: Consensus, clients: list[Raw]
) -> None:
    async with listening(path, consensus):
        clients.append(Raw(path))
        consensus.gate = Deferred()
        await clients[0].send(b'{"do":"transfer","id":"a"}\n{"do":"transfer","id":"b"}\n')
        await ask(path, do="status")  # another connection is not held up
        while not consensus.asked:
            await ask(path, do="status")
        assert consensus.asked == [("transfer", "a")]
        consensus.gate.callback(None)
        received = b""
        while received.count(b"\n") < 2:
            received += await clients[0].receive()
        assert received == b'{"ok":true,"result":null}\n' * 2


@pytest_twisted.ensureDeferred
async def test_connections_are_bounded_in_number_and_idleness(
    path: str, consensus: Consensus, clients: list[Raw]
) -> None:
    clock = Clock()
    async with listening(path, consensus, clock):
        for _ in range(MAX_CONNECTIONS):
            clients.append(Raw(path))
            await clients[-1].send(b'{"do":"status"}\n')
            assert (await clients[-1].receive()).endswith(b"\n")
        clients.append(Raw(path))
        assert await clients[-1].receive() == b""
        clock.advance(IDLE_SECONDS - 1)
        await clients[0].send(b'{"do":"status"}\n')
        assert (await clients[0].receive()).endswith(b"\n")
        clock.advance(2)
        assert await clients[1].receive() == b""
        await clients[0].send(b'{"do":"status"}\n')
        assert (await clients[0].receive()).endswith(b"\n")
    assert await clients[0].receive() == b""
    assert not clock.getDelayedCalls()


# The console command


async def run(*arguments: str) -> int:
    return await deferToThread(cluster.main, arguments, {})


@pytest_twisted.ensureDeferred
async def test_the_command_shows_the_cluster(
    path: str, consensus: Consensus, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listening(path, consensus):
        assert await run("status", "--socket", path) == 0
        assert capsys.readouterr().out.splitlines() == [
            "cluster   bleepstore.0123",
            "node      node-1: leader in term 7",
            "leader    node-1 at a:1",
            "log       last 12, committed 11, applied 10, snapshot at 3",
            "",
            "peer    address  votes  behind  heard of",
            "node-2  b:1      yes    3       1.5 s ago",
            "node-3  c:1      no     -       never",
        ]
        assert await run("status", "--socket", path, "--json") == 0
        assert msgspec.json.decode(capsys.readouterr().out, type=ConsensusStatus) == STATUS


@pytest_twisted.ensureDeferred
async def test_the_command_changes_the_cluster(
    path: str, consensus: Consensus, capsys: pytest.CaptureFixture[str]
) -> None:
    async with listening(path, consensus):
        assert await run("add", "node-4", "d:1", "--socket", path) == 0
        assert await run("remove", "node-4", "--socket", path) == 0
        assert await run("transfer", "--socket", path) == 0
        assert await run("snapshot", "--socket", path) == 0
        assert capsys.readouterr().out == "a snapshot stands at index 12\n"
        consensus.refusal = ValueError("node-4 is no member")
        assert await run("remove", "node-4", "--socket", path) == 1
        assert capsys.readouterr().err == "bleepstore cluster: node-4 is no member\n"


@pytest_twisted.ensureDeferred
async def test_the_command_does_not_wait_for_ever(
    path: str, consensus: Consensus, capsys: pytest.CaptureFixture[str]
) -> None:
    consensus.gate = Deferred()
    async with listening(path, consensus):
        assert await run("snapshot", "--socket", path, "--timeout", "0.01") == 1
        assert "no answer within 0.01 seconds" in capsys.readouterr().err
        consensus.gate.callback(None)


def test_the_command_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bleepstore.yaml"
    config.write_text("metadata: {engine: sqlite}\n")
    assert cluster.main(["status", "--config", str(config)], {}) == 1
    assert "metadata.engine is sqlite, not raft: name the node's file" in capsys.readouterr().err
    assert cluster.main(["status", "--config", str(tmp_path / "none.yaml")], {}) == 1
    assert "none.yaml: cannot be read" in capsys.readouterr().err
    assert cluster.main(["status", "--socket", str(tmp_path / "none")], {}) == 1
    assert "no node listens on" in capsys.readouterr().err
    assert cluster.main(["add", "b", "b", "--socket", "x"], {}) == 1
    assert "b: must be host:port" in capsys.readouterr().err
    assert cluster.main(["add", "b/c", "b:1", "--socket", "x"], {}) == 1
    assert "the name of a node must be 1 to 63 letters" in capsys.readouterr().err
    for nowhere in ("0.0.0.0:9002", "b:0"):
        assert cluster.main(["add", "b", nowhere, "--socket", "x"], {}) == 1
        assert f"nobody can reach {nowhere}" in capsys.readouterr().err


def test_the_command_says_what_a_node_that_serves_nothing_waits_for() -> None:
    assert "add node-1 ADDRESS" in cluster.describe(pictured("joining", ""))
    assert "its log says for whom" in cluster.describe(pictured("founding", ""))
    assert "was removed" in cluster.describe(pictured("pre-candidate", ""))
    assert "add node-1 ADDRESS" in cluster.describe(pictured("removed", ""))


def test_the_command_shows_no_age_of_what_a_follower_need_not_hear() -> None:
    lines = cluster.describe(pictured("follower", "node-2")).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[-2:]] == ["1.5 s ago", "-"]
    lines = cluster.describe(pictured("pre-candidate", "")).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[-2:]] == ["1.5 s ago", "never"]


def pictured(role: str, leader: str) -> dict[str, Any]:
    status: dict[str, Any] = msgspec.to_builtins(
        msgspec.structs.replace(STATUS, role=role, leader=leader)
    )
    return status


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["status", "x"], ["remove"], ["fly"],
        *(["status", "--timeout", seconds] for seconds in ("0", "-1", "nan", "inf", "soon")),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cluster.main(arguments, {})
    assert ended.value.code == 2
    assert "usage: bleepstore cluster" in capsys.readouterr().err
