"""What breaks the rules is cut off, said once, and harms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.protocols import amp

from bleepstore.cluster import peer_commands
from bleepstore.cluster.peer_boxes import write_box
from bleepstore.cluster.peer_commands import CALLS, Hello, TooMany, WrongCluster, WrongNode
from bleepstore.cluster.peer_hello import ASK, CONSENSUS, SNAPSHOT, Self, introduction
from bleepstore.cluster.peer_settings import PeerSettings
from bleepstore.raft import messages
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    InstallSnapshot,
    Member,
    Members,
    ReadIndex,
    SnapshotMark,
    TimeoutNow,
    Vote,
)
from tests.cluster.network import Caller, outcome, pass_time, settle
from tests.cluster.nodes import CLUSTER, Nodes

GOOD = ReadIndex(1, 7)


class Rude(Protocol):
    """Writes bytes, and notes what comes back and whether it was cut off."""

    def __init__(self) -> None:
        self.got = b""
        self.cut = False

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.cut = True


def call_in(nodes: Nodes, protocol: Any, to: str = "a", host: str = "h-x") -> Any:
    made = outcome(
        nodes.clock,
        Caller(nodes.network, host, f"h-{to}", 9002).connect(Factory.forProtocol(lambda: protocol)),
    )
    settle(nodes.clock)
    return made


def hello(
    node: str = "x", purpose: str = CONSENSUS, cluster: str = CLUSTER, tag: str = "1"
) -> bytes:
    me = Self(node=node, address="h-x:9002", cluster=cluster)
    box = {k.encode(): str(v).encode() for k, v in introduction(me, "a", purpose).items()}
    return write_box({**box, b"_ask": tag.encode(), b"_command": b"Hello"})


def message(value: Any, name: bytes = b"", tag: bytes = b"2") -> bytes:
    raw = value if isinstance(value, bytes) else messages.encode(value)
    name = name or CALLS[type(value)].command.commandName
    return write_box({b"_ask": tag, b"_command": name, b"body": raw})


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path, "a", "b")
    yield nodes
    a, b = nodes["a"], nodes["b"]
    a.ears.heard.clear()
    b.transport.send("a", GOOD)
    settle(nodes.clock)
    assert a.ears.heard == [("b", GOOD)], "a good peer is heard as before"
    nodes.stop()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: LogEvent) -> None:
        line = formatEvent(event)
        if line.startswith("Peer "):
            said.append(line)

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


BEFORE_HELLO = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n",
    "an empty box": b"\0\0",
    "a message": message(GOOD),
    "a tell": write_box({b"_command": b"Tell", b"body": messages.encode(GOOD)}),
    "an answer": write_box({b"_answer": b"1"}),
    "an error": write_box({b"_error": b"1", b"_error_code": b"X", b"_error_description": b""}),
    "neither": write_box({b"key": b"value"}),
    "a large box": b"\0\4body\xff\xff",
    "Hello without arguments": write_box({b"_ask": b"1", b"_command": b"Hello"}),
    "Hello without a tag": hello().replace(b"\0\4_ask\0\0011", b""),
    "Hello with a number that is none": hello().replace(
        b"protocol_low\0\0011", b"protocol_low\0\1x"
    ),
    "Hello of nobody": hello(node=""),
    "Hello for nothing": hello(purpose="chat"),
    "Hello twice": hello() + hello(tag="2"),
}
AFTER_HELLO = {
    "Hello again": hello(tag="2"),
    "an unknown command": message(b"", b"Whatever"),
    "a command of a snapshot": message(b"", b"SnapshotFinish"),
    "garbage in a message": message(b"\xc1", b"AppendEntries"),
    "another message": message(messages.encode(GOOD), b"AppendEntries"),
    "an answer as a request": message(messages.encode(Vote(1, True)), b"RequestVote"),
    "no body": write_box({b"_ask": b"2", b"_command": b"AppendEntries"}),
    "a body in wrong pieces": write_box(
        {b"_ask": b"2", b"_command": b"Propose", b"body": b"a", b"body.1": b"b"}
    ),
    "a forged snapshot": write_box(
        {b"_command": b"Tell", b"body": messages.encode(InstallSnapshot(9, SnapshotMark(9, 9)))}
    ),
    "a gap in the entries": message(AppendEntries(3, 1, 1, (Entry(3, 3),))),
    "an entry of a later term": message(AppendEntries(3, 1, 1, (Entry(2, 4),))),
    "terms that fall": message(AppendEntries(3, 1, 1, (Entry(2, 3), Entry(3, 2)))),
    "a term before the first entry": message(AppendEntries(3, 0, 1)),
    "a previous entry of a later term": message(AppendEntries(3, 5, 4)),
    "members that are none": message(
        AppendEntries(3, 1, 1, (Entry(2, 3, EntryKind.MEMBERS, b"\xff"),))
    ),
    "a negative term": message(msgspec.msgpack.encode(["TimeoutNow", -1]), b"TimeoutNow"),
    "a term beyond all": message(msgspec.msgpack.encode(["TimeoutNow", 1 << 63]), b"TimeoutNow"),
    "an answer to nothing": write_box({b"_answer": b"7", b"body": b""}),
    "more than a box": b"\0\1a\xff\xff" + bytes(65535) + b"\0\1b\xff\xff" + bytes(65535),
}


@pytest.mark.parametrize("raw", BEFORE_HELLO.values(), ids=BEFORE_HELLO.keys())
def test_a_stranger_who_breaks_the_rules_is_cut_off(
    nodes: Nodes, lines: list[str], raw: bytes
) -> None:
    rude = call_in(nodes, Rude())
    rude.transport.write(raw)
    settle(nodes.clock)
    assert rude.cut
    assert nodes["a"].ears.heard == []
    assert len(lines) == 1


@pytest.mark.parametrize("raw", AFTER_HELLO.values(), ids=AFTER_HELLO.keys())
def test_a_peer_who_breaks_the_rules_is_cut_off(
    tmp_path: Path, lines: list[str], raw: bytes
) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=PeerSettings(most_box=100_000))
    for _ in range(3):
        rude = call_in(nodes, Rude())
        rude.transport.write(hello())
        settle(nodes.clock)
        assert b"_answer" in rude.got
        rude.transport.write(raw)
        settle(nodes.clock)
        assert rude.cut
    assert nodes["a"].ears.heard == []
    assert len(lines) == 1
    assert lines[0].startswith("Peer x: ")
    assert nodes["a"].transport.statistics()["peers_refused"] == 3
    nodes.stop()


def test_silence_before_hello_has_an_end(nodes: Nodes, lines: list[str]) -> None:
    rude = call_in(nodes, Rude())
    rude.transport.write(hello()[:40])
    pass_time(nodes.clock, 4.5)
    assert not rude.cut
    pass_time(nodes.clock, 1)
    assert rude.cut
    assert lines == ["Peer h-x: said no Hello in time"]


def test_those_who_have_not_said_hello_are_bounded(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=PeerSettings(strangers=4))
    rude = [call_in(nodes, Rude()) for _ in range(6)]
    assert [each.cut for each in rude] == [True] * 2 + [False] * 4, "the oldest have had their time"
    rude[5].transport.write(hello())
    settle(nodes.clock)
    assert b"_answer" in rude[5].got
    nodes.stop()


def test_connections_of_those_who_are_no_members_are_bounded(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=PeerSettings(strangers=3))
    rude = []
    for number in range(5):
        rude.append(call_in(nodes, Rude()))
        rude[-1].transport.write(hello(f"x{number}"))
        settle(nodes.clock)
    assert [b"TOO_MANY" in each.got for each in rude] == [False] * 3 + [True] * 2
    assert [each.cut for each in rude] == [False] * 3 + [True] * 2
    nodes.stop()


def test_a_second_connection_takes_the_place_of_the_first(nodes: Nodes) -> None:
    first, second = call_in(nodes, Rude()), call_in(nodes, Rude())
    for each in (first, second):
        each.transport.write(hello())
        settle(nodes.clock)
    assert first.cut
    assert not second.cut


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (hello(cluster="other"), b"WRONG_CLUSTER"),
        (hello(cluster=""), b"WRONG_CLUSTER"),
        (hello(node="a"), b"WRONG_NODE"),
        (hello().replace(b"expected\0\1a", b"expected\0\1b"), b"WRONG_NODE"),
        (
            hello()
            .replace(b"protocol_low\0\0011", b"protocol_low\0\0018")
            .replace(b"protocol_high\0\0011", b"protocol_high\0\0019"),
            b"WRONG_PROTOCOL",
        ),
    ],
)
def test_a_refusal_is_declared_and_said_once(
    nodes: Nodes, lines: list[str], raw: bytes, code: bytes
) -> None:
    for _ in range(3):
        rude = call_in(nodes, Rude())
        rude.transport.write(raw)
        settle(nodes.clock)
        assert code in rude.got
        assert rude.cut
    assert len(lines) == 1


def test_an_address_that_is_silent_is_said_once(tmp_path: Path, lines: list[str]) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes.network.freeze("h-a", "h-c")
    members = Members((*nodes.members.nodes, Member("c", "h-c:9002"), Member("d", "")))
    nodes["a"].transport.connect(members)
    pass_time(nodes.clock, 20)
    assert sorted(lines) == [
        "Peer c: cannot be reached at h-c:9002: there was no connection within 2 s",
        "Peer d: cannot be reached at : must be host:port, not ''",
    ]
    nodes.network.thaw()
    nodes.stop()


def test_refused_both_ways_is_said_once_a_minute(tmp_path: Path, lines: list[str]) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes["b"].me.cluster = "other"
    for end in nodes.network.ends:
        end.protocol.abort()
    pass_time(nodes.clock, 30)
    assert len([line for line in lines if "belongs to" in line]) == 2, "each node of the other"
    assert nodes["a"].transport.statistics()["peers_refused"] > 20
    assert nodes["a"].transport.statistics()["peers_connected"] == 0
    nodes.stop()


def test_a_peer_that_answers_with_garbage_is_left(tmp_path: Path, lines: list[str]) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes["a"].transport.send("b", AppendEntries(1, 0, 0))
    settle(nodes.clock)
    (called,) = [
        end.protocol
        for end in nodes.network.connections("h-b", "h-a")
        if end.protocol._calls is False
    ]
    for wrong in (
        {b"_answer": b"1", b"body": b"\xc1"},
        {b"_answer": b"1", b"body": messages.encode(Vote(1, True))},
        {b"_answer": b"1", b"body": messages.encode(GOOD)},
    ):
        lines.clear()
        called.transport.write(write_box({**wrong, b"_answer": b"2"}))
        settle(nodes.clock)
        assert nodes["a"].ears.lost
        assert nodes["a"].ears.heard == []
        nodes["a"].ears.lost.clear()
        pass_time(nodes.clock, 1)
        nodes["a"].transport.send("b", AppendEntries(1, 0, 0))
        settle(nodes.clock)
        (called,) = [
            end.protocol
            for end in nodes.network.connections("h-b", "h-a")
            if end.protocol._calls is False
        ]
    nodes.stop()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=2000), greeted=st.booleans())
def test_random_bytes_harm_nothing(tmp_path: Path, raw: bytes, greeted: bool) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    rude = call_in(nodes, Rude())
    rude.transport.write((hello() if greeted else b"") + raw)
    pass_time(nodes.clock, 10, 1)
    assert rude.cut
    assert nodes["a"].ears.heard == []
    nodes.stop()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 10_000), byte=st.integers(0, 255), data=st.data())
def test_a_spoilt_byte_harms_nothing(
    tmp_path: Path, where: int, byte: int, data: st.DataObject
) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    good = message(AppendEntries(3, 1, 1, (Entry(2, 3, data=b"x" * 30),))) + message(
        TimeoutNow(3), tag=b"3"
    )
    raw = bytearray(hello() + good)
    raw[where % len(raw)] = byte
    rude = call_in(nodes, Rude())
    rude.transport.write(bytes(raw))
    pass_time(nodes.clock, 10, 1)
    assert rude.cut
    assert len(nodes["a"].ears.heard) <= 2
    nodes.stop()


VALUES = st.one_of(
    st.binary(max_size=40),
    st.integers(-1, 1 << 64).map(lambda number: b"%d" % number),
    st.sampled_from([messages.encode(GOOD), messages.encode_mark(SnapshotMark(3, 2)), bytes(32)]),
)
CALLED = st.builds(
    lambda command, tag, arguments: {
        b"_command": command,
        **({b"_ask": tag} if tag else {}),
        **arguments,
    },
    st.sampled_from(
        [b"Hello", b"Ping", b"Tell", b"AppendEntries", b"Propose", b"ReadIndex"]
        + [b"SnapshotBegin", b"SnapshotChunk", b"SnapshotFinish"] * 2
    ),
    st.sampled_from([b"", b"2", b"3", b"zz"]),
    st.dictionaries(
        st.sampled_from([b"body", b"body.1", b"term", b"mark", b"size", b"digest"])
        | st.sampled_from([b"offset", b"data", b"_answer", b"_error"]),
        VALUES,
        max_size=6,
    ),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(boxes=st.lists(CALLED, max_size=8), purpose=st.sampled_from([CONSENSUS, SNAPSHOT]))
def test_well_formed_nonsense_harms_nothing(
    tmp_path: Path, boxes: list[dict[bytes, bytes]], purpose: str
) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    rude = call_in(nodes, Rude())
    rude.transport.write(hello(purpose=purpose))
    settle(nodes.clock)
    rude.transport.write(b"".join(write_box(box) for box in boxes))
    pass_time(nodes.clock, 10, 1)
    assert rude.cut
    assert nodes["a"].ears.snapshots == [] or not nodes["a"].ears.snapshots[0][3].endswith(".part")
    nodes["b"].transport.send("a", GOOD)
    settle(nodes.clock)
    assert nodes["a"].ears.heard[-1] == ("b", GOOD)
    nodes.stop()


def test_stock_amp_speaks_the_protocol(nodes: Nodes) -> None:
    """The commands are AMP's: a client of Twisted's own calls, and is answered."""
    client = call_in(nodes, amp.AMP())
    me = Self(node="x", address="h-x:1", cluster=CLUSTER)
    greeted = outcome(nodes.clock, client.callRemote(Hello, **introduction(me, "a", CONSENSUS)))
    assert greeted["node"] == "a"
    assert greeted["protocol"] == 1
    asked = AppendEntries(3, 0, 0, tuple(Entry(n, 3, data=bytes(60_000)) for n in (1, 2, 3)))
    answer = client.callRemote(peer_commands.AppendEntries, body=messages.encode(asked))
    settle(nodes.clock)
    assert nodes["a"].ears.heard == [("x", asked)]
    nodes["a"].transport.send("x", Appended(3, True, 3))
    assert messages.decode(outcome(nodes.clock, answer)["body"]) == Appended(3, True, 3)
    assert outcome(nodes.clock, client.callRemote(peer_commands.Ping)) == {}
    unknown = client.callRemoteString(b"Whatever")
    with pytest.raises(amp.UnhandledCommand):
        outcome(nodes.clock, unknown)


@pytest.mark.parametrize(
    ("me", "purpose", "error"),
    [
        (Self(node="x", address="", cluster="two"), CONSENSUS, WrongCluster),
        (Self(node="a", address="", cluster=CLUSTER), SNAPSHOT, WrongNode),
    ],
)
def test_stock_amp_understands_a_refusal(
    nodes: Nodes, me: Self, purpose: str, error: type[Exception]
) -> None:
    client = call_in(nodes, amp.AMP())
    with pytest.raises(error):
        outcome(nodes.clock, client.callRemote(Hello, **introduction(me, "", purpose)))


def test_who_only_asks_is_told_and_let_go(nodes: Nodes) -> None:
    assert outcome(nodes.clock, nodes["a"].transport.ask("h-b:9002")) == "b"
    assert outcome(nodes.clock, nodes["a"].transport.ask("h-a:9002")) == "a"
    rude = call_in(nodes, Rude())
    rude.transport.write(hello(purpose=ASK))
    settle(nodes.clock)
    assert b"_answer" in rude.got
    assert rude.cut


def test_too_many_is_an_error_of_hello() -> None:
    assert Hello.fatalErrors[TooMany] == b"TOO_MANY"
