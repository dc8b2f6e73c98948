"""One request and its answer, as the agent under treq.

treq's client offers gzip, decodes it, and rewrites URLs as hyperlink and urllib would have them; a
gateway must not: the ETag is that of the bytes as stored, and the signature that of the target as
sent.  So this agent is made for one request, sends that request's own target and Accept-Encoding
whatever it is asked for, and keeps Content-Encoding from the decoder above.

A server may answer before it has read the whole request: it has refused it, and reads no more.
twisted.web gives such an answer out only once the request is sent, which never happens.  So the
answer is taken from the protocol directly; that attribute of it is used here alone, and pinned by
a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.components import proxyForInterface
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from bleepstore.remote.connections import Connections
from bleepstore.remote.countdown import Countdown
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import Fault, Unreachable
from bleepstore.remote.requests import ByteSource, RemoteRequest
from bleepstore.remote.uploading import BodyProducer

_PERSISTENT = (b"HTTP", 1, 1)
"""The version from which connections persist by themselves."""

_NO_URL = "http://origin.invalid/"
"""What treq is told (RFC 6761, section 6.4): what it would make of the real one is not wanted."""


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
        self._head_seconds = limits.head if head is None else head
        self._countdown = Countdown(clock, self._expired)
        self._producer = (
            None
            if source is None
            else BodyProducer(source, length, self._countdown, limits.stall, self._sent)
        )
        self._body = ResponseBody(self._countdown, limits.stall, self._cut, self._over)
        self._asked: Deferred[Any] | None = None
        self._protocol: HTTP11ClientProtocol | None = None
        self._response: IResponse | None = None
        self._early = False
        self._holds_turn = False
        self._fault: Fault | None = None

    async def run(self) -> Answer:
        """Send it, and give the head of the answer.

        :raises Unreachable: there is no answer.
        :raises Exception: what the source of the body raised.
        """
        client = HTTPClient(self)
        try:
            self._asked = client.request(
                self._method,
                _NO_URL,
                headers=self._headers_to_send(),
                data=self._producer,
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
            if isinstance(error, CancelledError | Unreachable):
                raise
            if self._producer is not None and self._producer.error is not None:
                raise self._producer.error from None
            if isinstance(error, Exception):
                raise _broken(error) from error
            raise

    def _headers_to_send(self) -> Headers:
        headers = Headers()
        for name, value in self._headers:
            headers.addRawHeader(name, value)
        if not headers.hasHeader(b"host"):
            headers.addRawHeader(b"host", self._origin.host_header)
        return headers

    def _answer(self) -> Answer:
        response = self._response
        assert response is not None
        if self._early and response.code < 400:
            raise Unreachable(Fault.BROKEN, f"answered {response.code} before the request was sent")
        headers = {
            name.lower(): b", ".join(values) for name, values in response.headers.getAllRawHeaders()
        }
        length: int | None = None
        if self._method == "HEAD":
            announced = headers.get(b"content-length", b"")
            length = int(announced) if announced.isdigit() else None
        elif response.length is not UNKNOWN_LENGTH:
            length = response.length
        return Answer(response.code, headers, length, self._body)

    # As the agent under treq

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See ``IAgent``.  The URI is that of the request this was made for, whatever is asked."""
        assert headers is not None
        return Deferred.fromCoroutine(self._send(method, headers, bodyProducer))

    async def _send(
        self, method: bytes, headers: Headers, producer: IBodyProducer | None
    ) -> IResponse:
        wanted = [value for name, value in self._headers if name == b"accept-encoding"]
        headers.setRawHeaders(b"accept-encoding", wanted or [b"identity"])
        protocol = self._protocol = await self._connected()
        persistent = self._origin not in self._connections.closing
        sent = Request(  # type: ignore[no-untyped-call]
            method, self._target, headers, producer, persistent=persistent
        )
        if producer is None:
            self._countdown.start(self._head_seconds, Fault.HEAD_TIMEOUT)
        answered = protocol.request(sent)
        if protocol.state == "TRANSMITTING":
            assert protocol._responseDeferred is not None
            protocol._responseDeferred.addCallback(self._answered_while_sending)
        response = await answered
        self._take(response)
        return _Undecoded(response)

    async def _connected(self) -> HTTP11ClientProtocol:
        connections, origin = self._connections, self._origin
        self._countdown.start(connections.limits.turn, Fault.BUSY)
        await connections.turn()
        self._holds_turn = True
        self._countdown.start(connections.limits.connect, Fault.CONNECT_TIMEOUT)
        try:
            return await connections.pool.getConnection(
                (origin, origin in connections.closing), connections.endpoint_for(origin)
            )
        except Exception as error:
            if isinstance(error, CancelledError):
                raise
            raise Unreachable(Fault.CONNECT, f"{origin}: {error}") from error
        finally:
            self._countdown.stop()

    def _sent(self) -> None:
        """The whole request was given to the transport: from now on it is the server's time."""
        if self._response is None:
            self._countdown.start(self._head_seconds, Fault.HEAD_TIMEOUT)

    def _answered_while_sending(self, response: IResponse) -> IResponse:
        producer = self._producer
        if producer is not None and not producer.finished:
            self._early = True
            producer.stopProducing()
            self._countdown.start(self._connections.limits.stall, Fault.STALLED)
        self._take(response)
        return response

    def _take(self, response: IResponse) -> None:
        """The head of the answer is there: let its body come."""
        if self._response is None:
            self._response = response
            if not self._early:
                self._countdown.stop()
            if response.version < _PERSISTENT:
                self._connections.closing.add(self._origin)
            if response.length is not UNKNOWN_LENGTH:
                self._body.length = response.length
            response.deliverBody(self._body)  # type: ignore[no-untyped-call]

    # Its end

    def _expired(self, fault: Fault) -> None:
        if self._asked is not None and not self._asked.called:
            self._fault = fault
            self._asked.cancel()
        else:
            self._body.fail(Unreachable(fault, str(self._origin)))

    def _cut(self) -> None:
        if (protocol := self._protocol) is not None and protocol.state != "QUIESCENT":
            transport: Any = protocol.transport
            if transport is not None:
                transport.abortConnection()

    def _over(self) -> None:
        """The connection is given back to the pool, or gone."""
        self._countdown.end()
        if self._early:
            self._cut()  # the rest of the request will not be sent
        self._protocol = None
        if self._producer is not None:
            self._producer.stopProducing()
        if self._holds_turn:
            self._holds_turn = False
            self._connections.release()


class _Undecoded(proxyForInterface(IResponse)):  # type: ignore[misc]  # made at run time
    """An answer for treq that looks as if it were not encoded, so that nothing decodes it."""

    def __init__(self, original: IResponse) -> None:
        self.original = original
        self._headers: Headers = original.headers.copy()
        self._headers.removeHeader(b"content-encoding")

    @property
    def headers(self) -> Headers:
        """All but Content-Encoding."""
        return self._headers


def _broken(error: Exception) -> Unreachable | CancelledError:
    """What an error of twisted.web means; it wraps cancellations too."""
    pending: list[BaseException] = [error]
    causes: list[str] = []
    while pending:
        cause = pending.pop()
        reasons: Sequence[Any] = getattr(cause, "reasons", ())
        if isinstance(cause, CancelledError):
            return cause
        if isinstance(cause, TLSError | VerificationError):
            return Unreachable(Fault.TLS, f"{type(cause).__name__}: {cause}")
        if reasons:
            pending.extend(reason.value for reason in reasons)
        else:
            causes.append(f"{type(cause).__name__}: {cause}".rstrip(": "))
    return Unreachable(Fault.BROKEN, ", ".join(causes))
