"""Majorities: two of them always meet, and what is committed is on one."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.raft.quorum import Tally, committed_index, majority


@pytest.mark.parametrize("voters", range(1, 10))
def test_two_majorities_share_a_voter(voters: int) -> None:
    assert 2 * majority(voters) > voters
    assert 2 * (majority(voters) - 1) <= voters  # and it is the smallest number of which that holds


@pytest.mark.parametrize("voters", range(1, 7))
def test_majorities_of_neighbouring_memberships_share_a_voter(voters: int) -> None:
    larger = range(voters + 1)
    for old in combinations(range(voters), majority(voters)):
        for new in combinations(larger, majority(voters + 1)):
            assert set(old) & set(new)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_committed_is_the_largest_index_on_a_majority(matches: list[int]) -> None:
    index = committed_index(matches)
    assert sum(match >= index for match in matches) >= majority(len(matches))
    assert sum(match > index for match in matches) < majority(len(matches))


def test_nothing_is_committed_by_nobody() -> None:
    assert committed_index([]) == 0


def test_a_voter_counts_once_and_others_do_not() -> None:
    tally = Tally({"a", "b", "c", "d"})
    for voter, granted in [("a", True), ("a", True), ("x", True), ("b", True), ("c", False)]:
        tally.record(voter, granted)
    tally.record("c", True)  # it has said no
    assert not tally.won
    assert not tally.lost
    tally.record("d", True)
    assert tally.won


def test_an_election_is_lost_when_no_majority_is_left() -> None:
    tally = Tally({"a", "b", "c", "d"})
    tally.record("a", False)
    assert not tally.lost
    tally.record("b", False)
    assert tally.lost


def test_nobody_is_elected_without_voters() -> None:
    assert not Tally(set()).won
