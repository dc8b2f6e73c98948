"""Nodes of a cluster in one process: real drivers on a clock, a network in memory, memory logs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.cluster.consensus import Consensus
from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import (
    Identity,
    Introduction,
    IReceiver,
    IStateMachine,
    ITransport,
    LostLog,
    Verdict,
)
from bleepstore.model import proposals
from bleepstore.raft.messages import (
    Entry,
    EntryKind,
    Member,
    Members,
    Message,
    SnapshotMark,
    decode,
    encode,
)
from bleepstore.raft.settings import Settings
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import TurningClock
from tests.sim.memory_log import LogDisk, MemoryLog

T = TypeVar("T")

SETTINGS = ConsensusSettings(
    core=Settings(election_ticks=10, heartbeat_ticks=2, max_entries=16),
    tick=0.1,
    decision=5.0,
    snapshot_entries=1000,
    tail_entries=10,
    promote_within=5,
)
STEP = 0.01


class State(msgspec.Struct):
    """What a machine keeps: the commands that were applied, and whose."""

    applied: int = 0
    commands: list[bytes] = []
    names: list[tuple[str, int, int]] = []


@implementer(IStateMachine)
class ListMachine:
    """A state machine whose state is the list of the commands that it applied.

    The outcome of a command is its place in the list; ``fail`` is an outcome that refuses.

    :ivar broken: what the next call of ``apply`` raises.
    :ivar synced: what a power cut would leave.
    """

    def __init__(self, clock: TurningClock) -> None:
        self._clock = clock
        self.state = State()
        self.synced = 0
        self.broken: Exception | None = None
        self.held: Deferred[None] | None = None
        self.copies = 0

    def applied_index(self) -> int:
        return self.state.applied

    def pristine(self) -> bool:
        return not self.state.commands

    async def adopt(self, index: int) -> None:
        assert self.state.applied == 0
        self.state.applied = self.synced = index

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Verdict]:
        await self._turn()
        if self.held is not None:
            await self.held
        if self.broken is not None:
            raise self.broken
        verdicts = []
        for entry in entries:
            assert entry.index == self.state.applied + 1
            self.state.applied = entry.index
            if entry.kind is EntryKind.COMMAND:
                verdicts.append(self._one(proposals.decode(entry.data)))
        return verdicts

    def _one(self, proposal: proposals.Proposal) -> Verdict:
        state = self.state
        name = (proposal.origin, proposal.incarnation, proposal.serial)
        new = name not in state.names
        outcome: object = None
        if new:
            state.names.append(name)
            state.commands.append(proposal.command)
            outcome = len(state.commands)
            if proposal.command == b"fail":
                outcome = KeyError("refused")
        return Verdict(*name, new, outcome)

    async def sync(self) -> int:
        index = self.state.applied
        await self._turn()
        self.synced = max(index, self.synced)
        return self.synced

    async def copy(self, path: str) -> int:
        self.copies += 1
        await self._turn()
        Path(path).write_bytes(msgspec.msgpack.encode(self.state))
        index = self.state.applied
        await self._turn()
        return index

    async def replace(self, path: str, index: int) -> None:
        await self._turn()
        state = msgspec.msgpack.decode(Path(path).read_bytes(), type=State)
        if state.applied != index:
            raise ValueError("no copy of that index")
        self.state, self.synced = state, index

    def _turn(self) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        self._clock.callLater(0, over.callback, None)
        return over


class Network:
    """Carries messages, each in a turn of its own.

    :ivar cut: pairs (from, to) between which nothing passes.
    :ivar seen: every message that was sent, with whom from and to.
    :ivar loses: decides what is lost.
    """

    def __init__(self, clock: TurningClock) -> None:
        self._clock = clock
        self.stations: dict[str, MemoryTransport] = {}
        self.cut: set[tuple[str, str]] = set()
        self.seen: list[tuple[str, str, Message]] = []
        self.loses: Callable[[str, str, Message], bool] = lambda sender, to, message: False
        self.refuses_snapshots = False

    def carry(self, sender: str, to: str, message: Message) -> None:
        self.seen.append((sender, to, message))
        if (sender, to) not in self.cut and not self.loses(sender, to, message):
            self._clock.callLater(STEP / 2, self._bring, sender, to, encode(message))

    def _bring(self, sender: str, to: str, raw: bytes) -> None:
        station = self.stations.get(to)
        if station is not None and station.receiver is not None and station.running:
            station.receiver.received(sender, decode(raw))

    def isolate(self, node_id: str) -> None:
        for other in self.stations:
            self.cut |= {(node_id, other), (other, node_id)}


@implementer(ITransport, IPart)
class MemoryTransport:
    def __init__(self, node_id: str, network: Network, incoming: Path) -> None:
        self.node_id = node_id
        self.network = network
        self.incoming = incoming
        self.receiver: Any = None
        self.running = False
        self.members = Members()
        self.identity = Identity("", node_id)
        self._numbers = count()
        network.stations[node_id] = self

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def listen(self, receiver: object) -> None:
        self.receiver = IReceiver(receiver)

    def connect(self, members: Members) -> None:
        self.members = members

    async def meet(self, node_id: str, address: str) -> Introduction:
        network = self.network
        over: Deferred[None] = Deferred()
        network._clock.callLater(STEP, over.callback, None)
        await over
        station = network.stations.get(node_id)
        if (self.node_id, node_id) in network.cut or station is None or not station.running:
            raise ConnectionError("it cannot be reached")
        own, other = self.identity, station.identity
        for members, known in ((self.members, other), (station.members, own)):
            member = members.get(known.node_id)
            if member is not None and member.log not in ("", known.log_id):
                raise LostLog(f"{known.node_id} has another log")
        return Introduction(node_id, other.cluster_id, other.log_id, other.founders)

    def send(self, to: str, message: Message) -> None:
        if self.running:
            self.network.carry(self.node_id, to, message)

    async def send_snapshot(self, to: str, term: int, mark: SnapshotMark, path: str) -> None:
        network = self.network
        over: Deferred[None] = Deferred()
        network._clock.callLater(STEP, over.callback, None)
        await over
        station = network.stations.get(to)
        gone = (self.node_id, to) in network.cut or station is None or not station.running
        if gone or network.refuses_snapshots:
            raise ConnectionError("it cannot be reached")
        assert station is not None
        arrived = station.incoming / f"received-{next(station._numbers)}"
        arrived.write_bytes(Path(path).read_bytes())
        station.receiver.snapshot_received(self.node_id, term, mark, str(arrived))

    def statistics(self) -> Mapping[str, int]:
        return {"peers_connected": len(self.members.nodes)}


class Node:
    """One node: its disk, and the process that is running, if one is."""

    def __init__(self, world: World, node_id: str, members: Members) -> None:
        self.world = world
        self.id = node_id
        self.members = members
        self.directory = world.directory / node_id
        self.fatal: list[str] = []
        self.settings = world.settings
        self._be_empty()

    def _be_empty(self) -> None:
        self.disk = LogDisk(self.world.logs)
        self.machine = ListMachine(self.world.clock)
        (self.directory / "incoming").mkdir(parents=True)

    def boot(self) -> None:
        """Make the process, without starting it."""
        world = self.world
        self.log = MemoryLog(self.disk, self.id, world.turn)
        self.transport = MemoryTransport(self.id, world.network, self.directory / "incoming")
        self.snapshots = SnapshotFiles(str(self.directory / "snapshots"), ImmediateThreads())
        self.consensus = Consensus(
            self.id,
            self.settings,
            self.log,
            self.snapshots,
            self.machine,
            self.transport,
            world.clock,
            world.dice.randrange,
            on_fatal=self.fatal.append,
            members=self.members,
            introduce=partial(setattr, self.transport, "identity"),
            admit=proposals.decode,
        )

    def start(self) -> None:
        self.boot()
        self.world.run(self.consensus.start())

    def kill(self) -> None:
        """The process is gone, without a word."""
        self.log.crash()
        self.transport.running = False
        driver = self.consensus._driver
        assert driver is not None
        driver.dead = True

    def power_cut(self) -> None:
        """The same, and the state loses what was not synced."""
        self.kill()
        machine, state = ListMachine(self.world.clock), self.machine.state
        if self.machine.synced == state.applied:
            machine.state = state
        machine.synced = machine.state.applied
        self.machine = machine

    def replace_disk(self) -> None:
        """An empty disk takes the place of its own, and it is to join the cluster anew."""
        self.kill()
        rmtree(self.directory)
        self._be_empty()
        self.members = Members()

    @property
    def commands(self) -> list[bytes]:
        return self.machine.state.commands

    @property
    def role(self) -> str:
        return self.consensus.status().role


class World:
    """Some nodes, and their time."""

    def __init__(self, directory: Path, settings: ConsensusSettings = SETTINGS) -> None:
        self.directory = directory
        self.settings = settings
        self.clock = TurningClock()
        self.network = Network(self.clock)
        self.dice = random.Random(1)
        self.logs = count(1)
        self.nodes: dict[str, Node] = {}

    def turn(self) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        self.clock.callLater(STEP / 2, over.callback, None)
        return over

    def add(self, *ids: str, first: tuple[str, ...] | None = None) -> None:
        """Make nodes, and start them; ``first`` are the first members, all by default."""
        who = ids if first is None else first
        members = Members(tuple(Member(each, f"{each}:1") for each in sorted(who)))
        for each in ids:
            self.nodes[each] = Node(self, each, members)
            self.nodes[each].start()

    def __getitem__(self, node_id: str) -> Node:
        return self.nodes[node_id]

    def start(self, waiting: Awaitable[T]) -> Deferred[T]:
        async def wait() -> T:
            return await waiting

        return Deferred.fromCoroutine(wait())

    def run(self, waiting: Awaitable[T], patience: float = 100.0) -> T:
        return self.result(self.start(waiting), patience)

    def result(self, waiting: Deferred[T], patience: float = 100.0) -> T:
        answers: list[Any] = []
        waiting.addBoth(answers.append)
        self.until(lambda: bool(answers), patience)
        if isinstance(answers[0], Failure):
            answers[0].raiseException()
        result: T = answers[0]
        return result

    def until(self, true: Callable[[], bool], patience: float = 100.0) -> None:
        """Let time pass until something is true."""
        end = self.clock.seconds() + patience
        while not true():
            assert self.clock.seconds() < end, "it did not come true in time"
            self.clock.advance(STEP)

    def go_on(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(STEP)

    @property
    def leader(self) -> Node:
        """The node that leads, once there is one that all the others know."""
        self.until(lambda: self._leader() is not None)
        found = self._leader()
        assert found is not None
        return found

    def _leader(self) -> Node | None:
        alive = [node for node in self.nodes.values() if node.transport.running]
        leading = [node for node in alive if node.role == "leader"]
        return max(leading, key=lambda node: node.consensus.status().term, default=None)

    @property
    def follower(self) -> Node:
        """One that knows a leader, and is none."""
        leader = self.leader
        node = next(node for node in self.nodes.values() if node.id != leader.id)
        self.until(lambda: node.consensus.status().leader == leader.id)
        return node

    def settle(self) -> None:
        """Until all that run have applied the same."""
        alive = [node for node in self.nodes.values() if node.transport.running]
        self.until(lambda: len({node.machine.applied_index() for node in alive}) == 1)
