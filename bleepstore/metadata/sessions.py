"""Which proposals were applied: what makes one that is met twice apply once.

A session is what the state machine remembers of a node that proposes (thesis section 6.3): its
latest incarnation, and which serials were applied.  These are all below ``floor``, and the few
above it that overtook others.  The form is canonical, the floor as high as it can be, so that
replicas which met the same proposals hold the same bytes.

Whether a proposal is admitted depends on those before it and on nothing that they did.  So a
group is sifted before it is applied, and what it leaves here is written with its other rows:
together they are committed or rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from bleepstore.model.proposals import Proposal

MAX_NUMBER = 2**63 - 1
"""The greatest integer of SQLite."""

LOAD = "SELECT origin, incarnation, floor, applied FROM sessions ORDER BY origin"
STORE = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode

Execute = Callable[..., sqlite3.Cursor]


class _Session:
    """One origin's.

    :ivar floor: the least serial that may still be applied.
    :ivar applied: serials above the floor that were.
    """

    __slots__ = ("applied", "floor", "incarnation")

    def __init__(self, incarnation: int, floor: int, applied: set[int]) -> None:
        self.incarnation = incarnation
        self.floor = floor
        self.applied = applied

    def admits(self, serial: int) -> bool:
        """Whether a serial is met for the first time; it has been met now."""
        if serial < self.floor or serial in self.applied:
            return False
        if serial == self.floor:
            self._raise_to(serial + 1)
        else:
            self.applied.add(serial)
        return True

    def settle(self, floor: int) -> None:
        """No serial below ``floor`` is proposed again."""
        if floor > self.floor:
            if self.applied:
                self.applied = {serial for serial in self.applied if serial >= floor}
            self._raise_to(floor)

    def _raise_to(self, floor: int) -> None:
        applied = self.applied
        while floor in applied:
            applied.remove(floor)
            floor += 1
        self.floor = floor


class Sessions:
    """The sessions of all origins, for as long as every group that is admitted is committed.

    After one that is not, load them anew.
    """

    def __init__(self, execute: Execute) -> None:
        """Load them.

        :param execute: of a connection that sees all groups that were committed.
        """
        self._sessions = {
            origin: _Session(incarnation, floor, _serials(applied))
            for origin, incarnation, floor, applied in execute(LOAD).fetchall()
        }
        self._met: set[str] = set()

    def admits(self, proposal: Proposal) -> bool:
        """Whether a proposal is to be applied.

        Not if it was applied before, or is of an incarnation that ended, or if its numbers make
        no sense (a serial below its own floor, or none that can be stored).
        """
        origin, incarnation, serial = proposal.origin, proposal.incarnation, proposal.serial
        session = self._sessions.get(origin)
        if (
            session is not None
            and serial == session.floor
            and incarnation == session.incarnation
            and not session.applied
            and proposal.floor <= serial < MAX_NUMBER
        ):
            # The next one, and none is missing: nearly all are, and all of the below is this.
            session.floor = serial + 1
            self._met.add(origin)
            return True
        floor = max(proposal.floor, 1)
        if not (floor <= serial < MAX_NUMBER and 1 <= incarnation <= MAX_NUMBER):
            return False
        if session is None or incarnation > session.incarnation:
            session = self._sessions[origin] = _Session(incarnation, floor, set())
        elif incarnation < session.incarnation:
            return False
        self._met.add(origin)
        session.settle(floor)
        return session.admits(serial)

    def committed(self) -> None:
        """What was stored is on disk."""
        self._met.clear()

    def store(self, execute: Execute) -> None:
        """Write those that may have changed since the last commit."""
        for origin in sorted(self._met):
            session = self._sessions[origin]
            row: tuple[Any, ...] = (
                origin,
                session.incarnation,
                session.floor,
                _runs(session.applied),
            )
            execute(STORE, row)


def _runs(serials: set[int]) -> bytes:
    """First and last of each run, ascending; nothing at all for no serials."""
    if not serials:
        return b""
    runs: list[int] = []
    for serial in sorted(serials):
        if runs and runs[-1] == serial - 1:
            runs[-1] = serial
        else:
            runs += (serial, serial)
    return _encode(runs)


def _serials(runs: bytes) -> set[int]:
    """The inverse of :func:`_runs`."""
    if not runs:
        return set()
    bounds = _decode(runs)
    return {
        serial
        for first, last in zip(bounds[::2], bounds[1::2], strict=True)
        for serial in range(first, last + 1)
    }
