"""Finish what was begun, whoever stops waiting.

A front may cancel the use case of a client that went away.  A read may end anywhere; a
mutation may not: a blob that was being created or a command under way would be lost sight
of.  What runs here goes on to its end, including its own cleaning up; only the wait for it ends.
That the client vanished is learnt from its body, which then raises IncompleteBody.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine as generator_coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bleepstore.errors import StoreError
from bleepstore.streams.coroutines import Uncancellable, resumed

_log = Logger()
T = TypeVar("T")


async def shield(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Await ``coroutine``, which a cancellation of this wait does not reach.

    What it raises after nobody waits any more is logged, unless it is a refusal.  Where the work
    waits for what nobody can cancel, the wait for it does not end before that.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    return await _shielded(coroutine, waiting)


@generator_coroutine
def _shielded(
    coroutine: Coroutine[Deferred[Any], Any, T], waiting: Deferred[Any]
) -> Generator[Deferred[Any], Any, T]:
    """Run the coroutine on, but wait for stand-ins of what it waits for: to cancel a wait is to
    cancel the Deferred that is waited for."""
    try:
        while True:
            standing_in: Deferred[Any]
            if isinstance(waiting, Uncancellable):
                standing_in = waiting
            else:
                standing_in = Deferred()
                waiting.addBoth(_relay, standing_in)
            try:
                result = yield standing_in
            except GeneratorExit:
                coroutine.close()
                raise
            except CancelledError as error:
                if not waiting.called or waiting.paused:
                    resumed(coroutine, waiting).addErrback(_ended_alone)
                    raise
                waiting = coroutine.throw(error)
            except BaseException as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


def _relay(result: Any, standing_in: Deferred[Any]) -> Any:
    """Tell whoever waits; if nobody does any more, leave the result to who takes it up."""
    if standing_in.called:
        return result
    if isinstance(result, Failure):
        standing_in.errback(result)
        return None
    standing_in.callback(result)
    return result


def _ended_alone(failure: Failure) -> None:
    if not isinstance(failure.value, StoreError):
        _log.failure("a change failed after its client had gone", failure=failure)
