"""One after another: changes of one name wait for each other, those of others do not.

Process-local.  Knows names and nothing of what is done in a turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred


class Turns:
    """Gives turns, first come first served.  All methods belong to the reactor's thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Deferred[None]]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn of a name, and have it until the block ends.

        Not to be nested: who has a turn and waits for another may wait for ever.
        """
        await self._take(name)
        try:
            yield
        finally:
            self._give(name)

    @asynccontextmanager
    async def of_all(self, names: Iterable[str]) -> AsyncIterator[None]:
        """The turns of several names at once, taken in the names' order, so that two who want
        the same ones never wait for each other."""
        taken: list[str] = []
        try:
            for name in sorted(set(names)):
                await self._take(name)
                taken.append(name)
            yield
        finally:
            for name in taken:
                self._give(name)

    def is_taken(self, name: str) -> bool:
        """Whether somebody has the turn."""
        return name in self._waiting

    async def _take(self, name: str) -> None:
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

    def _give(self, name: str) -> None:
        queue = self._waiting[name]
        while queue:
            turn = queue.popleft()
            if not turn.called:
                turn.callback(None)
                return
        del self._waiting[name]
