"""Random histories of small clusters keep the properties of the paper's figure 3."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.raft.chaos import Chaos


@pytest.mark.parametrize("seed", range(60))
def test_any_history_of_a_seed_is_safe_and_ends_well(seed: int) -> None:
    dice = random.Random(seed)
    chaos = Chaos(lambda n: dice.randrange(n), voters=3 + 2 * (seed % 2))
    for _ in range(1500):
        chaos.act(dice.randrange(1000), dice.randrange(1 << 30), dice.randrange(1 << 30))
    chaos.recover()
    assert chaos.committed


@pytest.mark.parametrize("seed", range(15))
def test_leases_answer_nothing_stale_while_clocks_agree(seed: int) -> None:
    dice = random.Random(seed)
    chaos = Chaos(lambda n: dice.randrange(n), lease=True)
    for _ in range(1500):
        chaos.act(dice.randrange(1000), dice.randrange(1 << 30), dice.randrange(1 << 30))
    chaos.recover()
    assert chaos.answered


_NUMBERS = st.integers(0, 999)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS), min_size=50, max_size=300))
def test_any_history_is_safe(history: list[tuple[int, int, int]]) -> None:
    chaos = Chaos(lambda n: 0)
    for kind, one, other in history:
        chaos.act(kind, one, other)
