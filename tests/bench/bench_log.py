"""What the log of a node costs: saves in both designs, reading, opening, compaction.

Run: python -m tests.bench.bench_log [--directory DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred

from bleepstore.cluster import log_store
from bleepstore.cluster.log_store import UNIT, SqliteLog
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, EntryKind, SnapshotMark
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads

reactor: Any = _reactor
GROUP = 32
SIZE = 4096
SAVES = 150
BUSY = 300e-6
"""Seconds that a simulated request keeps the reactor busy; the next one follows at once."""


def group(first: int) -> tuple[Entry, ...]:
    data = b"x" * SIZE
    return tuple(Entry(first + n, 1, EntryKind.COMMAND, data) for n in range(GROUP))


class Load:
    """Requests that keep the reactor busy, one in each turn."""

    def __init__(self) -> None:
        self.served = 0
        self._running = True
        self._serve()

    def _serve(self) -> None:
        if not self._running:
            return
        end = time.perf_counter() + BUSY
        while time.perf_counter() < end:
            pass
        self.served += 1
        reactor.callLater(0, self._serve)

    def stop(self) -> None:
        self._running = False


async def saves(directory: Path, threads: ReactorThreads, design: str, busy: bool) -> None:
    log_store.ON_REACTOR = sys.maxsize if design == "reactor" else -1
    log = SqliteLog(str(directory / f"{design}-{busy}"), "a", reactor, threads)
    load = Load() if busy else None
    times = []
    for number in range(SAVES):
        started = time.perf_counter()
        await log.save(Persist(number, HardState(1), group(1 + number * GROUP), commit=number))
        times.append(time.perf_counter() - started)
    times.sort()
    served = f", {load.served / sum(times):,.0f} requests/s beside it" if load else ""
    print(
        f"save of {GROUP} × {SIZE} bytes, statements in the {design:7} "
        f"{'busy' if busy else 'idle'}: p50 {times[SAVES // 2] * 1e3:6.2f} ms, "
        f"p99 {times[SAVES * 99 // 100] * 1e3:6.2f} ms{served}"
    )
    if load:
        load.stop()
    await log.stop()


def others(directory: Path) -> None:
    log = SqliteLog(str(directory / "others"), "a", reactor, ImmediateThreads())
    count = 10_000

    def run(coroutine: Any) -> None:
        Deferred.fromCoroutine(coroutine)

    for first in range(1, count + 1, GROUP):
        run(log.save(Persist(first, None, group(first))))
    count = log.last_index()
    started = time.perf_counter()
    for first in range(1, count, 64):
        log.entries(first, first + 64, 1 << 30)
    took = time.perf_counter() - started
    print(f"reading: {took / count * 1e6:.1f} µs an entry of {SIZE} bytes")
    run(log.stop())
    started = time.perf_counter()
    log = SqliteLog(str(directory / "others"), "a", reactor, ImmediateThreads())
    took = time.perf_counter() - started
    print(f"opening, and verifying {count * SIZE / 1e6:.0f} MB: {took * 1e3:.0f} ms")
    run(log._write(log_store._Change({"snapshot": SnapshotMark(count // 2, 1)}, forget=count // 2)))
    units, times = 0, []
    while True:
        started = time.perf_counter()
        dropping = Deferred.fromCoroutine(log._drop_unit())
        if not dropping.result:
            break
        times.append(time.perf_counter() - started)
        units += 1
    times.sort()
    print(
        f"compaction: {units} units of {UNIT} entries, p50 {times[units // 2] * 1e3:.2f} ms, "
        f"p99 {times[units * 99 // 100] * 1e3:.2f} ms of the reactor"
    )
    run(log.stop())


async def main(directory: Path) -> None:
    threads = ReactorThreads(reactor, 2)
    await threads.start()
    default = log_store.ON_REACTOR
    for busy in (False, True):
        for design in ("reactor", "thread"):
            await saves(directory, threads, design, busy)
    log_store.ON_REACTOR = default
    others(directory)
    await threads.stop()


def done(result: Any) -> None:
    if result is not None:
        result.printTraceback()
    reactor.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-", dir=options.directory) as name:
        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(Path(name))).addBoth(done))
        reactor.run()
