"""Composing an object of more parts than one composition takes: in a tree, 32 at a time.

Each level composes runs of up to 32 objects into temporary ones, until 32 or fewer are left; those
are the sources of the object itself.  Order is kept.  10,000 parts take 324 compositions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred

from bleepstore.blobs.gcp_messages import MOST_SOURCES

Source = tuple[str, str]
"""Name and generation of an object."""

Compose = Callable[[str, Sequence[Source]], Awaitable[Source]]
"""Makes a temporary object, of this last part of its name, of others."""

AT_ONCE = 8
"""Compositions under way at the same time."""


async def reduced(sources: Sequence[Source], compose: Compose) -> list[Source]:
    """At most 32 objects that are the same bytes as all the sources together.

    :raises Exception: what ``compose`` raises; what was begun has ended by then.
    """
    level = 0
    left = list(sources)
    while len(left) > MOST_SOURCES:
        level += 1
        runs = [left[at : at + MOST_SOURCES] for at in range(0, len(left), MOST_SOURCES)]
        left = await _each(runs, level, compose)
    return left


async def _each(runs: Sequence[list[Source]], level: int, compose: Compose) -> list[Source]:
    made: list[Source] = [run[0] for run in runs]
    waiting = iter(range(len(runs)))
    failures: list[Exception] = []

    async def work() -> None:
        for index in waiting:
            if failures:
                return
            if len(runs[index]) > 1:
                try:
                    made[index] = await compose(f"c{level}-{index:05}", runs[index])
                except Exception as error:  # a cancellation, too: the others end as well
                    failures.append(error)

    for worker in [Deferred.fromCoroutine(work()) for _ in range(min(AT_ONCE, len(runs)))]:
        await worker
    if failures:
        raise failures[0]
    return made
