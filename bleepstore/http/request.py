"""One request, and the one response to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.errors import InternalError, StoreError
from bleepstore.http.backlog import LARGE_ANSWER
from bleepstore.http.body import Body, NoBody, WholeBody
from bleepstore.http.head import Head
from bleepstore.http.response import BODILESS, announced_length, field_lines, status_line
from bleepstore.http.webrequest import WebRequest
from bleepstore.interfaces.http import Header, IHttpRequest

if TYPE_CHECKING:
    from bleepstore.http.channel import HTTPChannel

_log: Final = Logger()

_JOIN_BELOW: Final = 64 * 1024


@implementer(IHttpRequest)
class Request(WebRequest):
    """A request as it is handed to the handler.

    Answer it in one of three ways: :meth:`respond`; or :meth:`start`, :meth:`send`, :meth:`finish`;
    or twisted.web's setResponseCode, setHeader, write, finish.  An answer to a client that has
    gone is dropped in silence, but for ``send``, which says so.
    """

    _chunked = False
    _mute = False
    """HEAD, 204 and 304: the body is accepted and not sent."""

    _left = -1
    """Bytes announced and not yet sent; -1 if none were announced."""

    def __init__(self, channel: HTTPChannel, head: Head, body: Body | NoBody | WholeBody) -> None:
        # twisted.web's constructor is not called, for the reason that webrequest gives
        self.channel = channel
        self.method = head.method
        self.uri = head.target
        self.headers = head.headers
        self.fields = head.fields
        self.body = body
        self.client_host = channel.client_host
        self.secure = channel.secure
        self._head = head

    @property
    def clientproto(self) -> bytes:  # type: ignore[override]
        return b"HTTP/1.1" if self._head.minor else b"HTTP/1.0"

    @property
    def minor(self) -> int:
        """Of the request's version: HTTP/1.0 or HTTP/1.1."""
        return self._head.minor

    @property
    def keep_alive(self) -> bool:
        """Whether the client means to go on with the connection."""
        return self._head.keep_alive

    @property
    def bytes_received(self) -> int:
        return self.body.received

    def isSecure(self) -> bool:
        """As IRequest."""
        return self.secure or bool(self._forceSSL)

    # Responses

    def _begin(self, status: int) -> HTTPChannel | None:
        """Mark the response begun."""
        if self.startedWriting:
            raise RuntimeError("the response was already begun")
        self.startedWriting = 1
        self.code = status
        return self.channel

    def respond(self, status: int, headers: Sequence[Header], body: bytes = b"") -> None:
        """As :meth:`IHttpRequest.respond`.

        :raises RuntimeError: the response was already begun, or the headers announce another
            length than the body has.
        """
        channel = self._begin(status)
        if channel is None:
            return
        lines = field_lines(headers)
        announced = announced_length(lines)
        size = len(body)
        length_line = b""
        if status in BODILESS:
            if announced >= 0:
                lines = field_lines(_without_length(headers))
            size = 0
        elif announced < 0:
            length_line = b"\r\nContent-Length: %d" % size
        if self.method == b"HEAD":
            size = 0
        elif announced >= 0 and size != announced and status not in BODILESS:
            channel.abort()
            raise RuntimeError("the response has another length than was announced")
        self.sentLength = size
        pieces = (
            status_line(status),
            channel.factory.date(),
            lines,
            length_line,
            channel.connection_line(self),
            b"\r\n\r\n",
        )
        if size == 0:
            channel.outbound.write_soon(b"".join(pieces))
        elif size < _JOIN_BELOW:
            channel.outbound.write_soon(b"".join((*pieces, body)))
        else:
            channel.outbound.write_all((b"".join(pieces), body))
            if size > LARGE_ANSWER:
                channel.factory.backlog.add(channel)
        self._done()

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """As :meth:`IHttpRequest.start`."""
        channel = self._begin(status)
        if channel is None:
            return
        lines = field_lines(headers)
        announced = announced_length(lines)
        coding = b""
        if status in BODILESS:
            self._mute = True
            lines = field_lines(_without_length(headers))
        elif self.method == b"HEAD":
            self._mute = True
        elif announced >= 0:
            self._left = announced
        elif self._head.minor:
            self._chunked = True
            coding = b"\r\nTransfer-Encoding: chunked"
        else:
            channel.close_after_response()  # its end is the connection's
        pieces = (
            status_line(status),
            channel.factory.date(),
            lines,
            coding,
            channel.connection_line(self),
            b"\r\n\r\n",
        )
        channel.outbound.write(b"".join(pieces))

    async def send(self, data: bytes | memoryview) -> None:
        """As :meth:`IHttpRequest.send`.

        :raises ConnectionError: the client has gone, or took nothing for the write time-out.
        :raises RuntimeError: more is sent than was announced; the connection is aborted.
        """
        channel = self.channel
        if channel is None:
            raise ConnectionError("the client has gone")
        self.push(data)
        if channel.outbound.full:
            await channel.drained()

    def push(self, data: bytes | memoryview) -> None:
        """As :meth:`WebRequest.push`."""
        channel = self.channel
        if not self.startedWriting or self.finished:
            raise RuntimeError("the response was not started, or has ended")
        if channel is None or self._mute:
            return
        size = len(data)
        if self._chunked:
            if not size:
                return  # an empty chunk would end the body
            channel.outbound.write_all((b"%x\r\n" % size, data, b"\r\n"))
        else:
            if self._left >= 0:
                if size > self._left:
                    channel.abort()
                    raise RuntimeError("the response is longer than was announced")
                self._left -= size
            channel.outbound.write(data)
        self.sentLength += size

    def finish(self) -> None:
        """As :meth:`IHttpRequest.finish`, and IRequest's."""
        channel = self.channel
        if channel is None or self.finished:
            return
        if not self.startedWriting:
            headers = self.web_headers()
            if self.method == b"HEAD" and not self.responseHeaders.hasHeader(b"Content-Length"):
                self.start(self.code, headers)  # how long it would be, nobody knows
            else:
                self.respond(self.code, headers)
                return
        if self._left > 0:
            channel.abort()
        elif self._chunked:
            channel.outbound.write(b"0\r\n\r\n")
        self._done()

    def _done(self) -> None:
        channel = self.channel
        if self.producer is not None:
            self.unregisterProducer()
        self.finished = 1
        self.channel = None
        if self._watchers is not None:
            self.tell_watchers(None)
        if channel is not None:
            channel.request_done(self)

    async def turn(self) -> None:
        """As :meth:`IHttpRequest.turn`; at once if the client has gone."""
        if self.channel is not None:
            turn: Deferred[None] = Deferred()
            self.channel.factory.reactor.callLater(0, turn.callback, None)
            await turn

    def abort(self) -> None:
        """As :meth:`IHttpRequest.abort`."""
        if self.channel is not None:
            self.channel.abort()

    def loseConnection(self) -> None:
        """As twisted.web's request: the connection closes behind what was written."""
        if self.channel is not None:
            self.channel.close_after_response()
            self.finish()

    def fail(self, reason: Failure) -> None:
        """End a request of which the handler failed: a refusal if none was begun, else a cut.

        A StoreError is the refusal itself.  Anything else is a defect: it is logged, and the
        client reads InternalError.  A failure for the reason that the client went is neither.
        """
        channel = self.channel
        gone = channel is None
        if isinstance(reason.value, StoreError):
            error = reason.value
        else:
            error = InternalError()
            expected = isinstance(reason.value, (ConnectionError, CancelledError))
            if not (gone and expected):
                _log.failure("A request's handler failed.", failure=reason)
        if channel is None:
            return
        if self.startedWriting:
            self.abort()
        else:
            self.respond(*channel.factory.refuse(error))


def _without_length(headers: Sequence[Header]) -> list[Header]:
    return [field for field in headers if field[0].lower() != b"content-length"]
