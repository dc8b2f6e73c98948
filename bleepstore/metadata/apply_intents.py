"""RecordIntent, ForgetIntent, and what ends an intent with the command it was recorded for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bleepstore.errors import OperationAborted
from bleepstore.metadata.records import encode_intent
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model.commands import Command, Done, ForgetIntent, RecordIntent, Result, decode

Check = Callable[[Transaction, Any], object]
Apply = Callable[[Transaction, Any], Steps[Result]]


def recorder(
    checked: Mapping[type[Command], Check], rehearsed: Mapping[type[Command], Apply]
) -> Callable[[Transaction, RecordIntent], Steps[Done]]:
    """The function that applies RecordIntent.

    :param checked: commands that an intent may hold, with all that refuses them; it only reads.
    :param rehearsed: others, with what applies them.
    """

    def record_intent(tx: Transaction, command: RecordIntent) -> Steps[Done]:
        """See :class:`RecordIntent`.

        What refuses the command is asked beforehand.  Where that is not apart from what applies
        it, the rehearsal is the command itself, applied and rolled back.  So what the command will
        refuse is refused here, as long as nobody changes the key between the two.
        """
        intent = command.intent
        final = decode(intent.command) if intent.command else None
        check = checked.get(type(final)) if final is not None else None
        if check is not None:
            check(tx, final)
        tx.execute(
            "INSERT OR REPLACE INTO intents VALUES (?, ?, ?)",
            (intent.intent_id, tx.bucket_id(intent.bucket), encode_intent(intent)),
        )
        if final is not None and check is None:
            tx.write_contents()  # those of the commands before must not be rolled back with it
            counters, written = tx.counters(), tx.written
            tx.execute("SAVEPOINT rehearsal")
            yield from rehearsed[type(final)](tx, final)
            tx.execute("ROLLBACK TO rehearsal")
            tx.execute("RELEASE rehearsal")
            tx.restore(counters)
            tx.written = written
        return Done()

    return record_intent


def forget_intent(tx: Transaction, command: ForgetIntent) -> Steps[Done]:
    """See :class:`ForgetIntent`."""
    tx.execute("DELETE FROM intents WHERE intent_id = ?", (command.intent_id,))
    return Done()
    yield  # a generator, as all apply functions are


def require_intent(tx: Transaction, intent_id: str) -> None:
    """:raises OperationAborted: a command names an intent, and that has ended already."""
    if intent_id and not has_intent(tx, intent_id):
        raise OperationAborted


def has_intent(tx: Transaction, intent_id: str) -> bool:
    """Whether an intent is recorded."""
    found = tx.execute("SELECT 1 FROM intents WHERE intent_id = ?", (intent_id,))
    return found.fetchone() is not None


def take_intent(tx: Transaction, intent_id: str) -> None:
    """End the intent that a command was recorded for; it must not be refused after that.

    :raises OperationAborted: the intent has ended already.
    """
    if intent_id:
        gone = tx.execute("DELETE FROM intents WHERE intent_id = ?", (intent_id,))
        if not gone.rowcount:
            raise OperationAborted


def end_intent(tx: Transaction, intent_id: str, displaced: str) -> None:
    """A command has done what the intent was recorded for.

    :param displaced: a blob that the cloud let go of by itself; empty: none.
    """
    if intent_id:
        tx.execute("DELETE FROM intents WHERE intent_id = ?", (intent_id,))
    if displaced:
        tx.execute("DELETE FROM released WHERE blob_id = ?", (displaced,))
