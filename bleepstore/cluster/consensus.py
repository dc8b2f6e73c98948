"""A node of a cluster as the rest of the program sees it: IConsensus, started and stopped.

Joins the parts (``driver`` is the one in the middle) and knows what a start and a stop consist of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.cluster.barriers import Barriers
from bleepstore.cluster.bootstrap import cluster_id_of, find_place, is_named, must_agree
from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.driver import Driver, Surroundings
from bleepstore.cluster.founding import Founding
from bleepstore.cluster.proposals import Proposals
from bleepstore.cluster.status import Counters, families, idle_picture, picture
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import (
    ConsensusStatus,
    IConsensus,
    Identity,
    ILogStore,
    IReceiver,
    ISnapshots,
    IStateMachine,
    ITransport,
    LostLog,
)
from bleepstore.observability.families import Distribution, Family
from bleepstore.raft.core import Raft
from bleepstore.raft.messages import Members, Message, SnapshotMark

T = TypeVar("T")

NOT_RUNNING = "The node is starting or stopping."
NOT_BEGUN = "The node waits for the other first members of its cluster."
NO_MEMBER = "this node is a member of no cluster: ask one that is, by that node's configuration"

LOST = (
    "{node} is a member of its cluster with another log than this one. Its disk was lost or "
    "replaced, and with it what it had promised: remove it from the cluster, set cluster.join in "
    "place of cluster.peers, and add it again"
)

LATELY = 10.0
"""Seconds for which a node is taken to keep up, once it did: longer than elections take."""

SOON = 2.0
"""Seconds within which one that keeps up has what the others have."""

NOBODY = Members()

_log = Logger()


@implementer(IConsensus, IPart, IReceiver)
class Consensus:
    """One node of a cluster.

    It starts and stops its transport itself: peers are spoken to once it is known for whom, and
    a leader that stops needs them to hand over.  Log and state are started before, and stopped
    after it, by whoever made them.

    :param node_id: of this node.
    :param log: its IPart is started.
    :param transport: its IPart is not started.
    :param jitter: dice: ``jitter(n)`` gives 0 to n - 1.
    :param members: with whom a cluster begins, this node among them; none: this node waits to be
        added to one.
    :param name: of the cluster; see ``bootstrap.cluster_id_of``.
    :param introduce: called before the transport's start, and when this node begins a cluster
        with others: whose log it is.
    :param admit: raises ValueError for what a peer proposes and the state could not apply.
    :param on_fatal: called once, with the reason, when the node must end: nothing is sent or
        answered any more.
    :param on_leader: called with the id of the leader whenever it changes; empty: none is known.
    :param steady: see ``Surroundings``; the clock's if None.
    """

    def __init__(
        self,
        node_id: str,
        settings: ConsensusSettings,
        log: ILogStore,
        snapshots: ISnapshots,
        machine: IStateMachine,
        transport: ITransport,
        clock: IReactorTime,
        jitter: Callable[[int], int],
        *,
        on_fatal: Callable[[str], object],
        members: Members = NOBODY,
        name: str = "",
        introduce: Callable[[Identity], object] = lambda identity: None,
        admit: Callable[[bytes], object] = lambda data: None,
        on_leader: Callable[[str], object] = lambda node_id: None,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self.node_id = node_id
        self._around = Surroundings(
            node_id,
            settings,
            log,
            snapshots,
            machine,
            transport,
            clock,
            admit,
            on_fatal,
            on_leader,
            steady or clock.seconds,
        )
        self._jitter = jitter
        self._members = members
        self._name = name
        self._introduce = introduce
        self.counters = Counters()
        identity = log.identity
        self._proposals = Proposals(
            f"{identity.node_id}/{identity.log_id}",
            log.state().incarnation,
            settings,
            clock.seconds,
            self.counters.commit.add,
        )
        self._barriers = Barriers(settings.decision, clock.seconds)
        self._driver: Driver | None = None
        self._founding: Founding | None = None
        self._begun: Deferred[None] = succeed(None)
        self._to_begin: list[Deferred[None]] = []
        self._leaving = False
        transport.listen(self)

    # The part

    async def start(self) -> None:
        """Find this node's place, and take it.

        The first member of several waits for the others in the background.

        :raises UnusableLog: log, state and snapshots do not belong together.
        """
        around = self._around
        log, members = around.log, self._members
        self._introduce(log.identity)
        if must_agree(log, around.machine, members, self._name):
            cluster_id = cluster_id_of(members.nodes, self._name, "")
            self._founding = Founding(
                log.identity,
                cluster_id,
                members,
                around.transport,
                around.clock,
                lambda: self._jitter(1 << 16) / (1 << 16),
            )
            await self._start_transport()
            self._begun = Deferred.fromCoroutine(self._begin(self._founding))
        else:
            driver = await self._take_place({})
            await self._start_transport()
            self._drive(driver)

    async def _begin(self, founding: Founding) -> None:
        """Begin a cluster with others."""
        try:
            driver = await self._take_place(await founding.agree())
        except CancelledError:  # it stops
            pass
        except LostLog:
            self._around.on_fatal(LOST.format(node=self.node_id))
        except Exception as error:
            _log.failure("This node cannot begin a cluster")
            self._around.on_fatal(f"it cannot begin a cluster: {error}")
        else:
            self._founding = None
            self._drive(driver)
        waiting, self._to_begin = self._to_begin, []
        for each in waiting:
            each.callback(None)

    async def _when_begun(self, seconds: float | None = None) -> None:
        """Return once this node waits for no other first members any more.

        :raises ServiceUnavailable: it still does after so many seconds.
        """
        if self._founding is None:
            return
        begun: Deferred[None] = Deferred(self._to_begin.remove)
        self._to_begin.append(begun)
        if seconds is not None:
            begun.addTimeout(seconds, self._around.clock)
        try:
            await begun
        except TimedOut:
            raise ServiceUnavailable(NOT_BEGUN) from None

    async def _start_transport(self) -> None:
        transport = IPart(self._around.transport)
        try:
            await transport.start()
        except BaseException:
            await transport.stop()
            raise

    def _drive(self, driver: Driver) -> None:
        self._driver = driver
        driver.begin()

    async def _take_place(self, founders: Mapping[str, str]) -> Driver:
        """Make log and state fit, and a core to go on from there."""
        around = self._around
        log, machine = around.log, around.machine
        await find_place(log, machine, around.snapshots, self._members, self._name, founders)
        state = log.state()
        raft = Raft(
            self.node_id,
            around.settings.core,
            log,
            hard_state=state.hard_state,
            snapshot=state.snapshot,
            commit=state.commit,
            applied=machine.applied_index(),
            jitter=self._jitter,
            log_id=log.identity.log_id,
        )
        self._introduce(log.identity)
        return Driver(raft, around, self._proposals, self._barriers, self.counters)

    async def stop(self) -> None:
        """See :class:`IPart`.  A leader first has another voter take over, for a while; then what
        waits is refused."""
        self._leaving = True
        if self._founding is not None:
            self._founding.stop()
        await self._begun
        driver = self._driver
        if driver is not None and not driver.dead:
            await self._hand_over(driver)
        self._proposals.stop()
        self._barriers.stop()
        if driver is not None:
            await driver.end()
        elif self._founding is not None:
            await IPart(self._around.transport).stop()

    async def _hand_over(self, driver: Driver) -> None:
        clock, settings = self._around.clock, self._around.settings
        deadline = clock.seconds() + settings.handover
        while driver.raft.is_leader and not driver.dead and driver.steps.hand_over():
            if clock.seconds() >= deadline:
                _log.info("Nobody took over in {seconds:g} s", seconds=settings.handover)
                return
            driver.wake()
            await driver.pauses.pause(settings.tick)

    async def adopt(self, cluster_id: str) -> None:
        """A cluster's member calls this node, which belongs to none: belong to that one.

        A first member of one that has begun is soon called by others that have; it joins nobody.

        :raises ValueError: it is not the cluster that was meant.
        """
        if not is_named(cluster_id, self._name):
            raise ValueError(f"this node waits for a cluster called {self._name!r}")
        if self._founding is None:
            await self._around.log.join(cluster_id)
            return
        await self._when_begun()
        if self._around.log.identity.cluster_id != cluster_id:
            raise ValueError("this node begins a cluster with others")

    # What the store asks for

    def propose(self, command: bytes) -> Awaitable[object]:
        """See :class:`IConsensus`."""
        if self._founding is not None:
            return self._once_begun(self._propose, command)
        return self._propose(command)

    def barrier(self) -> Awaitable[None]:
        """See :class:`IConsensus`."""
        if self._founding is not None:
            return self._once_begun(self._barrier)
        return self._barrier()

    def _propose(self, command: bytes) -> Deferred[object]:
        driver = self._require_running()
        answer = self._proposals.submit(command)
        driver.wake()
        return answer

    def _barrier(self) -> Deferred[None]:
        driver = self._require_running()
        passed = self._barriers.wait()
        driver.wake()
        return passed

    async def _once_begun(self, ask: Callable[..., Deferred[T]], *args: object) -> T:
        await self._when_begun(self._around.settings.decision)
        return await ask(*args)

    async def keeps_up(self) -> bool:
        """Whether this node has lately had all that was acknowledged, or soon has.

        One that has just started, or received a snapshot, may know its leader long before reads of
        it can be answered.
        """
        if self._barriers.passed_within(LATELY):
            return True
        try:
            await self._barrier().addTimeout(SOON, self._around.clock)
        except (ServiceUnavailable, TimedOut):
            return False
        return True

    def status(self) -> ConsensusStatus:
        """See :class:`IConsensus`."""
        log, driver = self._around.log, self._driver
        cluster_id = log.identity.cluster_id
        if driver is None:
            role = "joining" if self._founding is None else "founding"
            return idle_picture(self.node_id, cluster_id, log.state().snapshot, role)
        return picture(
            driver.raft,
            self.node_id,
            cluster_id,
            driver.snapshotting.newest,
            len(self._proposals),
            driver.heard,
            self._around.clock.seconds(),
            driver.removal.known,
        )

    def families(self) -> Iterator[Family | Distribution]:
        """Everything that is counted, for a scrape."""
        transport = self._around.transport.statistics()
        snapshots = {} if self._driver is None else self._driver.snapshotting.under_way
        results = self._proposals.results
        return families(self.status(), self.counters, results, transport, snapshots)

    async def add_member(self, node_id: str, address: str) -> None:
        """See :class:`IConsensus`."""
        driver = self._require_member()
        if driver.changes.known_elsewhere(node_id, address):
            await self.barrier()  # it may have been removed there meanwhile
        await driver.changes.add(node_id, address)

    async def remove_member(self, node_id: str) -> None:
        """See :class:`IConsensus`."""
        driver = self._require_member()
        await self.barrier()
        await driver.changes.remove(node_id)

    async def transfer_leadership(self, node_id: str = "") -> None:
        """See :class:`IConsensus`."""
        await self._require_member().changes.transfer(node_id)

    async def take_snapshot(self) -> int:
        """See :class:`IConsensus`.

        :raises ServiceUnavailable: it could not be taken.
        """
        return await self._require_running().snapshotting.take()

    def _require_member(self) -> Driver:
        """:raises ValueError: this node is none, and could only wait for a leader in vain."""
        driver = self._require_running()
        if driver.raft.members.get(self.node_id) is None:
            raise ValueError(NO_MEMBER)
        return driver

    def _require_running(self) -> Driver:
        if self._founding is not None and not self._leaving:
            raise ServiceUnavailable(NOT_BEGUN)
        if self._driver is None or self._leaving or self._driver.dead:
            raise ServiceUnavailable(NOT_RUNNING)
        return self._driver

    # What the transport brings

    def received(self, sender: str, message: Message) -> None:
        """See :class:`IReceiver`."""
        if self._driver is not None:
            self._driver.received(sender, message)

    def snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        """See :class:`IReceiver`."""
        if self._driver is None:
            self._around.snapshots.discard(path)
        else:
            self._driver.snapshot_received(sender, term, mark, path)

    def peer_lost(self, peer: str) -> None:
        """See :class:`IReceiver`."""
        if self._driver is not None:
            self._driver.peer_lost(peer)
