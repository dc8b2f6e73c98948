"""The HTTP request as the fronts see it: the head is there, the body is a stream.

``http.request.Request`` provides this beside twisted.web's ``IRequest``, so that Klein
and twisted.web resources work on it; tests use a fake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

Header = tuple[bytes, bytes]


class IBody(Interface):
    """A request's body, after transfer coding was removed.

    The first :meth:`read` answers ``Expect: 100-continue``; a handler that refuses on the
    head alone never reads, and the body is never sent.
    """

    length = Attribute("Bytes announced by Content-Length, or None for chunked transfer coding.")

    def read() -> Awaitable[bytes]:
        """The next bytes as they arrive (64 KiB or so), empty at the end, and ever after.

        While nobody reads, at most a few chunks are buffered and the transport is paused.
        Suspends only when nothing has arrived.

        :raises IncompleteBody: the client closed the connection before the end.
        :raises RequestTimeout: nothing arrived within the read time-out.
        :raises BadRequest: the transfer coding is malformed.
        """


class IHttpRequest(Interface):
    """One request and the one response to it."""

    method = Attribute("bytes, as sent.")
    uri = Attribute("bytes: the raw request target as sent, path and query.")
    headers = Attribute(
        "Sequence[Header]: (lower-case name, stripped value), in order, repeated ones kept."
    )
    fields = Attribute(
        "dict[bytes, bytes]: the same by name, repeated ones joined with a comma.  Read only."
    )
    body = Attribute("IBody.")
    client_host = Attribute("str: the peer's address, or '' for a UNIX socket.")
    secure = Attribute("bool: whether it came over TLS.")
    started = Attribute("bool: whether the response's head was written.")
    bytes_received = Attribute("int: body bytes taken from the wire so far.")
    bytes_sent = Attribute("int: response body bytes written so far.")

    def respond(status: int, headers: Sequence[Header], body: bytes = b"") -> None:
        """Send a whole response in one write and finish.  Content-Length is added.

        For HEAD the body is not sent, but its length is announced, unless ``headers`` has a
        Content-Length already.  204 and 304 have neither.
        """

    def start(status: int, headers: Sequence[Header]) -> None:
        """Write the head of a streamed response.  Without a Content-Length in ``headers`` it is
        sent chunked (HTTP/1.1) or ends with the connection (HTTP/1.0)."""

    def send(data: bytes | memoryview) -> Awaitable[None]:
        """Write a piece of a streamed body; returns when more are welcome.

        Suspends only while the transport's buffer is above its high-water mark.
        :raises ConnectionError: the client has gone, or took nothing for the write time-out.
        """

    def finish() -> None:
        """End the response.  If fewer bytes were sent than announced, the connection is aborted
        so that the client sees the truncation."""

    def abort() -> None:
        """Cut the connection at once."""

    def turn() -> Awaitable[None]:
        """Returns in a later turn of the reactor: for who has much to do for what has arrived."""

    def notifyFinish() -> Deferred[None]:
        """Fires with None when the response is finished, fails when the client goes before."""


class IPayload(Interface):
    """What the client means to store: the body without aws-chunked framing, signatures checked.

    The front makes it of an :class:`IBody`; the use cases read it to its end.
    """

    length = Attribute("Bytes to come by the client's word, or None if it did not say.")
    trailers = Attribute(
        "Mapping[str, str]: lower-case name → value of trailing headers; complete after the end."
    )

    def read() -> Awaitable[bytes]:
        """The next bytes, empty at the end.  Nothing of it counts before the end was reached.

        :raises StoreError: as :meth:`IBody.read`, and SignatureDoesNotMatch, IncompleteBody,
            InvalidRequest and MalformedTrailerError of the streaming forms.
        """
