"""Whole nodes under faults, one run a seed (``--sim-seeds``, ``--sim-seed``).

A seed that fails prints its trace and how to run it again.  Write it into kept_seeds.txt, with
what was wrong: those are run for ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.sim.scenario import Scenario
from tests.sim.world import World, Wrong

WORKERS = 2
CHUNK = 10
MOST_TRACES = 3

KEPT = Path(__file__).with_name("kept_seeds.txt")


def kept_seeds() -> list[int]:
    """The seeds that once failed."""
    lines = (line.split("#")[0].strip() for line in KEPT.read_text().splitlines())
    return [int(line) for line in lines if line]


def failing(seeds: list[int]) -> list[str]:
    """Run seeds; gives the traces of those that fail."""
    traces = []
    for seed in seeds:
        try:
            World(Scenario.of(seed)).run()
        except Wrong as wrong:
            traces.append(str(wrong))
    return traces


def run_all(seeds: Iterable[int]) -> Iterator[str]:
    """The same in several processes."""
    remaining = iter(seeds)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for traces in pool.map(failing, chunks):
            yield from traces


def test_no_seed_breaks_what_must_hold(request: pytest.FixtureRequest) -> None:
    one = request.config.getoption("--sim-seed")
    if one is not None:
        traces = failing([one])
    else:
        traces = list(run_all(range(request.config.getoption("--sim-seeds"))))
    print("\n\n".join(traces[:MOST_TRACES]))
    assert not traces, f"{len(traces)} seeds fail; see the traces above"


def test_no_seed_fails_that_once_failed() -> None:
    traces = list(run_all(kept_seeds()))
    print("\n\n".join(traces[:MOST_TRACES]))
    assert not traces


TELL = """
from tests.sim.scenario import Scenario
from tests.sim.world import World
for seed in (2, 3):
    world = World(Scenario.of(seed))
    world.run()
    print(world.trace.digest())
"""


def test_a_run_depends_on_nothing_but_its_seed() -> None:
    """Not on the order of a set, which differs from process to process."""
    told = [
        subprocess.run(
            [sys.executable, "-c", TELL],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(set(told[0].split())) == 2


def test_a_trace_tells_who_did_what_and_how_to_see_it_again() -> None:
    world = World(Scenario.of(3))
    world.run()
    text = world.report(AssertionError("something was wrong"))
    for part in ("n1 starts", "leads term", "faults", "something was wrong", "--sim-seed 3"):
        assert part in text
