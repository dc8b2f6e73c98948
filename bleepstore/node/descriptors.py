"""How many files this process may have open: enough for the connections that it is to serve."""

from __future__ import annotations

import resource
import select
from typing import Final

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
    keeps others from raising it (systemd.exec(5), "Process Properties").  So it is left where the
    reactor has nothing better.

    :returns: the soft limit from now on, at most ``wanted``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _least(wanted, soft)
    if allowed == wanted or not hasattr(select, "epoll"):
        return allowed
    allowed = _least(wanted, hard)
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
