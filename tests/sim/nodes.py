"""A simulated node: the real parts, on a simulated clock, disk and network."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bleepstore.cluster.consensus import Consensus
from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.model import proposals
from bleepstore.raft.core import Raft
from bleepstore.raft.messages import Members
from bleepstore.raft.settings import Settings
from bleepstore.streams.threads import ImmediateThreads
from tests.sim.clients import Unanswered
from tests.sim.clocks import ProcessClock, Time
from tests.sim.files import MemorySnapshots
from tests.sim.invariants import Invariants
from tests.sim.memory_replica import MemoryReplica
from tests.sim.network import Network, SimulatedTransport
from tests.sim.scenario import Scenario
from tests.sim.storage import Disk, WatchedLog, WatchedMachine
from tests.sim.trace import Trace

T = TypeVar("T")

TICK = 0.1
"""Seconds between two ticks of a core."""


class Surroundings:
    """What all nodes of a run share."""

    def __init__(self, scenario: Scenario, time: Time, network: Network, trace: Trace) -> None:
        self.scenario = scenario
        self.time = time
        self.network = network
        self.trace = trace
        self.invariants = Invariants()
        self.nodes: dict[str, Node] = {}
        self.failures: list[str] = []
        self.graves: list[Life] = []  # the dead stay where they are: to collect them runs code

    def copy_file(self, path: str, sender: str, receiver: str) -> str:
        """Copy a snapshot from one node's disk to another's; gives its path there."""
        content = self.nodes[sender].disk.snapshots.files[path]
        return self.nodes[receiver].disk.snapshots.put(content)


class Node:
    """One node, through all lives of its process.

    :ivar id: its id, which is its address too.
    :ivar disk: what it keeps.
    :ivar life: the process that runs; None while it is down.
    :ivar paused: whether that process stands still.
    :ivar wiped: whether it lost its disk, and was not let in anew since.
    """

    def __init__(self, node_id: str, around: Surroundings, disk: Disk, members: Members) -> None:
        """:param members: whom its configuration names; nobody for a node that is to join."""
        self.id = node_id
        self.disk = disk
        self.life: Life | None = None
        self.paused = False
        self.wiped = False
        self._members = members
        self._around = around
        self._dice = random.Random(f"{around.scenario.seed} {node_id}")
        drift = around.scenario.drift
        self._rate = 1 + drift * (2 * self._dice.random() - 1)

    @property
    def serves(self) -> bool:
        """Whether a client can connect."""
        return self.life is not None and self.life.started and not self.life.stopping

    @property
    def core(self) -> Raft | None:
        """The core of its process, to look at."""
        driver = self.life.consensus._driver if self.life is not None else None
        return driver.raft if driver is not None and not driver.dead else None

    @property
    def began(self) -> bool:
        """Whether its configuration has it begin a cluster, and not join one."""
        return bool(self._members.nodes)

    @property
    def leads(self) -> bool:
        """Whether it takes itself for the leader."""
        return self.core is not None and self.core.is_leader

    @property
    def term(self) -> int:
        """Its term."""
        return self.core.term if self.core is not None else 0

    @property
    def members(self) -> Members:
        """Whom it takes for the members."""
        return self.core.members if self.core is not None else Members()

    @property
    def has_uncommitted(self) -> bool:
        """Whether its log is longer than what it knows to be committed."""
        return self.core is not None and self.core.last_index > self.core.commit

    def first_of_term(self) -> int:
        """The index of the first entry of its term."""
        core = self.core
        if core is None:
            return 0
        index = core.last_index
        while index > core.first_index and core.term_at(index - 1) == core.term:
            index -= 1
        return index

    def sent_to(self, peer: str) -> int:
        """Up to where it knows a peer's log to be like its own, while it leads."""
        progress = self.core.progress(peer) if self.core is not None else None
        return progress.match if progress is not None else 0

    def start(self) -> None:
        """Begin a life, if there is none."""
        if self.life is None and not self.disk.full:
            self._around.trace.matters(self.id, "starts")
            self._around.invariants.born(self.id)
            clock = ProcessClock(self._around.time, self._rate, 1000 * self._dice.random())
            self.life = Life(self, self._around, clock, self._dice, self._members)

    def kill(self) -> None:
        """SIGKILL: what the system was told stays."""
        self._die("is killed", MemoryReplica.killed)

    def stop(self) -> None:
        """SIGTERM; it comes back after a while."""
        life = self.life
        if life is None or not self.serves:
            return
        self._around.trace.matters(self.id, "is asked to stop")
        life.stopping = True

        def ended(result: object) -> None:
            self._die("has stopped", MemoryReplica.killed)
            self._around.time.after(2 * self._dice.random(), self.start)

        def stop() -> None:
            stopped = Deferred.fromCoroutine(life.consensus.stop())
            stopped.addErrback(life.failed).addCallback(ended)

        life.clock.run(stop)

    def cut_power(self) -> None:
        """What was not synced may be lost."""
        self._die("loses power", lambda replica: replica.crashed(self._dice))

    def lose_disk(self) -> None:
        """Its disk is replaced by an empty one, and it comes back as if nothing had been."""
        self.kill()
        self._around.trace.matters(self.id, "has lost its disk")
        self._around.invariants.wiped(self.id)
        self.disk.wipe()
        self.wiped = True
        self.start()

    def join_anew(self) -> None:
        """Begin again with an empty disk, and a configuration that has it wait to be added."""
        self.lose_disk()
        self.kill()
        self.wiped, self._members = False, Members()
        self.start()

    def blink(self) -> None:
        """The power fails for a moment."""
        self.cut_power()
        self._around.time.after(self._dice.random(), self.start)

    def pause(self) -> None:
        """SIGSTOP."""
        if self.life is not None and not self.paused:
            self._around.trace.matters(self.id, "is paused")
            self.paused = True
            self.life.clock.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self.life is not None and self.paused:
            self._around.trace.matters(self.id, "goes on")
            self.paused = False
            self.life.clock.resume()

    def set_rate(self, rate: float) -> None:
        """Have its clock run at another rate until its process ends."""
        if self.life is not None:
            self.life.clock.change_rate(rate)

    def ask(self, question: Callable[[IMetadataStore], Awaitable[T]]) -> Deferred[T]:
        """See Place."""
        life = self.life
        answer: Deferred[T] = Deferred()
        if life is None or not life.started:
            answer.errback(Unanswered("connection refused"))
            return answer
        life.open.append(answer)

        async def put() -> T:
            return await question(life.store)

        def give(result: T | Failure) -> None:
            if not answer.called:
                life.open.remove(answer)
                answer.callback(result)  # a Failure is passed on

        life.clock.run(lambda: Deferred.fromCoroutine(put()).addBoth(give))
        return answer

    def observe(self) -> None:
        """Check what must hold of it after every step."""
        raft = self.core
        if raft is not None:
            log = raft._replica.log  # as it believes it to be, durable or not
            self._around.invariants.observe(self.id, raft.term, raft.is_leader, raft.commit, log)

    def _die(self, how: str, left: Callable[[MemoryReplica], MemoryReplica]) -> None:
        life = self.life
        if life is None:
            return
        self.life, self.paused = None, False
        life.clock.die()
        fate = life.log.lose_power()
        self._around.trace.matters(self.id, f"{how} ({fate})")
        self.disk.replica = left(self.disk.replica)
        self._around.graves.append(life)
        for answer in list(life.open):
            answer.errback(Unanswered(f"{self.id} {how}"))


