"""Changes of one name wait for each other."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from bleepstore.streams.turns import Turns
from tests.objectstore.driving import Running


class Worker:
    """Somebody who has a turn until told to end it."""

    def __init__(self, turns: Turns, *names: str) -> None:
        self.turns, self.names = turns, names
        self.has_turn = False
        self.end: Deferred[None] = Deferred()
        self.running = Running(self._work())

    async def _work(self) -> None:
        turn = (
            self.turns.of(self.names[0]) if len(self.names) == 1 else self.turns.of_all(self.names)
        )
        async with turn:
            self.has_turn = True
            await self.end
        self.has_turn = False


def test_one_name_has_one_turn_at_a_time_in_order() -> None:
    turns = Turns()
    workers = [Worker(turns, "a") for _ in range(3)]
    for number, worker in enumerate(workers):
        assert [each.has_turn for each in workers] == [n == number for n in range(3)]
        worker.end.callback(None)
    assert not turns.is_taken("a")


def test_names_do_not_wait_for_each_other() -> None:
    turns = Turns()
    assert Worker(turns, "a").has_turn
    assert Worker(turns, "b").has_turn
    assert turns.is_taken("a")


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    first, second = Worker(turns, "a"), Worker(turns, "a")
    first.end.errback(ValueError())
    assert isinstance(first.running._outcome[0].value, ValueError)  # type: ignore[union-attr]
    assert second.has_turn


def test_who_gives_up_waiting_is_passed_over() -> None:
    turns = Turns()
    first, second, third = (Worker(turns, "a") for _ in range(3))
    second.running.cancel()
    assert isinstance(second.running._outcome[0].value, CancelledError)  # type: ignore[union-attr]
    first.end.callback(None)
    assert (second.has_turn, third.has_turn) == (False, True)
    third.end.callback(None)
    assert not turns.is_taken("a")


def test_several_names_are_taken_without_a_deadlock() -> None:
    turns = Turns()
    one = Worker(turns, "a")
    both, reverse = Worker(turns, "a", "b"), Worker(turns, "b", "a", "b")
    assert (both.has_turn, reverse.has_turn) == (False, False)
    one.end.callback(None)
    assert (both.has_turn, reverse.has_turn) == (True, False)
    both.end.callback(None)
    assert reverse.has_turn
    reverse.end.callback(None)
    assert not turns.is_taken("a")
    assert not turns.is_taken("b")
