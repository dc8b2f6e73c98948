"""One deadline at a time: what an exchange waits for, and for how long.

A small request waits once or twice, a large body for every piece; a call of the reactor's for each
would cost more than to parse the answer.  So a deadline that is begun, put off or given up is only
written down, and all that share a clock share one call: it comes when the nearest deadline was due
that was known when it was made, and is made anew for the nearest that is left.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bleepstore.remote.failures import Fault


class Deadlines:
    """The deadlines of one client.  While nothing is under way the clock has no call of theirs."""

    __slots__ = ("_call", "_clock", "_next", "_running", "seconds")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.seconds = clock.seconds
        self._running: set[Countdown] = set()
        self._call: IDelayedCall | None = None
        self._next = 0.0

    def add(self, countdown: Countdown, due: float) -> None:
        """A countdown that has begun, or begun anew."""
        self._running.add(countdown)
        if self._call is None or due < self._next:
            self._wake_at(due)

    def remove(self, countdown: Countdown) -> None:
        """A countdown that has ended."""
        running = self._running
        running.discard(countdown)
        if not running and self._call is not None:
            self._call.cancel()
            self._call = None

    def _wake_at(self, due: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._next = due
        self._call = self._clock.callLater(max(0.0, due - self.seconds()), self._wake)

    def _wake(self) -> None:
        self._call = None
        now = self.seconds()
        for countdown in [each for each in self._running if each.due is not None]:
            if countdown.due is not None and countdown.due <= now:  # none of them ended another
                countdown.expire()
        left = [each.due for each in self._running if each.due is not None]
        if left and self._call is None:
            self._wake_at(min(left))


class Countdown:
    """Counts down for one fault; a new start replaces the one before.

    :param over: called with the fault when time is up.
    :ivar due: when that is, by the clock; None while nothing is waited for.
    """

    __slots__ = ("_deadlines", "_fault", "_over", "due")

    def __init__(self, deadlines: Deadlines, over: Callable[[Fault], None]) -> None:
        self._deadlines = deadlines
        self._over = over
        self._fault = Fault.STALLED
        self.due: float | None = None

    def start(self, seconds: float, fault: Fault) -> None:
        """Let ``fault`` happen in so many seconds."""
        self._fault = fault
        self.due = due = self._deadlines.seconds() + seconds
        self._deadlines.add(self, due)

    def stop(self) -> None:
        """Nothing is waited for, for now."""
        self.due = None

    def end(self) -> None:
        """Nothing will be waited for."""
        self.due = None
        self._deadlines.remove(self)

    def expire(self) -> None:
        """Time is up."""
        self.due = None
        self._over(self._fault)
