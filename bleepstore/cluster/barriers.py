"""Those who wait until this node's state is fresh enough to be read (thesis section 6.4).

All that come in one turn share one round of confirmation; then they wait until what it named is
applied.  A round that nobody confirmed is asked for again, until the time of each is over.

Knows rounds, indexes and times; neither Raft nor the state.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from twisted.internet.defer import Deferred

from bleepstore.errors import ServiceUnavailable

UNCONFIRMED = "No leader confirmed in time that this node is up to date."
STOPPING = "The node is stopping."


class _Group:
    """Those who came in one turn."""

    __slots__ = ("deadline", "waiting")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.waiting: list[Deferred[None]] = []

    def open(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    def refuse(self, message: str) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.errback(ServiceUnavailable(message))


class Barriers:
    """:ivar rounds: how many were asked for.
    :ivar passed: how many barriers were passed.
    """

    def __init__(self, patience: float, now: Callable[[], float]) -> None:
        """:param patience: seconds after which one who waits is refused."""
        self._patience = patience
        self._now = now
        self._fresh: _Group | None = None
        self._again: list[_Group] = []
        self._asked: dict[int, list[_Group]] = {}
        self._confirmed: list[tuple[int, int, list[_Group]]] = []
        self._stopped = False
        self._passed_at = -inf
        self.rounds = 0
        self.passed = 0

    def __len__(self) -> int:
        return sum(len(group.waiting) for group in self._groups())

    def wait(self) -> Deferred[None]:
        """Fires when the state has everything that was acknowledged before the call.

        :raises ServiceUnavailable: the node is stopping.
        """
        if self._stopped:
            raise ServiceUnavailable(STOPPING)
        if self._fresh is None:
            self._fresh = _Group(self._now() + self._patience)
        waiting: Deferred[None] = Deferred()
        self._fresh.waiting.append(waiting)
        return waiting

    def passed_within(self, seconds: float) -> bool:
        """Whether any was passed in the last so many seconds."""
        return self._now() - self._passed_at <= seconds

    @property
    def due(self) -> bool:
        """Whether a round is to be asked for."""
        return self._fresh is not None

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return not (self._fresh or self._again or self._asked or self._confirmed)

    def ask(self) -> int:
        """The number of the round that those who are due wait for from now on."""
        groups, self._again = self._again, []
        if self._fresh is not None:
            groups.append(self._fresh)
        self._fresh = None
        self.rounds += 1
        self._asked[self.rounds] = groups
        return self.rounds

    def answered(self, number: int, index: int, applied: int) -> None:
        """A round has its answer.

        :param index: to be applied first; -1: nobody confirmed it.
        :param applied: what is.
        """
        groups = self._asked.pop(number, [])
        if index < 0:
            self._again += groups
        elif index <= applied:
            self._open(groups)
        else:
            heappush(self._confirmed, (index, number, groups))

    def applied(self, index: int) -> None:
        """Reads see everything up to an index."""
        while self._confirmed and self._confirmed[0][0] <= index:
            self._open(heappop(self._confirmed)[2])

    def retry(self) -> None:
        """Ask again for what nobody confirmed: there is a leader, or some time has passed."""
        if self._again and self._fresh is None:
            self._fresh = self._again.pop()

    def tick(self) -> None:
        """Some time has passed."""
        now = self._now()
        for group in self._groups():
            if group.deadline <= now:
                group.refuse(UNCONFIRMED)
        self._again = [group for group in self._again if group.waiting]
        self.retry()

    def stop(self) -> None:
        """Refuse all."""
        self._stopped = True
        for group in self._groups():
            group.refuse(STOPPING)
        self._fresh = None
        self._again.clear()

    def _open(self, groups: list[_Group]) -> None:
        self._passed_at = self._now()
        for group in groups:
            self.passed += len(group.waiting)
            group.open()

    def _groups(self) -> list[_Group]:
        found = [*self._again]
        if self._fresh is not None:
            found.append(self._fresh)
        for groups in self._asked.values():
            found += groups
        for _, _, groups in self._confirmed:
            found += groups
        return found
