"""SIGKILL at random instants: every command that was acknowledged is there afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.values import bucket, put

ROOT = Path(__file__).parents[2]
ROUNDS = 12
CLIENTS = 12

CHILD = "import sys; from tests.metadata.test_crash import child; child(sys.argv[1], sys.argv[2])"


def child(path: str, name: str) -> None:
    """Write for ever: ``s KEY`` when a command is submitted, ``a KEY`` when it is acknowledged."""
    from twisted.internet import reactor

    threads = ReactorThreads(reactor, 3)  # type: ignore[arg-type]  # the module is the reactor
    clock: IReactorTime = reactor

    async def client(store: SqliteMetadata, number: int) -> None:
        serial = 0
        while True:
            key = f"{name}-{number}-{serial}"
            os.write(1, f"s {key}\n".encode())
            await store.submit(put(key, key.encode() * 50, blob=f"blob-{key}"))
            os.write(1, f"a {key}\n".encode())
            serial += 1

    async def main() -> None:
        await threads.start()
        store = SqliteMetadata(path, clock, threads, checkpoint_bytes=300_000)
        await store.submit(bucket())
        for number in range(CLIENTS):
            Deferred.fromCoroutine(client(store, number))

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
    reactor.run()


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    dice = random.Random(7)
    path = tmp_path / "m.db"
    acknowledged: set[str] = set()
    submitted: set[str] = set()
    rounds_with_work_under_way = 0
    for round_ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(round_)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        lines: list[str] = []
        # By what it said, not by the clock: the kill falls while it works, wherever that is.
        for _ in range(dice.randrange(30, 900)):
            lines.append(process.stdout.readline().decode())
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().decode().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        whole = [line.split() for line in lines if line.endswith("\n")]
        new = {key for what, key in whole if what == "s"}
        done = {key for what, key in whole if what == "a"}
        assert done, "the child acknowledged nothing"
        rounds_with_work_under_way += len(new - done) > 0
        submitted |= new
        acknowledged |= done

        turns = Turns()
        store = SqliteMetadata(path, turns.clock, ImmediateThreads())
        present: set[str] = set()
        after = ""
        while True:
            page = turns.run(store.list_objects("bucket", after=after))
            present |= {entry.key for entry in page.objects}
            if not (after := page.next_after):
                break
        assert acknowledged <= present <= submitted
        blobs = turns.run(store.referenced_blobs([f"blob-{key}" for key in submitted]))
        assert blobs == {f"blob-{key}" for key in present}
        assert turns.run(store.totals()).objects == len(present)
        turns.run(store.stop())
    assert rounds_with_work_under_way >= ROUNDS * 3 // 4
