"""Messages between nodes: calls and their answers, whatever the network does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from bleepstore.cluster.peer_settings import PeerSettings
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import ITransport
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    InstallSnapshot,
    Member,
    Members,
    Message,
    Propose,
    ProposeAnswer,
    ReadIndex,
    ReadIndexAnswer,
    RequestVote,
    SnapshotMark,
    TimeoutNow,
    Vote,
)
from tests.cluster.network import Cut, Network, byte_by_byte, pass_time, settle, whole
from tests.cluster.nodes import Nodes

LARGE = AppendEntries(3, 10, 2, tuple(Entry(11 + n, 3, data=bytes(4096)) for n in range(32)), 9, 4)
PAIRS: list[tuple[Message, Message]] = [
    (RequestVote(4, 10, 3, pre=True), Vote(4, True, pre=True)),
    (RequestVote(4, 10, 3), Vote(4, False)),
    (AppendEntries(3, 10, 2, (), 9, 4), Appended(3, True, 10, 4)),
    (LARGE, Appended(3, False, 10, 4, 7, 2)),
    (ReadIndex(3, 17), ReadIndexAnswer(3, 17, 12)),
    (Propose(5, (b"one", b"x" * 200_000)), ProposeAnswer(5, True)),
]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path, "a", "b")
    yield nodes
    nodes.stop()


def random_cuts(seed: int) -> Cut:
    dice = random.Random(seed)

    def cut(data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = dice.choice((1, 2, 3, 100, 5000, 70_000))
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


def test_it_is_a_transport(two: Nodes) -> None:
    assert verifyObject(ITransport, two["a"].transport)
    assert verifyObject(IPart, two["a"].transport)


@pytest.mark.parametrize(
    "cut", [whole, byte_by_byte, *(random_cuts(seed) for seed in range(5))], ids=str
)
def test_a_request_arrives_and_its_answer_comes_back(tmp_path: Path, cut: Cut) -> None:
    clock = Clock()
    nodes = Nodes(tmp_path, "a", "b", network=Network(clock, cut))
    a, b = nodes["a"], nodes["b"]
    for request, answer in PAIRS:
        a.transport.send("b", request)
        settle(clock)
        assert b.ears.heard.pop() == ("a", request)
        b.transport.send("a", answer)
        settle(clock)
        assert a.ears.heard.pop() == ("b", answer)
    assert a.transport.statistics()["bytes_received"] < 2000, "answers came as answers"
    assert a.transport.statistics()["messages_dropped"] == 0
    nodes.stop()


def test_an_answer_at_once_and_calls_in_a_row(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    b.ears.reply = lambda sender, message: b.transport.send(
        sender, Appended(3, True, message.prev_index + len(message.entries))
    )
    for index in range(100):
        a.transport.send("b", AppendEntries(3, index, 3 if index else 0, (Entry(index + 1, 3),)))
    settle(two.clock)
    assert [message.index for _, message in a.ears.heard] == list(range(1, 101))


def test_a_call_to_begin_an_election_is_answered_by_nobody(two: Nodes) -> None:
    two["a"].transport.send("b", TimeoutNow(3))
    settle(two.clock)
    assert two["b"].ears.heard == [("a", TimeoutNow(3))]
    pass_time(two.clock, 20)
    assert two["a"].ears.heard == []
    assert two["a"].transport.statistics()["calls_timed_out"] == 0


def test_an_answer_without_a_call_comes_as_a_message(two: Nodes) -> None:
    two["b"].transport.send("a", Appended(3, True, 10))
    settle(two.clock)
    assert two["a"].ears.heard == [("b", Appended(3, True, 10))]


def test_answers_go_to_the_call_of_their_context(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    for context in (1, 2, 3):
        a.transport.send("b", ReadIndex(3, context))
    settle(two.clock)
    for context in (3, 1, 2, 2):
        b.transport.send("a", ReadIndexAnswer(3, context, 9))
    settle(two.clock)
    assert [m.context for _, m in a.ears.heard] == [3, 1, 2, 2]


def test_an_answer_after_the_deadline_arrives_and_harms_nothing(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    a.transport.send("b", AppendEntries(3, 10, 2))
    pass_time(two.clock, 8)
    assert a.transport.statistics()["calls_timed_out"] == 1
    b.transport.send("a", Appended(3, True, 10))
    settle(two.clock)
    assert a.ears.heard == [("b", Appended(3, True, 10))]
    assert a.ears.lost == b.ears.lost == []


def test_one_answer_settles_the_calls_that_it_covers(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    for index in range(10, 20):
        a.transport.send("b", AppendEntries(3, index, 2, (Entry(index + 1, 3),), 9, 4))
    settle(two.clock)
    b.transport.send("a", Appended(3, True, 13, 4))
    b.transport.send("a", Appended(3, True, 18, 4))
    settle(two.clock)
    b.transport.send("a", Appended(3, True, 20, 3))
    settle(two.clock)
    assert [m.index for _, m in a.ears.heard] == [13, 18, 20]
    (connection,) = (c.protocol for c in two.network.connections("h-a", "h-b") if c.protocol._calls)
    assert [call.number for call in connection._waiting.values()] == [11], "1 is Hello"
    pass_time(two.clock, 10)
    assert a.transport.statistics()["calls_timed_out"] == 1


def test_coalesced_answers_arrive_for_as_long_as_it_goes_on(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    sent = 0
    for index in range(0, 3000, 2):
        for each in (index, index + 1):
            a.transport.send("b", AppendEntries(3, each, 3 if each else 0, (Entry(each + 1, 3),)))
        settle(two.clock)
        b.transport.send("a", Appended(3, True, index + 2))
        settle(two.clock)
        two.clock.advance(0.01)
        sent += 1
    assert len(a.ears.heard) == sent
    assert a.transport.statistics()["calls_timed_out"] == 0
    assert a.transport.statistics()["answers_late"] == 0


def test_the_calls_that_nobody_answers_are_bounded(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=PeerSettings(unanswered=10))
    a, b = nodes["a"], nodes["b"]
    for context in range(30):
        a.transport.send("b", Propose(context, ()))
    settle(nodes.clock)
    assert len(b.ears.heard) == 30
    for context in range(30):
        b.transport.send("a", ProposeAnswer(context, True))
    settle(nodes.clock)
    assert sorted(m.context for _, m in a.ears.heard) == list(range(30))
    nodes.stop()


def test_an_answer_that_is_late_by_a_little_is_taken(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    two.network.latency = 0.5
    a.transport.send("b", ReadIndex(3, 1))
    pass_time(two.clock, 5.4)
    b.transport.send("a", ReadIndexAnswer(3, 1, 9))
    pass_time(two.clock, 1)
    assert a.transport.statistics()["calls_timed_out"] == 1
    assert a.transport.statistics()["answers_late"] == 1
    assert a.ears.heard == [("b", ReadIndexAnswer(3, 1, 9))]
    two.network.latency = 0


def test_a_message_to_a_stranger_or_to_nobody_is_dropped(two: Nodes) -> None:
    two["a"].transport.send("c", RequestVote(2, 1, 1))
    two["a"].transport.send("b", InstallSnapshot(1, SnapshotMark()))
    assert two["a"].transport.statistics()["messages_dropped"] == 2
    settle(two.clock)
    assert two["b"].ears.heard == []


def test_what_no_peer_would_take_is_not_sent(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=PeerSettings(most_box=100_000))
    for size in (96_000, 95_000):
        nodes["a"].transport.send("b", Propose(1, (bytes(size),)))
    settle(nodes.clock)
    assert [len(m.payloads[0]) for _, m in nodes["b"].ears.heard] == [95_000]
    assert nodes["a"].transport.statistics()["messages_dropped"] == 1
    assert nodes["a"].ears.lost == []
    nodes.stop()


def test_what_waits_for_a_stalled_peer_is_bounded(tmp_path: Path) -> None:
    settings = PeerSettings(queue_bytes=300_000)
    nodes = Nodes(tmp_path, "a", "b", settings=settings)
    nodes.network.freeze("h-a", "h-b")
    for _ in range(20):
        nodes["a"].transport.send("b", LARGE)
    (end,) = [e for e in nodes.network.connections("h-a", "h-b") if e.waiting]
    assert end.most_waiting < 140_000, "one message was more than the transport wanted"
    assert nodes["a"].transport.statistics()["messages_dropped"] == 17
    nodes.network.thaw()
    settle(nodes.clock)
    assert [m for _, m in nodes["b"].ears.heard] == [LARGE] * 3
    nodes.stop()


def test_a_restarted_peer_is_found_again(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    a, b = nodes["a"], nodes["b"]
    b.stop()
    pass_time(nodes.clock, 30)
    assert a.ears.lost == ["b"]
    assert a.transport.statistics()["peers_connected"] == 0
    tries = len(nodes.network.dialed)
    assert 30 < tries < 100, "about one a second, after the first few"
    b.transport.connect(nodes.members)
    b.start()
    settle(nodes.clock)
    a.transport.send("b", ReadIndex(1, 1))
    settle(nodes.clock)
    assert b.ears.heard == [("a", ReadIndex(1, 1))], "who calls us is called at once"
    nodes.stop()


def test_a_dead_connection_is_noticed_on_both_sides(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes.network.freeze("h-a", "h-b")
    pass_time(nodes.clock, 9)
    assert nodes["a"].ears.lost == ["b"]
    assert nodes["b"].ears.lost == ["a"]
    nodes.network.thaw()
    pass_time(nodes.clock, 5)
    nodes["a"].transport.send("b", ReadIndex(1, 1))
    settle(nodes.clock)
    assert nodes["b"].ears.heard == [("a", ReadIndex(1, 1))]
    nodes.stop()


def test_an_idle_connection_stays(two: Nodes) -> None:
    pass_time(two.clock, 120)
    assert two["a"].ears.lost == two["b"].ears.lost == []
    assert len(two.network.dialed) == 2


def test_who_leaves_the_members_is_not_connected_any_more(two: Nodes) -> None:
    a, b = two["a"], two["b"]
    a.transport.connect(Members((Member("a", a.address),)))
    settle(two.clock)
    assert a.transport.statistics()["peers_connected"] == 0
    b.transport.send("a", RequestVote(2, 1, 1))
    settle(two.clock)
    assert a.ears.heard == [("b", RequestVote(2, 1, 1))], "it may still call"
    a.transport.send("b", Vote(2, True))
    settle(two.clock)
    assert b.ears.heard == [("a", Vote(2, True))], "and is answered"


def test_a_new_address_is_tried_at_once(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    a, b = nodes["a"], nodes["b"]
    elsewhere = Members((Member("a", a.address), Member("b", "nowhere:9002")))
    a.transport.connect(elsewhere)
    pass_time(nodes.clock, 10)
    assert a.transport.statistics()["peers_connected"] == 0
    a.transport.connect(nodes.members)
    settle(nodes.clock)
    assert a.transport.statistics()["peers_connected"] == 1
    a.transport.moved("b", "nowhere:9002")
    settle(nodes.clock)
    assert a.transport.statistics()["peers_connected"] == 0
    a.transport.connect(nodes.members)
    pass_time(nodes.clock, 3)
    assert a.transport.statistics()["peers_connected"] == 0, "what was found outlasts what was said"
    a.transport.moved("b", b.address)
    settle(nodes.clock)
    assert a.transport.statistics()["peers_connected"] == 1
    nodes.stop()


def test_who_was_found_before_it_is_a_member_is_called_where_it_was_found(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    a, b = nodes["a"], nodes["b"]
    alone = Members((Member("a", a.address),))
    said = Members((Member("a", a.address), Member("b", "nowhere:9002")))
    a.transport.connect(alone)
    a.transport.moved("b", b.address)
    a.transport.connect(said)
    settle(nodes.clock)
    assert a.transport.statistics()["peers_connected"] == 1
    a.transport.connect(Members((Member("a", a.address), Member("b", "elsewhere:9002"))))
    settle(nodes.clock)
    assert nodes.network.dialed[-1] == ("h-a", "elsewhere"), "the members say something new"
    nodes.stop()


def test_the_end_comes_also_while_it_connects(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b")
    nodes.network.freeze("h-a", "h-b")
    nodes.network.freeze("h-a", "elsewhere")
    for end in nodes.network.connections("h-a", "h-b"):
        end.abortConnection()
    pass_time(nodes.clock, 0.2)
    assert ("h-a", "h-b") in nodes.network.dialed[2:]
    nodes["a"].transport.connect(
        Members((Member("a", nodes["a"].address), Member("b", "elsewhere:9002")))
    )
    settle(nodes.clock)
    assert nodes.network.dialed[-1] == ("h-a", "elsewhere"), "at once, and not at the deadline"
    nodes["a"].stop()
    nodes["b"].stop()
    nodes.network.thaw()
    nodes.stop()


def test_nothing_is_left_after_the_end(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", "c")
    for node in nodes.nodes.values():
        node.transport.send("a", ReadIndex(1, 1))
    nodes.stop()
    nodes["a"].stop()
