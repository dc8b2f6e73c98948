"""Delays grow, have a bound and a floor, and are drawn by the dice."""

import pytest

from bleepstore.cluster.backoff import Backoff


def test_limits_double_up_to_the_bound_and_begin_anew() -> None:
    backoff = Backoff(0.1, 0.5, lambda: 1.0)
    assert [round(backoff.next(), 6) for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    backoff.reset()
    assert round(backoff.next(), 6) == 0.1


def test_the_dice_decide_between_a_tenth_and_the_limit() -> None:
    assert round(Backoff(1, 1, lambda: 0.0).next(), 6) == 0.1
    assert round(Backoff(1, 1, lambda: 0.5).next(), 6) == 0.55


@pytest.mark.parametrize(("first", "most"), [(0, 1), (2, 1), (-1, 1)])
def test_what_does_not_grow_is_refused(first: float, most: float) -> None:
    with pytest.raises(ValueError, match="grows"):
        Backoff(first, most, lambda: 0.5)
