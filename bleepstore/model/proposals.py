"""A command on its way through a replicated log, named so that it is applied once.

A node gives its proposals serial numbers.  Until it knows the outcome of one it may hand it to a
leader again, under the same name; the state machine applies the first that it meets and passes
over the others.  It remembers, for each node, the numbers applied at or above ``floor``; a node
proposes nothing below its floor again (thesis section 6.3, sessions).

The binary form is one byte of format version, then MessagePack.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

FORMAT = 1


class Proposal(Struct, frozen=True, array_like=True):
    """One command, and its name.

    :ivar origin: the node that proposed it: its id, and that of its log, which it might lose.
    :ivar incarnation: how often that node had started, counted durably, from 1.  What an earlier
        incarnation proposed has nobody who waits: met behind a later one's, it is passed over.
    :ivar serial: from 1 in each incarnation, each number for one command.
    :ivar floor: every serial below it is settled and will not be proposed again.
    :ivar command: as ``commands.encode`` gave it.
    """

    origin: str
    incarnation: int
    serial: int
    floor: int
    command: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Proposal)


def encode(proposal: Proposal) -> bytes:
    """The binary form: the data of a log entry."""
    return bytes((FORMAT,)) + _encoder.encode(proposal)


def decode(raw: bytes | memoryview) -> Proposal:
    """The proposal of a binary form.

    :raises ValueError: another format version, or not a proposal.
    """
    view = memoryview(raw)
    if len(view) == 0 or view[0] != FORMAT:
        raise ValueError("a proposal of a format this version does not know")
    return _decoder.decode(view[1:])  # msgspec.ValidationError is a ValueError
