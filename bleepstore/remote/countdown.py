"""One deadline at a time: what an exchange waits for, and for how long.

A large body starts and stops the countdown for every piece.  So a deadline that is given up or put
off is only written down; the reactor is asked anew when its call comes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bleepstore.remote.failures import Fault


class Countdown:
    """Counts down for one fault; a new start replaces the one before.

    :param over: called with the fault when time is up.
    """

    __slots__ = ("_call", "_clock", "_due", "_fault", "_over")

    def __init__(self, clock: IReactorTime, over: Callable[[Fault], None]) -> None:
        self._clock = clock
        self._over = over
        self._call: IDelayedCall | None = None
        self._due: float | None = None
        self._fault = Fault.STALLED

    def start(self, seconds: float, fault: Fault) -> None:
        """Let ``fault`` happen in so many seconds."""
        self._fault = fault
        self._due = due = self._clock.seconds() + seconds
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._expire)
        elif self._call.getTime() > due:
            self._call.reset(seconds)

    def stop(self) -> None:
        """Nothing is waited for, for now."""
        self._due = None

    def end(self) -> None:
        """Nothing will be waited for."""
        self._due = None
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _expire(self) -> None:
        self._call = None
        if self._due is None:
            return
        left = self._due - self._clock.seconds()
        if left > 0:
            self._call = self._clock.callLater(left, self._expire)
        else:
            self._due = None
            self._over(self._fault)
