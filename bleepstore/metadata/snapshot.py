"""One read transaction for all point reads of a turn of the reactor.

To begin and end a read of a write-ahead log takes two locks, which are system calls, and the first
read after a commit fetches anew what the commit has changed.  Under load a turn has dozens of point
reads, and a commit comes between any two of them; so they share one snapshot, and pay once.  It
halves what a point read costs beside writers.

What a snapshot must not do is hide a change from whoever has heard of it.  Answers leave, and
requests come in, once a turn; within a turn whoever learns of a change (from a commit, or from a
read on another connection) ends the snapshot first.

Knows a connection and a clock, and no table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from bleepstore.model.objects import Bucket

KnownBucket = tuple[int, Bucket, bytes]
"""A bucket's id, the bucket, and its record."""


class Snapshot:
    """The state that the reads of one turn see.  Belongs to one connection, on one thread.

    :ivar buckets: those that were read of it, by name; empty when it has ended.
    """

    __slots__ = ("_clock", "_connection", "_due", "_execute", "_open", "buckets")

    def __init__(self, connection: sqlite3.Connection, clock: IReactorTime) -> None:
        """:param clock: its ``callLater(0, …)`` is the end of the turn."""
        self._connection = connection
        self._execute: Callable[..., sqlite3.Cursor] = connection.execute
        self._clock = clock
        self._open = False
        self._due = False
        self.buckets: dict[str, KnownBucket] = {}

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        """Run a query on the turn's snapshot, which the first one makes."""
        if not self._open:
            self._execute("BEGIN")
            self._open = True
            if not self._due:
                self._due = True
                self._clock.callLater(0, self._end_of_turn)
        return self._execute(statement, values)

    def end(self) -> None:
        """Whoever reads next sees all that was committed before."""
        if self._open:
            self._open = False
            self.buckets.clear()
            if self._connection.in_transaction:  # SQLite ends it by itself after some failures
                self._execute("COMMIT")

    def _end_of_turn(self) -> None:
        self._due = False
        self.end()
