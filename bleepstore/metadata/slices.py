"""Work in steps, done in slices between which the reactor does other work.

Knows steps and a clock; not what is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bleepstore.metadata.database import means_busy
from bleepstore.metadata.transaction import Steps

T = TypeVar("T")

BUSY_PAUSE = 0.01
"""Seconds between two tries to get the write lock from another process."""

BUSY_TRIES = 500


async def in_slices(begin: Callable[[], Steps[T]], clock: IReactorTime) -> T:
    """Do the steps that ``begin`` gives, a turn of the reactor between two; all of them again
    while another process holds the write lock.

    Suspends only if there is more than one step, or if it has to wait for the lock.

    :raises sqlite3.OperationalError: the lock was not to be had for some seconds.
    """
    tries = 0
    while True:
        steps = begin()
        try:
            while True:
                next(steps)
                await pause(clock, 0)
        except StopIteration as end:
            result: T = end.value
            return result
        except sqlite3.OperationalError as error:
            tries += 1
            if tries == BUSY_TRIES or not means_busy(error):
                raise
        await pause(clock, BUSY_PAUSE)


def pause(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires after so many seconds; 0: in the next turn."""
    turn: Deferred[None] = Deferred()
    clock.callLater(seconds, turn.callback, None)
    return turn
