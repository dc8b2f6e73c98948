"""What may be said now, and what waits for a disk."""

from __future__ import annotations

from bleepstore.raft.effects import Envelope
from bleepstore.raft.intake import Intake
from bleepstore.raft.messages import Appended, Vote
from bleepstore.raft.outbox import NOTHING, Outbox, must_wait


def test_a_promise_waits_for_what_is_not_durable() -> None:
    assert must_wait(dirty=True, in_flight=False)
    assert must_wait(dirty=False, in_flight=True)
    assert not must_wait(dirty=False, in_flight=False)


def test_a_promise_waits_for_the_persist_that_covers_it() -> None:
    outbox = Outbox()
    outbox.withhold("a", Vote(1, True), dirty=True)
    outbox.seal()
    outbox.withhold("b", Appended(1, True, 3), dirty=False)
    outbox.withhold("c", Appended(1, True, 9), dirty=True)
    outbox.release()
    assert outbox.messages == [Envelope("a", Vote(1, True)), Envelope("b", Appended(1, True, 3))]
    outbox.seal()
    outbox.release()
    assert outbox.messages[2:] == [Envelope("c", Appended(1, True, 9))]


def test_what_waits_for_one_peer_is_bounded_and_the_latest_says_it_all() -> None:
    outbox = Outbox()
    for index in range(1000):
        outbox.withhold("a", Appended(1, True, index, round=index), dirty=True)
    outbox.withhold("a", Appended(1, True, 5, round=2000), dirty=True)  # a repetition
    outbox.seal()
    outbox.release()
    assert outbox.messages == [Envelope("a", Appended(1, True, 999, round=2000))]


def test_promises_of_an_earlier_term_are_forgotten() -> None:
    outbox = Outbox()
    outbox.withhold("a", Vote(1, True), dirty=True)
    outbox.seal()
    outbox.withhold("b", Vote(1, True), dirty=True)
    outbox.forget()
    outbox.release()
    outbox.seal()
    outbox.release()
    assert outbox.empty(None, ()) is NOTHING


def test_an_intake_is_full_until_something_is_committed() -> None:
    intake = Intake(100)
    assert intake.admits(1000)  # alone, anything passes
    intake.took(4, 60)
    assert intake.admits(40)
    assert not intake.admits(41)
    intake.took(6, 40)
    intake.settled(5)
    assert intake.waiting == 40
    intake.settled(6)
    assert intake.admits(1000)
