"""Members in force, what they fall back to, and which changes of them are allowed."""

from __future__ import annotations

import pytest

from bleepstore.raft.membership import (
    MOST_NODES,
    Membership,
    check_in_progress,
    check_step,
    voters_touched,
    well_formed,
)
from bleepstore.raft.messages import Entry, EntryKind, Member, Members, encode_members
from bleepstore.raft.problems import ChangeInProgress


def of(voters: str, learners: str = "") -> Members:
    nodes = [Member(each, f"{each}:1") for each in voters]
    nodes += [Member(each, f"{each}:1", False) for each in learners]
    return Members(tuple(sorted(nodes, key=lambda node: node.id)))


def changed(index: int, members: Members) -> Entry:
    return Entry(index, 1, EntryKind.MEMBERS, encode_members(members))


def test_a_change_is_in_force_at_once_and_goes_with_its_entry() -> None:
    membership = Membership(0, of("abc"))
    membership.observe([Entry(1, 1), changed(2, of("abcd")), Entry(3, 1), changed(4, of("bcd"))])
    assert (membership.index, membership.current) == (4, of("bcd"))
    assert membership.voters == {"b", "c", "d"}
    membership.truncate(4)
    assert (membership.index, membership.current) == (2, of("abcd"))
    membership.truncate(1)
    assert (membership.index, membership.current) == (0, of("abc"))


def test_the_members_as_of_an_index() -> None:
    membership = Membership(10, of("abc"))
    membership.observe([changed(12, of("abcd")), changed(20, of("abd"))])
    assert [membership.at(index) for index in (10, 11, 12, 19, 20, 99)] == [
        of("abc"), of("abc"), of("abcd"), of("abcd"), of("abd"), of("abd"),
    ]  # fmt: skip
    membership.compact(15)
    assert membership.at(19) == of("abcd")
    membership.truncate(16)
    assert membership.current == of("abcd")


def test_a_snapshot_begins_again() -> None:
    membership = Membership(0, of("abc"))
    membership.observe([changed(2, of("abcd"))])
    membership.reset(50, of("xyz"))
    membership.truncate(1)
    assert (membership.index, membership.voters) == (50, {"x", "y", "z"})


@pytest.mark.parametrize(
    ("wanted", "touched"),
    [
        (of("abcd"), "d"),
        (of("ab"), "c"),
        (of("ab", "c"), "c"),
        (of("abc", "de"), ""),
        (of("abc").having(Member("b", "elsewhere:2")), "b"),
        (of("abd"), "cd"),
        (of("ade"), "bcde"),
    ],
)
def test_which_voters_a_change_touches(wanted: Members, touched: str) -> None:
    assert voters_touched(of("abc"), wanted) == set(touched)
    if len(touched) <= 1:
        check_step(of("abc"), wanted)
    else:
        with pytest.raises(ValueError, match="one voter at a time"):
            check_step(of("abc"), wanted)


@pytest.mark.parametrize(
    "members",
    [
        Members(),
        of("", "ab"),
        Members((Member("a", "a:1"), Member("a", "b:1"))),
        Members((Member("", "a:1"),)),
        Members(tuple(Member(str(n), "a:1") for n in range(MOST_NODES + 1))),
    ],
    ids=["nobody", "only learners", "the same twice", "nameless", "too many"],
)
def test_what_is_no_cluster(members: Members) -> None:
    assert not well_formed(members)
    with pytest.raises(ValueError, match="distinct ids"):
        check_step(of("abc"), members)


def test_a_change_has_to_change_something() -> None:
    with pytest.raises(ValueError, match="already"):
        check_step(of("abc"), of("cba"))


def test_a_change_waits_for_the_one_before_and_for_the_term() -> None:
    check_in_progress(pending=4, commit=6, term_start=6)
    with pytest.raises(ChangeInProgress, match="index 7"):
        check_in_progress(pending=7, commit=6, term_start=6)
    with pytest.raises(ChangeInProgress, match="nothing in its term"):
        check_in_progress(pending=4, commit=5, term_start=6)
