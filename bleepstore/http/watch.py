"""One connection's deadlines, which somebody else's clock compares from time to time."""

from __future__ import annotations

from collections.abc import Callable

from bleepstore.http.outbound import Outbound


class Watch:
    """What a connection waits for, and whether its client still takes what is written.

    :param seconds: the clock.
    :param patience: seconds after which a client that takes no byte is given up.
    """

    __slots__ = ("_checked", "_deadline", "_expire", "_patience", "_seconds", "_stalled", "_taken")

    def __init__(self, seconds: Callable[[], float], patience: float) -> None:
        self._seconds = seconds
        self._patience = patience
        self._deadline = 0.0
        self._expire: Callable[[], None] | None = None
        self._checked = seconds()
        self._taken = 0
        self._stalled: float | None = None  # since when, while something is unsent

    def expect(self, within: float, otherwise: Callable[[], None]) -> None:
        """Call ``otherwise`` after so many seconds, in place of what was expected before."""
        self._deadline = self._seconds() + within
        self._expire = otherwise

    def expects(self, otherwise: Callable[[], None]) -> bool:
        """Whether this is what will be called."""
        return self._expire == otherwise

    def clear(self) -> None:
        """Nothing is expected."""
        self._expire = None

    def check(self, now: float, outbound: Outbound, responding: bool) -> None:
        """Call what is due; cut off a client that takes nothing.

        :param responding: whether a response is under way.  When it is not, but its bytes still
            leave, the client is given its time from when it has them all.
        """
        if outbound.unsent():
            taken = outbound.taken()
            if self._stalled is None or taken > self._taken:
                self._taken = taken
                self._stalled = now
            elif now - self._stalled >= self._patience:
                self._expire = None
                outbound.abort()
                return
            if not responding:
                self._deadline += max(0.0, now - self._checked)
        else:
            self._stalled = None
        self._checked = now
        if self._expire is not None and now >= self._deadline:
            expire, self._expire = self._expire, None
            expire()
