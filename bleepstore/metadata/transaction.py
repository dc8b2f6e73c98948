"""One open transaction: its statements, and the counters that every command may move.

Knows the tables ``state`` and ``buckets``, and no command.  An apply function gets nothing but
this and its command, so it cannot help being deterministic.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import Any, TypeVar

from bleepstore.errors import NoSuchBucket
from bleepstore.metadata.schema import COUNTERS

R = TypeVar("R")

Steps = Generator[None, None, R]
"""Work in small pieces: each ``yield`` marks a place where, about every half a millisecond,
other work may be done *outside* this transaction.  The result is what the generator returns."""

SLICE = 256
"""Rows handled between two yields."""


class Transaction:
    """The state that a group of commands works on, from BEGIN to COMMIT or ROLLBACK.

    :ivar execute: run one statement.
    :ivar written: bytes of manifests stored so far: what the row count does not show of the
        write-ahead log's growth.
    """

    __slots__ = (
        "_bucket_ids",
        "_stored",
        "buckets",
        "execute",
        "next_bucket",
        "next_content",
        "objects",
        "written",
    )

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.written = 0
        self._stored: dict[str, int] = {}
        self._bucket_ids: dict[str, int] = {}
        self.buckets = self.objects = self.next_bucket = self.next_content = 0

    def load(self) -> None:
        """Read the counters; the first thing in every transaction."""
        self._stored = dict(self.execute("SELECT name, value FROM state").fetchall())
        for name in COUNTERS:
            setattr(self, name, self._stored[name])

    def store(self) -> None:
        """Write the counters that moved; the last thing before COMMIT."""
        for name in COUNTERS:
            if (value := getattr(self, name)) != self._stored[name]:
                self.execute("UPDATE state SET value = ? WHERE name = ?", (value, name))

    def counters(self) -> tuple[int, ...]:
        """The counters as they stand, for :meth:`restore`."""
        return self.buckets, self.objects, self.next_bucket, self.next_content

    def restore(self, counters: tuple[int, ...]) -> None:
        """Undo what a command did to the counters, when its rows are rolled back."""
        self._bucket_ids.clear()
        self.buckets, self.objects, self.next_bucket, self.next_content = counters

    def bucket_id(self, name: str) -> int:
        """The id of a bucket; that of most commands of a group is known from the first.

        :raises NoSuchBucket: there is none of this name.
        """
        known = self._bucket_ids.get(name)
        if known is not None:
            return known
        row: tuple[Any, ...] | None = self.execute(
            "SELECT id FROM buckets WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise NoSuchBucket(BucketName=name)
        bucket_id: int = row[0]
        self._bucket_ids[name] = bucket_id
        return bucket_id

    def forget_bucket(self, name: str) -> None:
        """It is deleted; one that is created under its name has another id."""
        self._bucket_ids.pop(name, None)
