"""The engine that keeps nothing: the same database and commands, in memory.

Everything is lost when the process ends.  It is for tests, for trying things out, and for
stores whose bytes live in memory too.  Commands are applied at once, one by one, without
threads; so nothing here ever suspends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from zope.interface import implementer

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.metadata.database import open_in_memory
from bleepstore.metadata.digest import digest
from bleepstore.metadata.groupcommit import Counters
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.queries import Queries
from bleepstore.metadata.reader import Reader
from bleepstore.model.commands import AnyCommand, Result

T = TypeVar("T")


@implementer(IMetadataStore, IPart)
class MemoryMetadata(Queries):
    """Metadata in memory: whole and in order as on disk, but lost with the process.

    :ivar counters: as of the durable engine; a "commit" is one command and no fsync.
    :ivar site: of the durable engine; this one begins anew each time, wherever it is put.
    """

    site = None

    def __init__(self) -> None:
        connection = open_in_memory()
        self._reader = Reader(connection)
        self.machine = StateMachine(lambda: connection)
        self.counters = Counters()
        self._stopped = False

    async def start(self) -> None:
        """It serves from the beginning."""

    async def stop(self) -> None:
        """See :class:`IPart`.  All is lost."""
        self._stopped = True
        self._reader.close()

    async def submit(self, command: AnyCommand) -> Result:
        """See :class:`IMetadataStore`."""
        if self._stopped:
            raise ServiceUnavailable("The store is stopping.")
        (outcome,) = self.machine.apply_group((command,))
        counters = self.counters
        counters.commands += 1
        counters.commits += 1
        counters.last_group = counters.largest_group = 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def digest(self) -> str:
        """The hash of all content, equal on all databases with the same history."""
        return digest(self._reader)

    async def _scan(self, query: Callable[..., T], *args: object) -> T:
        return query(self._reader, *args)
