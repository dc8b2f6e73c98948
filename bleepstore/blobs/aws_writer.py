"""One body on its way to S3.

Up to :data:`KEPT` bytes are kept, and sent when they are placed: the request can then be made
again, and has its precondition at the right time.  More is streamed: an object as the one part of
an upload, which S3 shows to nobody before it is completed; a part of a client's upload as that
part, with its last pieces held back until it is placed.

S3 wants to know the length of a part beforehand.  An object whose length nobody knows is cut into
parts of :data:`CUT` bytes, which are in memory, of few bodies at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from zope.interface import implementer

from bleepstore.blobs.aws_calls import AwsCalls
from bleepstore.blobs.pipe import Pipe
from bleepstore.errors import MissingContentLength
from bleepstore.interfaces.blobs import IBlobWriter
from bleepstore.model.locators import Locator
from bleepstore.remote.requests import Upload

KEPT = 1024 * 1024
"""Bytes up to which a body is kept …"""

KEPT_AT_LEAST = 64 * 1024
"""… or up to this, while those that are kept have :data:`KEPT_TOGETHER` between them."""

KEPT_TOGETHER = 32 * 1024 * 1024

CUT = 8 * 1024 * 1024
CUTTING = 4
"""Bodies of unknown length that are cut at a time."""

Place = Callable[[str], Awaitable[str]]
"""Puts what is staged in place, given the tag that is expected there; gives the locator."""


Agreed = Callable[[str], str]
"""The MD5 of a body of which S3 has told the ETag, as :meth:`CloudDigests.agreed` has it."""


class Staged(Struct, frozen=True):
    """What is to be placed.

    :ivar drop: lets go of it.
    """

    place: Place
    drop: Callable[[], None]


class Stager(Protocol):
    """The store, as a writer needs it: it knows how each kind of body is placed."""

    @property
    def calls(self) -> AwsCalls: ...

    @property
    def cutting(self) -> DeferredSemaphore: ...

    def keep(self, size: int) -> None:
        """Count bytes that are kept in memory; negative: no longer."""

    def may_keep(self, size: int) -> bool:
        """Whether a body may be kept that has grown to so many bytes."""

    async def begin(self) -> Locator:
        """Begin an upload for the body."""

    def stage_bytes(self, data: bytes) -> None:
        """The body is whole, and in memory."""

    def stage_upload(self, upload: Locator, parts: Sequence[tuple[int, str]]) -> None:
        """The body is whole, as parts of the upload that was begun."""

    def stage_part(self, end: Callable[[], Awaitable[str]], drop: Callable[[], None]) -> None:
        """The part is whole but for its last pieces, which ``end`` sends; it gives the ETag."""

    def unstage(self) -> None:
        """Let go of what was staged."""


class SentPart:
    """A part that is being streamed."""

    def __init__(self, calls: AwsCalls, upload: Locator, number: int, length: int) -> None:
        self._pipe = pipe = Pipe()
        self._etag = ""
        self._error: Exception | None = None
        self._ended: Deferred[None] = Deferred()
        body = Upload(lambda: pipe, length)
        self._sending = Deferred.fromCoroutine(
            self._send(calls.put_part(upload.name, upload.tag, number, body))
        )

    async def _send(self, sending: Awaitable[str]) -> None:
        try:
            self._etag = await sending
        except CancelledError:
            self._error = CancelledError()
        except Exception as error:
            self._error = error
        if self._error is not None:
            self._pipe.fail(self._error)
        self._ended.callback(None)

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Send pieces; returns when they were taken.

        :raises StoreError: the cloud takes no more.
        """
        await self._pipe.write(pieces)

    async def end(self, last: Sequence[bytes] = ()) -> str:
        """Send the last pieces, and give the part's ETag.

        :raises StoreError: it is not known whether the cloud has the part.
        """
        await self._pipe.write(last)
        self._pipe.end()
        await self._ended
        if self._error is not None:
            raise self._error
        return self._etag

    def cancel(self) -> None:
        """Break it off: S3 keeps nothing of a part that is not whole."""
        self._sending.cancel()


class _Sink(Protocol):
    """Where a body goes that is too large to be kept."""

    async def write(self, pieces: Sequence[bytes]) -> None: ...

    async def finish(self, agreed: Agreed) -> str: ...

    def cancel(self) -> None: ...


