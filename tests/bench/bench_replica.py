"""What a replica costs: how a group is committed, and how a database is copied.

Run: python -m tests.bench.bench_replica [--objects 100000]
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.copies import write_copy
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads
from tests.metadata.entries import Log
from tests.metadata.values import bucket, crc64, put

reactor: Any = _reactor
CRC = crc64("AAAAAAAAAAA=")
KIB_4 = b"x" * 4096
GROUP = 32
GROUPS = 300


@contextmanager
def a_log_beside(directory: Path) -> Iterator[None]:
    """Another file of the same disk, to which 128 KiB are appended and synced again and again."""
    going_on = True

    def write() -> None:
        file = os.open(directory / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        while going_on:
            os.write(file, b"x" * 131072)
            os.fdatasync(file)
        os.close(file)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        going_on = False
        thread.join()


def at(share: float, of: list[float]) -> float:
    return sorted(of)[int(len(of) * share)] * 1e3


async def applying(directory: Path, synchronous: str, commit_threads: IThreads, name: str) -> None:
    threads = ReactorThreads(reactor, 2)
    await threads.start()
    database = ReplicaFile(directory / f"{name}.db")
    database.writer.execute(f"PRAGMA synchronous = {synchronous}")
    replica = MetadataReplica(database, reactor, threads, commit_threads=commit_threads)
    blocked: list[float] = []
    machine = replica._machine
    commit = machine.commit

    def timed() -> None:
        started = time.perf_counter()
        commit()
        blocked.append(time.perf_counter() - started)

    machine.commit = timed  # type: ignore[method-assign]  # a benchmark's look inside
    log = Log()
    await replica.apply(log(bucket()))
    dice = random.Random(1)
    waits: list[float] = []
    used = time.process_time()
    for _ in range(GROUPS):
        entries = log(
            *(put(f"{dice.getrandbits(32):08x}", KIB_4, checksum=CRC) for _ in range(GROUP))
        )
        started = time.perf_counter()
        await replica.apply(entries)
        waits.append(time.perf_counter() - started)
    used = (time.process_time() - used) / GROUPS * 1e3
    print(
        f"  {name}: a group of {GROUP} in {at(0.5, waits):.2f} ms, p99 {at(0.99, waits):.2f},"
        f" max {max(waits) * 1e3:.1f}; COMMIT {at(0.5, blocked):.2f} ms, p99"
        f" {at(0.99, blocked):.2f}, max {max(blocked) * 1e3:.1f}; {used:.2f} ms of processor"
    )
    await replica.stop()
    await threads.stop()


async def groups(directory: Path) -> None:
    lane = ReactorThreads(reactor, 1, "commit")
    await lane.start()
    for beside in (False, True):
        print(f"{'beside a log that is synced all the time' if beside else 'alone'}:")
        for turn in (1, 2):
            for synchronous in ("FULL", "NORMAL"):
                for place, threads in (("thread", lane), ("reactor", ImmediateThreads())):
                    name = f"{synchronous}, COMMIT on the {place}, run {turn}"
                    if beside:
                        with a_log_beside(directory):
                            await applying(directory, synchronous, threads, f"{name}, beside")
                    else:
                        await applying(directory, synchronous, threads, name)
    await lane.stop()


def vacuum_into(source: sqlite3.Connection, path: str) -> int:
    """The design that was not taken."""
    source.execute("PRAGMA query_only = OFF")
    source.execute("VACUUM INTO ?", (path,))
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    os.close(file)
    return 0


async def copying(directory: Path, objects: int) -> None:
    threads, lane = ReactorThreads(reactor, 4), ReactorThreads(reactor, 1, "commit")
    await threads.start()
    await lane.start()
    database = ReplicaFile(directory / "copied.db")
    replica = MetadataReplica(database, reactor, threads, commit_threads=lane)
    log = Log()
    await replica.apply(log(bucket()))
    keys = random.Random(2).sample(range(10**9), objects)
    for first in range(0, objects, 200):
        await replica.apply(
            log(*(put(f"{key:09}", KIB_4, checksum=CRC) for key in keys[first : first + 200]))
        )
    size = os.path.getsize(directory / "copied.db") / 2**20
    print(f"a database of {objects:,} objects of 4 KiB, {size:.0f} MiB:")

    async def beside(waiting: Any) -> str:
        """Groups applied until something is done."""
        waits: list[float] = []
        dice = random.Random(3)
        turn = longest = 0.0
        started = time.perf_counter()
        while not waiting.called:
            entries = log(*(put(f"{dice.choice(keys):09}", KIB_4, checksum=CRC) for _ in range(8)))
            begun = time.perf_counter()
            await replica.apply(entries)
            waits.append(time.perf_counter() - begun)
            pause: Deferred[None] = Deferred()
            reactor.callLater(0, pause.callback, None)
            turn = time.perf_counter()
            await pause
            longest = max(longest, time.perf_counter() - turn)
        took = time.perf_counter() - started
        return (
            f"{len(waits) * 8 / took:,.0f} entries/s, p99 {at(0.99, waits):.1f} ms,"
            f" longest turn {longest * 1e3:.1f} ms"
        )

    for turn in (1, 2):
        pause: Deferred[None] = Deferred()
        reactor.callLater(2, pause.callback, None)
        print(f"  no copy, run {turn}: {await beside(pause)}")
        for name, copy in (("backup", write_copy), ("VACUUM INTO", vacuum_into)):
            source = database.open_reader()
            path = str(directory / f"{name}-{turn}")
            used, started = time.process_time(), time.perf_counter()
            await threads.run(copy, source, path)
            alone, used = time.perf_counter() - started, time.process_time() - used
            os.unlink(path)
            started = time.perf_counter()
            served = await beside(threads.run(copy, source, path))
            took = time.perf_counter() - started
            print(
                f"  {name}, run {turn}: {alone:.2f} s alone ({used:.2f} s of processor),"
                f" {os.path.getsize(path) / 2**20:.0f} MiB; {took:.2f} s beside {served}"
            )
            source.close()
            os.unlink(path)
    path = str(directory / "copy")
    index = await replica.copy(path)
    started = time.perf_counter()
    await replica.replace(path, index)
    print(f"  replace: {time.perf_counter() - started:.2f} s")
    await replica.stop()
    await lane.stop()
    await threads.stop()


async def run(directory: Path, objects: int) -> None:
    await groups(directory)
    await copying(directory, objects)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-") as name:
        done = Deferred.fromCoroutine(run(Path(name), options.objects))
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.callWhenRunning(reactor.stop))
        reactor.run()


if __name__ == "__main__":
    main()
