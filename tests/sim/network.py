"""A simulated network between nodes: slow, lossy, and cut where the faults of the day cut it.

Messages travel in their binary form, so that what arrives shares nothing with what was sent.
Each takes a time of its own, so they overtake each other.  Cuts are one-way: a symmetric
partition is two of them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.cluster.peer_inbox import LEADING
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import (
    Identity,
    Introduction,
    IReceiver,
    ITransport,
    LostLog,
)
from bleepstore.raft.messages import (
    Appended,
    Members,
    Message,
    ProposeAnswer,
    ReadIndexAnswer,
    SnapshotMark,
    StepAnswer,
    Vote,
    decode,
    encode,
)
from tests.sim.clocks import ProcessClock, Time
from tests.sim.trace import Trace

ANSWERS = (Vote, Appended, ReadIndexAnswer, ProposeAnswer, StepAnswer)


@dataclass
class Weather:
    """How the network behaves at present.

    :ivar delay: seconds that a message takes, on average.
    :ivar spread: how much longer a few of them take, as a factor of ``delay``.
    :ivar loss: share of messages that are lost.
    :ivar repetition: share of messages that arrive twice, the second time up to two seconds late.
    """

    delay: float = 0.005
    spread: float = 3.0
    loss: float = 0.0
    repetition: float = 0.0


CALM = Weather()

SNAPSHOT_TIMES = (0.2, 2.0, 6.0)
"""Seconds that a snapshot takes; the first is usual."""

SNAPSHOT_ANSWERS_LOST = 0.1
"""Share of snapshots whose sender does not hear that they have arrived."""

Logs = tuple[str, str]
NOT_KNOWN = ("", "")


class Network:
    """Carries messages between the transports of nodes."""

    def __init__(self, time: Time, dice: random.Random, trace: Trace) -> None:
        self._time = time
        self._dice = dice
        self._trace = trace
        self._stations: dict[str, SimulatedTransport] = {}
        self.weather = CALM
        self.snapshot_time = SNAPSHOT_TIMES[0]
        self.cuts: Counter[tuple[str, str]] = Counter()

    def attach(self, station: SimulatedTransport) -> None:
        """A process has begun to listen; one of the same name before it is gone."""
        self._stations[station.node_id] = station

    def cut(self, sender: str, receiver: str) -> None:
        """Lose everything from one to the other from now on."""
        self.cuts[sender, receiver] += 1
        self._lose(receiver, sender)

    def mend(self, sender: str, receiver: str) -> None:
        """End one cut, unless :meth:`heal` did."""
        if self.cuts[sender, receiver] <= 1:
            del self.cuts[sender, receiver]
        else:
            self.cuts[sender, receiver] -= 1

    def heal(self) -> None:
        """End all cuts."""
        self.cuts.clear()

    def open(self, sender: str, receiver: str) -> bool:
        """Whether messages can pass."""
        return (sender, receiver) not in self.cuts

    def send(self, sender: str, receiver: str, message: Message, logs: Logs = NOT_KNOWN) -> None:
        """Send a message; it may be lost, or arrive late, or twice.

        :param logs: the ids of the sender's log, and of what it takes for the receiver's.
        """
        dice, weather = self._dice, self.weather
        lost = (sender, receiver) in self.cuts or dice.random() < weather.loss
        self._trace.sent(sender, receiver, message, lost)
        if lost:
            return
        raw = encode(message)
        self._deliver(sender, receiver, raw, logs)
        if weather.repetition and dice.random() < weather.repetition:
            self._time.after(2 * dice.random(), partial(self._deliver, sender, receiver, raw, logs))

    def carry(self, seconds: float, call: Callable[[], object]) -> None:
        """Let something else arrive after at least some seconds."""
        self._time.after(seconds + self._latency(), call)

    def loses_the_answer(self) -> bool:
        """Whether who has sent a snapshot hears nothing of its arrival."""
        return self._dice.random() < SNAPSHOT_ANSWERS_LOST

    def station(self, node_id: str) -> SimulatedTransport | None:
        """The transport of a node that is alive."""
        station = self._stations.get(node_id)
        return station if station is not None and station.clock.running else None

    def _latency(self) -> float:
        dice, weather = self._dice, self.weather
        latency = weather.delay * (0.5 + dice.random())
        if dice.random() < 0.1:
            latency *= 1 + weather.spread * dice.random()
        return latency

    def _deliver(self, sender: str, receiver: str, raw: bytes, logs: Logs) -> None:
        self._time.after(self._latency(), lambda: self._arrive(sender, receiver, raw, logs))

    def _arrive(self, sender: str, receiver: str, raw: bytes, logs: Logs) -> None:
        station = self.station(receiver)
        if (
            station is not None
            and (sender, receiver) not in self.cuts
            and station.accepts(sender, logs, type(message := decode(raw)) in LEADING)
        ):
            station.clock.run(lambda: station.arrived(sender, message, logs[0]))

    def _lose(self, node_id: str, peer: str) -> None:
        """What a broken connection looks like, when the system notices it at once."""
        station = self.station(node_id)
        if station is not None and self._dice.random() < 0.5:
            station.clock.after(0, lambda: station.lost(peer))


@implementer(ITransport, IPart)
class SimulatedTransport:
    """One process's access to the network.

    :ivar node_id: whose it is.
    :ivar clock: the process's.
    :ivar adopt: keeps durably to which cluster a node belongs that is to join one.
    """

    def __init__(
        self,
        node_id: str,
        clock: ProcessClock,
        network: Network,
        copy_file: Callable[[str, str, str], str],
        heed: Callable[[str, Message], None],
    ) -> None:
        """
        :param copy_file: ``copy_file(path, sender, receiver)`` puts a copy of the sender's file
            on the receiver's disk and gives its path there.
        :param heed: told of whatever is sent, and to whom.
        """
        self.node_id = node_id
        self.clock = clock
        self._network = network
        self._copy_file = copy_file
        self._heed = heed
        self._receiver: IReceiver | None = None
        self._peers: dict[str, str] = {}
        self._callers: dict[str, str] = {}
        self._joining = False
        self.identity = Identity("", node_id)
        self.adopt: Callable[[str], Awaitable[None]] | None = None

    async def start(self) -> None:
        """See IPart."""
        self._network.attach(self)

    async def stop(self) -> None:
        """See IPart."""
        self._receiver = None

    def listen(self, receiver: object) -> None:
        """See ITransport."""
        self._receiver = IReceiver(receiver)

    def connect(self, members: Members) -> None:
        """See ITransport."""
        self._peers = {node.id: node.log for node in members.nodes if node.id != self.node_id}

    def meet(self, node_id: str, address: str) -> Awaitable[Introduction]:
        """See ITransport.  There, and back again."""
        met: Deferred[Introduction] = Deferred()
        if self.clock.running:
            self._network.carry(0, lambda: self._network.carry(0, lambda: self._meet(met, node_id)))
        return met

    def accepts(self, sender: str, logs: Logs, leading: bool = False) -> bool:
        """Whether neither of the two is known to the other with another log; as Hello finds out.

        :param leading: it says what one does that leads, or stands; then it may be.
        """
        own, known = self.identity.log_id, self._peers.get(sender, "")
        return (leading or known in ("", logs[0])) and logs[1] in ("", own)

    def send(self, to: str, message: Message) -> None:
        """See ITransport.  An answer goes back to whoever asked, as on a connection."""
        known = to in self._peers or (to in self._callers and isinstance(message, ANSWERS))
        if self.clock.running and known:
            self._heed(to, message)
            theirs = self._peers.get(to, "")
            if isinstance(message, ANSWERS):
                theirs = self._callers.get(to, theirs)
            self._network.send(self.node_id, to, message, (self.identity.log_id, theirs))

    def send_snapshot(self, to: str, term: int, mark: SnapshotMark, path: str) -> Awaitable[None]:
        """See ITransport.  It takes a while, and fails if the network is cut then, or, at times,
        though it has arrived."""
        done: Deferred[None] = Deferred()
        if self.clock.running:
            network = self._network
            network.carry(network.snapshot_time, lambda: self._finish(done, to, term, mark, path))
        return done

    def statistics(self) -> Mapping[str, int]:
        """See ITransport."""
        return {}

    def arrived(self, sender: str, message: Message, log: str) -> None:
        """A message has come through, of one who has this log."""
        self._callers[sender] = log
        if self._receiver is not None and self._has_joined(sender):
            self._receiver.received(sender, message)

    def lost(self, peer: str) -> None:
        """A connection broke."""
        if self._receiver is not None:
            self._receiver.peer_lost(peer)

    def snapshot_arrived(
        self, sender: str, term: int, mark: SnapshotMark, path: str, log: str
    ) -> None:
        """A whole snapshot has come through, of one who has this log."""
        if self._receiver is not None and self._has_joined(sender):
            self._callers[sender] = log
            self._receiver.snapshot_received(sender, term, mark, path)

    def _has_joined(self, sender: str) -> bool:
        """Whether it belongs to a cluster.  Otherwise it joins that of the first who calls, and
        listens to nobody until that is durable."""
        if self.adopt is None or self.identity.cluster_id:
            return True
        caller = self._network.station(sender)
        if caller is not None and caller.identity.cluster_id and not self._joining:
            self._joining = True
            joining = Deferred.fromCoroutine(self._join(self.adopt, caller.identity.cluster_id))
            joining.addErrback(self._refused)
        return False

    async def _join(self, adopt: Callable[[str], Awaitable[None]], cluster_id: str) -> None:
        await adopt(cluster_id)
        self.identity = replace(self.identity, cluster_id=cluster_id)

    def _refused(self, failure: Failure) -> None:
        failure.trap(OSError)  # its disk is full
        self._joining = False

    def _finish(
        self, done: Deferred[None], to: str, term: int, mark: SnapshotMark, path: str
    ) -> None:
        me = self.node_id
        other = self._network.station(to)
        if not self.clock.running:
            return
        logs = (self.identity.log_id, self._peers.get(to, ""))
        if not self._reaches(to) or other is None or not other.accepts(me, logs, leading=True):
            self.clock.run(lambda: done.errback(ConnectionError(f"no way to {to}")))
            return
        copy = self._copy_file(path, me, to)
        other.clock.run(lambda: other.snapshot_arrived(me, term, mark, copy, logs[0]))
        if self._network.loses_the_answer():
            self.clock.run(lambda: done.errback(ConnectionError(f"{to} does not answer")))
        else:
            self.clock.run(lambda: done.callback(None))

    def _reaches(self, other: str) -> bool:
        """Whether a connection to another that is alive could be made."""
        network, me = self._network, self.node_id
        both = network.open(me, other) and network.open(other, me)
        return both and network.station(other) is not None

    def _meet(self, met: Deferred[Introduction], node_id: str) -> None:
        if not self.clock.running or met.called:
            return
        other = self._network.station(node_id)
        if other is None or other.clock.paused or not self._reaches(node_id):
            self.clock.run(lambda: met.errback(ConnectionError(f"no way to {node_id}")))
        elif not other.accepts(self.node_id, (self.identity.log_id, self._peers.get(node_id, ""))):
            self.clock.run(lambda: met.errback(LostLog(f"{node_id} knows another log")))
        else:
            who = other.identity
            told = Introduction(node_id, who.cluster_id, who.log_id, who.founders)
            self.clock.run(lambda: met.callback(told))
