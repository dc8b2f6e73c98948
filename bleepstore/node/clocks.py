"""The clocks of this machine, which all other parts are given."""

from __future__ import annotations

import time


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def steady() -> float:
    """Seconds that pass, also while the machine sleeps, and that nobody sets."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
