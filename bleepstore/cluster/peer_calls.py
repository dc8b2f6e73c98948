"""One connection between two nodes: AMP's calls and answers, with deadlines and bounds.

Twisted's own dispatcher (``BoxDispatcher``) knows no deadlines, keeps a call for ever that
nobody answers, fails on an answer that comes late, and logs a traceback for what a peer does
wrong.  So framing and dispatch are ours, and commands, arguments and boxes are AMP's: a stock
``amp.AMP`` understands every byte, and a test says so.

A connection writes what its transport takes; beyond that a bounded queue fills, and then calls are
dropped: whoever sends messages must bear that they are lost.

What is asked of this side goes to a :class:`Desk`.  Knows no messages, snapshots or identities.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.cluster.peer_arguments import from_box, parse_arguments, to_box
from bleepstore.cluster.peer_boxes import BadBox, Box, BoxReader, write_box
from bleepstore.cluster.peer_commands import CUMULATIVE, Ping, Tell, declared_error
from bleepstore.cluster.peer_settings import Counters, PeerSettings

HELLO_BOX = 4096
"""Bytes of a box at most, until the other side has said who it is."""


class Desk(Protocol):
    """Who answers for a connection.  May be changed at any time (``PeerConnection.desk``)."""

    def asked(self, connection: PeerConnection, name: bytes, box: Box, tag: bytes | None) -> None:
        """The other side calls a command.

        :param tag: to answer with; None: no answer is wanted.
        :raises BadBox: nobody sends such a box.
        """

    def answered(
        self,
        connection: PeerConnection,
        command: type[amp.Command] | None,
        response: dict[str, Any],
    ) -> None:
        """What was asked with ``post`` was answered.

        :param command: what was asked; None: the answer came after the deadline, and may be one
            to anything that has a body.
        :raises BadBox: nobody answers so.
        """

    def misbehaved(self, connection: PeerConnection, reason: str, detail: str) -> None:
        """The other side broke the rules, and the connection is being ended."""

    def ended(self, connection: PeerConnection) -> None:
        """The connection is gone."""


class AnsweredOnly:
    """The desk of a connection on which only this side calls, and waits for each answer."""

    def asked(self, connection: PeerConnection, name: bytes, box: Box, tag: bytes | None) -> None:
        """See Desk."""
        raise BadBox(f"a call of {name[:64]!r}, on a connection that it did not open")

    def answered(
        self,
        connection: PeerConnection,
        command: type[amp.Command] | None,
        response: dict[str, Any],
    ) -> None:
        """See Desk: nothing is posted here."""

    def misbehaved(self, connection: PeerConnection, reason: str, detail: str) -> None:
        """See Desk: the calls under way fail."""

    def ended(self, connection: PeerConnection) -> None:
        """See Desk."""


class CallTimedOut(Exception):
    """A call was not answered within its deadline."""


class _Waiting:
    """A call that was sent, and waits for its answer.

    :ivar result: None for one that was posted.
    """

    __slots__ = ("command", "number", "result", "sent", "timer")

    def __init__(
        self,
        command: type[amp.Command],
        sent: float,
        result: Deferred[dict[str, Any]] | None = None,
        timer: IDelayedCall | None = None,
    ) -> None:
        self.command = command
        self.number = 0
        self.sent = sent
        self.result = result
        self.timer = timer


@implementer(IPushProducer)
class PeerConnection(StreamProtocol):
    """A conversation.  It is on from ``makeConnection`` to ``Desk.ended``.

    :param calls: this side opened it: it calls and sees to it that somebody is there.  The other
        one only answers.
    :ivar peer: the other node's id once it is known.
    :ivar broken: why it broke, if it did in an uncommon way: a handshake of TLS that failed, say.
    :ivar open: False from the moment on at which it is being ended, for whatever reason.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: PeerSettings,
        counters: Counters,
        desk: Desk,
        calls: bool,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self.desk = desk
        self._calls = calls
        self.peer = ""
        self.doubted = False
        self.broken = ""
        self.open = False
        self._reader = BoxReader(self._box, HELLO_BOX)
        self._heard = 0.0
        self._tag = 0
        self._waiting: dict[bytes, _Waiting] = {}
        self._paused = False
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._watch: IDelayedCall | None = None
        self._closing: IDelayedCall | None = None
        self._ends: list[Deferred[None]] = []
        self._is_over = False

    # Begin and end

    def connectionMade(self) -> None:
        """See IProtocol."""
        transport: Any = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self.open = True
        self._heard = self._clock.seconds()
        self._watch = self._clock.callLater(self._settings.ping_interval, self._look)

    def admit(self, peer: str, *, doubted: bool = False) -> None:
        """The other side is known: from now on it may send large boxes."""
        self.peer = peer
        self.doubted = doubted
        self._reader.most = self._settings.most_box

    def close(self) -> None:
        """End it once what was written is sent, or the deadline for that has passed."""
        if not self.open:
            return
        self._stop()
        self._closing = self._clock.callLater(self._settings.close_deadline, self._cut)
        transport: Any = self.transport
        transport.loseConnection()

    def abort(self) -> None:
        """End it now."""
        if self.open:
            self._stop()
        self._cut()

    def when_ended(self) -> Deferred[None]:
        """Fires when the connection is gone; at once if it is."""
        end: Deferred[None] = Deferred()
        if self._is_over:
            end.callback(None)
        else:
            self._ends.append(end)
        return end

    def connectionLost(self, reason: Failure | None = None) -> None:
        """See IProtocol."""
        self._stop()
        self._is_over = True
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        waiting, self._waiting = self._waiting, {}
        if reason is not None and not isinstance(reason.value, ConnectionClosed):
            self.broken = f"{type(reason.value).__name__}: {reason.getErrorMessage()}"
        for call in waiting.values():
            self._fail(call, ConnectionLost(self.broken))
        self.desk.ended(self)
        ends, self._ends = self._ends, []
        for end in ends:
            if not end.called:
                end.callback(None)

    def _stop(self) -> None:
        self.open = False
        self._reader.end()
        self._queue.clear()
        self._queued = 0
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        transport: Any = self.transport
        transport.unregisterProducer()

    def _cut(self) -> None:
        transport: Any = self.transport
        if not self._is_over:
            transport.abortConnection()

    # Calls

    def call(
        self, command: type[amp.Command], deadline: float, /, **arguments: object
    ) -> Deferred[dict[str, Any]]:
        """Ask, and give the answer.

        Fails with one of the errors that the command declares; with CallTimedOut; with
        ConnectionError when the connection is ended first, or its queue is full.  Cancelling it
        forgets the call.

        :param deadline: seconds.
        """
        result: Deferred[dict[str, Any]] = Deferred()
        waiting = _Waiting(command, self._clock.seconds(), result)
        tag = self._ask(waiting, arguments)
        if tag is None:
            waiting.result = None
            result.errback(ConnectionLost())
            return result
        waiting.timer = self._clock.callLater(deadline, self._expire, tag)
        return result

    def post(self, command: type[amp.Command], /, **arguments: object) -> bool:
        """Ask, and let the desk have the answer, if one comes within the deadline.

        :returns: False: it was dropped.
        """
        return self._ask(_Waiting(command, self._clock.seconds()), arguments) is not None

    def tell(self, command: type[amp.Command], /, **arguments: object) -> bool:
        """Send a command that nobody answers.

        :returns: False: it was dropped.
        """
        box = to_box(command.arguments, arguments)
        box[amp.COMMAND] = command.commandName
        return self._send(box)

    def answer(self, command: type[amp.Command], tag: bytes | None, /, **response: object) -> bool:
        """Answer a call.

        :param tag: None: no answer was wanted, and none is sent.
        :returns: False: it was dropped.
        """
        if tag is None:
            return True
        box = to_box(command.response, response)
        box[amp.ANSWER] = tag
        return self._send(box)

    def refuse(self, tag: bytes | None, code: bytes, description: str) -> bool:
        """Answer a call with an error.

        :param code: that the command declares, or AMP itself.
        """
        if tag is None:
            return True
        error = description.encode()[:1024]
        return self._send({amp.ERROR: tag, amp.ERROR_CODE: code, amp.ERROR_DESCRIPTION: error})

    def _ask(self, waiting: _Waiting, arguments: dict[str, object]) -> bytes | None:
        if not self.open:
            return None
        box = to_box(waiting.command.arguments, arguments)
        self._tag += 1
        waiting.number = self._tag
        tag = b"%x" % self._tag
        box[amp.ASK] = tag
        box[amp.COMMAND] = waiting.command.commandName
        self._waiting[tag] = waiting
        if not self._send(box):
            del self._waiting[tag]
            return None
        return tag

    # Sending

    def _send(self, box: Box) -> bool:
        if not self.open:
            return False
        raw = write_box(box)
        if self._paused:
            full = self._queued + len(raw) > self._settings.queue_bytes
            if full or len(self._queue) >= self._settings.queue_count:
                return False
            self._queue.append(raw)
            self._queued += len(raw)
            return True
        self._write(raw)
        return True

    def _write(self, raw: bytes) -> None:
        self._counters.bytes_sent += len(raw)
        transport: Any = self.transport
        transport.write(raw)

    def pauseProducing(self) -> None:
        """See IPushProducer: the transport has enough."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._paused = False
        while self._queue and not self._paused and self.open:
            raw = self._queue.popleft()
            self._queued -= len(raw)
            self._write(raw)

    def stopProducing(self) -> None:
        """See IPushProducer: the connection is lost, and connectionLost follows."""
        self._paused = True

    # Receiving

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if not self.open:
            return
        self._heard = self._clock.seconds()
        self._counters.bytes_received += len(data)
        try:
            self._reader.feed(data)
        except BadBox as error:
            self.misbehaved("garbage", f"sent what this version does not understand: {error}")

    def misbehaved(self, reason: str, detail: str) -> None:
        """The other side broke the rules: end it, and have it said."""
        if self.open:
            self.abort()
            self.desk.misbehaved(self, reason, detail)

    def _box(self, box: Box) -> None:
        if amp.ANSWER in box:
            self._answer(box)
        elif amp.ERROR in box:
            self._error(box)
        elif amp.COMMAND in box:
            self.desk.asked(self, box.pop(amp.COMMAND), box, box.pop(amp.ASK, None))
        else:
            raise BadBox("a box that neither asks nor answers")

    def _answer(self, box: Box) -> None:
        tag = box.pop(amp.ANSWER)
        call = self._answered(tag)
        if call is None:
            if b"body" in box:
                self.desk.answered(self, None, parse_arguments(Tell, box))
            return
        if call.command in CUMULATIVE:
            self._settle_before(call)
        try:
            response = from_box(call.command.response, box)
        except (KeyError, ValueError) as error:
            self._fail(call, ConnectionLost())
            raise BadBox(f"a wrong answer to {call.command.commandName!r}: {error}") from None
        if call.result is not None:
            call.result.callback(response)
        elif call.command is not Ping:
            self.desk.answered(self, call.command, response)

    def _error(self, box: Box) -> None:
        call = self._answered(box.pop(amp.ERROR))
        if call is None:
            return
        code = box.get(amp.ERROR_CODE, b"")
        description = box.get(amp.ERROR_DESCRIPTION, b"")[:1024].decode("utf-8", "replace")
        declared = declared_error(call.command, code)
        if declared is None:
            self._fail(call, ConnectionLost())
            raise BadBox(f"an error that nobody declared: {code!r}")
        self._fail(call, declared(description))

    def _answered(self, tag: bytes) -> _Waiting | None:
        call = self._waiting.pop(tag, None)
        if call is None:
            try:
                was_asked = 0 < int(tag, 16) <= self._tag
            except ValueError:
                was_asked = False
            if not was_asked:
                raise BadBox("an answer to nothing that was asked")
            self._counters.answers_late += 1
            return None
        if call.timer is not None and call.timer.active():
            call.timer.cancel()
        if call.result is not None and call.result.called:
            return None  # cancelled
        return call

    def _settle_before(self, answered: _Waiting) -> None:
        """Forget the calls that were settled with a later one of their command."""
        settled = []
        for tag, call in self._waiting.items():
            if call.number > answered.number:
                break
            if call.command is answered.command:
                settled.append(tag)
        for tag in settled:
            del self._waiting[tag]

    def _fail(self, call: _Waiting, error: Exception) -> None:
        if call.timer is not None and call.timer.active():
            call.timer.cancel()
        if call.result is not None and not call.result.called:
            call.result.errback(error)

    # Deadlines

    def _expire(self, tag: bytes) -> None:
        call = self._waiting.pop(tag, None)
        if call is not None:
            self._counters.calls_timed_out += 1
            self._fail(call, CallTimedOut(f"{call.command.commandName.decode()} was not answered"))

    def _look(self) -> None:
        """Every ``ping_interval``: forget calls past their deadline, and end a dead connection."""
        now = self._clock.seconds()
        settings = self._settings
        self._watch = self._clock.callLater(settings.ping_interval, self._look)
        silence = now - self._heard
        if not self._calls:
            # The other side pings: its silence means that it is gone.
            if silence > settings.call_deadline + 2 * settings.ping_interval:
                self.abort()
            return
        asked = 0.0
        for tag, call in list(self._waiting.items()):
            if now - call.sent < settings.call_deadline:
                break
            if call.result is None:
                asked = asked or call.sent
                self._expire(tag)
        if asked and silence >= now - asked:
            self.abort()
        elif silence >= settings.ping_interval and self.peer:
            self.post(Ping)
