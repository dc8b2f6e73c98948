"""The state machine: groups of commands, applied in order, each whole or not at all.

Knows the database and the apply functions, but not where commands come from nor when a commit
is due: the embedded store drives it from a queue, a replicated one from its log.  Nothing here
reads a clock or rolls dice, so the same commands give the same outcomes and the same rows
however they are grouped.

How a failing command leaves nothing, at no cost to those that succeed: apply functions check
before they write.  Should one refuse after it wrote, or break, the group is rolled back and
applied again with a savepoint around each command.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from bleepstore.errors import StoreError
from bleepstore.metadata.apply import APPLY
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model.commands import AnyCommand, Result

Outcome = Result | Exception
"""A command's result; or the StoreError that refused it, or the defect that broke it."""

Also = Callable[[Transaction], None]
"""What else is written with a group, as its last statements."""

COMMANDS_PER_STEP = 64
"""Short commands of a step: 1 to 2 ms of them.  More steps would keep a group of the queue, and
those who wait for it, behind more turns of the reactor."""

MARK = "mark"


def is_fault(error: Exception) -> bool:
    """Whether an error tells of this machine, not of the command: it fails the whole group.

    A command's outcome must be the same on every replica.  A constraint that is hurt, a number
    that is too large, a defect in a function are; a disk that fails, a damaged page, memory that
    runs out are not.
    """
    if isinstance(error, sqlite3.Error):
        return not isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
    return isinstance(error, MemoryError | OSError | ImportError)


class _Unclean(Exception):
    """A command failed after it had changed something."""


class StateMachine:
    """Applies commands to a database.

    :ivar estimated_bytes: how much the write-ahead log has grown, roughly, since the start.
    """

    def __init__(
        self, writer: Callable[[], sqlite3.Connection], commands_per_step: int = COMMANDS_PER_STEP
    ) -> None:
        """:param writer: gives the writing connection, which may be replaced after a failure."""
        self._writer = writer
        self._per_step = commands_per_step
        self.estimated_bytes = 0

    def apply_group(self, commands: Sequence[AnyCommand], mark: int | None = None) -> list[Outcome]:
        """Apply commands in one transaction and commit; when it returns they are on disk.

        :param mark: stored with them, for :meth:`mark`.
        :raises sqlite3.Error: the disk failed; nothing was changed.
        """
        steps = self.steps(commands, mark)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                outcomes: list[Outcome] = end.value
                break
        self.commit()
        return outcomes

    def steps(
        self, commands: Sequence[AnyCommand], mark: int | None = None, also: Also | None = None
    ) -> Steps[list[Outcome]]:
        """The same in small pieces and without the commit, which must follow, or a rollback.

        :param also: may be called twice, if the group has to be applied again.
        :raises sqlite3.Error: the disk failed, or the database is busy; nothing was changed, the
            transaction is over.
        """
        try:
            try:
                return (yield from self._group(commands, mark, also, self._bare))
            except _Unclean:
                self.rollback()
                return (yield from self._group(commands, mark, also, self._guarded))
        except BaseException:
            self.rollback()
            raise

    def commit(self) -> None:
        """Make the group durable.  May run in a thread, while nothing else uses the writer.

        :raises sqlite3.Error: it is not durable, and may never be; roll back.
        """
        writer = self._writer()
        if not writer.in_transaction:  # of which commit() would say nothing
            raise sqlite3.OperationalError("SQLite has ended the transaction by itself")
        # Lets go of the interpreter lock once; execute("COMMIT") does so four times, and each time
        # has to win it back from the reactor.
        writer.commit()

    def rollback(self) -> None:
        """End the transaction, if one is open, with nothing changed."""
        writer = self._writer()
        if writer.in_transaction:  # SQLite ends it by itself after some failures
            writer.execute("ROLLBACK")

    def mark(self) -> int:
        """The mark of the last group that had one, 0 before the first."""
        row = self._writer().execute("SELECT value FROM state WHERE name = ?", (MARK,)).fetchone()
        return 0 if row is None else int(row[0])

    def _group(
        self,
        commands: Sequence[AnyCommand],
        mark: int | None,
        also: Also | None,
        apply: Callable[[Transaction, AnyCommand], Steps[Outcome]],
    ) -> Steps[list[Outcome]]:
        writer = self._writer()
        writer.execute("BEGIN IMMEDIATE")
        changes = writer.total_changes
        tx = Transaction(writer)
        tx.load()
        outcomes: list[Outcome] = []
        for number, command in enumerate(commands, 1):
            outcomes.append((yield from apply(tx, command)))
            if number % self._per_step == 0:
                yield
        tx.store()
        if also is not None:
            also(tx)
        if mark is not None:
            tx.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (MARK, mark))
        self.estimated_bytes += 4096 * (writer.total_changes - changes + 1) + tx.written
        return outcomes

    def _bare(self, tx: Transaction, command: AnyCommand) -> Steps[Outcome]:
        """Apply one command, trusting it to check before it writes."""
        writer = self._writer()
        changes, counters = writer.total_changes, tx.counters()
        try:
            return (yield from APPLY[command.__class__](tx, command))
        except StoreError as error:
            if (writer.total_changes, tx.counters()) != (changes, counters):
                raise _Unclean from error
            return error
        except Exception as error:
            if is_fault(error):
                raise
            raise _Unclean from error

    def _guarded(self, tx: Transaction, command: AnyCommand) -> Steps[Outcome]:
        """Apply one command between a savepoint and its release."""
        tx.write_contents()  # those of the commands before must not be rolled back with this one
        counters = tx.counters()
        tx.execute("SAVEPOINT command")
        try:
            outcome: Outcome = yield from APPLY[command.__class__](tx, command)
        except Exception as error:
            if is_fault(error):
                raise
            tx.execute("ROLLBACK TO command")
            tx.restore(counters)
            outcome = error
        tx.execute("RELEASE command")
        return outcome
