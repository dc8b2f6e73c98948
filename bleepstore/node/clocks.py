"""The clocks of this machine, which all other parts are given."""

from __future__ import annotations

import time
from typing import Any


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def measure_steadily(reactor: Any) -> None:
    """Have a reactor measure time by a clock that nobody sets.

    Twisted's takes the wall clock: set back by an hour, whatever was about to be done a moment
    later is done an hour later (a commit, a line of the log, a deadline), and set forward, all that
    waits is overdue at once.  A reactor that others have given something to do is left as it is.

    :param reactor: one of Twisted's, before it runs.
    """
    if not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic


def steady() -> float:
    """Seconds that pass, also while the machine sleeps, and that nobody sets."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
