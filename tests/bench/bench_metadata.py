"""What metadata costs: point reads, commands, pages, and durable group commit in both designs.

Run: python -m tests.bench.bench_metadata [--objects 1000000]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults

from bleepstore.metadata import listing
from bleepstore.metadata.database import Database
from bleepstore.metadata.machine import Outcome, StateMachine
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model import proposals
from bleepstore.model.commands import AnyCommand, DeleteObject, DeleteObjects, DeleteTarget
from bleepstore.model.proposals import Proposal
from bleepstore.raft.messages import Entry
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.values import bucket, complete, copy, crc64, part, put, upload

reactor: Any = _reactor
CRC = crc64("AAAAAAAAAAA=")
KIB_4 = b"x" * 4096
CONNECTIONS = 32
REQUEST = 100e-6
"""Seconds that a simulated request keeps the reactor busy."""


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of the quickest round: the machine's noise only ever adds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


class Filled:
    """A database of many small objects: ``dirNNNN/NNNNNNNN`` in 1,000 directories."""

    def __init__(self, directory: Path, objects: int) -> None:
        self.database = Database(directory / f"{objects}.db")
        self.machine = StateMachine(lambda: self.database.writer)
        self.machine.apply_group([bucket()])
        checkpointer = self.database.open_checkpointer()
        self.keys = [f"dir{n % 1000:04}/{n:08}" for n in range(objects)]
        for first in range(0, objects, 5000):
            batch = self.keys[first : first + 5000]
            self.machine.apply_group([put(key, b"", checksum=CRC) for key in batch])
            checkpointer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        checkpointer.close()
        self.reader = Reader(self.database.open_reader())

    def page(self, delimiter: str = "", after: str = "") -> float:
        return best(lambda: listing.list_objects(self.reader, "bucket", "", delimiter, after, 1000))

    def point_read(self) -> float:
        sample = random.Random(1).sample(self.keys, min(len(self.keys), 5000))

        def read() -> None:
            for key in sample:
                self.reader.get_object("bucket", key, "", True)

        return best(read, 3) / len(sample)


def reads(directory: Path, objects: int) -> None:
    small, large = Filled(directory, 10_000), Filled(directory, objects)
    for name, of in (
        ("first page of 1,000", lambda filled: filled.page()),
        ("1,000 common prefixes", lambda filled: filled.page("/")),
    ):
        few, many = of(small), of(large)
        print(
            f"{name}: {many * 1e3:.2f} ms of {objects:,} keys, {few * 1e3:.2f} ms of 10,000:"
            f" {many / few:.2f} ×"
        )
    for filled in (small, large):
        cost = filled.point_read() * 1e6
        print(f"get_object with manifest, {len(filled.keys):,} keys at random: {cost:.1f} µs")


def commands(directory: Path) -> None:
    database = Database(directory / "commands.db")
    machine = StateMachine(lambda: database.writer)
    machine.apply_group([bucket()])
    serial = iter(range(10**9))

    def groups(make: Callable[[int], AnyCommand], size: int = 32, number: int = 60) -> float:
        """Seconds of processor time for a command in a group, its share of the commit included."""
        all_of_them = [[make(next(serial)) for _ in range(size)] for _ in range(number)]
        started = time.process_time()
        for group in all_of_them:
            machine.apply_group(group)
        return (time.process_time() - started) / (size * number)

    for name, make in (
        ("PutObject of 4 KiB inline", lambda n: put(f"{n * 7919 % 10**6}", KIB_4, checksum=CRC)),
        ("PutObject of a blob", lambda n: put(f"{n * 7919 % 10**6}", blob=f"blob-{n}")),
        ("DeleteObject", lambda n: DeleteObject(at=1, bucket="bucket", key=f"{n}")),
    ):
        print(f"{name}: {groups(make) * 1e6:.1f} µs of processor")
    numbers = tuple(range(1, 10_001))

    def timed(command: AnyCommand) -> float:
        started = time.perf_counter()
        (outcome,) = machine.apply_group([command])
        if isinstance(outcome, Exception):
            raise outcome
        return (time.perf_counter() - started) * 1e3

    machine.apply_group([upload(), *(part(n, checksum=CRC) for n in numbers)])
    print(f"CompleteUpload of 10,000 parts: {timed(complete(numbers)):.0f} ms")
    found = Reader(database.writer).get_object("bucket", "big", "", False).version
    assert found is not None
    print(f"CopyObject of them: {timed(copy('big', 'copy', found.content_id)):.2f} ms")
    machine.apply_group([DeleteObject(at=1, bucket="bucket", key="big")])
    last = timed(DeleteObject(at=1, bucket="bucket", key="copy"))
    print(f"DeleteObject of the last of them: {last:.0f} ms")
    machine.apply_group([put(f"k{n}") for n in range(1000)])
    targets = tuple(DeleteTarget(f"k{n}") for n in range(1000))
    many = timed(DeleteObjects(at=1, bucket="bucket", targets=targets))
    print(f"DeleteObjects of 1,000: {many:.1f} ms")


class GroupingConsensus:
    """A consensus of one node and no log, which applies what a turn has brought as one group."""

    def __init__(self, replica: MetadataReplica, clock: Any) -> None:
        self._replica = replica
        self._clock = clock
        self._waiting: list[tuple[bytes, Deferred[Any]]] = []
        self._rounds: list[Deferred[None]] = []
        self._serial = 0
        self.confirms = True

    def propose(self, command: bytes) -> Deferred[Any]:
        self._serial += 1
        answer: Deferred[Any] = Deferred()
        data = proposals.encode(Proposal("n1", 1, self._serial, self._serial, command))
        self._waiting.append((data, answer))
        if len(self._waiting) == 1:
            self._clock.callLater(0, lambda: Deferred.fromCoroutine(self._apply()))
        return answer

    async def _apply(self) -> None:
        group, self._waiting = self._waiting, []
        first = self._replica.applied_index() + 1
        entries = [Entry(index, 1, data=data) for index, (data, _) in enumerate(group, first)]
        verdicts = await self._replica.apply(entries)
        for (_, answer), verdict in zip(group, verdicts, strict=True):
            answer.callback(verdict.outcome)

    async def barrier(self) -> None:
        if not self.confirms:
            answer: Deferred[None] = Deferred()
            self._rounds.append(answer)
            await answer

    def confirm(self) -> None:
        """The round of confirmation that all who wait have shared."""
        rounds, self._rounds = self._rounds, []
        for each in rounds:
            each.callback(None)


def replication(directory: Path) -> None:
    """What a replicated store costs over the embedded one, consensus itself left out."""
    turns = Turns()
    plain = SqliteMetadata(directory / "plain.db", turns.clock, ImmediateThreads())
    replica = MetadataReplica(
        ReplicaFile(directory / "replica.db"), turns.clock, ImmediateThreads()
    )
    consensus = GroupingConsensus(replica, turns.clock)
    strong, eventual = (
        ReplicatedMetadata(
            replica,
            consensus,  # type: ignore[arg-type]  # as much of it as is called
            turns.clock,
            ImmediateThreads(),
            eventual=eventual,
        )
        for eventual in (False, True)
    )
    keys = [f"{n:05}" for n in range(2000)]

    def submitting(store: Any) -> float:
        """Seconds of processor a command, in groups of 32."""
        used = 0.0
        for first in range(0, len(keys), 32):
            group = [put(key, KIB_4, checksum=CRC) for key in keys[first : first + 32]]
            started = time.process_time()
            waiting = [turns.start(store.submit(command)) for command in group]
            for each in waiting:
                turns.result(each)
            used += time.process_time() - started
        return used / len(keys)

    def reading(store: Any) -> float:
        """Seconds of processor a read that does not suspend, all of one turn."""
        started = time.process_time()
        for key in keys:
            turns.at_once(store.get_object("bucket", key, with_manifest=True))
        return (time.process_time() - started) / len(keys)

    def waiting_for_rounds(store: Any) -> float:
        """The same where each waits for a round that 32 share."""
        consensus.confirms = False
        started = time.process_time()
        for first in range(0, len(keys), 32):
            waiting = [
                turns.start(store.get_object("bucket", key, with_manifest=True))
                for key in keys[first : first + 32]
            ]
            consensus.confirm()
            for each in waiting:
                turns.result(each)
        consensus.confirms = True
        return (time.process_time() - started) / len(keys)

    for store in (plain, strong):
        turns.run(store.submit(bucket()))
    costs: dict[str, float] = {}
    for _ in range(5):
        for name, measured, store in (
            ("submit, embedded", submitting, plain),
            ("submit, replicated", submitting, strong),
            ("read, embedded", reading, plain),
            ("read, eventual", reading, eventual),
            ("read, strong, confirmed at once", reading, strong),
            ("read, strong, waiting for a round", waiting_for_rounds, strong),
        ):
            costs[name] = min(costs.get(name, 1.0), measured(store))
    for name, cost in costs.items():
        print(f"{name}: {cost * 1e6:.1f} µs of processor")
    for each in (plain, strong, eventual, replica):
        turns.run(each.stop())


def apply_in_thread(store: SqliteMetadata, threads: ReactorThreads) -> None:
    """The design that was not taken: the group's commands are applied in the thread too."""

    async def apply(group: list[AnyCommand]) -> list[Outcome]:
        def all_steps() -> list[Outcome]:
            steps = store.machine.steps(group)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    outcomes: list[Outcome] = end.value
                    return outcomes

        return await threads.run(all_steps)

    store.queue._apply = apply  # type: ignore[method-assign]  # a benchmark's other design


