"""The commands that nodes say to each other over AMP, and the errors they declare.

docs/peer-protocol.md describes them one by one and is normative; tests/vectors/peer_protocol.json
holds the bytes.  Who opens a connection calls on it, the other side answers; the first call is
:class:`Hello`.

A message of the consensus travels as the argument ``body`` of a command of its own name, in the
binary form of ``raft.messages``; its answer as ``body`` of the response.  :data:`CALLS` says which
command carries which message and what answers it: a new kind of message is a row there.  One that
has no row travels as :class:`Tell`, which nobody answers.

Knows no connections and no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from twisted.protocols import amp

from bleepstore.cluster.amp_values import Natural, Raw, Spread, Text
from bleepstore.raft import messages

PROTOCOL = (1, 1)
"""The least and the greatest version of the protocol that this program speaks."""

DIGEST_SIZE = 32
"""Bytes of a snapshot's SHA-256."""


class PeerRefusal(Exception):
    """A peer refuses, and says why.  The text is for people."""


class WrongCluster(PeerRefusal):
    """The two nodes belong to different clusters, or neither belongs to one."""


class WrongProtocol(PeerRefusal):
    """There is no version of the protocol that both speak."""


class WrongFormat(PeerRefusal):
    """There is no format of commands or proposals that both know."""


class WrongNode(PeerRefusal):
    """One is not who the other takes it for: another node's address, one's own id, or a
    certificate of another name."""


class WrongLog(PeerRefusal):
    """One is known to the other with another log: it lost its disk, and its promises with it."""


class TooMany(PeerRefusal):
    """There are as many connections of strangers as are allowed; try later."""


class SnapshotRefused(PeerRefusal):
    """The receiver cannot take a snapshot now: another one is arriving, or its disk is full."""


class SnapshotBroken(PeerRefusal):
    """What arrived is not what was announced; begin anew."""


def _schema(**arguments: amp.Argument) -> list[tuple[bytes, amp.Argument]]:
    return [(name.encode(), argument) for name, argument in arguments.items()]


_HELLO_ERRORS: dict[type[Exception], bytes] = {
    WrongCluster: b"WRONG_CLUSTER",
    WrongProtocol: b"WRONG_PROTOCOL",
    WrongFormat: b"WRONG_FORMAT",
    WrongNode: b"WRONG_NODE",
    WrongLog: b"WRONG_LOG",
    TooMany: b"TOO_MANY",
}
_BEGIN_ERRORS: dict[type[Exception], bytes] = {SnapshotRefused: b"SNAPSHOT_REFUSED"}
_SNAPSHOT_ERRORS: dict[type[Exception], bytes] = {
    **_BEGIN_ERRORS,
    SnapshotBroken: b"SNAPSHOT_BROKEN",
}


class Hello(amp.Command):
    """The first call on every connection: who calls, whom it expects, and what it speaks.

    The versions are ranges; the greatest that lies in both is spoken.  ``cluster`` is empty while
    the caller belongs to none (only with the purpose ``ask``), ``expected`` while it does not know
    who answers at that address.  ``log`` is the id of each one's log; ``founders`` those of all
    first members, in the form of :func:`encode_founders`, once the answerer has begun with them.
    """

    arguments = _schema(
        cluster=Text(),
        node=Text(),
        expected=Text(),
        purpose=Text(),
        log=Text(),
        address=Text(),
        protocol_low=Natural(),
        protocol_high=Natural(),
        command_low=Natural(),
        command_high=Natural(),
        proposal_low=Natural(),
        proposal_high=Natural(),
    )
    response = _schema(
        cluster=Text(),
        node=Text(),
        log=Text(),
        founders=Spread(optional=True),
        address=Text(),
        protocol=Natural(),
        command=Natural(),
        proposal=Natural(),
    )
    fatalErrors = _HELLO_ERRORS


class Ping(amp.Command):
    """Is anybody there?  Sent where nothing else was heard for a while."""


class Tell(amp.Command):
    """A message that nobody answers: an answer whose call is gone, or a kind without a row."""

    arguments = _schema(body=Spread())
    requiresAnswer = False


class SnapshotBegin(amp.Command):
    """A snapshot is offered: the leader's term, the mark (``messages.encode_mark``), the file's
    length and its SHA-256.  The answer says from which byte on it is wanted, and how many chunks
    may be under way."""

    arguments = _schema(term=Natural(), mark=Spread(), size=Natural(), digest=Raw(DIGEST_SIZE))
    response = _schema(offset=Natural(), credit=Natural())
    errors = _BEGIN_ERRORS


