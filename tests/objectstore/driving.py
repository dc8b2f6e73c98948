"""Driving coroutines without a reactor."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Running(Generic[T]):
    """A coroutine that was started, as a request handler would be."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._outcome: list[T | Failure] = []
        self._deferred = Deferred.fromCoroutine(coroutine)
        self._deferred.addBoth(self._outcome.append)

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return bool(self._outcome)

    def cancel(self) -> None:
        """Stop waiting, as a front does when the client goes away."""
        self._deferred.cancel()

    def result(self) -> T:
        """What it returned or raised; it must have ended."""
        assert self._outcome, "it is still suspended"
        outcome = self._outcome[0]
        if isinstance(outcome, Failure):
            raise outcome.value
        return outcome


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine that must not suspend for good."""
    return Running(coroutine).result()
