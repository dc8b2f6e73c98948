"""Every implementation of IMetadataStore, and how to make one and drive it.

``tests/metadata/test_contract.py`` finds an implementation that is missing here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.lone_consensus import LoneConsensus

T = TypeVar("T")

TURNS = 10_000


def sqlite(directory: Path, clock: Clock, **more: Any) -> SqliteMetadata:
    return SqliteMetadata(directory / "metadata.db", clock, ImmediateThreads(), **more)


def memory(directory: Path, clock: Clock) -> MemoryMetadata:
    return MemoryMetadata()


def replicated(
    directory: Path, clock: Clock, *, consensus: type[LoneConsensus] = LoneConsensus, **more: Any
) -> ReplicatedMetadata:
    replica = MetadataReplica(ReplicaFile(directory / "metadata.db"), clock, ImmediateThreads())
    return ReplicatedMetadata(replica, consensus(replica), clock, ImmediateThreads(), **more)


def eventual(directory: Path, clock: Clock) -> ReplicatedMetadata:
    return replicated(directory, clock, eventual=True)


ENGINES: dict[str, tuple[type[Any], Callable[[Path, Clock], Any]]] = {
    "sqlite": (SqliteMetadata, sqlite),
    "memory": (MemoryMetadata, memory),
    "replicated": (ReplicatedMetadata, replicated),
    "eventual": (ReplicatedMetadata, eventual),
}
"""By a name: the class, and how to make one."""


class TurningClock(Clock):
    """A clock whose ``advance`` is one turn of a reactor: what is scheduled during a turn waits
    for the next one, even with no delay (Clock itself would call it in the same go)."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in sorted(self.calls, key=lambda call: call.getTime()):
            if call.active() and call.getTime() <= self.rightNow:
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class Turns:
    """A reactor of a clock alone: turns until what is awaited has its answer."""

    def __init__(self) -> None:
        self.clock = TurningClock()

    def start(self, waiting: Coroutine[Deferred[Any], Any, T] | Deferred[T]) -> Deferred[T]:
        return waiting if isinstance(waiting, Deferred) else Deferred.fromCoroutine(waiting)

    def run(self, waiting: Awaitable[T]) -> T:
        """The result of an awaitable, or what it raises."""

        async def wait() -> T:
            return await waiting

        return self.result(Deferred.fromCoroutine(wait()))

    def result(self, waiting: Deferred[T]) -> T:
        answers: list[Any] = []
        waiting.addBoth(answers.append)
        for _ in range(TURNS):
            if answers:
                break
            self.clock.advance(0)
        assert answers, f"no answer within {TURNS} turns"
        answer = answers[0]
        if isinstance(answer, Failure):
            answer.raiseException()
        return answer

    def at_once(self, waiting: Awaitable[T]) -> T:
        """The result of what must not suspend."""
        steps = waiting.__await__()
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        raise AssertionError("it suspended")


def end(store: Any, turns: Turns) -> None:
    """Stop a store, and the replica that it reads."""
    turns.run(store.stop())
    if isinstance(store, ReplicatedMetadata):
        turns.run(store._replica.stop())
