"""SIGKILL at random instants: every promise that was reported is in the log afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bleepstore.cluster.log_store import SqliteLog
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import SnapshotMark
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads
from tests.contract.log_stores import ALL, entries
from tests.contract.metadata_engines import Turns

ROOT = Path(__file__).parents[2]
ROUNDS = 5
CHILD = "import sys; from tests.cluster.test_log_crash import child; child(sys.argv[1])"


def child(directory: str) -> None:
    """Promise for ever: ``TERM LAST FIRST`` when it is durable."""
    from twisted.internet import reactor

    threads = ReactorThreads(reactor, 3)  # type: ignore[arg-type]  # the module is the reactor
    clock: IReactorTime = reactor

    async def compact(log: SqliteLog, mark: SnapshotMark) -> None:
        await log.compact(mark)

    async def main() -> None:
        await threads.start()
        log = SqliteLog(directory, "a", clock, threads, checkpoint_bytes=300_000)
        await log.start()
        dice = random.Random(log.state().incarnation)
        number = 0
        while True:
            number += 1
            term = log.state().hard_state.term + dice.randrange(2)
            low = log.last_index() + 1
            if dice.random() < 0.1:
                low = max(log.first_index(), low - dice.randrange(3))
                term += 1  # what is cut off is replaced by another leader's
            new = entries(low, low + dice.randrange(1, 30), max(term, 1), dice.choice((50, 3000)))
            await log.save(Persist(number, HardState(max(term, 1), "b"), new))
            if log.last_index() - log.first_index() > 300:
                index = log.last_index() - dice.randrange(50, 200)
                Deferred.fromCoroutine(compact(log, SnapshotMark(index, log.term(index))))
            state = log.state()
            line = f"{state.hard_state.term} {state.last_index} {state.first_index}\n"
            os.write(1, line.encode())

    def run() -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(main())
        running.addErrback(lambda failure: os.write(2, failure.getTraceback().encode()))

    reactor.callWhenRunning(run)
    reactor.run()


def test_what_was_promised_survives_a_kill(tmp_path: Path) -> None:
    dice = random.Random(11)
    turns = Turns()
    directory = tmp_path / "raft"
    compacted = 0
    for round_ in range(1, ROUNDS + 1):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(directory)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        # By what it said, not by the clock: the kill falls while it works, wherever that is.
        lines = [process.stdout.readline() for _ in range(dice.randrange(5, 150))]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        whole = [line.split() for line in lines if line.endswith(b"\n")]
        term, last, first = (int(number) for number in whole[-1])

        log = SqliteLog(str(directory), "a", turns.clock, ImmediateThreads())
        state = log.state()
        assert state.incarnation == 2 * round_
        assert state.hard_state.term in (term, term + 1, term + 2), "it, or one under way"
        assert state.first_index >= first
        if state.hard_state.term == term:
            assert state.last_index >= last
        found = log.entries(state.first_index, state.last_index + 1, ALL)
        for entry in found:
            assert entry.data.startswith(f"{entry.index}.{entry.term}.".encode())
        assert found[-1].index == state.last_index
        compacted = max(compacted, state.first_index)
        turns.run(log.stop())
    assert compacted > 300
