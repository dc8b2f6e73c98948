"""Why the core would not take something in: for the driver, which waits, asks another, or gives up.

These are not the domain's errors: no client of the store ever sees one.
"""

from __future__ import annotations


class NotLeader(Exception):
    """Only the leader takes this in, and this node does not lead, or is handing over.

    :ivar leader: whom this node takes for the leader; empty: nobody is known.
    """

    def __init__(self, leader: str = "") -> None:
        super().__init__(f"not the leader; it is {leader or 'not known'}")
        self.leader = leader


class Overloaded(Exception):
    """Too much is waiting to be committed; nothing was taken in.  Try again when some of it is."""


class ChangeInProgress(Exception):
    """A change of the members must wait: for the one before it to be committed, or for this
    leader to have committed anything in its term (thesis section 4.1, and the correction of it:
    D. Ongaro, "bug in single-server membership changes", raft-dev, 2015)."""
