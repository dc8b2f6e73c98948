"""Coroutines that are run by hand for as long as nothing makes them wait.

``Deferred.fromCoroutine`` costs about 4 µs even where the coroutine has its answer at hand and
never suspends, as most reads of small objects have: a Deferred, a context, a cancellation status.
So a hot path sends the first ``None`` itself, and only a coroutine that does wait gets a Deferred::

    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        ...                                         # it has returned end.value
    else:
        deferred = resumed(coroutine, waiting)      # it goes on when ``waiting`` fires

One whose result nobody asks for, and that nobody cancels, does not need even that: :func:`run_on`.

Knows nothing but the protocol between coroutines and Deferreds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from types import coroutine as generator_coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")
S = TypeVar("S")
P = ParamSpec("P")


def resumed(coroutine: Coroutine[Deferred[Any], Any, T], waiting: Deferred[Any]) -> Deferred[T]:
    """A Deferred of what a coroutine returns that was started by hand.

    Cancelling it cancels what the coroutine waits for, as with ``Deferred.fromCoroutine``.

    :param waiting: what its last ``send`` gave.
    """
    return Deferred.fromCoroutine(_rest(coroutine, waiting))


def run_on(coroutine: Coroutine[Deferred[Any], Any, None], waiting: Deferred[Any]) -> None:
    """Let a coroutine that was started by hand go on to its end; nobody can cancel it.

    It should catch what it may raise: that is logged as an unhandled error.

    :param waiting: what its last ``send`` gave.
    """
    waiting.addBoth(_step, coroutine)


def _step(result: Any, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
    try:
        if isinstance(result, Failure):
            assert result.value is not None
            waiting = coroutine.throw(result.value)
        else:
            waiting = coroutine.send(result)
    except StopIteration:
        return
    waiting.addBoth(_step, coroutine)


@generator_coroutine
def _rest(
    coroutine: Coroutine[Deferred[Any], Any, T], waiting: Deferred[Any]
) -> Generator[Deferred[Any], Any, T]:
    """``await coroutine``, of which the first step was taken already (PEP 380 by hand)."""
    try:
        while True:
            try:
                result = yield waiting
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


class Uncancellable(Deferred[T]):
    """A Deferred that goes on to its result, whoever would rather not wait for it.

    What shields work from those who stop waiting need not stand between them and this.
    """

    def cancel(self) -> None:
        """Changes nothing."""


class Pending(Awaitable[T], Generic[T]):
    """A coroutine that is no coroutine to those who would run it, and can be awaited once."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()


def pending(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Pending[T]]:
    """The same method, giving a :class:`Pending`."""

    @wraps(method)
    def unstarted(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        return Pending(method(self, *args, **kwargs))

    return unstarted
