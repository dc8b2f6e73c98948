"""One after another: changes of one name wait for each other, those of others do not.

Process-local.  Knows names and nothing of what is done in a turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType

from twisted.internet.defer import Deferred


class Turns:
    """Gives turns, first come first served.  All methods belong to the reactor's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Deferred[None]]] = {}

    def of(self, name: str) -> Turn:
        """Wait for the turn of a name, and have it until the block ends (``async with``).

        Not to be nested: who has a turn and waits for another may wait for ever.
        """
        return Turn(self, name)

    @asynccontextmanager
    async def of_all(self, names: Iterable[str]) -> AsyncIterator[None]:
        """The turns of several names at once, taken in the names' order, so that two who want
        the same ones never wait for each other."""
        taken: list[str] = []
        try:
            for name in sorted(set(names)):
                await self.take(name)
                taken.append(name)
            yield
        finally:
            for name in taken:
                self.give(name)

    def is_taken(self, name: str) -> bool:
        """Whether somebody has the turn."""
        return name in self._waiting

    async def take(self, name: str) -> None:
        """Wait for the turn of a name; each is given back by :meth:`give`."""
        queue = self._waiting.get(name)
        if queue is None:
            self._waiting[name] = deque()
            return
        turn: Deferred[None] = Deferred()
        queue.append(turn)
        try:
            await turn
        except BaseException:
            # Cancelled while it waited; the turn that would have come is passed on.
            if turn in queue:
                queue.remove(turn)
            raise

    def give(self, name: str) -> None:
        """Give a turn back."""
        queue = self._waiting[name]
        while queue:
            turn = queue.popleft()
            if not turn.called:
                turn.callback(None)
                return
        del self._waiting[name]


class Turn:
    """The turn of one name, as a block."""

    __slots__ = ("_name", "_turns")

    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name

    async def __aenter__(self) -> None:
        await self._turns.take(self._name)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.give(self._name)
