"""What the core of Raft costs for a committed command, beside what AMP costs for its messages.

Three cores commit batches of commands.  Every call of a core is recorded, and made again of fresh
ones: that is the core's own work, without driver, disk and network.  Then the messages that they
exchanged are carried over AMP as the transport does it, from message to message: encoded, framed,
read, decoded.  Once by the project's own AMP, and once by Twisted's, which is the same on the wire.

Run: python -m tests.bench.bench_raft
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols import amp

from bleepstore.cluster import peer_commands
from bleepstore.cluster.peer_calls import PeerConnection
from bleepstore.cluster.peer_commands import CALLS
from bleepstore.cluster.peer_inbox import Inbox
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.raft import messages
from bleepstore.raft.core import Raft, Settings
from bleepstore.raft.messages import Appended, AppendEntries, Member, Members, Message
from bleepstore.raft.outbox import NOTHING
from tests.bench.bench_amp import Answering, Asking, join
from tests.raft.cluster import Disk

IDS = ("a", "b", "c")
COMMAND = bytes(4300)
"""A PUT of 4 KiB as it is in the log, about."""


Step = tuple[Callable[..., Any], tuple[Any, ...]]


class Trio:
    """Three nodes of which ``a`` leads, driven as ``cluster.driver`` does it: one turn after each
    event, in which everything that is due is taken.

    :ivar calls: every call of a core, to be made again of another trio.
    :ivar said: every message.
    """

    def __init__(self) -> None:
        members = Members(tuple(Member(node_id, f"{node_id}:1") for node_id in IDS))
        self.disks = {node_id: Disk(members) for node_id in IDS}
        self.rafts = {node_id: self._raft(node_id) for node_id in IDS}
        self._due: deque[tuple[str, str, tuple[Any, ...]]] = deque()
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.said: list[Message] = []
        while not self.rafts["a"].is_leader:
            self.do("a", "tick")

    def _raft(self, node_id: str) -> Raft:
        disk = self.disks[node_id]
        return Raft(
            node_id,
            Settings(),
            disk,
            hard_state=disk.hard_state,
            snapshot=disk.mark,
            commit=0,
            applied=0,
            jitter=lambda n: 0,
        )

    def do(self, node_id: str, name: str, *arguments: object) -> None:
        """Let something happen at a node, and everything that comes of it."""
        self._due.append((node_id, name, arguments))
        while self._due:
            self._turn(*self._due.popleft())

    def _turn(self, node_id: str, name: str, arguments: tuple[Any, ...]) -> None:
        raft = self.rafts[node_id]
        getattr(raft, name)(*arguments)
        self.calls.append((node_id, name, arguments))
        effects = raft.take()
        self.calls.append((node_id, "take", ()))
        if effects is NOTHING:
            return
        self.calls.append((node_id, "has_effects", ()))
        for envelope in effects.messages:
            self.said.append(envelope.message)
            self._due.append((envelope.to, "step", (node_id, envelope.message)))
        if effects.persist is not None:
            self.disks[node_id].save(effects.persist)
            self._due.append((node_id, "persisted", (effects.persist.number,)))
        if effects.apply:
            self._due.append((node_id, "applied", (effects.apply[-1].index,)))

    def forget(self) -> None:
        """What happened up to now is not of interest."""
        self.calls.clear()
        self.said.clear()


def recorded(batch: int, rounds: int) -> Trio:
    """What committing some batches takes."""
    trio, payloads = Trio(), [COMMAND] * batch
    trio.forget()
    for _ in range(rounds):
        trio.do("a", "propose", payloads)
    return trio


def core_seconds(history: Trio, rounds: int) -> float:
    """Of a batch: the calls alone, made again of other cores, which are in the same state."""
    trio = Trio()
    effects = vars(Raft)["has_effects"].fget
    calls: list[Step] = [
        (effects, (trio.rafts[node_id],))
        if name == "has_effects"
        else (getattr(trio.rafts[node_id], name), arguments)
        for node_id, name, arguments in history.calls
    ]
    started = time.process_time()
    for call, arguments in calls:
        call(*arguments)
    return (time.process_time() - started) / rounds


def carried(said: list[Message]) -> Callable[[], None]:
    """A call that carries messages over AMP: each AppendEntries as a call, each Appended as the
    answer to one."""
    clock, settings, counters = Clock(), PeerSettings(), Counters()
    asking, answering = Asking(), Answering()
    caller = PeerConnection(clock, settings, counters, asking, calls=True)
    called = PeerConnection(clock, settings, counters, answering, calls=False)
    received: list[Message] = []
    answering.inbox = Inbox(clock, settings, counters, lambda _, m: received.append(m), called)
    here, there = join(caller, called)
    caller.admit("b")
    called.admit("a")
    command = CALLS[AppendEntries].command

    def once() -> None:
        for message in said:
            if isinstance(message, AppendEntries):
                caller.post(command, body=messages.encode(message))
                here.carry()
            else:
                answering.inbox.answer(message)
                there.carry()
        received.clear()

    return once


def carried_by_stock(said: list[Message]) -> Callable[[], None]:
    """The same by ``amp.AMP``: each AppendEntries by ``callRemote``, and each Appended as what its
    responder gives, which has been waiting for it.  As with :func:`carried`, a notice that is not
    answered stays a call without an answer."""
    asked: deque[Deferred[dict[str, bytes]]] = deque()
    received: list[Message] = []

    class Called(amp.AMP):
        @peer_commands.AppendEntries.responder
        def append_entries(self, body: bytes) -> Deferred[dict[str, bytes]]:
            received.append(messages.decode(body))
            asked.append(Deferred())
            return asked[-1]

    caller = amp.AMP()
    here, there = join(caller, Called())
    command = CALLS[AppendEntries].command

    def answered(response: dict[str, bytes]) -> None:
        received.append(messages.decode(response["body"]))

    def once() -> None:
        for message in said:
            if isinstance(message, AppendEntries):
                caller.callRemote(command, body=messages.encode(message)).addCallback(answered)
                here.carry()
            else:
                asked.popleft().callback({"body": messages.encode(message)})
                there.carry()
        assert len(received) == len(said)
        received.clear()
        asked.clear()

    return once


def amp_seconds(
    history: Trio, rounds: int, by: Callable[[list[Message]], Callable[[], None]] = carried
) -> float:
    """Of a batch: its messages, over the project's own AMP or another."""
    once = by(history.said)
    started = time.process_time()
    once()
    return (time.process_time() - started) / rounds


