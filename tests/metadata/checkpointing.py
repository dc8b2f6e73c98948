"""A connection that checkpoints as a test says."""

from __future__ import annotations

FIRST, SECOND = "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(RESTART)"


class Connection:
    """Stands in for SQLite's.

    :ivar ran: the statements, also those that failed.
    :ivar answer: of each of them.
    :ivar error: raised by each, if there is one.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.answer = (0, 3, 3)
        self.error: Exception | None = None
        self.closed = False

    def execute(self, statement: str) -> Connection:
        self.ran.append(statement)
        if self.error is not None:
            raise self.error
        return self

    def fetchall(self) -> list[tuple[int, int, int]]:
        return [self.answer]

    def close(self) -> None:
        self.closed = True
