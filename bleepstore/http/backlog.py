"""Large answers that their clients do not take, and how much of the memory they may hold together.

A streamed answer waits for its client piece by piece, and a piece has 1 MiB at most.  One that is
made whole, such as a page of a listing with long keys, may have several, and waits as a whole for
as long as the client takes a byte now and then.  When too much waits, the connections whose answers
have waited longest are cut: who reads at all is done long before its answer is the oldest.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from bleepstore.http.complaints import Complaint

LARGE_ANSWER: Final = 1024 * 1024
"""Bytes that may wait on every connection; an answer that has more is minded."""

BACKLOG: Final = 128 * 1024 * 1024
"""Bytes of large answers that may wait together."""


class Sender(Protocol):
    """A connection."""

    def unsent(self) -> int:
        """Bytes that wait for the client."""

    def abort(self) -> None:
        """Cut it."""


class Backlog:
    """Which connections have large answers that wait, the oldest first.

    :param most: bytes.
    """

    def __init__(self, reactor: IReactorTime, most: int = BACKLOG) -> None:
        self._most = most
        self._senders: dict[Sender, None] = {}
        self._cut = Complaint(
            reactor,
            "Clients leave more than {most} bytes of answers unread: those that have waited "
            "longest are cut",
        )

    def add(self, sender: Sender) -> None:
        """A large answer was written."""
        self._senders.pop(sender, None)
        if not sender.unsent():
            return
        waiting = {one: size for one in self._senders if (size := one.unsent())}
        waiting[sender] = sender.unsent()
        total = sum(waiting.values())
        while total > self._most and len(waiting) > 1:
            oldest = next(iter(waiting))
            total -= waiting.pop(oldest)
            self._cut.make(most=self._most)
            oldest.abort()
        self._senders = dict.fromkeys(waiting)

    def remove(self, sender: Sender) -> None:
        """A connection is gone."""
        self._senders.pop(sender, None)
