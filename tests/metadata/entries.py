"""Entries for tests of replicas: commands under names, as a log has them."""

from __future__ import annotations

from itertools import count

from bleepstore.model import proposals
from bleepstore.model.commands import AnyCommand, encode
from bleepstore.model.proposals import Proposal
from bleepstore.raft.messages import Entry, EntryKind


def named(
    command: AnyCommand, serial: int, *, floor: int = 1, incarnation: int = 1, origin: str = "n1"
) -> bytes:
    """The data of an entry."""
    return proposals.encode(Proposal(origin, incarnation, serial, floor, encode(command)))


def entry(index: int, data: bytes, term: int = 1) -> Entry:
    return Entry(index, term, EntryKind.COMMAND, data)


def noop(index: int, term: int = 1) -> Entry:
    return Entry(index, term, EntryKind.NOOP)


class Log:
    """Gives entries their indexes and, if they have none, their names."""

    def __init__(self, last: int = 0) -> None:
        self._indexes = count(last + 1)
        self._serials = count(1)

    def __call__(self, *commands: AnyCommand) -> list[Entry]:
        return [self.raw(named(command, next(self._serials))) for command in commands]

    def raw(self, data: bytes) -> Entry:
        return entry(next(self._indexes), data)

    def noop(self) -> Entry:
        return noop(next(self._indexes))
