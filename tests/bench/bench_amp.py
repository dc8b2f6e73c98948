"""What a message between nodes costs over AMP, beside Twisted's own AMP with the same commands.

No sockets: what one side writes is given to the other one, in segments of 64 KiB.  A round trip is
a call from one connection to the other and its answer, from message to message and back.

Run: python -m tests.bench.bench_amp
"""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp
from zope.interface import implementer

from bleepstore.cluster import peer_commands
from bleepstore.cluster.peer_calls import AnsweredOnly, PeerConnection
from bleepstore.cluster.peer_commands import CALLS
from bleepstore.cluster.peer_hello import Self
from bleepstore.cluster.peer_inbox import Inbox
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.cluster.transport import AmpTransport
from bleepstore.cluster.wires import wires
from bleepstore.interfaces.replication import IReceiver
from bleepstore.raft import messages
from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    Member,
    Members,
    Message,
    SnapshotMark,
)
from bleepstore.streams.threads import ReactorThreads

SEGMENT = 65536
HEARTBEAT = AppendEntries(3, 1000, 3, (), 990, 17)
ENTRIES = AppendEntries(
    3, 1000, 3, tuple(Entry(1001 + n, 3, data=bytes(4096)) for n in range(32)), 990, 17
)
ANSWER = Appended(3, True, 1032, 17)


class Wire:
    """A transport that keeps what is written until it is carried to the other side."""

    def __init__(self) -> None:
        self.other: Any = None
        self.waiting = b""

    def write(self, data: bytes) -> None:
        self.waiting = self.waiting + data if self.waiting else data

    def carry(self) -> None:
        data, self.waiting = self.waiting, b""
        for start in range(0, len(data), SEGMENT):
            self.other.dataReceived(data if len(data) <= SEGMENT else data[start : start + SEGMENT])

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def abortConnection(self) -> None: ...

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 1)

    getHost = getPeer


def join(one: Any, other: Any) -> tuple[Wire, Wire]:
    here, there = Wire(), Wire()
    here.other, there.other = other, one
    other.makeConnection(there)
    one.makeConnection(here)
    return here, there


class Asking(AnsweredOnly):
    def __init__(self) -> None:
        self.answers = 0

    def answered(self, connection: Any, command: Any, response: Any) -> None:
        messages.decode(response["body"])
        self.answers += 1


class Answering(AnsweredOnly):
    inbox: Inbox

    def asked(self, connection: Any, name: bytes, box: Any, tag: Any) -> None:
        self.inbox.asked(name, box, tag)


def round_trip(request: Message, answer: Message) -> Callable[[], None]:
    """One round trip as the transport makes it: encoded, framed, read, decoded, both ways."""
    clock, settings, counters = Clock(), PeerSettings(), Counters()
    asking, answering = Asking(), Answering()
    caller = PeerConnection(clock, settings, counters, asking, calls=True)
    called = PeerConnection(clock, settings, counters, answering, calls=False)
    answering.inbox = Inbox(
        clock, settings, counters, lambda _, __: answering.inbox.answer(answer), called
    )
    here, there = join(caller, called)
    caller.admit("b")
    called.admit("a")
    command = CALLS[type(request)].command

    def once() -> None:
        before = asking.answers
        caller.post(command, body=messages.encode(request))
        here.carry()
        there.carry()
        assert asking.answers == before + 1

    return once


def stock_round_trip(request: Message, answer: Message) -> Callable[[], None]:
    """The same by ``amp.AMP`` and ``callRemote``."""

    class Called(amp.AMP):
        @peer_commands.AppendEntries.responder
        def append_entries(self, body: bytes) -> dict[str, bytes]:
            messages.decode(body)
            return {"body": messages.encode(answer)}

    caller, called = amp.AMP(), Called()
    here, there = join(caller, called)
    command = CALLS[type(request)].command

    def once() -> None:
        result: list[Any] = []
        answered = caller.callRemote(command, body=messages.encode(request))
        answered.addCallback(lambda response: result.append(messages.decode(response["body"])))
        here.carry()
        there.carry()
        assert result == [answer]

    return once


def seconds(once: Callable[[], None], budget: float = 0.5, rounds: int = 5) -> float:
    """Processor time of the quickest round of many calls: the machine's noise only ever adds."""
    once()
    started = time.process_time()
    once()
    number = max(1, round(budget / rounds / max(time.process_time() - started, 1e-6)))
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(number):
            once()
        best = min(best, (time.process_time() - started) / number)
    return best


@implementer(IReceiver)
class _Deaf:
    """A receiver that does nothing."""

    def received(self, sender: str, message: Message) -> None: ...

    def snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None: ...

    def peer_lost(self, peer: str) -> None: ...


async def snapshot(reactor: Any, directory: Path, size: int) -> None:
    """A snapshot between two nodes of one process, beside one thread that does the work on files:
    reads and hashes it twice, copies it, and syncs the copy."""
    path = directory / "snapshot"
    block = random.Random(1).randbytes(1 << 20)
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(block)
    threads = ReactorThreads(reactor, 4)
    await threads.start()
    nodes = []
    for name in ("a", "b"):
        sockets = wires(reactor, "127.0.0.1", 0)
        me = Self(node=name, address="", cluster="one")
        incoming = str(directory / f"incoming-{name}")
        node = AmpTransport(
            me, reactor, threads, sockets.listen_on, sockets.endpoints, incoming, random.random
        )
        node.listen(_Deaf())
        await node.start()
        nodes.append(node)
    a, b = nodes
    assert b.port is not None
    a.connect(Members((Member("b", f"127.0.0.1:{b.port.getHost().port}"),)))
    for number in range(3):
        with open(path, "r+b") as file:
            file.write(b"%d" % number)  # another snapshot: no digest of it is known
        started = time.perf_counter()
        await threads.run(_by_hand, path, directory / "copy")
        reference = time.perf_counter() - started
        started = time.perf_counter()
        await a.send_snapshot("b", 1, SnapshotMark(1, 1), str(path))
        sent = time.perf_counter() - started
        print(
            f"snapshot of {size >> 20} MiB: {(size >> 20) / sent:7.1f} MiB/s, the work on files "
            f"alone {(size >> 20) / reference:7.1f} MiB/s, {reference / sent:.2f} ×"
        )
    for node in nodes:
        await node.stop()
    await threads.stop()


def _by_hand(path: Path, copy: Path) -> None:
    for _ in range(2):
        state = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                state.update(block)
    with open(path, "rb") as file, open(copy, "wb") as target:
        while block := file.read(1 << 18):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())


def main() -> None:
    for name, request in (("empty heartbeat", HEARTBEAT), ("32 entries of 4 KiB", ENTRIES)):
        ours, stock = round_trip(request, ANSWER), stock_round_trip(request, ANSWER)
        pairs = [(seconds(ours, 0.2), seconds(stock, 0.2)) for _ in range(10)]
        here, there = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
        print(
            f"AppendEntries, {name}: {here * 1e6:7.1f} µs a round trip, "
            f"amp.AMP {there * 1e6:7.1f} µs, {here / there:.2f} ×"
        )
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-") as name:
        task.react(lambda reactor: Deferred.fromCoroutine(snapshot(reactor, Path(name), 256 << 20)))


if __name__ == "__main__":
    main()