class SnapshotChunk(amp.Command):
    """The next bytes of the file.  The answer comes once they are written, and grants as many
    further chunks."""

    arguments = _schema(offset=Natural(), data=Spread())
    response = _schema(credit=Natural())
    errors = _SNAPSHOT_ERRORS


class SnapshotFinish(amp.Command):
    """That was all.  The answer comes once the whole file is verified and durable."""

    errors = _SNAPSHOT_ERRORS


_BODY = _schema(body=Spread())
_ANSWER = _schema(body=Spread(optional=True))


class RequestVote(amp.Command):
    """A candidate asks for a vote, or whether it would get one."""

    arguments = _BODY
    response = _ANSWER


class AppendEntries(amp.Command):
    """Entries of the leader's log, or a heartbeat."""

    arguments = _BODY
    response = _ANSWER


class TimeoutNow(amp.Command):
    """Begin an election at once.  The answer has no body, and only says that it arrived."""

    arguments = _BODY
    response = _ANSWER


class ReadIndex(amp.Command):
    """From which index on is a read linearizable?"""

    arguments = _BODY
    response = _ANSWER


class Propose(amp.Command):
    """Commands for the leader's log."""

    arguments = _BODY
    response = _ANSWER


class ChangeStep(amp.Command):
    """One step of a change of the members, for the leader to take."""

    arguments = _BODY
    response = _ANSWER


class Call(Struct, frozen=True):
    """How a kind of message travels.

    :ivar command: carries it.
    :ivar answer: the kind that answers it; None: the call is answered at once, without a body.
    :ivar cumulative: an answer settles all earlier calls of the command, too.
    """

    command: type[amp.Command]
    answer: type[messages.Message] | None
    cumulative: bool = False


CALLS: dict[type[Any], Call] = {
    messages.RequestVote: Call(RequestVote, messages.Vote),
    messages.AppendEntries: Call(AppendEntries, messages.Appended, cumulative=True),
    messages.TimeoutNow: Call(TimeoutNow, None),
    messages.ReadIndex: Call(ReadIndex, messages.ReadIndexAnswer),
    messages.Propose: Call(Propose, messages.ProposeAnswer),
    messages.ChangeStep: Call(ChangeStep, messages.StepAnswer),
}
"""The kinds of message that are calls."""

MESSAGES: dict[bytes, type[Any]] = {call.command.commandName: kind for kind, call in CALLS.items()}
"""The kind of message that a command of this name carries."""

CUMULATIVE = frozenset(call.command for call in CALLS.values() if call.cumulative)
"""The commands of which an answer settles all earlier calls."""

ANSWERS = frozenset(call.answer for call in CALLS.values() if call.answer is not None)
"""The kinds of message that answer calls."""

CORE_KINDS = frozenset(
    (
        messages.RequestVote,
        messages.Vote,
        messages.AppendEntries,
        messages.Appended,
        messages.TimeoutNow,
        messages.ReadIndex,
        messages.ReadIndexAnswer,
    )
)
"""The kinds that the core itself reads; the others are the drivers' affair."""

NEVER_SENT = frozenset((messages.InstallSnapshot,))
"""Kinds that a node says to itself alone: from a peer they are a forgery."""


_founders: msgspec.msgpack.Decoder[dict[str, str]] = msgspec.msgpack.Decoder(dict[str, str])


def encode_founders(founders: Mapping[str, str]) -> bytes | None:
    """A MessagePack map: the ids of nodes → those of their logs; None for nobody."""
    return msgspec.msgpack.encode(founders, order="sorted") if founders else None


def decode_founders(raw: bytes | None) -> dict[str, str]:
    """:raises ValueError: it is no such map."""
    try:
        return _founders.decode(raw) if raw else {}
    except msgspec.MsgspecError as error:
        raise ValueError(f"no map of founders: {error}") from None


def declared_error(command: type[amp.Command], code: bytes) -> type[Exception] | None:
    """The exception that a command declares under this code."""
    for errors in (command.errors, command.fatalErrors):
        for error, declared in errors.items():
            if declared == code:
                return error
    return None


def code_of(command: type[amp.Command], error: Exception) -> bytes | None:
    """The code under which a command declares an exception."""
    return command.errors.get(type(error)) or command.fatalErrors.get(type(error))
