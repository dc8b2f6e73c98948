"""How many pipelined requests are served in one turn of the reactor, over all connections.

Each connection may serve some of what its client has sent in a row, which costs less than a turn
for each.  Where many connections do so at once, the turn would take seconds, and a client that
asks for one thing wait for it.  So all of them have a number of requests together; when it is used
up, each serves one in a turn.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

TOGETHER: Final = 256
"""Requests behind the first of each connection: some 50 ms of them."""


class Crowd:
    """The pipelined requests of a turn.

    :param clock: its ``callLater(0, …)`` is the next turn.
    """

    def __init__(self, clock: IReactorTime, most: int = TOGETHER) -> None:
        self._clock = clock
        self._most = most
        self._left = most
        self._due = False

    def may_serve(self) -> bool:
        """Whether another one may be served in this turn; it counts as served."""
        if not self._due:
            self._due = True
            self._clock.callLater(0, self._renew)
        if not self._left:
            return False
        self._left -= 1
        return True

    def _renew(self) -> None:
        self._due = False
        self._left = self._most