async def durable(directory: Path, name: str, readers: int, in_thread: bool) -> None:
    """Closed-loop writers, and readers beside them, each of which keeps the reactor busy for
    100 µs a request, as HTTP would."""
    threads = ReactorThreads(reactor, 4)
    await threads.start()
    store = SqliteMetadata(directory / f"{name}.db", reactor, threads)
    if in_thread:
        apply_in_thread(store, threads)
    await store.submit(bucket())
    waits: list[float] = []
    started = time.perf_counter()
    end = started + 4
    dice = random.Random(1)

    async def request() -> None:
        arrival: Deferred[None] = Deferred()
        reactor.callLater(dice.random() * 200e-6, arrival.callback, None)
        await arrival
        until = time.perf_counter() + REQUEST
        while time.perf_counter() < until:
            pass

    read = 0

    async def reader() -> None:
        nonlocal read
        while time.perf_counter() < end:
            await request()
            await store.get_object("bucket", f"{dice.getrandbits(32):08x}", with_manifest=True)
            read += 1

    async def writer() -> None:
        while time.perf_counter() < end:
            await request()
            asked = time.perf_counter()
            await store.submit(put(f"{dice.getrandbits(32):08x}", KIB_4, checksum=CRC))
            waits.append(time.perf_counter() - asked)

    clients = [writer() for _ in range(CONNECTIONS)] + [reader() for _ in range(readers)]
    await gatherResults(list(map(Deferred.fromCoroutine, clients)))
    took = time.perf_counter() - started
    waits.sort()
    counters = store.counters
    print(
        f"{name}: {len(waits) / took:,.0f} durable PUTs/s and {read / took:,.0f} reads/s,"
        f" {counters.commands / counters.commits:.1f} commands a commit,"
        f" p50 {waits[len(waits) // 2] * 1e3:.1f} ms,"
        f" p99 {waits[len(waits) * 99 // 100] * 1e3:.1f} ms"
    )
    await store.stop()
    await threads.stop()


async def run_durable(directory: Path) -> None:
    for turn in (1, 2, 3):
        for readers in (0, 16):
            for place, in_thread in (("reactor", False), ("thread", True)):
                name = f"applied on the {place}, {readers} readers, run {turn}"
                await durable(directory, name, readers, in_thread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--replication", action="store_true", help="nothing but what it costs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-") as name:
        directory = Path(name)
        replication(directory)
        if options.replication:
            return
        commands(directory)
        reads(directory, options.objects)
        done = Deferred.fromCoroutine(run_durable(directory))
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.callWhenRunning(reactor.stop))
        reactor.run()


if __name__ == "__main__":
    main()
