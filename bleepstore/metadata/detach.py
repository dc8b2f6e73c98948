"""Make an embedded store's database of a replica's: forget where it stood in its cluster's log."""

from __future__ import annotations

from pathlib import Path

from bleepstore.metadata.database import Database
from bleepstore.metadata.machine import MARK, StateMachine


def applied_index(path: str | Path) -> int:
    """Where a database stands in a log; 0: it is an embedded store's.

    :raises UnusableDatabase: it cannot be used.
    """
    database = Database(path)
    try:
        return StateMachine(lambda: database.writer).mark()
    finally:
        database.close()


def detach(path: str | Path) -> int:
    """Forget the applied index and the proposals that were met, durably, and nothing else.

    The database must be in nobody's use.

    :returns: the index at which it stood; 0: it stood at none.
    :raises UnusableDatabase: it cannot be used.
    :raises sqlite3.Error: the disk failed; nothing was changed.
    """
    database = Database(path)
    try:
        writer = database.writer
        index = StateMachine(lambda: writer).mark()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM sessions")
        writer.execute("DELETE FROM state WHERE name = ?", (MARK,))
        writer.execute("COMMIT")
        return index
    finally:
        database.close()
