"""A simulated node's storage: the log and the state, slow, watched, and able to lose power.

Every operation takes a while before it has its effect, and another before it is reported; so a
crash can come before the effect, or between it and its report.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from zope.interface import implementer

from bleepstore.interfaces.replication import IStateMachine, Verdict
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, EntryKind, decode_members
from tests.sim.clocks import ProcessClock
from tests.sim.files import SnapshotDisk
from tests.sim.invariants import Invariants
from tests.sim.memory_log import LogDisk, MemoryLog
from tests.sim.memory_replica import MemoryReplica


class Disk:
    """What a node keeps when its process dies, and how its disk behaves.

    :ivar slowness: by which factor it is slower than usual.
    :ivar full: whether it refuses to be written to.
    """

    def __init__(self, sync_time: float, dice: random.Random, logs: Iterator[int]) -> None:
        """
        :param sync_time: seconds, on average.
        :param logs: numbers for new logs, of all nodes.
        """
        self._sync_time = sync_time
        self._logs = logs
        self.dice = dice
        self.slowness = 1.0
        self.wipe()

    def wipe(self) -> None:
        """Be an empty disk."""
        self.log = LogDisk(self._logs)
        self.snapshots = SnapshotDisk()
        self.replica = MemoryReplica(self.snapshots.files)

    @property
    def full(self) -> bool:
        """See the class."""
        return self.log.full

    @full.setter
    def full(self, full: bool) -> None:
        self.log.full = full

    def latency(self, share: float = 1.0) -> float:
        """How long something takes that takes ``share`` of a sync on average."""
        return self._sync_time * self.slowness * share * 2 * self.dice.random()


Mishap = Callable[[float, float], None]
"""``mishap(likelihood, seconds)``: the power may fail soon, within about so many seconds."""


def pause(clock: ProcessClock, seconds: float) -> Deferred[None]:
    """A while of true time in a process; never over if it dies."""
    over: Deferred[None] = Deferred()
    clock.after(seconds, lambda: over.callback(None))
    return over


class WatchedLog(MemoryLog):
    """The log of one life of a node, every write of which is checked."""

    def __init__(
        self,
        node_id: str,
        clock: ProcessClock,
        disk: Disk,
        invariants: Invariants,
        note: Callable[[str], None],
        mishap: Mishap,
    ) -> None:
        """:param note: tells the trace of what matters."""

        def sync() -> Awaitable[None]:
            seconds = disk.latency()
            mishap(1, seconds)
            return pause(clock, seconds)

        super().__init__(disk.log, node_id, sync)
        self._node_id = node_id
        self._clock = clock
        self._log_disk = disk.log
        self._dice = disk.dice
        self._invariants = invariants
        self._note = note
        self._saving: Persist | None = None

    async def save(self, persist: Persist) -> None:
        """See ILogStore."""
        self._check(persist)
        self._saving = persist
        await super().save(persist)
        self._saving = None
        self._invariants.saved(self._node_id, self.state().hard_state)
        await pause(self._clock, 0.0002)

    def lose_power(self) -> str:
        """The process dies in the middle of a write, or not.  Gives what became of the write:
        nothing, all of it, or as many of its entries as had been written."""
        persist, fate = self._saving, "nothing was being written"
        if persist is None:
            self.crash(written=self._dice.random() < 0.5)
        else:
            fate = self._dice.choice(("lost", "done", "torn"))
            if fate == "torn":
                kept = self._dice.randint(0, len(persist.entries))
                # What is committed is told by the same write, and never without the entries.
                self._tear(replace(persist, entries=persist.entries[:kept], commit=0))
            self.crash(written=fate != "lost")
            fate = f"Persist {persist.number} {fate}"
        state = self._log_disk.state
        if state is not None:
            self._invariants.saved(self._node_id, state.hard_state)
        return fate

    def _tear(self, persist: Persist) -> None:
        """Have the write under way be a shorter one."""
        waiting = super().save(persist)
        waiting.send(None)  # as far as the disk
        waiting.close()

    def _check(self, persist: Persist) -> None:
        for entry in persist.entries:
            if entry.kind is EntryKind.MEMBERS:
                members = decode_members(entry.data)
                voters, learners = sorted(members.voters), sorted(members.learners)
                self._note(
                    f"writes entry {entry.index} of term {entry.term}: "
                    f"voters {', '.join(voters)}, learners {', '.join(learners) or 'none'}"
                )
        if not persist.entries:
            self._invariants.saves(self._node_id, 0, persist)
            return
        before = persist.entries[0].index - 1
        restore = persist.restore
        if restore is not None and restore.index == before:
            term = restore.term
        else:
            term = self.term(before) if before else 0
        self._invariants.saves(self._node_id, term, persist)


@implementer(IStateMachine)
class WatchedMachine:
    """The state machine of one life of a node, every entry of which is checked."""

    def __init__(
        self,
        node_id: str,
        clock: ProcessClock,
        disk: Disk,
        invariants: Invariants,
        note: Callable[[str], None],
        mishap: Mishap,
    ) -> None:
        """:param note: tells the trace of what matters."""
        self._node_id = node_id
        self._clock = clock
        self._disk = disk
        self._replica = disk.replica
        self._invariants = invariants
        self._note = note
        self._mishap = mishap

    def applied_index(self) -> int:
        """See IStateMachine."""
        return self._replica.applied_index()

    def pristine(self) -> bool:
        """See IStateMachine."""
        return self._replica.pristine()

    async def adopt(self, index: int) -> None:
        """See IStateMachine."""
        await self._replica.adopt(index)

    async def apply(self, entries: Sequence[Entry]) -> Sequence[Verdict]:
        """See IStateMachine."""
        await self._wait(0.1)
        self._invariants.applies(self._node_id, self.applied_index(), tuple(entries))
        verdicts = await self._replica.apply(entries)
        await self._wait(0.1)
        return verdicts

    async def sync(self) -> int:
        """See IStateMachine."""
        await self._wait(0.5)
        index = await self._replica.sync()
        await self._wait(0.5)
        return index

    async def copy(self, path: str) -> int:
        """See IStateMachine.  The copy stands somewhere between the call and its end."""
        await self._wait(3.0)
        if self._disk.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        index = await self._replica.copy(path)
        self._note(f"copies its state at {index}")
        self._mishap(10, self._disk.latency(6))
        await self._wait(3.0)
        return index

    async def replace(self, path: str, index: int) -> None:
        """See IStateMachine."""
        await self._wait(3.0)
        self._mishap(50, self._disk.latency(3))
        await self._replica.replace(path, index)
        self._note(f"replaces its state by that of {index}")
        await self._wait(1.0)

    def _wait(self, share: float) -> Deferred[None]:
        return pause(self._clock, self._disk.latency(share))


def promises(disk: Disk) -> HardState:
    """The hard state that a disk holds."""
    return disk.log.state.hard_state if disk.log.state is not None else HardState()
