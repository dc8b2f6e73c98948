"""A sync that failed is never made good by a later one: what it left out is not acknowledged.

After a sync has failed the kernel calls clean what it could not write, and the next one succeeds
without it.  So each sync of a store is made to fail in its turn, in a process of its own; what that
process acknowledges all the same, and what the next one does, must survive a power cut (``power``).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.power import SYNCS, Call, Disk, calls, tracing

HEAD = """
import os, sys
from pathlib import Path

where, first = Path(sys.argv[1]), int(sys.argv[2])

def attempt(number, call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        print(f"no {number}: {error!r}", flush=True)
        return False
    print(f"ack {number}", flush=True)
    return True
"""

BLOBS = """
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.blob_stores import STORES
from tests.contract.blobs import World, blob_id, random_bytes

(make,) = [make for store, make in STORES.items() if store.__name__ == STORE]
# On one thread, since strace counts each thread's calls apart.
world = World(lambda where, turns, threads: make(where, turns, ImmediateThreads()), where)
if first:
    writers = {number: world.create(blob_id(number)) for number in range(first, first + 3)}
    for number, writer in writers.items():
        world.run(writer.write(random_bytes(300_000, number)))
    print("written", flush=True)
    for number, writer in writers.items():
        attempt(number, lambda: world.run(writer.finish()))
else:
    for number in sorted(map(int, sys.argv[3:])):
        assert world.get(blob_id(number), 0, 300_000) == random_bytes(300_000, number), number
"""

METADATA = """
from bleepstore.metadata.database import Database
from bleepstore.metadata.machine import StateMachine
from bleepstore.model.commands import OpenEpoch

database = Database(where / "metadata.db")
machine = StateMachine(lambda: database.writer)
print("written", flush=True)
if first:
    for number in range(first, first + 3):
        if not attempt(number, machine.apply_group, [OpenEpoch(at=number, node_id="a")]):
            break  # as a process does that is killed in that moment
else:
    times = {at for (at,) in database.writer.execute("SELECT opened FROM epochs")}
    assert set(map(int, sys.argv[3:])) <= times, times
"""

LOG = """
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from bleepstore.cluster.log_store import SqliteLog
from bleepstore.raft.effects import Persist
from bleepstore.raft.messages import Entry
from bleepstore.streams.threads import ImmediateThreads

def save(number):
    entry = Entry(log.last_index() + 1, 1, data=b"%d" % number)
    saving = Deferred.fromCoroutine(log.save(Persist(1, None, (entry,))))
    failures = []
    saving.addErrback(failures.append)
    if failures:
        failures[0].raiseException()

log = SqliteLog(str(where), "a", Clock(), ImmediateThreads())
print("written", flush=True)
if first:
    for number in range(first, first + 3):
        if not attempt(number, save, number):
            break
else:
    held = [int(entry.data) for entry in log.entries(1, log.last_index() + 1, 1 << 20)]
    assert set(map(int, sys.argv[3:])) <= set(held), held
"""

TAIL = """
os._exit(0)
"""

STORES = {
    "blobs in files": 'STORE = "LocalBlobStore"' + BLOBS,
    "blobs in SQLite": 'STORE = "SqliteBlobStore"' + BLOBS,
    "metadata": METADATA,
    "log": LOG,
}
ROOT = Path(__file__).parents[2]


class Store:
    """A store of one directory, used by one process after another, and its disk."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = HEAD + program + TAIL
        self._directory = directory
        self._place = directory / "store"
        self._place.mkdir(parents=True)
        self.disk = Disk(self._place)
        self.acknowledged: list[str] = []

    def _command(self, place: Path, *arguments: object) -> list[str]:
        return [sys.executable, "-c", self._program, str(place), *map(str, arguments)]

    def use(self, first: int, failing: str = "") -> Sequence[Call]:
        """Write three things numbered from ``first`` on; gives what the process did."""
        trace = self._directory / f"trace-{first}"
        command = [*tracing(trace, failing), *self._command(self._place, first)]
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        self.acknowledged += [
            line.split()[1] for line in told.splitlines() if line.startswith("ack")
        ]
        done = list(calls(trace))
        self.disk.next_trace()
        for call in done:
            self.disk.replay(call)
        return done

    def cut(self) -> None:
        """The power fails: another process finds on the disk what was acknowledged."""
        left = self._directory / "left"
        left.mkdir()
        self.disk.write_to(left, None)
        command = self._command(left, 0, *self.acknowledged)
        found = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert found.returncode == 0, f"{self.acknowledged} were acknowledged: {found.stderr}"


def syncs_of_writes(done: Sequence[Call]) -> list[str]:
    """The syncs after everything is written: which of its kind each is, as ``tracing`` is told."""
    found: list[str] = []
    counts = dict.fromkeys(SYNCS, 0)
    written = False
    for call in done:
        written |= call.name == "write" and b"written" in call.data
        if call.name in SYNCS:
            counts[call.name] += 1
            if written:
                found.append(f"{call.name}:when={counts[call.name]}")
    return found


@pytest.mark.parametrize("store", STORES)
def test_what_a_failed_sync_left_out_is_never_acknowledged(store: str, tmp_path: Path) -> None:
    whole = Store(STORES[store], tmp_path / "whole")
    found = syncs_of_writes(whole.use(1))
    assert whole.acknowledged == ["1", "2", "3"]
    assert len(found) >= 3
    for which in found[1:3]:
        one = Store(STORES[store], tmp_path / which)
        done = one.use(1, which)
        assert [call.result for call in done if call.name in SYNCS].count(-1) == 1
        assert len(one.acknowledged) < 3
        one.use(11)  # on the same disk, without a cut
        assert one.acknowledged[-3:] == ["11", "12", "13"], "a start makes it fit to go on"
        one.cut()
