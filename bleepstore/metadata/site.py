"""Which place in a cloud the objects of a database lie in, as the database remembers it.

An index that is put before another bucket, prefix or account takes all of its objects for deleted
by somebody else, one after another, as they are asked for.  So the place is recorded with the
first start, and compared at each later one.  It is no part of the state that commands work on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from bleepstore.model.locators import parse_locator

_NAME = "site "
"""Begins the name of the row in ``state`` that has the site behind it; its value says nothing."""

_IN_USE = ("versions", "uploads", "blobs", "released", "intents")
"""Tables that are empty while nothing lies anywhere."""


class Site:
    """The site of one database.

    :param writer: gives the writing connection.
    """

    def __init__(self, writer: Callable[[], sqlite3.Connection]) -> None:
        self._writer = writer

    def get(self) -> str:
        """What is recorded; empty: nothing is."""
        row = self._writer().execute(
            "SELECT name FROM state WHERE substr(name, 1, ?) = ?", (len(_NAME), _NAME)
        )
        found = row.fetchone()
        return "" if found is None else str(found[0]).removeprefix(_NAME)

    def record(self, site: str) -> None:
        """Remember a site in the place of what was recorded, durably.

        :raises sqlite3.Error: the disk failed; nothing was changed.
        """
        writer = self._writer()
        writer.execute("BEGIN IMMEDIATE")
        try:
            writer.execute("DELETE FROM state WHERE substr(name, 1, ?) = ?", (len(_NAME), _NAME))
            writer.execute("INSERT INTO state VALUES (?, 0)", (_NAME + site,))
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def is_used(self) -> bool:
        """Whether anything is described that lies somewhere."""
        return any(
            self._writer().execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in _IN_USE
        )

    def names_blobs(self) -> bool:
        """Whether anything is described whose bytes are elsewhere."""
        return self._writer().execute("SELECT 1 FROM blobs LIMIT 1").fetchone() is not None

    def is_in_cloud(self) -> bool:
        """Whether what is described lies in some cloud, by the first blob."""
        row = self._writer().execute("SELECT blob_id FROM blobs LIMIT 1").fetchone()
        return row is not None and parse_locator(row[0]) is not None
