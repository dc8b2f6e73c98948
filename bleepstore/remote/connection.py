"""The client's side of one HTTP/1.1 connection: one request at a time, and its answer.

twisted.web's own (``_newclient``) reads lines and passes every piece through some ten calls; a
small request costs it more than all that a gateway does with it.  This one writes a head that is
given as bytes, and has ``answers`` read what comes.  Its rules:

- What comes in one read is taken in as a whole before anybody is told of it: so a small answer is
  at hand, body and all, when its head is announced, and nobody waits for it twice.
- It goes back to those that are kept before its user learns that the answer is whole.
- It is kept only if the request was sent whole, the answer ended beyond doubt with its last byte,
  and the server means to go on.  One that says anything unasked is cut.

Small requests leave at the end of the reactor's turn, together (``http.outbound``).

Knows requests as bytes; nothing of deadlines, turns or attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IConsumer, IProducer
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from bleepstore.http.outbound import Data, Departures, Outbound, StreamTransport, outbound_for
from bleepstore.remote.answers import AnswerHead, AnswerReader, MalformedAnswer
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.idle import Idle
from bleepstore.remote.requests import Origin

WIDE = 256 * 1024
"""Bytes of a large body that are taken in one read."""


class Asker(Protocol):
    """Who has made a request."""

    @property
    def body(self) -> ResponseBody:
        """Where the body of the answer goes."""

    def answered(self, head: AnswerHead, whole: bool) -> None:
        """The head of the answer is there.  Called before any of the body is given to it.

        :param whole: whether the request had been sent to its end.
        """

    def announce(self) -> None:
        """So is whatever of the body came with it."""

    def lost(self, error: BaseException) -> None:
        """No answer, or not all of it, comes any more."""


@implementer(IConsumer)
class ClientConnection(TwistedProtocol):
    """One connection.

    :param idle: where it is kept while nobody uses it.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, origin: Origin, idle: Idle, departures: Departures) -> None:
        self._origin = origin
        self._idle = idle
        self._departures = departures
        self._outbound: Outbound | None = None
        self._asker: Asker | None = None
        self._reader: AnswerReader | None = None
        self._producer: IBodyProducer | None = None
        self._chunked = False
        self._paused = False
        self._gone = False  # it will not be used again
        self._closed: Deferred[None] | None = None
        self._lost = False

    def connectionMade(self) -> None:
        """See ``IProtocol``."""
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self._outbound = outbound_for(self.transport, self._drained, self._departures)

    # For who uses it

    def ask(
        self,
        asker: Asker,
        head: bytes,
        to_head: bool,
        producer: IBodyProducer | None = None,
        chunked: bool = False,
    ) -> None:
        """Make a request.  Until the answer is whole nobody else may.

        :param head: the head of the request; a body that is at hand may follow in it.
        :param to_head: whether the method is HEAD.
        :param producer: of a body that is not.
        :param chunked: whether it is to be sent in chunks.
        """
        self._asker = asker
        self._reader = AnswerReader(to_head)
        outbound = self._outbound
        assert outbound is not None, "it is not connected"
        if producer is None:
            outbound.write_soon(head)
            return
        outbound.write(head)
        self._producer = producer
        self._chunked = chunked
        producing: Deferred[Any] = producer.startProducing(self)  # type: ignore[no-untyped-call]
        producing.addCallbacks(self._sent, self._unsent, callbackArgs=(producer,))

    def cut(self, asker: Asker) -> None:
        """Give the request up, and the connection, if it is still this asker's."""
        if self._asker is asker:
            self._let_go()
            self._abort()

    def retire(self) -> Deferred[None]:
        """See :class:`Keepable`."""
        if self._lost:
            return succeed(None)
        if self._closed is None:
            self._closed = Deferred()
            self._gone = True
            if self._outbound is not None:
                self._outbound.close()
        return self._closed

    # For the body of the request

    def write(self, data: Data) -> None:
        """See ``IConsumer``: a piece of the body."""
        outbound, producer = self._outbound, self._producer
        if outbound is None or producer is None:
            return
        if self._chunked:
            outbound.write_all((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            outbound.write(data)
        if outbound.full:
            producer.pauseProducing()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See ``IConsumer``: it is given with the request."""

    def unregisterProducer(self) -> None:
        """See ``IConsumer``."""

    def _drained(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()

    def _sent(self, _: Any, producer: IBodyProducer) -> None:
        if self._producer is producer:
            self._producer = None
            if self._chunked and self._outbound is not None:
                self._outbound.write(b"0\r\n\r\n")

    def _unsent(self, failure: Failure) -> None:
        """The body cannot be had: what was announced will not come."""
        asker = self._asker
        if asker is not None:
            self._let_go()
            self._abort()
            assert failure.value is not None
            asker.lost(failure.value)

    # For the transport

    def dataReceived(self, data: bytes) -> None:
        """See ``IProtocol``."""
        asker, reader = self._asker, self._reader
        if asker is None or reader is None:
            self._idle.forget(self._origin, self)
            self._abort()  # nobody had asked
            return
        begun = reader.head is not None
        try:
            data = reader.receive(data)
        except MalformedAnswer as error:
            self._let_go()
            self._abort()
            asker.lost(error)
            return
        head = reader.head
        if head is None:
            return
        if not begun:
            asker.answered(head, self._producer is None)
            if (head.length or 0) > WIDE and self._outbound is not None:
                self._outbound.read_widely(WIDE)
        if reader.complete:
            self._end(reader)
            asker.body.received(data, True)
        elif data:
            asker.body.received(data, False)
        if not begun:
            asker.announce()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See ``IProtocol``."""
        self._lost = self._gone = True
        self._outbound = None
        asker = self._asker
        self._let_go()
        self._idle.forget(self._origin, self)
        if asker is not None:
            assert reason.value is not None
            asker.lost(reason.value)
        if self._closed is not None:
            self._closed.callback(None)

    # For the body of the answer

    def pause(self) -> None:
        """Receive nothing for the moment."""
        if not self._paused and not self._lost:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Receive again."""
        if self._paused and not self._lost:
            self._paused = False
            self.transport.resumeProducing()

    # Its end

    def _end(self, reader: AnswerReader) -> None:
        """The answer is whole."""
        unsent = self._producer is not None
        self._let_go()
        if self._outbound is not None:
            self._outbound.read_widely(0)
        if unsent or self._gone:
            self._abort()  # the rest of the request will not be sent
        elif reader.persistent:
            self.resume()
            self._idle.put(self._origin, self)
        else:
            self.retire()

    def _let_go(self) -> None:
        self._asker = None
        self._reader = None
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()  # type: ignore[no-untyped-call]

    def _abort(self) -> None:
        self._gone = True
        if self._outbound is not None:
            self._outbound.abort()


class ConnectionFactory(ClientFactory):
    """Makes the protocol of one connection.

    :param make: makes it.
    """

    noisy = False

    def __init__(self, make: Callable[[], ClientConnection]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """See ``IProtocolFactory``."""
        return self._make()
