"""The measures of the core: time in ticks, memory in bytes."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True):
    """What an operator, or a test, may choose.  Every node of a cluster has the same ticks.

    :ivar election_ticks: after how many ticks without a word a follower may stand for election,
        and a leader gives up.  Each follower draws its own from [n, 1.5 n) (thesis section 3.4).
    :ivar heartbeat_ticks: between two heartbeats of a leader; at most half of ``election_ticks``.
    :ivar max_entries: entries in one AppendEntries.
    :ivar max_bytes: data in one AppendEntries and in one batch to apply; one entry always passes.
    :ivar max_inflight: unanswered AppendEntries with entries, for each peer.
    :ivar max_uncommitted_bytes: data that a leader takes in before it refuses more, and that any
        node holds before its disk has it.
    :ivar cache_bytes: of recent entries, kept so that peers and the state machine get them
        without a read of the disk.
    :ivar lease_reads: a leader answers reads without a round while its lease lasts (thesis section
        6.4.1).  Sound while no clock runs faster or slower than another by a quarter.
    :raises ValueError: they contradict each other.
    """

    election_ticks: int = 10
    heartbeat_ticks: int = 1
    max_entries: int = 64
    max_bytes: int = 1 << 20
    max_inflight: int = 8
    max_uncommitted_bytes: int = 32 << 20
    cache_bytes: int = 8 << 20
    lease_reads: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.heartbeat_ticks <= self.election_ticks // 2:
            raise ValueError("the heartbeat must be at most half of the election timeout")
        bounds = (self.max_entries, self.max_bytes, self.max_inflight, self.max_uncommitted_bytes)
        if min(bounds) < 1 or self.cache_bytes < 0:
            raise ValueError("bounds must be positive")
