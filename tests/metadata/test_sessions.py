"""A proposal is applied once, however often and in whatever order it is met."""

from __future__ import annotations

import random

import pytest

from bleepstore.metadata.database import open_in_memory
from bleepstore.metadata.sessions import Sessions
from bleepstore.model.proposals import Proposal


def proposal(serial: int, floor: int = 1, incarnation: int = 1, origin: str = "n1") -> Proposal:
    return Proposal(origin, incarnation, serial, floor, b"")


class Met:
    """Proposals, met in groups as long as the dice say."""

    def __init__(self) -> None:
        self.connection = open_in_memory()

    def __call__(self, *met: Proposal) -> list[bool]:
        sessions = Sessions(self.connection.execute)
        admitted = [sessions.admits(each) for each in met]
        sessions.store(self.connection.execute)
        return admitted

    def rows(self) -> list[tuple[str, int, int, bytes]]:
        return self.connection.execute("SELECT * FROM sessions ORDER BY origin").fetchall()


@pytest.fixture
def met() -> Met:
    return Met()


def test_a_repetition_is_passed_over(met: Met) -> None:
    assert met(proposal(1), proposal(1), proposal(2)) == [True, False, True]
    assert met(proposal(2), proposal(1), proposal(3)) == [False, False, True]
    assert met.rows() == [("n1", 1, 4, b"")]


def test_serials_that_overtake_others_are_remembered_as_runs(met: Met) -> None:
    assert met(*map(proposal, (5, 3, 4, 9))) == [True] * 4
    ((_, _, floor, applied),) = met.rows()
    assert (floor, applied) == (1, bytes((0x94, 3, 5, 9, 9)))
    assert met(*map(proposal, (3, 4, 5, 9, 2, 1))) == [False] * 4 + [True] * 2
    assert met.rows() == [("n1", 1, 6, bytes((0x92, 9, 9)))]


def test_what_is_below_the_floor_is_never_applied_again(met: Met) -> None:
    assert met(proposal(8, floor=7)) == [True]
    assert met(proposal(5), proposal(6), proposal(7)) == [False, False, True]
    assert met.rows() == [("n1", 1, 9, b"")]


def test_a_floor_forgets_what_is_below_it_alone(met: Met) -> None:
    met(*map(proposal, (3, 6, 9)))
    assert met(proposal(7, floor=5)) == [True]
    assert met(*map(proposal, (4, 5, 6, 9))) == [False, True, False, False]
    assert met.rows() == [("n1", 1, 8, bytes((0x92, 9, 9)))]


def test_a_floor_within_applied_serials_rises_past_them(met: Met) -> None:
    met(*map(proposal, (4, 5)))
    assert met(proposal(8, floor=4)) == [True]
    assert met.rows() == [("n1", 1, 6, bytes((0x92, 8, 8)))]


def test_a_later_incarnation_ends_the_earlier_ones(met: Met) -> None:
    met(proposal(1), proposal(2))
    assert met(proposal(1, incarnation=3), proposal(3), proposal(7, incarnation=2)) == [
        True,
        False,
        False,
    ]
    assert met.rows() == [("n1", 3, 2, b"")]


def test_origins_do_not_know_of_each_other(met: Met) -> None:
    assert met(proposal(1), proposal(1, origin="n2"), proposal(1, origin="n2")) == [
        True,
        True,
        False,
    ]
    assert met.rows() == [("n1", 1, 2, b""), ("n2", 1, 2, b"")]


@pytest.mark.parametrize(
    "senseless",
    [
        proposal(0),
        proposal(-1, floor=-5),
        proposal(3, floor=4),
        proposal(2**63 - 1),
        proposal(2**64 - 1),
        proposal(1, incarnation=0),
        proposal(1, incarnation=2**63),
    ],
)
def test_numbers_that_make_no_sense_are_passed_over_and_change_nothing(
    met: Met, senseless: Proposal
) -> None:
    met(proposal(1))
    before = met.rows()
    assert met(senseless) == [False]
    assert met.rows() == before


def test_a_great_leap_costs_no_more_than_a_small_one(met: Met) -> None:
    assert met(proposal(2**62), proposal(2**62 + 5, floor=2**62 + 1)) == [True, True]
    assert met.rows()[0][2] == 2**62 + 1


@pytest.mark.parametrize("seed", range(10))
def test_the_rows_are_the_same_however_the_proposals_are_grouped(seed: int) -> None:
    dice = random.Random(seed)
    history: list[Proposal] = []
    floors = {"a": 1, "b": 1}
    for _ in range(500):
        origin = dice.choice("ab")
        if dice.random() < 0.2:
            floors[origin] += dice.randrange(6)
        serial = max(1, floors[origin] + dice.randrange(-3, 12))
        floor = min(serial, max(1, floors[origin] - dice.randrange(3)))
        history.append(proposal(serial, floor, 1 + (dice.random() < 0.01), origin))
    one_by_one, grouped = Met(), Met()
    expected = [one_by_one(each)[0] for each in history]
    admitted: list[bool] = []
    while len(admitted) < len(history):
        admitted += grouped(*history[len(admitted) : len(admitted) + dice.randrange(1, 40)])
    assert admitted == expected
    assert True in expected
    assert False in expected
    assert grouped.rows() == one_by_one.rows()
    names = [
        (each.origin, each.incarnation, each.serial)
        for each, new in zip(history, expected, strict=True)
        if new
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("seed", range(20))
def test_one_name_is_admitted_once_if_it_is_not_below_a_floor(seed: int) -> None:
    """By a model that remembers everything; mostly in order, as nearly all proposals come."""
    dice = random.Random(seed)
    seen: dict[tuple[str, int], set[int]] = {}
    floors: dict[tuple[str, int], int] = {}
    latest = {"a": 0, "b": 0}
    following = {"a": 1, "b": 1}
    met = Met()
    for _ in range(400):
        origin = dice.choice("ab")
        if dice.random() < 0.02:
            following[origin] = 1
        incarnation = max(latest[origin] - (dice.random() < 0.05), 1) + (following[origin] == 1)
        serial = following[origin] + dice.choice((0, 0, 0, 0, 0, 0, 3, -1, -2, -3))
        floor = following[origin] - dice.randrange(5)
        following[origin] = max(following[origin], serial + 1)
        session = origin, incarnation
        expected = max(floor, 1) <= serial and incarnation >= latest[origin]
        if expected:
            latest[origin] = incarnation
            floors[session] = max(floors.get(session, 1), floor)
            names = seen.setdefault(session, set())
            expected = serial >= floors[session] and serial not in names
            names.add(serial)
        assert met(proposal(serial, floor, incarnation, origin)) == [expected]
