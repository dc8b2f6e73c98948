"""Waits on the clock that end early when a part stops."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Pauses:
    """All pauses of one part."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._calls: dict[Deferred[None], IDelayedCall] = {}
        self._over = False

    def pause(self, seconds: float) -> Deferred[None]:
        """Fires after so many seconds, or once :meth:`end` is called."""
        over: Deferred[None] = Deferred()
        if self._over:
            over.callback(None)
        else:
            self._calls[over] = self._clock.callLater(seconds, self._resume, over)
        return over

    def end(self) -> None:
        """End all, and those that are asked for later at once."""
        self._over = True
        for over, call in tuple(self._calls.items()):
            call.cancel()
            self._resume(over)

    def _resume(self, over: Deferred[None]) -> None:
        del self._calls[over]
        over.callback(None)
