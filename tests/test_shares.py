"""Large transfers divide what is granted to all of them."""

from __future__ import annotations

import pytest

from bleepstore.shares import LEAST, MOST, Share

MIB = 1 << 20


@pytest.mark.parametrize(
    ("transfers", "size"),
    [(0, MIB), (1, MIB), (4, MIB), (5, MIB // 2), (9, MIB // 4), (16, MIB // 4), (17, MIB // 8)],
)
def test_each_has_a_power_of_two_and_all_no_more_than_the_total(transfers: int, size: int) -> None:
    share = Share(4 * MIB)
    for _ in range(transfers):
        share.enter()
    assert share.size == size
    assert share.size * transfers <= 4 * MIB


def test_who_leaves_makes_room() -> None:
    share = Share(2 * MOST)
    for _ in range(3):
        share.enter()
    assert share.size == MOST // 2
    share.leave()
    assert share.size == MOST


def test_each_has_the_least_however_many_there_are() -> None:
    share = Share(MIB)
    for _ in range(10_000_000 // LEAST):
        share.enter()
    assert share.size == LEAST
    assert Share(0).size == LEAST
