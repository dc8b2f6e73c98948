"""How far one peer is, as its leader sees it, and what may be sent to it next.

A peer is in one of three states.  PROBE: where its log meets the leader's is not known; one
AppendEntries at a time finds it.  REPLICATE: it is known, and AppendEntries follow each other
without waiting for answers (thesis section 10.2.1, pipelining), up to a bound.  SNAPSHOT: what it
lacks is not in the log any more; nothing but heartbeats until a snapshot has arrived.

Knows indexes; no log, no messages.
"""

from __future__ import annotations

from collections import deque
from enum import Enum


class ProgressState(Enum):
    """See the module."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


PROBE, REPLICATE, SNAPSHOT = ProgressState

DENIALS = 3
"""Answers in a row that must deny what was acknowledged, before it is taken to be lost."""


class Progress:
    """One peer.

    :ivar match: the last index known to match the leader's log and to be durable there
        (paper, figure 2: matchIndex); never decreases.
    :ivar next: the first index to send next (nextIndex); always above ``match``.
    :ivar heard: the tick at which it was last heard of.
    :ivar round: the latest round of confirmation that it answered.
    :ivar told: the commit index that it was last told.
    :ivar awaited: the last index for which somebody there waits to have it applied.
    :ivar beat: a heartbeat to it is due.
    :ivar denied: how many answers in a row have denied what it had acknowledged.
    :ivar paused: a probe is under way, or was given up until the next heartbeat.
    """

    __slots__ = (
        "awaited", "beat", "denied", "heard", "inflight", "match", "next", "paused", "round",
        "state", "told",
    )  # fmt: skip

    def __init__(self, next_index: int, heard: int) -> None:
        self.match = 0
        self.next = next_index
        self.state = PROBE
        self.heard = heard
        self.round = 0
        self.told = 0
        self.awaited = 0
        self.beat = False
        self.denied = 0
        self.paused = False
        self.inflight: deque[int] = deque()

    def may_send(self, max_inflight: int) -> bool:
        """Whether an AppendEntries with entries may leave now."""
        if self.state is REPLICATE:
            return len(self.inflight) < max_inflight
        return self.state is PROBE and not self.paused

    def sent(self, last: int) -> None:
        """Entries up to an index have left."""
        if self.state is REPLICATE:
            self.next = last + 1
            self.inflight.append(last)
        else:
            self.paused = True

    def acknowledged(self, index: int) -> bool:
        """It has everything up to an index, durably.

        :returns: whether that is news.
        """
        self.denied = 0
        inflight = self.inflight
        while inflight and inflight[0] <= index:
            inflight.popleft()
        news = index > self.match
        if news:
            self.match = index
        if self.state is PROBE and index >= self.next - 1:
            self.replicate()
            return True
        if self.next <= self.match:
            self.next = self.match + 1
        return news

    def rejected(self, index: int, retry: int) -> bool:
        """Its log has no entry that matches the leader's at an index.

        :param retry: where to try next.
        :returns: False if that was an answer to something older.
        """
        stale = index != self.next - 1 if self.state is PROBE else index <= self.match
        if stale or self.state is SNAPSHOT:
            return False
        denies = index == self.match > 0
        self.denied += denies
        self.probe(min(retry, index), paused=denies)  # there is nothing earlier to try
        return True

    @property
    def forgetful(self) -> bool:
        """It has lost what it had acknowledged: an answer that was late could deny it once."""
        return self.denied >= DENIALS

    def replicate(self) -> None:
        """Its log matches the leader's up to ``match``: send without waiting."""
        self.state = REPLICATE
        self.next = self.match + 1
        self.paused = False
        self.inflight.clear()

    def probe(self, next_index: int, *, paused: bool = False) -> None:
        """Find out where its log meets the leader's, from an index on."""
        self.state = PROBE
        self.next = max(next_index, self.match + 1)
        self.paused = paused
        self.inflight.clear()

    def await_snapshot(self) -> None:
        """It needs a snapshot."""
        self.state = SNAPSHOT
        self.inflight.clear()