class _StreamedObject:
    """An object of known length, as one part.

    Its last pieces are held back until it is known to be whole: a server that had all bytes would
    answer before it was told that they are all.
    """

    def __init__(self, stager: Stager, upload: Locator, length: int) -> None:
        self._stager = stager
        self._upload = upload
        self._part = SentPart(stager.calls, upload, 1, length)
        self._last: Sequence[bytes] = ()

    async def write(self, pieces: Sequence[bytes]) -> None:
        before, self._last = self._last, pieces
        await self._part.write(before)

    async def finish(self, agreed: Agreed) -> str:
        etag = await self._part.end(self._last)
        md5 = agreed(etag)
        self._stager.stage_upload(self._upload, ((1, etag),))
        return md5

    def cancel(self) -> None:
        self._part.cancel()


class _CutObject:
    """An object of unknown length, as parts of one size."""

    def __init__(self, stager: Stager, upload: Locator) -> None:
        self._stager = stager
        self._upload = upload
        self._parts: list[tuple[int, str]] = []
        self._held = bytearray()
        self._sent: Deferred[str] | None = None
        self._free = False

    async def write(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._held += piece
        if len(self._held) >= CUT:
            await self._send()

    async def _send(self) -> None:
        number = len(self._parts) + 1
        data, self._held = bytes(self._held), bytearray()
        calls, upload = self._stager.calls, self._upload
        etag = await calls.put_part(upload.name, upload.tag, number, data)
        self._parts.append((number, etag))

    async def finish(self, agreed: Agreed) -> str:
        if self._held:
            await self._send()
        self.cancel()
        self._stager.stage_upload(self._upload, tuple(self._parts))
        return ""

    def cancel(self) -> None:
        if not self._free:
            self._free = True
            self._stager.cutting.release()


class _StreamedPart:
    """A part of a client's upload, its last pieces held back."""

    def __init__(self, stager: Stager, part: SentPart) -> None:
        self._stager = stager
        self._part = part
        self._last: Sequence[bytes] = ()

    async def write(self, pieces: Sequence[bytes]) -> None:
        before, self._last = self._last, pieces
        await self._part.write(before)

    async def finish(self, agreed: Agreed) -> str:
        async def end() -> str:
            etag = await self._part.end(self._last)
            agreed(etag)
            return etag

        self._stager.stage_part(end, self._part.cancel)
        return ""

    def cancel(self) -> None:
        self._part.cancel()


@implementer(IBlobWriter)
class AwsWriter:
    """See :class:`IBlobWriter`.

    :param length: of the body, or -1.
    :param upload: of which it is a part; None: it is an object.
    """

    def __init__(
        self, stager: Stager, length: int, upload: Locator | None = None, number: int = 0
    ) -> None:
        self._stager = stager
        self._length = length
        self._upload = upload
        self._number = number
        self.hashes = length > KEPT and stager.calls.digests.told
        self._kept: list[bytes] = []
        self._size = 0
        self._sink: _Sink | None = None

    async def write(self, *data: bytes | memoryview) -> None:
        """See :class:`IBlobWriter`."""
        pieces = [bytes(piece) for piece in data if len(piece)]
        if not pieces:
            return
        if self._sink is None:
            self._size += sum(map(len, pieces))
            self._kept += pieces
            self._stager.keep(sum(map(len, pieces)))
            if self._stager.may_keep(self._size):
                return
            self._sink = await self._open()
            pieces, self._kept = self._kept, []
            self._stager.keep(-self._size)
        await self._sink.write(pieces)

    async def _open(self) -> _Sink:
        stager = self._stager
        if self._upload is not None:
            if self._length < 0:
                raise MissingContentLength
            part = SentPart(stager.calls, self._upload, self._number, self._length)
            return _StreamedPart(stager, part)
        if self._length >= 0:
            return _StreamedObject(stager, await stager.begin(), self._length)
        await stager.cutting.acquire()
        try:
            return _CutObject(stager, await stager.begin())
        except BaseException:
            stager.cutting.release()
            raise

    async def finish(self, md5: str = "") -> str:
        """See :class:`IBlobWriter`; nothing shows yet."""
        if self._sink is not None:
            digests = self._stager.calls.digests
            compared = self.hashes or md5
            told = await self._sink.finish(
                lambda etag: digests.agreed(etag, md5) if compared else ""
            )
            return md5 or told
        kept, self._kept = self._kept, []
        self._stager.stage_bytes(b"".join(kept))
        return md5

    async def abort(self) -> None:
        """See :class:`IBlobWriter`.  An upload that was begun is left to who was told of it."""
        if self._sink is not None:
            self._sink.cancel()
        elif self._kept:
            self._kept = []
            self._stager.keep(-self._size)
        self._stager.unstage()
