"""A replica in memory that can lose power: the real state machine on a database that a
simulation crashes.

What it is after a crash is what a file could be: the state as of the last sync, or as of any
group that was committed after it.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from bleepstore.interfaces.replication import Verdict
from bleepstore.metadata.copies import mark_of
from bleepstore.metadata.database import open_in_memory
from bleepstore.metadata.digest import digest
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.replica import MetadataReplica
from bleepstore.metadata.snapshot import Snapshot
from bleepstore.raft.messages import Entry
from bleepstore.streams.threads import ImmediateThreads


class _Shared(sqlite3.Connection):
    """The only connection to its database: those who got it to read do not close it."""

    def close(self) -> None:
        pass


class MemoryDatabase:
    """A ``ReplicaDatabase`` of one connection.

    :ivar durable: its image as of the last sync.
    """

    def __init__(self, image: bytes, files: dict[str, bytes]) -> None:
        """:param files: the disk that copies are on, by path; it outlives crashes."""
        self.durable = image
        self.files = files
        self.writer = sqlite3.connect(":memory:", isolation_level=None, factory=_Shared)
        self._become(image)

    def point_reader(self, clock: IReactorTime) -> tuple[Reader, Snapshot | None]:
        return Reader(self.writer), None

    def open_reader(self) -> sqlite3.Connection:
        return self.writer

    def open_checkpointer(self) -> sqlite3.Connection:
        return self.writer

    def sync(self) -> None:
        self.durable = self.writer.serialize()

    def copy(self, path: str) -> int:
        self.files[path] = self.writer.serialize()
        return mark_of(self.writer)

    def replace(self, path: str, index: int) -> int:
        image = self.files.get(path)
        if image is None:
            raise ValueError(f"{path} is no copy: there is no such file")
        try:
            self._become(image, index)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no copy") from error
        self.durable = image
        return len(image)

    def close(self) -> None:
        super(_Shared, self.writer).close()

    def _become(self, image: bytes, index: int | None = None) -> None:
        other = sqlite3.connect(":memory:", isolation_level=None)
        try:
            other.deserialize(image)
            if index is not None and mark_of(other) != index:
                raise ValueError(f"the copy stands at {mark_of(other)}, not at {index}")
            other.backup(self.writer)  # to deserialize into a connection in use crashes SQLite
        finally:
            other.close()


class _AtOnce(Clock):
    """A clock of a reactor that has nothing else to do: a pause is over when it begins.  (The
    slices of a group must not be seen by readers that share the writer's connection.)"""

    def callLater(
        self, delay: float, function: Callable[..., object], *args: Any, **more: Any
    ) -> Any:
        function(*args, **more)


class MemoryReplica(MetadataReplica):
    """The state machine of a simulated node.

    Provides IStateMachine.  Nothing it does suspends: how long applying, syncing and copying take
    is the simulation's affair, which wraps it.
    """

    def __init__(self, files: dict[str, bytes], image: bytes = b"") -> None:
        """
        :param files: the node's disk, for copies, by path; it outlives crashes.
        :param image: a state to begin with; empty: a new database.
        """
        self._memory = MemoryDatabase(image or _new(), files)
        self._unsynced: list[tuple[Entry, ...]] = []
        super().__init__(self._memory, _AtOnce(), ImmediateThreads())

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Verdict]:
        verdicts = await super().apply(entries)
        if entries:
            self._unsynced.append(tuple(entries))
        return verdicts

    async def sync(self) -> int:
        index = await super().sync()
        self._unsynced.clear()
        return index

    async def replace(self, path: str, index: int) -> None:
        await super().replace(path, index)
        self._unsynced.clear()

    def killed(self) -> MemoryReplica:
        """What the next process finds after SIGKILL: all that was committed."""
        return self._after(len(self._unsynced))

    def crashed(self, dice: random.Random) -> MemoryReplica:
        """What the next process finds after a power cut: all that was synced, and as many of the
        groups after it as the dice say."""
        return self._after(dice.randint(0, len(self._unsynced)))

    def fingerprint(self) -> str:
        """The digest, at once."""
        return digest(Reader(self._memory.writer))

    def _after(self, groups: int) -> MemoryReplica:
        memory = self._memory
        again = MemoryReplica(memory.files, memory.durable)
        for entries in self._unsynced[:groups]:
            waiting = again.apply(entries)
            try:
                waiting.send(None)
            except StopIteration:
                continue
            raise AssertionError("it suspended")
        memory.close()
        return again


def _new() -> bytes:
    """The image of a database with nothing in it."""
    connection = open_in_memory()
    try:
        return connection.serialize()
    finally:
        connection.close()
