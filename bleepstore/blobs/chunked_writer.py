"""What is written to a cloud before it is placed: kept in memory, or sent in chunks.

Up to :data:`SMALL` bytes are kept, while not too many are: then one request both sends and places
them.  More is sent chunk after chunk to where nobody sees it: one chunk is on its way while the
next one is gathered, and no more is in memory.

Knows bytes and when they are sent; not which cloud they go to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.errors import InternalError, StoreError
from bleepstore.interfaces.blobs import IBlobWriter
from bleepstore.shares import MOST, Share

_log = Logger()

SMALL = 1 << 20
"""Bytes up to which a body is kept in memory until it is placed …"""

SMALL_AT_LEAST = 64 * 1024
"""… or up to this, while those that are kept have :data:`SMALL_TOGETHER` between them."""

SMALL_TOGETHER = 32 * 1024 * 1024

CHUNKS = 16 * 1024 * 1024
"""Bytes that one chunk of each large body may take together; there are two of each."""

FACTOR = 8
"""A chunk is so many times the share of a transfer: 512 KiB to 8 MiB."""

UNIT = 256 * 1024
"""A chunk is a multiple of so many bytes, but the last one."""

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Kept:
    """The bytes of small bodies in memory, from their first byte until they are placed."""

    def __init__(self) -> None:
        self.total = 0

    def may_keep(self, size: int) -> bool:
        """Whether a body may be kept that has grown to so many bytes."""
        return size <= (SMALL if self.total <= SMALL_TOGETHER else SMALL_AT_LEAST)


class Sending(Protocol[M_co]):
    """A large body on its way."""

    def send(self, data: bytes, last: bool) -> Awaitable[M_co | None]:
        """Send the next chunk; gives what was made after the last one.

        :raises StoreError: it cannot be sent, after all attempts.
        """

    def cancel(self) -> Awaitable[None]:
        """Give it up.  Never fails."""


class Staged(Generic[M]):
    """What a writer has gathered.

    :ivar data: the bytes, if they are few.
    :ivar made: what was made of them in the cloud, if they are many.
    :ivar size: bytes.
    :ivar crc: of all of them, as the writer was told to compute it.
    """

    __slots__ = ("crc", "data", "made", "size")

    def __init__(self, data: bytes, made: M | None, size: int, crc: int) -> None:
        self.data = data
        self.made = made
        self.size = size
        self.crc = crc


@implementer(IBlobWriter)
class ChunkedWriter(Generic[M]):
    """One body.

    :param kept: counts the bytes of small ones; those of one that is staged are still counted.
    :param share: divides memory among the bodies that are large.
    :param crc: continues the CRC of a body with its next bytes; at 10 GiB/s it needs no thread.
    :param begin: begins to send, once it is known that the body is large.
    :param staged: told at the end what there is to be placed.
    :param dropped: told that there is nothing, and whether any of it was sent, to be removed.
    :param agreed: the MD5 of a large body, by what was made of it and what its writer has computed.
    :param hashes: whether ``agreed`` can do without the latter; then the body must be large.
    """

    def __init__(
        self,
        kept: Kept,
        share: Share,
        crc: Callable[[bytes, int], int],
        begin: Callable[[], Awaitable[Sending[M]]],
        staged: Callable[[Staged[M]], Awaitable[None]],
        dropped: Callable[[bool], Awaitable[None]],
        agreed: Callable[[M, str], str] = lambda made, md5: md5,
        hashes: bool = False,
    ) -> None:
        self._kept = kept
        self._counted = 0
        self._share = share
        self._continue_crc = crc
        self._begin = begin
        self._staged = staged
        self._dropped = dropped
        self._agreed = agreed
        self.hashes = hashes
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._size = 0
        self._crc = 0
        self._upload: Sending[M] | None = None
        self._sending: Deferred[M | None] | None = None
        self._shares = False

    async def write(self, *data: bytes | memoryview) -> None:
        """See :class:`IBlobWriter`."""
        for piece in data:
            kept = bytes(piece)  # a view may change after this call
            self._crc = self._continue_crc(kept, self._crc)
            self._pieces.append(kept)
            self._gathered += len(kept)
            self._size += len(kept)
        if self._upload is None:
            if self._kept.may_keep(self._size):
                self._kept.total += self._size - self._counted
                self._counted = self._size
                return
            self._uncount()
            self._shares = True
            self._share.enter()
            self._upload = await self._begin()
        while self._gathered > max(UNIT, self._share.size * FACTOR):
            await self._send(last=False)

    async def finish(self, md5: str = "") -> str:
        """See :class:`IBlobWriter`."""
        made: M | None = None
        if self._upload is not None:
            await self._send(last=True)
            made = await self._sent()
            self._leave()
            if made is None:
                raise InternalError("the cloud made nothing of what was sent")
            if md5 or self.hashes:
                md5 = self._agreed(made, md5)
        data = b"" if made is not None else b"".join(self._pieces)
        self._pieces.clear()
        self._counted = 0  # from here on it is the store's to count
        await self._staged(Staged(data, made, self._size, self._crc))
        return md5

    async def abort(self) -> None:
        """See :class:`IBlobWriter`."""
        self._leave()
        self._uncount()
        self._pieces.clear()
        if (sending := self._sending) is not None:
            self._sending = None
            sending.addErrback(lambda failure: None)  # it is the body's end, for whatever reason
            sending.cancel()
        if self._upload is not None:
            await self._upload.cancel()
        try:
            await self._dropped(self._upload is not None)
        except StoreError as error:
            _log.warn("an aborted upload stays for the sweeper: {error}", error=str(error))

    async def _send(self, last: bool) -> None:
        """Begin to send what is gathered, or as much of it as makes a chunk."""
        await self._sent()
        gathered = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        most = max(UNIT, self._share.size * FACTOR)
        size = self._gathered if last else min(most, self._gathered) // UNIT * UNIT
        rest = gathered[size:]
        self._pieces = [rest] if rest else []
        self._gathered = len(rest)
        assert self._upload is not None
        self._sending = Deferred.fromCoroutine(_awaited(self._upload.send(gathered[:size], last)))

    async def _sent(self) -> M | None:
        sending, self._sending = self._sending, None
        return None if sending is None else await sending

    def _uncount(self) -> None:
        self._kept.total -= self._counted
        self._counted = 0

    def _leave(self) -> None:
        if self._shares:
            self._shares = False
            self._share.leave()


async def _awaited(sending: Awaitable[M]) -> M:
    return await sending


assert MOST * FACTOR % UNIT == 0, "chunks are multiples of the unit"