def _keep_freed_memory() -> None:
    """Have the C library keep what is freed, as it does in a daemon that has run for a while.

    Where a process has never freed a large block, glibc gives the pages of each big frame back to
    the system and gets them anew, which doubles what AMP costs in large batches and flatters the
    core.  Freeing one large block raises that threshold (mallopt(3), M_MMAP_THRESHOLD).
    """
    block = bytes(16 << 20)
    del block


class Costs(NamedTuple):
    """Seconds of processor time for a batch: of three cores, of the project's own AMP for their
    messages, and of Twisted's."""

    core: float
    amp: float
    stock: float


def costs(batch: int, rounds: int = 40, repeat: int = 25) -> Costs:
    """What a batch costs, measured in turn; of each the best, as noise only adds."""
    _keep_freed_memory()
    history = recorded(batch, rounds)
    kinds = Counter(map(type, history.said))
    assert kinds == {AppendEntries: 4 * rounds, Appended: 2 * rounds}, kinds
    measured = [
        Costs(
            core_seconds(history, rounds),
            amp_seconds(history, rounds),
            amp_seconds(history, rounds, carried_by_stock),
        )
        for _ in range(repeat)
    ]
    return Costs(*map(min, zip(*measured, strict=True)))


def main() -> None:
    for batch in (1, 8, 32):
        core, own, stock = (seconds / batch * 1e6 for seconds in costs(batch))
        print(
            f"batches of {batch:2}: {core:6.1f} µs a command in three cores; over AMP "
            f"{own:6.1f} µs, {core / own:.2f} ×; over amp.AMP {stock:6.1f} µs, {core / stock:.2f} ×"
        )


if __name__ == "__main__":
    main()
