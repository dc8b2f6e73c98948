"""One run: a cluster, its clients and its faults, from one seed; and the verdict on it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from itertools import count

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from bleepstore.raft.messages import Member, Members
from tests.sim.clients import LASTING, PASSING, Client, pass_time
from tests.sim.clocks import Time
from tests.sim.faults import Faults
from tests.sim.invariants import Broken
from tests.sim.linearizability import History, check_buckets, check_keys
from tests.sim.network import Network
from tests.sim.nodes import TICK, Node, Surroundings
from tests.sim.scenario import Scenario
from tests.sim.storage import Disk
from tests.sim.trace import Trace

RECOVERY = 150
"""Ticks within which a cluster without faults must make progress at every member."""

CONVERGENCE = 150
"""Ticks after which all members must be equal, once nobody writes any more."""


class Wrong(AssertionError):
    """A run that must not be.  Its text is the trace, and how to run it again."""


class World:
    """Everything of one run."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.time = Time()
        self.trace = Trace(self.time)
        self.history = History(lambda: self.time.now)
        self._network = Network(self.time, self._dice("network"), self.trace)
        self._network.weather = scenario.weather
        self.around = Surroundings(scenario, self.time, self._network, self.trace)
        self._logs = count(1)
        names = [f"n{number}" for number in range(1, scenario.nodes + 1)]
        members = Members(tuple(Member(name, name) for name in names))
        for name in names:
            self._new_node(name, members)
        self._faults = Faults(self.around, self._dice("faults"), self._new_node)
        numbers = count(1)
        self._clients = [
            self._client(f"c{number}", lambda: next(numbers))
            for number in range(1, scenario.clients + 1)
        ]
        self._auditor = self._client("auditor", lambda: next(numbers))
        self._failure: Failure | None = None

    def run(self) -> None:
        """Let it happen.

        :raises Wrong: something happened that must not.
        """
        globalLogPublisher.addObserver(self._logged)
        try:
            self._play()
        except Exception as error:
            raise Wrong(self.report(error)) from error
        finally:
            globalLogPublisher.removeObserver(self._logged)

    def report(self, error: Exception) -> str:
        """All that a reader needs."""
        return (
            f"{self.scenario}\n\n{self.trace.text()}\n\n{self.time.now:9.3f} {error}\n\n"
            f"again: pytest tests/sim/test_simulation.py --sim-seed {self.scenario.seed}"
        )

    def _logged(self, event: LogEvent) -> None:
        """What nodes log is part of the trace; a traceback among it is a defect."""
        if "log_failure" in event:
            self.around.failures.append(event["log_failure"].getTraceback())
        elif event["log_level"] is not LogLevel.debug:
            who = event.get("node", "a log")
            self.trace.matters(who, formatEvent(event).removeprefix(f"{who} "))

    # -- the play

    def _play(self) -> None:
        scenario = self.scenario
        auditor = self._auditor
        self._until(lambda: self._create(LASTING), RECOVERY, "no first write")
        living = [self._start(each.live(scenario.pause)) for each in self._clients]
        self._finish(self._faults.reign())
        self._faults.end()
        self._until(self._led, RECOVERY, "no leader")
        self._finish(self._faults.replace_wiped())
        for node in self.around.nodes.values():
            self._until(
                lambda node=node: self._served(node, auditor.put(node, LASTING, "a")),
                RECOVERY,
                f"no progress at {node.id}",
            )
        for each in self._clients:
            each.stopped = True
        for life in living:
            self._finish(life)
        self._converge()
        for node in self.around.nodes.values():
            self._until(
                lambda node=node: self._served(node, auditor.read_all(node)),
                RECOVERY,
                f"cannot read at {node.id}",
            )
        self._judge()

    async def _create(self, bucket: str) -> bool:
        nodes = [node for node in self.around.nodes.values() if node.serves]
        return bool(nodes) and await self._auditor.create(nodes[0], bucket)

    def _converge(self) -> None:
        """All members come to the same state."""
        deadline = self.time.now + CONVERGENCE * TICK
        while self.time.now < deadline:
            members = [node for node in self.around.nodes.values() if self._is_member(node)]
            if len({node.disk.replica.applied_index() for node in members}) == 1:
                digests = {node.id: node.disk.replica.fingerprint() for node in members}
                if len(set(digests.values())) == 1:
                    return
                raise Broken(f"the same index, but not the same state: {digests}")
            self._step()
        stands = {node.id: node.disk.replica.applied_index() for node in members}
        raise Broken(f"the members do not come to the same state: they stand at {stands}")

    def _judge(self) -> None:
        operations = self.history.operations
        violations = check_keys(each for each in operations if each.bucket == LASTING)
        violations += check_buckets(each for each in operations if each.bucket == PASSING)
        if violations:
            raise Broken("\n\n".join(map(str, violations)))

    # -- steps

    def _step(self) -> None:
        self.time.step()
        for node in self.around.nodes.values():
            if node.life is not None and node.life.clock.touched:
                node.life.clock.touched = False
                node.observe()
        if self.around.failures:
            raise Broken(self.around.failures[0])
        if self._failure is not None:
            self._failure.raiseException()

    def _start(self, coroutine: Awaitable[object]) -> Deferred[object]:
        return Deferred.fromCoroutine(coroutine).addErrback(self._fail)  # type: ignore[arg-type]

    def _fail(self, failure: Failure) -> None:
        self._failure = failure

    def _finish(self, what: Awaitable[object]) -> None:
        """Step until something is over."""
        deferred = what if isinstance(what, Deferred) else self._start(what)
        while not deferred.called:
            self._step()

    def _until(self, attempt: Callable[[], Awaitable[bool]], ticks: int, otherwise: str) -> None:
        """Try until it succeeds."""
        deadline = self.time.now + ticks * TICK
        succeeded = False

        async def try_on() -> None:
            nonlocal succeeded
            while not succeeded and self.time.now < deadline:
                succeeded = await attempt()
                if not succeeded:
                    await pass_time(self.time, TICK)

        self._finish(try_on())
        if not succeeded:
            raise Broken(f"{otherwise} within {ticks} ticks")

    # -- making

    def _dice(self, what: str) -> random.Random:
        return random.Random(f"{self.scenario.seed} {what}")

    def _new_node(self, name: str, members: Members) -> Node:
        disk = Disk(self.scenario.sync_time, self._dice(f"disk of {name}"), self._logs)
        self.around.nodes[name] = node = Node(name, self.around, disk, members)
        node.start()
        return node

    def _client(self, name: str, numbers: Callable[[], int]) -> Client:
        def places() -> list[Node]:
            return [node for node in self.around.nodes.values() if node.serves]

        return Client(
            name,
            self.time,
            self._dice(name),
            self.trace,
            self.history,
            places,
            numbers,
            self.scenario.keys,
            self.scenario.reading,
        )

    # -- who belongs

    async def _led(self) -> bool:
        return self._leader() is not None

    async def _served(self, node: Node, attempt: Awaitable[bool]) -> bool:
        """Whether it succeeds at a node, if that is a member; others need not serve."""
        return await attempt or not self._is_member(node)

    def _is_member(self, node: Node) -> bool:
        leader = self._leader()
        return leader is None or leader.members.get(node.id) is not None

    def _leader(self) -> Node | None:
        leaders = [node for node in self.around.nodes.values() if node.leads]
        return max(leaders, key=lambda node: node.term, default=None)
