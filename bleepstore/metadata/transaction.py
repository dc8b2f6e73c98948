"""One open transaction: its statements, and the counters that every command may move.

Knows the tables ``state`` and ``buckets``, and no command.  An apply function gets nothing but
this and its command, so it cannot help being deterministic.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import TypeVar

from bleepstore.errors import NoSuchBucket
from bleepstore.metadata.records import access_of
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
    :ivar contents_are_shared: whether any two versions may have one content.
    :ivar new_contents: rows of ``contents`` that are yet to be written, all of a group at once.
    :ivar old_contents: ids of those that are yet to be deleted, after the new ones are written.
    """

    __slots__ = (
        "_accesses",
        "_buckets",
        "_connection",
        "_stored",
        "buckets",
        "contents_are_shared",
        "execute",
        "new_contents",
        "next_bucket",
        "next_content",
        "objects",
        "old_contents",
        "written",
    )

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.execute = connection.execute
        self.written = 0
        self.contents_are_shared = True
        self.new_contents: list[tuple[int, bytes]] = []
        self.old_contents: list[tuple[int]] = []
        self._stored: dict[str, int] = {}
        self._buckets: dict[str, tuple[int, str]] = {}
        self._accesses: dict[str, bytes] = {}
        self.buckets = self.objects = self.next_bucket = self.next_content = 0

    def load(self) -> None:
        """Read the counters; the first thing in every transaction."""
        self._stored = dict(self.execute("SELECT name, value FROM state").fetchall())
        for name in COUNTERS:
            setattr(self, name, self._stored[name])
        shared = self.execute("SELECT EXISTS (SELECT 1 FROM shares)").fetchone()
        self.contents_are_shared = bool(shared[0])

    def store(self) -> None:
        """Write the contents that wait, and the counters that moved; the last thing before
        COMMIT."""
        self.write_contents()
        for name in COUNTERS:
            if (value := getattr(self, name)) != self._stored[name]:
                self.execute("UPDATE state SET value = ? WHERE name = ?", (value, name))

    def write_contents(self) -> None:
        """Write and delete the contents that wait for it: a statement for many costs each half."""
        if self.new_contents:
            self._connection.executemany("INSERT INTO contents VALUES (?, ?)", self.new_contents)
            self.new_contents.clear()
        if self.old_contents:
            self._connection.executemany(
                "DELETE FROM contents WHERE content_id = ?", self.old_contents
            )
            self.old_contents.clear()

    def counters(self) -> tuple[int, ...]:
        """The counters as they stand, for :meth:`restore`."""
        return (
            self.buckets,
            self.objects,
            self.next_bucket,
            self.next_content,
            len(self.new_contents),
            len(self.old_contents),
        )

    def restore(self, counters: tuple[int, ...]) -> None:
        """Undo what a command did to the counters, when its rows are rolled back."""
        self._buckets.clear()
        self._accesses.clear()
        self.buckets, self.objects, self.next_bucket, self.next_content, new, old = counters
        del self.new_contents[new:], self.old_contents[old:]

    def bucket_id(self, name: str, owner_id: str = "") -> int:
        """The id of a bucket; that of most commands of a group is known from the first.

        :param owner_id: whose it must be; empty: whoever's.
        :raises NoSuchBucket: there is none of this name, or another's.
        """
        known = self._buckets.get(name)
        if known is None:
            known = self.execute(
                "SELECT id, owner_id FROM buckets WHERE name = ?", (name,)
            ).fetchone()
            if known is None:
                raise NoSuchBucket(BucketName=name)
            self._buckets[name] = known
        if owner_id and owner_id != known[1]:
            raise NoSuchBucket(BucketName=name)
        return known[0]

    def access(self, name: str) -> bytes:
        """Of a bucket that is there, see ``records.access_of``."""
        known = self._accesses.get(name)
        if known is None:
            (raw,) = self.execute("SELECT record FROM buckets WHERE name = ?", (name,)).fetchone()
            known = self._accesses[name] = access_of(raw)
        return known

    def forget_bucket(self, name: str) -> None:
        """It is deleted, or changed: what is known of it is so no longer."""
        self._buckets.pop(name, None)
        self._accesses.pop(name, None)
