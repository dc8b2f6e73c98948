"""A replica beside real threads and real kills: whole groups with their index, whatever happens
at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.raft.messages import Entry
from bleepstore.streams.threads import ImmediateThreads, ReactorThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.entries import entry, named
from tests.metadata.test_machine import random_history
from tests.sim.memory_replica import MemoryReplica

ROOT = Path(__file__).parents[2]
LENGTH = 2500


def history(length: int = LENGTH) -> list[Entry]:
    """The same entries in every process, repetitions among them."""
    dice = random.Random(5)
    entries: list[Entry] = []
    for serial, command in enumerate(islice(random_history(5, length), length), 1):
        entries.append(entry(len(entries) + 1, named(command, serial, floor=max(1, serial - 9))))
        if dice.random() < 0.1:
            again = dice.choice(entries[-9:])
            entries.append(entry(len(entries) + 1, again.data))
    return entries


class Expected:
    """What a replica that stands at an index hashes to."""

    def __init__(self) -> None:
        self.replica = MemoryReplica({})
        self.entries = history()
        self.turns = Turns()

    def __call__(self, index: int) -> str:
        """:param index: not less than that of the last call."""
        self.turns.at_once(self.replica.apply(self.entries[self.replica.applied_index() : index]))
        return self.replica.fingerprint()


@pytest_twisted.ensureDeferred
async def test_copies_that_are_made_while_threads_apply_are_each_of_one_index(
    tmp_path: Path,
) -> None:
    threads = ReactorThreads(reactor, 3)  # type: ignore[arg-type]  # the module is the reactor
    await threads.start()
    replica = MetadataReplica(ReplicaFile(tmp_path / "m.db"), reactor, threads)
    other = MetadataReplica(ReplicaFile(tmp_path / "other.db"), reactor, threads)
    entries = history()
    dice = random.Random(1)
    taken: list[tuple[int, str]] = []
    waiting: list[Deferred[None]] = []

    def indexes() -> set[int]:
        return {index for index, _ in taken}

    async def copy() -> None:
        while replica.applied_index() < len(entries):
            path = str(tmp_path / f"copy-{len(taken)}")
            begun = replica.applied_index()
            index = await replica.copy(path)
            assert begun <= index <= replica.applied_index()
            assert await replica.sync() >= index
            taken.append((index, path))
            for each in waiting:
                each.callback(None)
            waiting.clear()

    copying = Deferred.fromCoroutine(copy())
    while (done := replica.applied_index()) < len(entries):
        while len(indexes()) < done * 5 // len(entries):  # the copies are to keep up
            copied: Deferred[None] = Deferred()
            waiting.append(copied)
            await copied
        await replica.apply(entries[done : done + dice.randrange(1, 60)])
    await copying
    assert len(indexes()) > 3
    expected = Expected()
    for index, path in taken:
        await other.replace(path, index)
        assert await other.digest() == expected(index)
    assert await replica.digest() == expected(len(entries))
    for each in (replica, other):
        await each.stop()
    await threads.stop()


CHILD = "import sys; from tests.metadata.test_replica_threads import child; child(sys.argv[1])"


def child(path: str) -> None:
    """Apply groups as they come, from where the last process was killed; say each index."""
    turns = Turns()
    replica = MetadataReplica(
        ReplicaFile(path), turns.clock, ImmediateThreads(), checkpoint_bytes=300_000
    )
    entries = history()
    dice = random.Random(os.getpid())
    while (done := replica.applied_index()) < len(entries):
        turns.run(replica.apply(entries[done : done + dice.randrange(1, 20)]))
        os.write(1, b"%d\n" % replica.applied_index())
    os.write(1, b"end\n")


def test_a_killed_replica_has_whole_groups_and_their_index(tmp_path: Path) -> None:
    dice = random.Random(3)
    path = tmp_path / "m.db"
    expected = Expected()
    last = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        # By what it said, not by the clock: the kill falls while it works, wherever that is.
        for _ in range(dice.randrange(5, 40)):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        said = process.stdout.read().decode().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        turns = Turns()
        replica = MetadataReplica(ReplicaFile(path), turns.clock, ImmediateThreads())
        index = replica.applied_index()
        assert index >= last
        assert index >= max((int(each) for each in said if each != "end"), default=0)
        assert turns.run(replica.digest()) == expected(index)
        turns.run(replica.stop())
        last = index
    assert last > 0
