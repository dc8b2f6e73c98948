"""Group commit: commands that wait together share one transaction and one fsync.

Commands are applied on the reactor's thread and only COMMIT, which waits for the disk, runs in
another.  The other design, the whole group in the thread, was measured (bench_metadata.py has
both).  With writers alone the two are equal; beside readers it gives fewer writes and two to
ten times the p99: SQLite's Python module lets go of the interpreter lock around every step of
every statement, and each time has to get it back from a busy reactor.  Long commands are
applied in slices of about half a millisecond, between which the reactor does other work; no
other command comes between them.

While one group is being committed the next one gathers.  It does not start at once when its turn
comes, but waits some turns of the reactor until it is half as large as the two before it together:
those who were just answered send their next commands.  Otherwise one client's command is often
committed alone, while all others wait for the group after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bleepstore.errors import InsufficientStorage, InternalError, ServiceUnavailable, StoreError
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.checkpoints import Checkpoints
from bleepstore.metadata.database import means_busy, means_no_room
from bleepstore.metadata.machine import Outcome, StateMachine
from bleepstore.metadata.slices import in_slices, pause
from bleepstore.model.commands import AnyCommand, Result
from bleepstore.streams.coroutines import Uncancellable

MAX_GROUP = 512
"""Commands of one transaction at most: bounds its time and the memory of its pages."""

MAX_TURNS = 16
"""Turns of the reactor that a group waits for more: a fraction of a millisecond if none come."""

_log = Logger()


@dataclass(slots=True)
class Counters:
    """What the queue has done, for metrics.

    :ivar commands: applied and committed, refused ones included.
    :ivar commits: transactions committed; each is one fsync of the write-ahead log.
    :ivar failures: groups that the disk, or a defect, refused as a whole.
    :ivar last_group: commands of the last group.
    :ivar largest_group: commands of the largest group.
    """

    commands: int = 0
    commits: int = 0
    failures: int = 0
    last_group: int = 0
    largest_group: int = 0


class GroupCommit:
    """Commands in, outcomes out, in order and durable."""

    def __init__(
        self,
        machine: StateMachine,
        reopen: Callable[[], None],
        clock: IReactorTime,
        threads: IThreads,
        checkpoints: Checkpoints,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        """
        :param reopen: replaces the writer's connection after a failure of unknown outcome.
        :param threads: where COMMIT waits for the disk.
        :param committed: called when a group is on disk, before anybody is told.
        """
        self._machine = machine
        self._reopen = reopen
        self._clock = clock
        self._threads = threads
        self._checkpoints = checkpoints
        self._committed = committed
        self._commands: list[AnyCommand] = []
        self._waiting: list[Deferred[Result]] = []
        self._last = self._likely = 0  # commands of a group
        self._working = False
        self._stopping = False
        self._broken = False
        self._idle: list[Deferred[None]] = []
        self.counters = Counters()

    @property
    def depth(self) -> int:
        """Commands that wait for their group to start."""
        return len(self._commands)

    def submit(self, command: AnyCommand) -> Deferred[Result]:
        """Queue a command.

        :return: cannot be cancelled; fires with the result when it is durable, else with a failure:
            the refusal, the defect that broke it, or ServiceUnavailable: the store is stopping.
        """
        answer: Deferred[Result] = Uncancellable()
        if self._stopping:
            answer.errback(ServiceUnavailable("The store is stopping."))
            return answer
        self._commands.append(command)
        self._waiting.append(answer)
        if not self._working:
            self._working = True
            self._clock.callLater(0, self._start)
        return answer

    async def stop(self) -> None:
        """Refuse new commands; return when those accepted have their outcomes."""
        self._stopping = True
        if self._working:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle

    def _start(self) -> None:
        Deferred.fromCoroutine(self._work()).addErrback(
            lambda failure: _log.failure("The metadata queue broke", failure)
        )

    async def _work(self) -> None:
        """Commit groups until none waits."""
        while self._commands:
            await self._gather()
            if self._checkpoints.due:
                await self._checkpoints.finish()
            commands, self._commands = self._commands[:MAX_GROUP], self._commands[MAX_GROUP:]
            waiting, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
            self._likely = (self._last + len(commands)) // 2
            self._last = len(commands)
            outcomes = await self._settle(commands)
            try:
                self._committed()
            except Exception:
                _log.failure("What follows a commit failed")  # and must not keep the answers
            for answer, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    answer.errback(outcome)
                else:
                    answer.callback(outcome)
            self._checkpoints.consider(self._machine.estimated_bytes)
        self._working = False
        idle, self._idle = self._idle, []
        for each in idle:
            each.callback(None)

    async def _gather(self) -> None:
        """Wait until the group is as large as it is likely to become; some turns at most."""
        for _ in range(MAX_TURNS):
            if len(self._commands) >= self._likely or self._stopping:
                return
            await pause(self._clock, 0)

    async def _settle(self, commands: list[AnyCommand]) -> list[Outcome]:
        """Apply and commit a group; one outcome for each command, whatever happens."""
        try:
            if self._broken:
                self._reopen()
                self._broken = False
            outcomes = await self._apply(commands)
            await self._threads.run(self._machine.commit)
        except Exception as error:
            self.counters.failures += 1
            refusal = self._refusal(error)
            return [refusal() for _ in commands]
        counters = self.counters
        counters.commands += len(commands)
        counters.commits += 1
        counters.last_group = len(commands)
        counters.largest_group = max(counters.largest_group, len(commands))
        return outcomes

    async def _apply(self, commands: list[AnyCommand]) -> list[Outcome]:
        """Apply a group, in slices; again while another process holds the write lock."""
        return await in_slices(lambda: self._machine.steps(commands), self._clock)

    def _refusal(self, error: Exception) -> type[StoreError]:
        """Undo a failed group and say so.  Nothing of it was acknowledged."""
        known = isinstance(error, sqlite3.Error) and (means_no_room(error) or means_busy(error))
        try:
            self._machine.rollback()
        except sqlite3.Error as second:
            _log.error("A transaction could not be rolled back: {error}", error=second)
            known = False
        if not known:
            # Whether it is on disk is uncertain: what the disk has decides, read anew.
            self._broken = True
            _log.error("Metadata could not be committed: {error!r}", error=error)
            return InternalError
        if isinstance(error, sqlite3.Error) and means_busy(error):
            return ServiceUnavailable
        _log.warn("Metadata cannot be written: {error}", error=error)
        return InsufficientStorage
