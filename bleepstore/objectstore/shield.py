"""Finish what was begun, whoever stops waiting.

A front may cancel the use case of a client that went away.  A read may end anywhere; a
mutation may not: a blob that was being created or a command under way would be lost sight
of.  What runs here goes on to its end, including its own cleaning up; only the wait for it ends.
That the client vanished is learnt from its body, which then raises IncompleteBody.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bleepstore.errors import StoreError
from bleepstore.streams.coroutines import resumed

_log = Logger()
T = TypeVar("T")


async def shield(coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
    """Await ``coroutine``, which a cancellation of this wait does not reach.

    What it raises after nobody waits any more is logged, unless it is a refusal.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    inner = resumed(coroutine, waiting)
    outer: Deferred[T] = Deferred()

    def relay(result: T | Failure) -> None:
        if isinstance(result, Failure):
            if not outer.called:
                outer.errback(result)
            elif not isinstance(result.value, StoreError):
                _log.failure("a change failed after its client had gone", failure=result)
        elif not outer.called:
            outer.callback(result)

    inner.addBoth(relay)
    return await outer
