"""What a seed stands for: how many nodes, which weather, which faults and how often."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.sim.network import Weather

FAULTS: dict[str, float] = {
    "kill": 3,
    "power cut": 3,
    "stop": 2,
    "blackout": 0.7,
    "pause": 1.5,
    "freeze the leader": 1,
    "slow the leader's clock": 1,
    "cut off": 2,
    "cut off the leader": 2,
    "one-way cut": 2,
    "split": 2,
    "heal": 2,
    "weather": 2,
    "slow disk": 1,
    "full disk": 0.7,
    "rot": 0.3,
    "transfer": 1.5,
    "snapshot": 1,
    "slow snapshots": 0.7,
    "contested entry": 0.3,
    "rival changes": 0.3,
    "add": 1.5,
    "remove": 1,
    "lost disk": 0.2,
}
"""Faults, and other things that happen, with their usual weights."""


@dataclass(frozen=True)
class Kind:
    """What the seeds of one kind have more of.

    :ivar nodes: how many a cluster may begin with.
    :ivar weights: by what the usual weights of faults are multiplied.
    """

    nodes: tuple[int, ...] = (1, 2, 3, 3, 3, 3, 5)
    pauses: tuple[float, ...] = (0.2, 0.4)
    paces: tuple[float, ...] = (0.5, 1.0, 2.0)
    sync_times: tuple[float, ...] = (0.001, 0.005, 0.03)
    max_entries: int = 8
    keys: int = 3
    reading: float = 0.5
    coups: float = 0.0
    mishaps: tuple[float, ...] = (0.0, 0.0, 0.001)
    lease_reads: tuple[bool, ...] = (False, True)
    weathers: tuple[Weather, ...] = (
        Weather(),
        Weather(delay=0.002),
        Weather(delay=0.02, spread=10, loss=0.02, repetition=0.05),
    )
    weights: dict[str, float] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "of everything": Kind(),
    "elections": Kind(
        nodes=(3, 3, 5),
        keys=1,
        pauses=(0.1, 0.2),
        paces=(0.5, 1.0),
        max_entries=1,
        reading=0.2,
        coups=0.7,
        weathers=(Weather(delay=0.03), Weather(delay=0.08, spread=6, repetition=0.1)),
        weights={"cut off the leader": 6, "transfer": 2},
    ),
    "reads": Kind(
        nodes=(3, 3, 5),
        pauses=(0.1, 0.2),
        paces=(1.0, 2.0),
        keys=2,
        reading=0.7,
        lease_reads=(False, True),
        weights={
            "cut off the leader": 5,
            "freeze the leader": 5,
            "slow the leader's clock": 8,
            "transfer": 2,
        },
    ),
    "members": Kind(
        nodes=(3, 4, 4, 4),
        paces=(0.6, 1.0),
        coups=0.1,
        weights={
            "add": 8,
            "remove": 8,
            "cut off the leader": 4,
            "transfer": 2,
        },
    ),
    "contested entries": Kind(
        nodes=(3,),
        pauses=(0.1,),
        paces=(2.0,),
        sync_times=(0.001, 0.005),
        max_entries=1,
        keys=1,
        reading=0.4,
        weathers=(Weather(delay=0.02), Weather(delay=0.05, repetition=0.2)),
        weights={**dict.fromkeys(FAULTS, 0.0), "contested entry": 1, "blackout": 0.1},
    ),
    "rival changes": Kind(
        nodes=(4,),
        pauses=(0.4,),
        paces=(2.0,),
        weights={**dict.fromkeys(FAULTS, 0.0), "rival changes": 1, "remove": 0.2},
    ),
    "disks": Kind(
        nodes=(3, 3, 5),
        paces=(0.3, 0.6),
        sync_times=(0.03, 0.1),
        mishaps=(0.003, 0.01),
        weights={"power cut": 5, "kill": 3, "blackout": 3, "slow disk": 4, "full disk": 2},
    ),
    "lost disks": Kind(
        nodes=(1, 1, 2, 2, 3, 3, 5),
        pauses=(0.1, 0.2),
        paces=(2.0,),
        weights={**dict.fromkeys(FAULTS, 0.0), "lost disk": 10, "add": 2, "kill": 0.2},
    ),
}
"""What there is to be tried; seeds take turns."""


@dataclass(frozen=True)
class Limits:
    """Bounds of a node: the usual ones are far, these are met.

    :ivar heartbeat_ticks: see ``raft.settings``, as the others are up to ``cache_bytes``.
    :ivar batch_bytes: see ``ConsensusSettings``, as are those that follow.
    :ivar tail: share of the snapshot interval that stays in the log.
    """

    heartbeat_ticks: int
    max_inflight: int
    max_bytes: int
    max_uncommitted_bytes: int
    cache_bytes: int
    batch_bytes: int
    snapshot_bytes: int
    tail_bytes: int
    tail: float

    @classmethod
    def of(cls, dice: random.Random) -> Limits:
        """Some."""
        return cls(
            heartbeat_ticks=dice.choice((1, 2, 2, 5)),
            max_inflight=dice.choice((1, 4, 4)),
            max_bytes=dice.choice((1, 300, 1000, 1 << 20)),
            max_uncommitted_bytes=dice.choice((1500, 6000, 1 << 20)),
            cache_bytes=dice.choice((0, 500, 2000)),
            batch_bytes=dice.choice((1, 500, 1 << 20)),
            snapshot_bytes=dice.choice((2000, 1 << 20)),
            tail_bytes=dice.choice((500, 1 << 20)),
            tail=dice.choice((0, 0.3)),
        )


@dataclass(frozen=True)
class Scenario:
    """One run.

    :ivar nodes: that the cluster begins with.
    :ivar pause: seconds between two operations of a client, on average.
    :ivar drift: how much faster or slower than true time a node's clock runs at most.  Leases
        bear a tenth; without them nothing depends on clocks.
    :ivar pace: seconds between two faults, on average.
    :ivar duration: seconds of faults.
    :ivar snapshot_interval: entries after which a node takes a snapshot.
    :ivar sync_time: seconds that a disk takes to make something durable, on average.
    :ivar max_entries: in one AppendEntries.
    :ivar keys: that clients share in the lasting bucket.
    :ivar reading: share of operations that read.
    :ivar lease_reads: whether leaders answer reads under a lease.
    :ivar coups: share of new leaders that are cut off, or killed, right after their election.
    :ivar mishaps: share of writes to a disk during which the power fails.
    :ivar limits: of each node.
    """

    seed: int
    kind: str
    nodes: int
    clients: int
    pause: float
    drift: float
    pace: float
    duration: float
    snapshot_interval: int
    sync_time: float
    max_entries: int
    keys: int
    reading: float
    lease_reads: bool
    coups: float
    mishaps: float
    weather: Weather
    limits: Limits
    weights: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def kind_of(seed: int) -> str:
        """The kind whose turn it is."""
        return list(KINDS)[seed % len(KINDS)]

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of a seed."""
        dice = random.Random(f"{seed} scenario")
        name = cls.kind_of(seed)
        kind = KINDS[name]
        weights = {
            fault: weight * kind.weights.get(fault, 1) * dice.choice((0, 1, 1, 1, 3))
            for fault, weight in FAULTS.items()
        }
        for needed in ("heal", "contested entry", "rival changes", "lost disk"):
            weights[needed] = FAULTS[needed] * kind.weights.get(needed, 1)
        lease_reads = dice.choice(kind.lease_reads)
        nodes = dice.choice(kind.nodes)
        return cls(
            seed=seed,
            kind=name,
            nodes=nodes,
            clients=dice.choice((3, 4, 5)),
            pause=dice.choice(kind.pauses),
            drift=dice.choice((0.0, 0.02, 0.1) if lease_reads else (0.0, 0.1, 0.6)),
            pace=dice.choice(kind.paces),
            duration=dice.choice((15.0, 20.0)),
            snapshot_interval=dice.choice((10, 40, 40, 1000)),
            sync_time=dice.choice(kind.sync_times),
            # One that began alone is met again by what it wrote then, entry by entry.
            max_entries=kind.max_entries if nodes > 1 else 1,
            keys=kind.keys,
            reading=kind.reading,
            lease_reads=lease_reads,
            coups=kind.coups,
            mishaps=dice.choice(kind.mishaps),
            weather=dice.choice(kind.weathers),
            limits=Limits.of(random.Random(f"{seed} limits")),
            weights=weights,
        )

    def __str__(self) -> str:
        often = sorted(self.weights, key=lambda fault: -self.weights[fault])[:5]
        return (
            f"seed {self.seed}, {self.kind}: {self.nodes} nodes, {self.clients} clients, "
            f"clocks ±{self.drift:.0%}, a fault every {self.pace} s for {self.duration} s, "
            f"a snapshot every {self.snapshot_interval} entries, "
            f"{self.sync_time * 1000:.0f} ms a sync, "
            f"{'leases' if self.lease_reads else 'no leases'}; most often {', '.join(often)}"
        )
