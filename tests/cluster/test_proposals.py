"""Names, bounds, repetition and the one answer of each proposal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.proposals import Pending, Proposals
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.replication import Verdict
from bleepstore.model.proposals import Proposal, decode

SETTINGS = ConsensusSettings(decision=5.0, tick=0.1)  # an election takes 1 s


class World:
    def __init__(self, settings: ConsensusSettings = SETTINGS) -> None:
        self.now = 100.0
        self.took: list[float] = []
        self.proposals = Proposals("a/1", 7, settings, lambda: self.now, self.took.append)
        self.answers: dict[int, list[Any]] = {}
        self.context = 0

    def submit(self, command: bytes = b"x") -> Deferred[object]:
        waiting = self.proposals.submit(command)
        seen = self.answers[len(self.answers) + 1] = list[Any]()
        waiting.addBoth(seen.append)
        return waiting

    def send(self, leader: str = "b") -> list[int]:
        """Hand over all that is due; their serials."""
        serials = []
        while self.proposals.due:
            batch = self.proposals.batch()
            self.context += 1
            self.proposals.sent(batch, leader, self.context)
            serials += [pending.serial for pending in batch]
        return serials

    def applied(self, serial: int, outcome: object = None, *, new: bool = True) -> None:
        self.proposals.settle([Verdict("a/1", 7, serial, new, outcome)])

    def refused(self, serial: int) -> str:
        (answer,) = self.answers[serial]
        assert isinstance(answer, Failure)
        error = answer.value
        assert isinstance(error, ServiceUnavailable)
        return error.message


@pytest.fixture
def world() -> World:
    return World()


def named(pending: Pending) -> Proposal:
    return decode(pending.raw)


def test_each_is_named_and_tells_what_is_settled(world: World) -> None:
    for _ in range(3):
        world.submit(b"x")
    assert [named(each) for each in world.proposals.batch()] == [
        Proposal("a/1", 7, serial, 1, b"x") for serial in (1, 2, 3)
    ]
    world.send()
    world.applied(2)
    world.submit()
    assert named(world.proposals.batch()[0]).floor == 1
    world.applied(1)
    world.submit()
    assert [named(each).floor for each in world.proposals.batch()] == [1, 3]
    world.applied(3)
    world.applied(4)
    world.applied(5)
    world.submit()
    assert named(world.proposals.batch()[0]).floor == 6


def test_a_verdict_of_another_node_or_incarnation_answers_nothing(world: World) -> None:
    world.submit()
    world.send()
    for verdict in (
        Verdict("a/2", 7, 1, True, "wrong"),
        Verdict("a/1", 6, 1, True, "wrong"),
        Verdict("a/1", 7, 2, True, "wrong"),
    ):
        world.proposals.settle([verdict])
    assert world.answers[1] == []
    world.now += 0.25
    world.applied(1, "right")
    world.applied(1, None, new=False)
    assert world.answers[1] == ["right"]
    assert world.took == [0.25]
    assert world.proposals.results["decided"] == 1


def test_what_a_leader_has_accepted_is_not_sent_again_while_it_leads(world: World) -> None:
    world.submit()
    assert world.send() == [1]
    world.proposals.answered("b", world.context, True)
    for _ in range(30):
        world.now += 0.1
        world.proposals.tick()
        assert not world.proposals.due
    world.proposals.leader_changed()
    assert world.send("c") == [1]


def test_what_a_leader_did_not_answer_is_sent_again_after_an_election_timeout(
    world: World,
) -> None:
    world.submit()
    world.send()
    world.now += 0.9
    world.proposals.tick()
    assert not world.proposals.due
    world.now += 0.2
    world.proposals.tick()
    assert world.send() == [1]


def test_what_a_leader_refused_is_sent_again_at_the_next_tick(world: World) -> None:
    world.submit()
    world.submit()
    world.send()
    world.proposals.answered("c", world.context, False)  # of somebody else: it means nothing
    world.proposals.tick()
    assert not world.proposals.due
    world.proposals.leader_changed()
    world.send()
    world.proposals.answered("b", world.context, False)
    assert not world.proposals.due
    world.applied(1, "meanwhile")
    world.proposals.tick()
    assert world.send() == [2]


def test_a_late_answer_of_an_earlier_leader_changes_nothing(world: World) -> None:
    world.submit()
    world.send("b")
    old = world.context
    world.proposals.leader_changed()
    world.send("c")
    world.proposals.answered("b", old, False)
    world.proposals.answered("b", old, True)
    world.proposals.tick()
    assert not world.proposals.due
    world.now += 1.1
    world.proposals.tick()
    assert world.send("c") == [1], "c has not accepted it"


def test_what_was_on_its_way_to_a_lost_peer_is_due_again(world: World) -> None:
    world.submit()
    world.submit()
    world.send("b")
    world.submit()
    world.send("c")
    world.proposals.lost("b")
    assert world.send("c") == [1, 2]


def test_what_is_not_decided_in_time_is_given_up_and_its_name_is_never_used_again(
    world: World,
) -> None:
    world.submit()
    world.now += 3
    world.submit()
    world.send()
    world.now += 2
    world.proposals.tick()
    assert world.refused(1) == "It was not decided in time whether this is done."
    assert world.answers[2] == []
    world.submit()
    due = [named(each) for each in world.proposals.batch()]
    assert [(each.serial, each.floor) for each in due] == [(2, 1), (3, 2)]
    world.applied(1, "too late")
    assert len(world.answers[1]) == 1
    assert world.proposals.results["undecided"] == 1
    world.proposals.leader_changed()
    assert 1 not in world.send()


def test_a_replaced_state_leaves_the_fate_of_what_was_handed_over_unknown(world: World) -> None:
    world.submit()
    world.send()
    world.proposals.leader_changed()
    world.submit()
    world.proposals.overtaken()
    assert "not known" in world.refused(1)
    assert world.answers[2] == []
    assert world.send() == [2]
    world.applied(2, None, new=False)
    assert "not known" in world.refused(2)
    assert world.proposals.results["unknown"] == 2


def test_a_stop_refuses_all_and_takes_no_more(world: World) -> None:
    world.submit()
    world.send()
    world.submit()
    world.proposals.stop()
    assert world.refused(1) == world.refused(2) == "The node is stopping."
    with pytest.raises(ServiceUnavailable):
        world.submit()
    assert len(world.proposals) == 0
    assert not world.proposals.due


def test_the_wait_for_an_outcome_cannot_be_cancelled(world: World) -> None:
    waiting = world.submit()
    waiting.cancel()
    assert world.answers[1] == []
    assert world.send() == [1]
    world.applied(1, "done")
    assert world.answers[1] == ["done"]
    assert len(world.proposals) == 0


def test_bounds_are_of_what_waits_and_not_of_what_was(world: World) -> None:
    world = World(replace(SETTINGS, most_pending=2))
    world.submit()
    world.submit()
    with pytest.raises(ServiceUnavailable):
        world.submit()
    world.send()
    world.applied(1)
    world.submit()
    assert world.proposals.results["refused"] == 1


def test_messages_that_nobody_answers_are_forgotten(world: World) -> None:
    for _ in range(100):
        world.submit()
        world.send()
        world.now += 6
        world.proposals.tick()
    assert len(world.proposals._messages) <= 1
