"""How far a peer is, and what may be sent to it."""

from __future__ import annotations

from bleepstore.raft.progress import PROBE, REPLICATE, SNAPSHOT, Progress


def replicating(match: int) -> Progress:
    progress = Progress(match + 1, heard=0)
    progress.acknowledged(match)
    return progress


def test_a_probe_waits_for_its_answer() -> None:
    progress = Progress(5, heard=0)
    assert progress.may_send(8)
    progress.sent(7)
    assert not progress.may_send(8)
    assert progress.next == 5  # whether it arrived is not known
    assert progress.acknowledged(7)
    assert progress.state is REPLICATE
    assert (progress.match, progress.next) == (7, 8)


def test_an_answer_to_something_older_does_not_end_a_probe() -> None:
    progress = Progress(9, heard=0)
    assert progress.acknowledged(3)  # it has that much, but not what the probe asks for
    assert progress.state is PROBE
    assert (progress.match, progress.next) == (3, 9)
    assert not progress.rejected(5, 2)
    assert progress.rejected(8, 5)
    assert progress.next == 5


def test_entries_follow_each_other_up_to_a_bound() -> None:
    progress = replicating(0)
    for last in (2, 4, 6):
        assert progress.may_send(3)
        progress.sent(last)
    assert not progress.may_send(3)
    assert progress.next == 7
    progress.acknowledged(4)
    assert list(progress.inflight) == [6]
    assert progress.may_send(3)


def test_what_is_known_to_match_never_decreases() -> None:
    progress = replicating(10)
    assert not progress.acknowledged(4)
    assert not progress.rejected(7, 3)  # an old refusal
    assert progress.match == 10
    progress.probe(2)
    assert progress.next == 11


def test_a_refusal_ends_the_pipeline() -> None:
    progress = replicating(3)
    progress.sent(5)
    progress.sent(9)
    assert progress.rejected(5, 99)
    assert progress.state is PROBE
    assert progress.next == 5
    assert not progress.inflight


def test_nothing_is_sent_while_a_snapshot_is_awaited() -> None:
    progress = replicating(3)
    progress.await_snapshot()
    assert progress.state is SNAPSHOT
    assert not progress.may_send(8)
    assert not progress.rejected(3, 1)
    progress.probe(20)
    assert progress.acknowledged(19)
    assert (progress.state, progress.next) == (REPLICATE, 20)


def test_what_was_acknowledged_and_is_denied_again_and_again_is_lost() -> None:
    progress = replicating(10)
    progress.probe(11)
    for _ in range(2):
        assert progress.rejected(10, 3)
        assert not progress.forgetful
        assert not progress.may_send(8), "not before the next heartbeat: it would go on for ever"
    progress.acknowledged(10)  # those were late
    progress.probe(11)
    for _ in range(3):
        assert not progress.forgetful
        assert progress.rejected(10, 3)
    assert progress.forgetful
    assert (progress.match, progress.next) == (10, 11)


def test_who_had_nothing_has_lost_nothing() -> None:
    progress = Progress(1, heard=0)
    for _ in range(5):
        progress.rejected(0, 1)
    assert not progress.forgetful
