"""Answers that may take long: CompleteMultipartUpload, CopyObject and UploadPartCopy.

S3 answers them 200 at once and sends blanks while it works, so that nothing on the way gives the
connection up; "a request could return 200 OK but still contain an error in the body" (API
reference, CompleteMultipartUpload).  Here only work that has taken ten seconds is answered
so: whatever fails before has its true status.

XML allows blanks after the declaration but not before it, so the declaration goes out first.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bleepstore.errors import InternalError, StoreError
from bleepstore.s3.call import XML, Call

PATIENCE_SECONDS = 10.0
"""How long an answer may take before blanks keep its connection alive, and between them."""

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'

_log = Logger()
T = TypeVar("T")


async def answer_when_done(
    call: Call,
    clock: IReactorTime,
    work: Coroutine[Deferred[Any], Any, T],
    render: Callable[[T], bytes],
) -> None:
    """Do the work and answer with the XML document that ``render`` makes of its result.

    :raises StoreError: the work failed before anything was sent.
    """
    doing = Deferred.fromCoroutine(work)
    alive = _KeepAlive(call, clock)
    try:
        document = render(await doing)
    except Exception as error:
        if not alive.stop():
            raise
        if isinstance(error, InternalError) or not isinstance(error, StoreError):
            if not (isinstance(error, InternalError) and error.is_logged):
                _log.failure("Request {request_id} failed late.", request_id=call.request_id)
            error = InternalError()  # what it says is for the log
        call.error = error.code
        await alive.end(call.error_document(error))
    else:
        if alive.stop():
            await alive.end(document)
        else:
            call.xml(document)


class _KeepAlive:
    """The blanks."""

    def __init__(self, call: Call, clock: IReactorTime) -> None:
        self._call = call
        self._clock = clock
        self._begun = False
        self._due: IDelayedCall | None = clock.callLater(PATIENCE_SECONDS, self._beat)

    def _beat(self) -> None:
        if not self._begun:
            self._begun = True
            self._call.start(200, (XML,))
            self._send(DECLARATION)
        self._send(b" ")
        self._due = self._clock.callLater(PATIENCE_SECONDS, self._beat)

    def _send(self, data: bytes) -> None:
        # A client that has gone, or takes nothing, does not stop the work: it is a change.
        Deferred.fromCoroutine(_sent(self._call, data))

    def stop(self) -> bool:
        """No more blanks; whether any was sent."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        return self._begun

    async def end(self, document: bytes) -> None:
        """Send the document behind the blanks, without its declaration."""
        await self._call.request.send(document.removeprefix(DECLARATION))
        self._call.request.finish()


async def _sent(call: Call, data: bytes) -> None:
    with suppress(ConnectionError):
        await call.request.send(data)
