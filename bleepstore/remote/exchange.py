"""One request and its answer, as the agent under treq.

treq's client offers gzip, decodes it, keeps cookies, and rewrites URLs as hyperlink and urllib
would have them; a gateway must not: the ETag is that of the bytes as stored, and the signature that
of the target and the headers as sent.  So this agent is made for one request.  Method and body are
what treq hands it; target and headers are sent as they were signed, whatever it is told; and the
answer that treq sees looks as if it were not encoded, so that nothing decodes it.  treq is given as
little to do as it lets itself be given: a URL that is none, no headers, no cookies.

A server may answer before it has read the whole request: it has refused it, and reads no more.
Then the rest is not sent, the answer is taken, and the connection is cut.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from bleepstore.remote.answers import AnswerHead
from bleepstore.remote.bystanders import NO_COOKIES, NO_HEADERS, NOWHERE, Unseen
from bleepstore.remote.connection import ClientConnection
from bleepstore.remote.connections import Connections
from bleepstore.remote.countdown import Countdown
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import Fault, RemoteFailure, Unreachable
from bleepstore.remote.requests import ByteSource, RemoteRequest
from bleepstore.remote.uploading import BodyProducer, BytesSource

_HEAD = re.compile(
    rb"[A-Z]++ [!-~]++ HTTP/1\.1\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++: [\t\x20-\x7e\x80-\xff]*+\r\n)++\r\n"
)
"""A request's head as it is written here (RFC 9112, sections 3 and 5).  With as many lines as were
written, whatever somebody has put into a target or a header has stayed that one's value."""

TOGETHER = 32 * 1024
"""Bytes of a body at hand that is sent with the head as one.  More is handed to the transport piece
by piece, as far as the server takes it."""

_WITH_CONTENT = frozenset(("PATCH", "POST", "PUT"))
"""The methods that announce an empty body (RFC 9110, section 8.6)."""


class Answer(Struct, frozen=True):
    """The answer to a request; its body is still on its way.

    :ivar status: HTTP status.
    :ivar headers: lower-case name → value; repeated ones joined with ``", "``.
    :ivar length: bytes of the body as announced, or None; after HEAD, of what GET would give.
    :ivar body: must be read to its end or closed, or the connection is never given back.
    """

    status: int
    headers: dict[bytes, bytes]
    length: int | None
    body: ResponseBody

    def header(self, name: bytes) -> str:
        """The value of a header by its lower-case name, ``""`` without one."""
        return self.headers.get(name, b"").decode("latin-1")


