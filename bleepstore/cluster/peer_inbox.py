"""What one peer asks of this node, and the calls of it that still wait for an answer.

The core's messages are one-way: what answers what is its own affair, and it may answer late,
twice, or never.  AMP's calls want one answer each.  The rule that joins the two: a message that
answers (``peer_commands.ANSWERS``) goes to the *oldest* call from that peer that waits for this
kind of answer, with the same context where the kind has one.  Which call carries it does not
matter to the other side, which looks into the message alone.  A call that waits longer than the
calls' deadline is forgotten, since its caller has forgotten it too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from bleepstore.cluster.peer_boxes import BadBox, Box
from bleepstore.cluster.peer_calls import PeerConnection, parse_arguments
from bleepstore.cluster.peer_commands import CALLS, MESSAGES, Ping, Tell
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.cluster.plausibility import message_of
from bleepstore.raft import messages
from bleepstore.raft.messages import Message


class _Unanswered:
    __slots__ = ("at", "command", "context", "tag")

    def __init__(
        self, at: float, context: int, command: type[amp.Command], tag: bytes | None
    ) -> None:
        self.at = at
        self.context = context
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
            self._remember(call.answer, _context(message), call.command, tag)
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
        context = _context(message)
        for index, call in enumerate(waiting):
            if call.context == context:
                del waiting[index]
                body = messages.encode(message)
                return self._connection.answer(call.command, call.tag, body=body)
        return False

    def _deliver(self, message: Message) -> None:
        self._counters.messages_received += 1
        self._received(self._connection.peer, message)

    def _remember(
        self, answer: type[Any], context: int, command: type[amp.Command], tag: bytes
    ) -> None:
        waiting = self._unanswered.setdefault(answer, deque())
        self._forget(waiting)
        if len(waiting) >= self._settings.unanswered:
            waiting.popleft()
        waiting.append(_Unanswered(self._clock.seconds(), context, command, tag))

    def _forget(self, waiting: deque[_Unanswered]) -> None:
        too_old = self._clock.seconds() - self._settings.call_deadline
        while waiting and waiting[0].at <= too_old:
            waiting.popleft()


def _context(message: Message) -> int:
    context: int = getattr(message, "context", 0)
    return context
