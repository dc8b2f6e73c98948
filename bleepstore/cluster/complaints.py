"""What peers do wrong, said in the log at most once a minute for each peer and reason.

A peer that sends garbage as fast as it can must not fill the log as well.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectError
from twisted.logger import Logger

EVERY = 60.0
"""Seconds between two lines about the same peer and reason."""

MOST = 1024
"""Pairs of peer and reason that are told apart; beyond, all others share one."""

_log = Logger()


class Complaints:
    """:param seconds: a clock that never goes back."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def say(self, peer: str, reason: str, detail: str) -> None:
        """Log, unless the like was logged within the minute.

        :param peer: a node's id, or an address.
        :param reason: one of a small fixed set.
        :param detail: the words of the line; what a peer sent must stand in it as a ``repr``.
        """
        now = self._seconds()
        key = (peer, reason)
        if key not in self._said and len(self._said) >= MOST:
            self._said = {k: v for k, v in self._said.items() if now - v[0] < EVERY}
            if len(self._said) >= MOST:
                key = ("", "")
        said, passed_over = self._said.get(key, (-EVERY, 0))
        if now - said < EVERY:
            self._said[key] = (said, passed_over + 1)
            return
        self._said[key] = (now, 0)
        more = f" ({passed_over} more since the last such line)" if passed_over else ""
        _log.warn("Peer {peer}: {detail}{more}", peer=peer, detail=detail, more=more)


def words_of(error: Exception) -> str:
    """Why a connection failed, in a few words.

    Where a router says that a network cannot be reached, Twisted's reactor closes the socket before
    it has asked for the error, and puts a whole Failure in its place.
    """
    if type(error) is ConnectError and error.osError is None:
        return "it is not reachable"
    return str(error) or type(error).__name__
