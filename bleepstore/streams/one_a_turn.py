"""Work that stops the reactor for milliseconds, a piece in each of its turns.

Whatever a thread has made ready is handed to the reactor at once; a hundred pieces of such work
that become ready together would keep everybody else waiting for all of them.  So they queue, and
between two the reactor serves others.

Knows a clock, and nothing of the work.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class OneATurn:
    """Lets one through in a turn of the reactor, in the order in which they came."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._taken = False
        self._waiting: deque[Deferred[None]] = deque()

    async def turn(self) -> None:
        """Return when it is the caller's turn: at once, if nobody else had this one."""
        if not self._taken:
            self._taken = True
            self._clock.callLater(0, self._over)
            return
        mine: Deferred[None] = Deferred()
        self._waiting.append(mine)
        await mine

    def _over(self) -> None:
        waiting = self._waiting
        while waiting:
            following = waiting.popleft()
            if not following.called:  # it was cancelled
                self._clock.callLater(0, self._over)
                following.callback(None)
                return
        self._taken = False