@implementer(IAgent)
class Exchange:
    """Sends one request once.

    :param source: the body, or None.
    :param length: its bytes, or None for chunked transfer coding.
    :param head: seconds for the first byte of the answer, instead of the usual.
    """

    def __init__(
        self,
        connections: Connections,
        clock: IReactorTime,
        request: RemoteRequest,
        source: ByteSource | None,
        length: int | None,
        head: float | None = None,
    ) -> None:
        limits = connections.limits
        self._connections = connections
        self._clock = clock
        # Not the request itself, whose body may be large: see BodyProducer.stopProducing.
        self._method = request.method
        self._origin = request.origin
        self._target = request.target
        self._headers = request.headers
        self._length = length
        self._head_seconds = limits.head if head is None else head
        self._countdown = Countdown(connections.deadlines, self._expired)
        self._bytes = b""
        self._at_hand = b""
        self._producer: BodyProducer | None = None
        if isinstance(source, BytesSource) and len(source) <= TOGETHER:
            self._at_hand = source.all()
        elif source is not None:
            self._producer = BodyProducer(source, length, self._countdown, limits.stall, self._sent)
        self.body = ResponseBody(self._countdown, limits.stall, self._cut, self._over)
        self._asked: Deferred[Any] | None = None
        self._answered: Deferred[IResponse] | None = None
        self._connecting: Deferred[None] | None = None
        self._connection: ClientConnection | None = None
        self._head: AnswerHead | None = None
        self._early = False
        self._holds_turn = False
        self._fault: Fault | None = None

    async def run(self) -> Answer:
        """Send it, and give the head of the answer.

        :raises Unreachable: there is no answer.
        :raises RemoteFailure: it cannot be sent as it is.
        :raises Exception: what the source of the body raised.
        """
        client = HTTPClient(self, NO_COOKIES)
        try:
            self._asked = client.request(
                self._method,
                NOWHERE,
                headers=NO_HEADERS,
                data=self._producer,
                cookies=NO_COOKIES,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._clock,  # type: ignore[arg-type]  # for time-outs of its own: not used
            )
            await self._asked
            return self._answer()
        except BaseException as error:
            self._cut()
            self._over()
            if self._fault is not None:
                raise Unreachable(self._fault, str(self._origin)) from None
            if isinstance(error, CancelledError | RemoteFailure):
                raise
            if self._producer is not None and self._producer.error is not None:
                raise self._producer.error from None
            if isinstance(error, Exception):
                raise _broken(error) from error
            raise

    def _answer(self) -> Answer:
        head = self._head
        assert head is not None
        if self._early and head.status < 400:
            raise Unreachable(Fault.BROKEN, f"answered {head.status} before the request was sent")
        length = head.length
        if self._method == "HEAD":
            announced = head.fields.get(b"content-length", b"")
            length = int(announced) if announced.isdigit() else None
        return Answer(head.status, head.fields, length, self.body)

    # As the agent under treq

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See ``IAgent``.  URI and headers are those of the request this was made for, whatever is
        asked."""
        self._bytes = self._bytes_of(method)
        answered: Deferred[IResponse] = Deferred(self._given_up)
        self._answered = answered
        connection = self._connections.at_once(self._origin)
        if connection is not None:
            self._holds_turn = True
            self._send(connection, method, bodyProducer)
        else:
            self._connecting = Deferred.fromCoroutine(self._connect(method, bodyProducer))
            self._connecting.addErrback(self._failed)
        return answered

    async def _connect(self, method: bytes, producer: IBodyProducer | None) -> None:
        connections, origin = self._connections, self._origin
        self._countdown.start(connections.limits.turn, Fault.BUSY)
        await connections.turn()
        self._holds_turn = True
        self._countdown.start(connections.limits.connect, Fault.CONNECT_TIMEOUT)
        try:
            connection = await connections.connect(origin)
        except Exception as error:
            if isinstance(error, CancelledError):
                raise
            raise Unreachable(Fault.CONNECT, f"{origin}: {error}") from error
        finally:
            self._countdown.stop()
        self._connecting = None
        self._send(connection, method, producer)

    def _send(
        self, connection: ClientConnection, method: bytes, producer: IBodyProducer | None
    ) -> None:
        self._connection = connection
        self.body.flow = connection
        if producer is None:
            self._countdown.start(self._head_seconds, Fault.HEAD_TIMEOUT)
        to_send, self._bytes = self._bytes, b""
        connection.ask(
            self,
            to_send,
            method == b"HEAD",
            producer,
            chunked=producer is not None and self._length is None,
        )

    def _bytes_of(self, method: bytes) -> bytes:
        """The head, and a body that is at hand.

        :raises RemoteFailure: it would not be one head.
        """
        lines = [b"%b %b HTTP/1.1\r\n" % (method, self._target)]
        lines += [b"%b: %b\r\n" % header for header in self._headers]
        names = {name for name, _ in self._headers}
        if b"host" not in names:
            lines.append(b"host: %b\r\n" % self._origin.host_header)
        if b"accept-encoding" not in names:
            lines.append(b"accept-encoding: identity\r\n")
        if self._producer is not None:
            if self._length is None:
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                lines.append(b"content-length: %d\r\n" % self._length)
        elif self._at_hand or self._method in _WITH_CONTENT:
            lines.append(b"content-length: %d\r\n" % len(self._at_hand))
        if self._connections.closes(self._origin):
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or _HEAD.fullmatch(head) is None:
            raise RemoteFailure("the request has a target or a header that cannot be sent")
        at_hand, self._at_hand = self._at_hand, b""
        return head + at_hand if at_hand else head

    def _given_up(self, _: Deferred[IResponse]) -> None:
        """Nobody waits for the answer any more."""
        if self._connecting is not None:
            self._connecting.cancel()

    def _failed(self, failure: Failure) -> None:
        answered = self._answered
        if answered is not None and not answered.called:
            answered.errback(failure)

    def _sent(self) -> None:
        """The whole request was given to the transport: from now on it is the server's time."""
        if self._head is None:
            self._countdown.start(self._head_seconds, Fault.HEAD_TIMEOUT)

    # As the asker of a connection

    def answered(self, head: AnswerHead, whole: bool) -> None:
        """See :class:`Asker`."""
        self._head = head
        self._countdown.stop()
        if not whole:
            self._early = True
            if self._producer is not None:
                self._producer.stopProducing()
        if head.minor == 0:
            self._connections.it_closes(self._origin)

    def announce(self) -> None:
        """See :class:`Asker`."""
        assert self._head is not None
        assert self._answered is not None
        if not self._answered.called:
            self._answered.callback(Unseen(self._head.status))

    def lost(self, error: BaseException) -> None:
        """See :class:`Asker`."""
        if self._head is None:
            self._failed(Failure(error))  # type: ignore[no-untyped-call]
        else:
            self.body.lost()

    # Its end

    def _expired(self, fault: Fault) -> None:
        if self._asked is not None and not self._asked.called:
            self._fault = fault
            self._asked.cancel()
        else:
            self.body.fail(Unreachable(fault, str(self._origin)))

    def _cut(self) -> None:
        if (connection := self._connection) is not None:
            connection.cut(self)

    def _over(self) -> None:
        """The connection is given back, or gone."""
        self._countdown.end()
        self._connection = None
        if self._producer is not None:
            self._producer.stopProducing()
        if self._holds_turn:
            self._holds_turn = False
            self._connections.release()


def _broken(error: Exception) -> Unreachable:
    """What it means that a connection ended."""
    name = f"{type(error).__name__}: {error}".rstrip(": ")
    fault = Fault.TLS if isinstance(error, TLSError | VerificationError) else Fault.BROKEN
    return Unreachable(fault, name)
