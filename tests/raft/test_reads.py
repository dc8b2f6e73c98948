"""Rounds that confirm reads, leases, and questions to a leader."""

from __future__ import annotations

from bleepstore.raft.reads import (
    MOST_REMOTE,
    FollowerReads,
    LeaderReads,
    Waiting,
    lease_lasts,
)


def reads_of(*contexts: int) -> list[Waiting]:
    return [Waiting("", context, 10) for context in contexts]


def test_reads_that_wait_share_a_round_and_later_ones_the_next() -> None:
    reads = LeaderReads(10, lease=False)
    for read in reads_of(1, 2):
        reads.add(read)
    reads.begin_round(0, commit=7)
    reads.add(reads_of(3)[0])
    assert not reads.waiting  # a round is under way
    assert reads.confirmed(0) == ([], 0)
    assert reads.confirmed(reads.round) == (reads_of(1, 2), 7)
    assert reads.waiting
    reads.begin_round(0, commit=9)
    assert reads.confirmed(1) == ([], 0)  # that was sent before the question
    assert reads.confirmed(2) == (reads_of(3), 9)


def test_a_round_of_a_term_in_which_nothing_is_committed_confirms_no_read() -> None:
    reads = LeaderReads(10, lease=False)
    reads.add(reads_of(1)[0])
    reads.begin_round(0, commit=None)
    assert reads.confirmed(1) == ([], 0)
    assert reads.waiting


def test_a_heartbeat_is_a_round_too() -> None:
    reads = LeaderReads(10, lease=False)
    reads.add(reads_of(1)[0])
    reads.begin_round(0, commit=3)
    reads.begin_round(1, commit=5)  # the first was lost
    assert reads.confirmed(2) == (reads_of(1), 3)


def test_reads_expire_whether_their_round_has_begun_or_not() -> None:
    reads = LeaderReads(10, lease=False)
    reads.add(Waiting("", 1, 5))
    reads.begin_round(0, commit=3)
    reads.add(Waiting("", 2, 5))
    reads.add(Waiting("", 3, 6))
    assert reads.expire(4) == []
    assert [read.context for read in reads.expire(5)] == [1, 2]
    assert [read.context for read in reads.fail()] == [3]
    assert not reads.pending


def test_a_peer_that_asks_again_is_asking_the_same() -> None:
    reads = LeaderReads(10, lease=False)
    for _ in range(3):
        assert reads.add(Waiting("b", 1, 5))
    assert len(reads.fail()) == 1
    for context in range(MOST_REMOTE):
        assert reads.add(Waiting("b", context, 5))
    assert not reads.add(Waiting("b", MOST_REMOTE, 5))


def test_a_lease_counts_from_when_its_round_was_sent() -> None:
    reads = LeaderReads(10, lease=True)
    reads.begin_round(100, commit=1)
    reads.begin_round(103, commit=1)
    reads.confirmed(1)
    reads.add(reads_of(1)[0])
    assert reads.under_lease(105) == reads_of(1)
    reads.add(reads_of(2)[0])
    assert reads.under_lease(106) == []
    reads.confirmed(2)
    assert reads.under_lease(106) == reads_of(2)


def test_a_lease_ends_before_the_earliest_voter_is_free_though_its_clock_runs_fast() -> None:
    for election_ticks in range(2, 200):
        lease = next(n for n in range(1000) if not lease_lasts(n, 0, election_ticks))
        # A voter's first tick may come right after it answered; its clock runs 4/3 as fast.
        assert lease <= (election_ticks - 1) * 3 / 4


def test_a_change_of_members_or_a_transfer_ends_a_lease() -> None:
    for end in (LeaderReads.restart_lease, LeaderReads.give_up_lease):
        reads = LeaderReads(10, lease=True)
        reads.begin_round(0, commit=1)
        reads.confirmed(1)
        end(reads)
        reads.add(reads_of(1)[0])
        assert reads.under_lease(0) == []


def test_a_follower_asks_once_for_all_that_wait() -> None:
    reads = FollowerReads(10, first=500)
    assert not reads.due
    reads.add(1, now=0)
    reads.add(2, now=0)
    assert reads.due
    number = reads.question()
    assert number == 501
    reads.add(3, now=0)
    assert not reads.due
    assert [read.context for read in reads.answered(number)] == [1, 2]
    assert reads.due
    assert reads.answered(number) == []
    assert reads.question() == 502


def test_a_follower_asks_again_until_it_is_too_late() -> None:
    reads = FollowerReads(10, first=0)
    reads.add(1, now=0)
    number = reads.question()
    assert reads.tick(9) == []
    assert reads.due
    assert reads.question() == number
    assert [read.context for read in reads.tick(10)] == [1]
    assert not reads.due
    assert reads.answered(number) == []


def test_who_comes_while_a_question_is_repeated_waits_for_the_next_one() -> None:
    """The answer to the first of the two may be on its way, and older than his read."""
    reads = FollowerReads(10, first=0)
    reads.add(1, now=0)
    number = reads.question()
    reads.add(2, now=1)
    reads.tick(1)
    assert reads.question() == number
    assert [read.context for read in reads.answered(number)] == [1]
    assert reads.question() != number


def test_an_answer_to_an_earlier_question_is_no_answer() -> None:
    reads = FollowerReads(10, first=0)
    reads.add(1, now=0)
    first = reads.question()
    assert reads.fail()
    reads.add(2, now=0)
    assert reads.question() != first
    assert reads.answered(first) == []
