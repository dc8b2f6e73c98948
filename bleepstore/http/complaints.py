"""Warnings about what no access log can show, because no request was served."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

INTERVAL: Final = 60.0
"""Seconds between two of a kind."""

_log = Logger()


class Complaint:
    """One warning, which is not repeated for a minute.

    :param words: a format of Twisted's, with the names of what :meth:`make` is given.
    """

    def __init__(self, reactor: IReactorTime, words: str) -> None:
        self._reactor = reactor
        self._words = words + "{more}"
        self._untold = 0
        self._told: float | None = None

    def make(self, **values: object) -> None:
        """Log it, with how often it was not since the last time."""
        now = self._reactor.seconds()
        if self._told is not None and 0 <= now - self._told < INTERVAL:
            self._untold += 1
            return
        untold, self._untold, self._told = self._untold, 0, now
        more = f" ({untold} more since the last such line)" if untold else ""
        _log.warn(self._words, more=more, **values)