def settings_of(scenario: Scenario) -> ConsensusSettings:
    """Small bounds, so that every one of them is met."""
    limits = scenario.limits
    return ConsensusSettings(
        core=Settings(
            election_ticks=10,
            heartbeat_ticks=limits.heartbeat_ticks,
            max_entries=scenario.max_entries,
            max_inflight=limits.max_inflight,
            max_bytes=limits.max_bytes,
            max_uncommitted_bytes=limits.max_uncommitted_bytes,
            cache_bytes=limits.cache_bytes,
            lease_reads=scenario.lease_reads,
        ),
        tick=TICK,
        decision=3.0,
        change=10.0,
        snapshot_entries=scenario.snapshot_interval,
        snapshot_bytes=limits.snapshot_bytes,
        tail_entries=int(scenario.snapshot_interval * limits.tail),
        tail_bytes=limits.tail_bytes,
        batch_entries=4,
        batch_bytes=limits.batch_bytes,
        promote_within=3,
    )


class Life:
    """One process of a node."""

    def __init__(
        self,
        node: Node,
        around: Surroundings,
        clock: ProcessClock,
        dice: random.Random,
        members: Members,
    ) -> None:
        scenario = around.scenario
        self._around = around
        self._node = node
        self.clock = clock
        self.started = False
        self.stopping = False
        self.open: list[Deferred[object]] = []

        def note(what: str) -> None:
            around.trace.matters(node.id, what)

        def mishap(likelihood: float, seconds: float) -> None:
            """The power fails at times just when something is being written."""
            if node.disk.dice.random() < scenario.mishaps * likelihood:
                clock.after(seconds * 2 * node.disk.dice.random(), node.blink)

        self.log = WatchedLog(node.id, clock, node.disk, around.invariants, note, mishap)
        self.transport = SimulatedTransport(
            node.id,
            clock,
            around.network,
            around.copy_file,
            lambda to, message: around.invariants.says(node.id, to, message, self.log),
        )
        self.consensus = Consensus(
            node.id,
            settings_of(scenario),
            self.log,
            MemorySnapshots(node.disk.snapshots),
            WatchedMachine(node.id, clock, node.disk, around.invariants, note, mishap),
            self.transport,
            clock,
            dice.randrange,
            on_fatal=self._must_end,
            members=members,
            introduce=partial(setattr, self.transport, "identity"),
            admit=proposals.decode,
        )
        if not members.nodes:
            self.transport.adopt = self.consensus.adopt
        self.store = ReplicatedMetadata(
            node.disk.replica, self.consensus, clock, ImmediateThreads()
        )
        Deferred.fromCoroutine(self._start()).addErrback(self.failed)

    async def _start(self) -> None:
        await self.consensus.start()
        self.started = True

    def _must_end(self, reason: str) -> None:
        """The process ends, as a daemon does that cannot go on.  That its disk is full is no
        defect of its own."""
        self._around.trace.matters(self._node.id, f"must end: {reason}")
        self._around.time.after(0, self._node.kill)
        if not (self._node.disk.full or self._node.wiped):
            self._around.failures.append(f"{self._node.id} must end: {reason}")

    def failed(self, failure: Failure) -> None:
        """Something raised what nobody expects."""
        if self.clock.running:
            self._around.failures.append(f"{self._node.id}: {failure.getTraceback()}")
