"""The measures of the driver: times in seconds, sizes in bytes, numbers of entries."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bleepstore.raft.settings import Settings

MIB = 1024 * 1024


class ConsensusSettings(Struct, frozen=True, kw_only=True):
    """What an operator, or a test, may choose.

    :ivar core: of Raft itself, in ticks.
    :ivar tick: seconds.
    :ivar decision: within which a proposal, a barrier or a change is decided, or given up.
    :ivar change: within which a new member must have caught up, to become a voter.
    :ivar handover: how long a leader that stops waits for another one.
    :ivar snapshot_entries: applied since the last snapshot, after which one is taken; but not
        while copies of a large state would take too much of the time (``snapshotting.REST``).
    :ivar snapshot_bytes: the same in bytes of data.
    :ivar tail_entries: that stay in the log behind a snapshot, so that a follower that is not far
        behind need not be sent one.
    :ivar tail_bytes: of data in them, about.
    :ivar most_pending: proposals of this node that may wait for their outcome.
    :ivar most_pending_bytes: of commands in them.
    :ivar batch_entries: proposals in one message to the leader.
    :ivar batch_bytes: of commands in it; one always passes.
    :ivar promote_within: entries by which a learner may be behind when it becomes a voter.
    """

    core: Settings = Settings()
    tick: float = 0.1
    decision: float = 5.0
    change: float = 60.0
    handover: float = 2.0
    snapshot_entries: int = 10_000
    snapshot_bytes: int = 64 * MIB
    tail_entries: int = 1000
    tail_bytes: int = 8 * MIB
    most_pending: int = 4096
    most_pending_bytes: int = 64 * MIB
    batch_entries: int = 256
    batch_bytes: int = MIB
    promote_within: int = 256

    @property
    def election(self) -> float:
        """Seconds without a leader after which another one is elected."""
        return self.core.election_ticks * self.tick


def measured(
    election_timeout_ms: int,
    heartbeat_interval_ms: int,
    *,
    max_entries: int = 64,
    lease_reads: bool = False,
    **more: Any,
) -> ConsensusSettings:
    """The settings that follow from those of the configuration (``cluster.*``, in milliseconds).

    :param more: fields of :class:`ConsensusSettings` that do not follow from them.
    :raises ValueError: the heartbeat is more than half of the election timeout.
    """
    beats = 3 if heartbeat_interval_ms >= 30 else 1  # ticks between two heartbeats
    tick = heartbeat_interval_ms / beats
    core = Settings(
        election_ticks=max(round(election_timeout_ms / tick), 2),
        heartbeat_ticks=beats,
        max_entries=max_entries,
        lease_reads=lease_reads,
    )
    election = election_timeout_ms / 1000
    decision = max(5.0, 5 * election)
    fields = {"decision": decision, "handover": 2 * election, **more}
    return ConsensusSettings(core=core, tick=tick / 1000, **fields)
