"""Why a node cannot use what is in its ``cluster.data_dir``; the messages are for the operator."""

from __future__ import annotations

import sqlite3

from bleepstore.files import FULL


class UnusableLog(RuntimeError):
    """The log cannot serve this node: it is another node's, another cluster's, another program's,
    of another version, or damaged.  One line that says which, and what to do."""


class DamagedLog(UnusableLog):
    """Something that was durable, and may have been promised to others, is gone or changed.

    A node that went on without it could vote twice in a term, or forget an entry that it helped
    to commit (thesis section 3.8: what is persistent must be), so it must not take part again
    under this name until it has received the state of the others.
    """

    def __init__(self, where: str, what: str) -> None:
        """:param where: the path of the file."""
        super().__init__(
            f"{where} is damaged: {what}. To use this node again, remove it from the cluster, "
            "empty cluster.data_dir and delete its metadata database, and let it join anew; or "
            "restore both from a backup of the whole cluster"
        )


def why_it_ends(error: BaseException | None) -> str:
    """What ends a node that runs, in one line: what to do as well, where that is known."""
    if isinstance(error, UnusableLog):
        return str(error)
    if _no_room(error):
        return (
            f"the disk of its log or its database is full ({error}). Make room, and start it "
            "again: it goes on with what it has"
        )
    return repr(error)


def _no_room(error: BaseException | None) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    full = isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None)
    return full == sqlite3.SQLITE_FULL
