"""One deadline at a time: what an exchange waits for, and for how long."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bleepstore.remote.failures import Fault


class Countdown:
    """Counts down for one fault; a new start replaces the one before.

    :param over: called with the fault when time is up, once.
    """

    __slots__ = ("_call", "_clock", "_fault", "_over")

    def __init__(self, clock: IReactorTime, over: Callable[[Fault], None]) -> None:
        self._clock = clock
        self._over = over
        self._call: IDelayedCall | None = None
        self._fault = Fault.STALLED

    def start(self, seconds: float, fault: Fault) -> None:
        """Let ``fault`` happen in so many seconds."""
        self._fault = fault
        if self._call is not None:
            self._call.reset(seconds)
        else:
            self._call = self._clock.callLater(seconds, self._expire)

    def stop(self) -> None:
        """Nothing is waited for."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _expire(self) -> None:
        self._call = None
        self._over(self._fault)
