"""One piece of work in each turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bleepstore.streams.one_a_turn import OneATurn


class _Reactor:
    """Calls what is due in turns; Twisted's Clock would do all in one.

    :ivar due: in the next turn.
    """

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def callLater(self, delay: float, call: Callable[[], None]) -> None:
        assert delay == 0
        self.due.append(call)

    def turn(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


class _World:
    """:ivar done: who had a turn, in that order."""

    def __init__(self) -> None:
        self.reactor = _Reactor()
        self.turns = OneATurn(cast(IReactorTime, self.reactor))
        self.done: list[int] = []

    def ask(self, number: int) -> Deferred[None]:
        asked = Deferred.fromCoroutine(self.turns.turn())
        return asked.addCallback(lambda _: self.done.append(number))

    def turn(self) -> list[int]:
        """What is done in the next turn."""
        self.done.clear()
        self.reactor.turn()
        return list(self.done)


def test_who_is_alone_does_not_wait() -> None:
    world = _World()
    for number in range(3):
        world.ask(number)
        assert world.done == [number]
        assert world.turn() == []
    assert not world.reactor.due


def test_those_who_come_together_follow_each_other() -> None:
    world = _World()
    for number in range(3):
        world.ask(number)
    assert world.done == [0]
    assert world.turn() == [1]
    world.ask(3)
    assert [world.turn(), world.turn(), world.turn()] == [[2], [3], []]
    world.ask(4)
    assert world.done == [4]


def test_who_has_gone_is_passed_over() -> None:
    world = _World()
    _, gone, *_ = [world.ask(number) for number in range(3)]
    gone.addErrback(lambda failure: None)
    gone.cancel()
    assert world.turn() == [2]
    assert world.turn() == []
    assert not world.reactor.due
