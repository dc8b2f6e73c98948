"""twisted.web's request interface over a response that is written otherwise.

A request here *is* a ``twisted.web.server.Request``, so that resources, templates, and the adapters
that Klein registers for that class work on it.  But its constructor is not called: what resources
ask for (``Headers``, arguments, cookies, a content file) is made when it is asked for first, and
costs nothing where it is not.

Attributes of Twisted's class that are replaced here are pinned by tests/http/test_webrequest.py.
This module knows what twisted.web expects; ``request`` knows how responses are written.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request as TwistedRequest

from bleepstore.http.response import BODILESS, date_bytes
from bleepstore.interfaces.http import Header

if TYPE_CHECKING:
    from bleepstore.http.channel import HTTPChannel

# What the channel writes itself.
_OWN: Final = frozenset((b"date", b"server", b"connection", b"transfer-encoding"))


class WebRequest(TwistedRequest):
    """The half of a request that twisted.web knows."""

    channel: HTTPChannel | None  # type: ignore[assignment]
    headers: Sequence[Header]

    queued = False
    _parsePOSTFormSubmission = False
    _watchers: list[Deferred[None]] | None = None
    _end: Failure | None = None

    # What the other half gives.

    @abstractmethod
    def respond(self, status: int, headers: Sequence[Header], body: bytes = b"") -> None: ...

    @abstractmethod
    def start(self, status: int, headers: Sequence[Header]) -> None: ...

    @abstractmethod
    def push(self, data: bytes | memoryview) -> None:
        """Write a piece of a response that was started, whether it is welcome or not."""

    @abstractmethod
    def fail(self, reason: Failure) -> None:
        """End the request, of which the handler failed."""

    # What twisted.web's constructor would have made.

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]
        headers = Headers()
        for name, value in self.headers:
            headers.addRawHeader(name, value)
        return headers

    @cached_property
    def responseHeaders(self) -> Headers:  # type: ignore[override]
        return Headers()

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        pairs = (
            cookie.strip().partition(b"=")
            for name, value in self.headers
            if name == b"cookie"
            for cookie in value.split(b";")
        )
        return {name: value for name, equals, value in pairs if equals}

    @cached_property
    def cookies(self) -> list[bytes]:  # type: ignore[override]
        return []

    @cached_property
    def path(self) -> bytes:  # type: ignore[override]
        return self.uri.partition(b"?")[0]

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        return parse_qs(self.uri.partition(b"?")[2], keep_blank_values=True)

    @cached_property
    def prepath(self) -> list[bytes]:  # type: ignore[override]
        return []

    @cached_property
    def postpath(self) -> list[bytes]:  # type: ignore[override]
        return [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]

    @cached_property
    def content(self) -> BytesIO:  # type: ignore[override]
        """The body as a file; empty unless somebody collected it (``site`` does)."""
        return BytesIO()

    @cached_property
    def client(self) -> IAddress | None:
        return None if self.channel is None else self.channel.peer

    @cached_property
    def host(self) -> IAddress | None:
        return None if self.channel is None else self.channel.host

    @cached_property
    def transport(self) -> Any:  # type: ignore[override]
        return None if self.channel is None else self.channel.transport

    @cached_property
    def _adapterCache(self) -> dict[str, Any]:  # type: ignore[override]
        return {}

    @property
    def started(self) -> bool:
        """As :attr:`IHttpRequest.started`."""
        return self.startedWriting != 0

    @property
    def bytes_sent(self) -> int:
        """As :attr:`IHttpRequest.bytes_sent`."""
        return self.sentLength

    # Writing

    def write(self, data: bytes) -> None:
        """As IRequest: begins the response if need be, by ``code`` and ``responseHeaders``.

        It never suspends: large responses are for a producer, or for ``send``.
        """
        if self.finished:
            raise RuntimeError("Request.write called on a request after Request.finish was called.")
        if self._inFakeHead or self.channel is None:
            return
        if not self.startedWriting:
            self.start(self.code, self.web_headers())
        self.push(data)

    def web_headers(self) -> list[Header]:
        """The response's headers as twisted.web's request would send them."""
        headers = self.responseHeaders
        if self.lastModified is not None and not headers.hasHeader(b"Last-Modified"):
            headers.setRawHeaders(b"Last-Modified", [date_bytes(self.lastModified)])
        if self.etag is not None:
            headers.setRawHeaders(b"ETag", [self.etag])
        if self.cookies:
            headers.setRawHeaders(b"Set-Cookie", self.cookies)
        if (
            self.defaultContentType is not None
            and self.code not in BODILESS
            and not headers.hasHeader(b"Content-Type")
            and headers.getRawHeaders(b"Content-Length") != [b"0"]
        ):
            headers.setRawHeaders(b"Content-Type", [self.defaultContentType])
        return [
            (name, value)
            for name, values in headers.getAllRawHeaders()
            if name.lower() not in _OWN
            for value in values
        ]

    def unregisterProducer(self) -> None:
        """As IRequest's consumer half; also after the client has gone."""
        self.producer = None
        if self.channel is not None:
            self.channel.unregisterProducer()

    # The end

    def notifyFinish(self) -> Deferred[None]:
        """As IRequest, and IHttpRequest; fires at once for a request that has ended."""
        if self._end is not None:
            return fail(self._end)
        if self.finished:
            return succeed(None)
        watcher: Deferred[None] = Deferred()
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(watcher)
        return watcher

    def tell_watchers(self, end: Failure | None) -> None:
        """Fire the Deferreds of notifyFinish: None for a response that was finished."""
        self._end = end
        watchers, self._watchers = self._watchers, None
        if watchers is not None:
            for watcher in watchers:
                if end is None:
                    watcher.callback(None)
                else:
                    watcher.errback(end)

    def processingFailed(self, reason: Failure) -> Failure:
        """A resource failed: the same as when a handler does."""
        self.fail(reason)
        return reason

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone."""
        self._disconnected = True
        self.channel = None
        self.tell_watchers(reason)
