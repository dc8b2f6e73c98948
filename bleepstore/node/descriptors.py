"""How many files this process may have open: enough for the connections that it is to serve."""

from __future__ import annotations

import resource
import select
from typing import Final

SELECTABLE: Final = 1024
"""The largest number that select(2) can watch, counted from 1 (FD_SETSIZE)."""

SPARE: Final = 256
"""For databases, logs, peers, the pool's own files, and what the libraries open."""


def descriptors_for(connections: int) -> int:
    """How many a server of so many connections may need: for each its socket and a file, or a
    connection to a cloud; and as many sockets again whose clients are told to slow down."""
    return 3 * connections + SPARE


def raise_limit(wanted: int) -> int:
    """Raise the soft limit of open files to that, or to the hard limit if this is lower; an own
    limit that is higher already is left.

    The usual soft limit is 1,024 for the sake of programs that call select(2), which is all that
    keeps others from raising it (systemd.exec(5), "Process Properties").  So where the reactor may
    have nothing better, it is not raised beyond that.  (On macOS it is 256.)

    :returns: the soft limit from now on, at most ``wanted``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    aim = wanted if hasattr(select, "epoll") else min(wanted, SELECTABLE)
    if _least(aim, soft) == aim:
        return _least(wanted, soft)
    allowed = _least(aim, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def shortage(connections: int, allowed: int) -> list[str]:
    """What the operator should know of a limit that is too low."""
    wanted = descriptors_for(connections)
    if allowed >= wanted:
        return []
    return [
        f"This process may have {allowed} files open, and {connections} connections "
        f"(server.max_connections) can need {wanted}: requests may fail for want of them. Raise "
        "its limit (ulimit -n, LimitNOFILE), or lower the setting."
    ]


def _least(wanted: int, limit: int) -> int:
    return wanted if limit == resource.RLIM_INFINITY else min(wanted, limit)
