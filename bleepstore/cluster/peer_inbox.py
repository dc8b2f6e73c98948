"""What one peer asks of this node, and the calls of it that still wait for an answer.

The core's messages are one-way: what answers what is its own affair, and it may answer late,
twice, several at once, or never.  AMP's calls want one answer each.  The rule that joins the two:
a message that answers (``peer_commands.ANSWERS``) goes to the *oldest* call from that peer that
waits for this kind of answer, with the same context where the kind has one.  An Appended that
confirms an index and a round goes to the *newest* call that asked for no more than that, and
settles all before it on both sides.  Which call carries a message does not matter to the other
side, which looks into the message alone.  A call that waits longer than the calls' deadline is
forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from bleepstore.cluster.peer_arguments import parse_arguments
from bleepstore.cluster.peer_boxes import BadBox, Box
from bleepstore.cluster.peer_calls import PeerConnection
from bleepstore.cluster.peer_commands import CALLS, MESSAGES, Ping, Tell
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.cluster.plausibility import message_of
from bleepstore.raft import messages
from bleepstore.raft.messages import Appended, AppendEntries, Message, RequestVote, TimeoutNow

LEADING = frozenset((AppendEntries, RequestVote, TimeoutNow))
"""What one that leads, or stands, says of itself; all that is heard of a caller that is doubted."""


class _Unanswered:
    __slots__ = ("at", "command", "context", "last", "round", "tag")

    def __init__(
        self, at: float, message: Message, command: type[amp.Command], tag: bytes | None
    ) -> None:
        self.at = at
        self.context = _context(message)
        self.last = self.round = 0
        if type(message) is AppendEntries:
            self.last = message.prev_index + len(message.entries)
            self.round = message.round
        self.command = command
        self.tag = tag


class Inbox:
    """:param received: is given the peer's id and its message."""

    def __init__(
        self,
        clock: IReactorTime,
        settings: PeerSettings,
        counters: Counters,
        received: Callable[[str, Message], None],
        connection: PeerConnection,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._received = received
        self._connection = connection
        self._unanswered: dict[type[Any], deque[_Unanswered]] = {}

    def asked(self, name: bytes, box: Box, tag: bytes | None) -> bool:
        """Take a call.

        :returns: False: there is no such command.
        :raises BadBox: nobody calls so.
        """
        if name == Ping.commandName:
            self._connection.answer(Ping, tag)
            return True
        if name == Tell.commandName:
            self._deliver(message_of(parse_arguments(Tell, box)["body"]))
            return True
        kind = MESSAGES.get(name)
        if kind is None:
            return False
        call = CALLS[kind]
        message = message_of(parse_arguments(call.command, box)["body"])
        if type(message) is not kind:
            raise BadBox(f"a {type(message).__name__} in {name!r}")
        if call.answer is None:
            self._connection.answer(call.command, tag, body=None)
        elif tag is not None:
            self._remember(call.answer, message, call.command, tag)
        self._deliver(message)
        return True

    def ended(self) -> None:
        """See Role: nobody waits for an answer any more."""
        self._unanswered.clear()

    def answer(self, message: Message) -> bool:
        """Send a message as the answer to the call that waits for it.

        :returns: False: none does.
        """
        waiting = self._unanswered.get(type(message))
        if not waiting:
            return False
        self._forget(waiting)
        call = _taken(waiting, message)
        if call is None:
            return False
        return self._connection.answer(call.command, call.tag, body=messages.encode(message))

    def _deliver(self, message: Message) -> None:
        if self._connection.doubted and type(message) not in LEADING:
            self._counters.messages_dropped += 1
            return
        self._counters.messages_received += 1
        self._received(self._connection.peer, message)

    def _remember(
        self, answer: type[Any], message: Message, command: type[amp.Command], tag: bytes
    ) -> None:
        waiting = self._unanswered.setdefault(answer, deque())
        self._forget(waiting)
        if len(waiting) >= self._settings.unanswered:
            waiting.popleft()
        waiting.append(_Unanswered(self._clock.seconds(), message, command, tag))

    def _forget(self, waiting: deque[_Unanswered]) -> None:
        too_old = self._clock.seconds() - self._settings.call_deadline
        while waiting and waiting[0].at <= too_old:
            waiting.popleft()


def _taken(waiting: deque[_Unanswered], answer: Message) -> _Unanswered | None:
    """Take out the call that an answer goes to, and what it settles."""
    if type(answer) is Appended:
        call = waiting.popleft() if waiting else None
        while (
            waiting
            and answer.success
            and waiting[0].last <= answer.index
            and waiting[0].round <= answer.round
        ):
            call = waiting.popleft()
        return call
    context = _context(answer)
    for index, call in enumerate(waiting):
        if call.context == context:
            del waiting[index]
            return call
    return None


def _context(message: Message) -> int:
    context: int = getattr(message, "context", 0)
    return context
