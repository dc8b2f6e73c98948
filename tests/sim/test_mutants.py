"""The simulation notices what it is there for: each defect, put into the core, is caught."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.sim.mutants import MUTANTS, mutated
from tests.sim.scenario import KINDS, Scenario
from tests.sim.world import World, Wrong

SEEDS = 300
"""As many as are run of the sound core."""


def order(kind: str) -> list[int]:
    """All seeds, those first that are of a kind."""
    return sorted(range(SEEDS), key=lambda seed: (Scenario.kind_of(seed) != kind, seed))


def caught(name: str) -> str:
    """What the first seed that notices a mutant says; empty: none does."""
    with mutated(name):
        for seed in order(MUTANTS[name].kind):
            try:
                World(Scenario.of(seed)).run()
            except Wrong as wrong:
                return f"seed {seed}: {wrong.__cause__}"
    return ""


def test_every_mutant_is_caught() -> None:
    """In processes of their own, so that no defect stays behind."""
    names = list(MUTANTS)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        notices = dict(zip(names, pool.map(caught, names), strict=True))
    for name, notice in notices.items():
        print(f"{name}: {notice.splitlines()[0] if notice else 'not noticed'}")
    assert [name for name, notice in notices.items() if not notice] == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_goes_without_a_trace(name: str) -> None:
    mutant = MUTANTS[name]
    before = [getattr(owner, what) for owner, what, _ in mutant.replaced]
    with mutated(name):
        during = [getattr(owner, what) for owner, what, _ in mutant.replaced]
    after = [getattr(owner, what) for owner, what, _ in mutant.replaced]
    assert before == after
    assert all(one is not other for one, other in zip(before, during, strict=True))
    assert mutant.kind in KINDS
