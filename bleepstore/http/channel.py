"""One connection: heads and bodies in, responses out, one request at a time.

The channel decides what the bytes that arrive are: a head, a body, the requests that a client
pipelines behind the one being served, or what is to be thrown away.  Its rules:

- A handler is called when a head is complete.  The next head waits until the response has ended,
  until the client has taken what was written, and until the body has ended: no byte of a body is
  ever read as a request.
- While a handler does not read, no more than :data:`body.HIGH_WATER` and one read of the body, or
  :data:`settings.PIPELINE` and one read of later requests, are in memory; then the transport is
  paused.
- A refused request of which the body was not asked for is followed by a short rest, which is
  discarded, or by the end of the connection: the writing side is shut and what arrives is thrown
  away for a while, since closing at once would reset the connection, and the client would lose
  the answer (RFC 9112, section 9.6).
- Nothing waits for ever: every state has a deadline, which the factory compares with its clock
  about once a second.  No request costs a timer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.errors import BadRequest, IncompleteBody, RequestTimeout, StoreError
from bleepstore.http.body import LARGE, NO_BODY, Body, WholeBody
from bleepstore.http.outbound import Outbound, StreamTransport, outbound_for
from bleepstore.http.pending import HEAD_END, Pending
from bleepstore.http.request import Request
from bleepstore.http.response import CLOSE, CONTINUE, KEEP, field_lines, last_response
from bleepstore.http.settings import DRAIN, LINGER_BYTES, LINGER_TIME, PIPELINE, TURN
from bleepstore.http.watch import Watch

if TYPE_CHECKING:
    from bleepstore.http.factory import HTTPFactory


@implementer(IHalfCloseableProtocol)
class HTTPChannel(Protocol):
    """The server's side of one connection.

    :ivar client_host: the peer's address, or empty if it has none.
    :ivar secure: whether this is TLS.
    :ivar outbound: where responses are written.
    """

    transport: StreamTransport  # type: ignore[assignment]
    outbound: Outbound

    def __init__(self, factory: HTTPFactory) -> None:
        self.factory: HTTPFactory = factory
        self.client_host = ""
        self.secure = False
        self.surplus = False  # too many were there: it is served if there is room when it asks
        self._input = Pending(factory.parser.max_size)
        self._request: Request | None = None  # the one being served
        self._body: Body | None = None  # that has not arrived whole
        self._wide = False  # it is large, and read with a share of the memory for such
        self._continue_due = False
        self._advancing = False
        self._turn_due = False
        self._close_after = False
        self._closing = False  # no further request is served
        self._lingering = False
        self._discarded = 0
        self._paused = False
        self._eof = False  # the client sends no more
        self._lost = False
        self._drain: Deferred[None] | None = None  # a sender waits
        self._watch = Watch(factory.reactor.seconds, factory.limits.write_timeout)

    # Connection

    def connectionMade(self) -> None:
        transport = self.transport
        self.peer = transport.getPeer()
        self.host = transport.getHost()
        host = getattr(self.peer, "host", None) or ""
        # An IPv4 client of an IPv6 socket comes as ::ffff:192.0.2.7 (RFC 4291, 2.5.5.2).
        self.client_host = host.removeprefix("::ffff:") if "." in host else host
        self.secure = ISSLTransport.providedBy(transport)
        set_no_delay = getattr(transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.outbound = outbound_for(transport, self._drained, self.factory.departures)
        self.factory.arrivals.join(transport)
        self.factory.connected(self)
        if not self._closing:  # it was not cut
            within = LINGER_TIME if self.surplus else self.factory.limits.idle_timeout
            self._watch.expect(within, self._close)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = self._closing = True
        self._watch.clear()
        self._input.clear()
        request, self._request = self._request, None
        body = self._body
        self._end_body()
        if request is not None:
            request.connectionLost(reason)
        if body is not None:
            body.fail(IncompleteBody())
        if self._drain is not None:
            self._drained()
        self.factory.arrivals.leave(self.transport)
        self.factory.disconnected(self)  # last: whoever waits for the end finds all ended

    def readConnectionLost(self) -> None:
        """The client sends no more; it may still read (RFC 9112, section 9.6)."""
        self._eof = True
        if self._body is not None and self._request is not None:
            self._body.fail(IncompleteBody())
        elif self._body is not None or self._lingering or self._request is None:
            self._end_body()
            self._advance()

    def writeConnectionLost(self) -> None:
        """The writing side is shut: from now on the client may read the rest and close."""
        if self._lingering:
            self._watch.expect(LINGER_TIME, self._close)

    def unsent(self) -> int:
        """See ``backlog.Sender``."""
        return self.outbound.unsent()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._closing = True
        self._watch.clear()
        self.outbound.abort()

    # Input

    def dataReceived(self, data: bytes) -> None:
        body = self._body
        if body is not None:
            self._receive(body, data)
        elif self._closing:
            self._discard(len(data))
        elif self._request is None and not self._input and not self.outbound.full:
            end = data.find(HEAD_END) + len(HEAD_END)
            if end <= len(HEAD_END) or data[0] == 13:
                self._input.append(data)
                self._advance()
            elif end == len(data):
                self._begin(data)
            else:
                self._begin_before(data[:end], data[end:])
        else:
            self._input.append(data)
            if self._request is None and not self.outbound.full:
                self._advance()
            elif len(self._input) >= PIPELINE:
                self._pause()

    def _begin_before(self, head: bytes, behind: bytes) -> None:
        """Serve a request with whose head more came: commonly its body, else later requests."""
        self._advancing = True
        try:
            self._begin(head, behind)
        finally:
            self._advancing = False
        self._advance(1)

    def _advance(self, served: int = 0) -> None:
        """Serve what waits, as far as it may be served now.

        :param served: how many were served in this turn.
        """
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._input and self._ready():
                if served and (served == TURN or not self.factory.crowd.may_serve()):
                    self._yield_turn()
                    return
                head = self._take_head()
                if head is None:
                    break
                served += 1
                self._begin(head)
        finally:
            self._advancing = False
        if self._ready() or self._lingering:
            if self._eof:
                self._close()
            elif len(self._input) < PIPELINE:
                self._resume()

    def _ready(self) -> bool:
        """Whether the next request may begin."""
        return (
            self._request is None
            and self._body is None
            and not self._closing
            and not self.outbound.full
        )

    def _yield_turn(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self.factory.reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._turn_due = False
        self._advance()

    def _take_head(self) -> bytes | None:
        """Cut a whole head off the input; None while its end has not arrived."""
        try:
            head = self._input.take_head()
        except StoreError as error:
            if self._input.is_tls:
                self.factory.spoken_to_in_tls.make()
            self._refuse(error)
            return None
        if head is None and self._input and not self._watch.expects(self._head_out):
            self._watch.expect(self.factory.limits.read_timeout, self._head_out)
        return head

    def _begin(self, head_bytes: bytes, behind: bytes = b"") -> None:
        """Parse a head and call the handler.

        :param behind: what came with the head, where nothing else waits.
        """
        self._watch.clear()
        factory = self.factory
        try:
            if self.surplus:
                factory.admit(self)
            head = factory.parser.parse(head_bytes)
        except StoreError as error:
            self._refuse(error, head_bytes.startswith(b"HEAD "))
            return
        if head.expectation and head.expectation != b"100-continue":
            unmet = BadRequest("The only expectation that is met is 100-continue.")
            self._refuse(unmet, head.method == b"HEAD", 417)
            return
        length = head.length
        if length == 0:
            request = self._request = Request(self, head, NO_BODY)
            if head.expectation:
                self.outbound.write(CONTINUE)  # though there is no body: see there
            if behind:
                self._input.append(behind)
        elif length == len(behind):
            request = self._request = Request(self, head, WholeBody(behind))
        else:
            body = self._body = Body(self, length)
            request = self._request = Request(self, head, body)
            self._continue_due = head.expectation != b""
            if length is None or length > LARGE:
                self._wide = True
                factory.reads.enter()
                self.outbound.read_widely(body.stride(factory.reads.size))
            if self._input:
                behind = self._input.take_all()
            if behind:
                self._receive(body, behind)
        try:
            factory.handler(request)
        except Exception:
            request.fail(Failure())  # type: ignore[no-untyped-call]

    def _receive(self, body: Body, data: bytes) -> None:
        """Take bytes of a body, and keep what is behind it."""
        if body.failed:
            self._discard(len(data))
            return
        self._continue_due = False  # it is sent already (RFC 9110, section 10.1.1)
        try:
            chunk, rest = body.decode(data)
        except BadRequest as error:
            self._watch.clear()
            body.fail(error)
            if self._request is None:
                self._end()
            return
        if body.complete:
            self._end_body()
            self._watch.clear()
            if rest:
                self._input.append(rest)
        elif self._wide:
            # Others came, or went; or its chunks are larger than it was thought.
            self.outbound.read_widely(body.stride(self.factory.reads.size))
        if self._request is None:  # nobody wants it
            if body.complete:
                self._await_request()
            return
        if chunk and body.waiting:
            self._watch.clear()
        body.deliver(chunk)
        if len(self._input) >= PIPELINE and not self._ready():
            self._pause()

    def _end_body(self) -> None:
        """Nothing of a body is expected any more."""
        self._body = None
        if self._wide:
            self._wide = False
            self.factory.reads.leave()
            self.outbound.read_widely(0)

    # BodySource

    def body_wanted(self) -> None:
        if self._continue_due:
            self._continue_due = False
            if self._request is not None and not self._request.started:
                self.outbound.write(CONTINUE)
        self._resume()
        self._watch.expect(self.factory.limits.read_timeout, self._body_out)

    def body_room(self) -> None:
        self._resume()

    def body_full(self) -> None:
        self._pause()

    def _pause(self) -> None:
        if not self._paused and not self._eof and not self._lost:
            self._paused = True
            self.transport.pauseProducing()

    def _resume(self) -> None:
        if self._paused and not self._eof and not self._lost:
            self._paused = False
            self.transport.resumeProducing()

    # Output

    def connection_line(self, request: Request) -> bytes:
        """Decide whether the connection goes on after this response, and say so in its head."""
        if not self._close_after:
            body = self._body
            if (
                not request.keep_alive
                or self.factory.stopping
                or (self._eof and not self._input)
                or (body is not None and (self._continue_due or not body.ends_within(DRAIN)))
            ):
                self._close_after = True
            else:
                # An old client must be told; a new one takes it for granted.
                return b"" if request.minor else KEEP
        return CLOSE

    def close_after_response(self) -> None:
        """Serve no further request; called before the response's head, or its end, is written."""
        self._close_after = True

    async def drained(self) -> None:
        """Returns when the transport welcomes more.

        :raises ConnectionError: the client has gone, or took nothing for the write time-out.
        """
        if self._drain is None:
            self._drain = Deferred(self._forget_drain)
        await self._drain
        if self._lost:
            raise ConnectionError("the client has gone")

    def _forget_drain(self, waiter: Deferred[None]) -> None:
        self._drain = None

    def _drained(self) -> None:
        """The transport's queue is empty, or the connection is lost."""
        waiter, self._drain = self._drain, None
        if waiter is not None:
            waiter.callback(None)
        if self._request is None and not self._closing:
            self._advance()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """A twisted.web resource writes by a producer of its own."""
        self.outbound.lend(producer, streaming)

    def unregisterProducer(self) -> None:
        """It has ended."""
        if not self._lost:
            self.outbound.reclaim()

    def request_done(self, request: Request) -> None:
        """A response was written to its end."""
        if request is not self._request:
            return
        self._request = None
        if self._closing:
            return  # it was cut
        if self._close_after or self.factory.stopping:
            self._end()
            return
        body = self._body
        if body is not None:
            body.discard()
            self._resume()
            self._watch.expect(self.factory.limits.read_timeout, self._close)
            return
        self._watch.expect(self.factory.limits.idle_timeout, self._close)
        if self._input or self._paused or self._eof:
            self._advance()

    def _await_request(self) -> None:
        """A body that nobody wanted has ended: the next request may come."""
        self._watch.expect(self.factory.limits.idle_timeout, self._close)
        self._advance()

    # Refusals and ends

    def _refuse(self, error: StoreError, to_head: bool = False, instead: int = 0) -> None:
        """Answer what never became a request, and end the connection.

        :param instead: a status that is not the error's own.
        """
        status, headers, body = self.factory.refuse(error)
        fields = field_lines(headers)
        answer = b"" if to_head else body
        self.outbound.write(last_response(instead or status, self.factory.date(), fields, answer))
        self._linger()

    def _end(self) -> None:
        """Close behind the last response."""
        if self._body is not None or self._paused:
            self._linger()  # the client may be sending
        else:
            self._close()

    def _linger(self) -> None:
        """Send what is unsent, say that no more comes, and discard what still arrives."""
        self._closing = True
        self._end_body()
        self._input.clear()
        if self._eof:
            self._close()
            return
        self._lingering = True
        self._watch.expect(LINGER_TIME, self._close)
        self.outbound.half_close()
        self._resume()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.abort()

    def _close(self) -> None:
        """Close when all is sent."""
        self._closing = True
        self._lingering = False
        self._end_body()
        self._input.clear()
        if self._lost:
            return
        self._watch.expect(LINGER_TIME, self.abort)  # TLS waits for the client's farewell
        self.outbound.close()

    # Time

    def check(self, now: float) -> None:
        """Called by the factory about once a second: has anything taken too long?"""
        self._watch.check(now, self.outbound, self._request is not None)

    def shut_down(self) -> None:
        """The server stops: close if nothing is being served, else behind the response."""
        self._close_after = True
        if self._request is None and not self._closing:
            self._close()

    def _head_out(self) -> None:
        self._refuse(RequestTimeout())

    def _body_out(self) -> None:
        if self._body is not None:
            self._body.fail(RequestTimeout())
