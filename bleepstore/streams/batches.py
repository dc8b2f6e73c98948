"""A large body, hashed and written while more of it comes in.

It is gathered into batches.  Threads hash the last ones (MD5 in one lane, other hashes in another)
and the blob store writes one, while the next one is gathered; so hashes set the pace, and at most
:data:`IN_FLIGHT` + 1 batches are in memory, or :data:`ALONE` + 1 while there are few bodies.  Then
a batch is large, too, so that threads and the file system work in large units, and smaller when
there are many (``shares``).

Knows digests and a blob writer; not where the bytes come from nor what they are for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bleepstore.interfaces.blobs import IBlobWriter
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.shares import MOST, Share
from bleepstore.streams.digests import Digests

IN_FLIGHT = 3
"""Batches under way while the next one is gathered, …"""

ALONE = 8
"""… and while so few bodies come in that each has batches of the greatest size.  Where what is
written goes to another server, which has its own pace, hashing makes up for what it had to wait:
before one on the same two cores 8 % more than with three."""

TINY = 4096
"""Bytes of a piece that is joined to the one before it: a client that sends a few bytes at a time
would fill the memory with what each of them costs beside its bytes."""


class Batches:
    """A body on its way to a blob writer: the batch that is gathered, and those under way.

    :param md5: whether the MD5 is to be computed.
    :param sha256: whether ``rest`` is to have the SHA-256.
    :param algorithms: the checksums that ``rest`` is to have.
    :param share: bytes that are handed to threads at once.
    :ivar size: bytes taken.
    :ivar md5: after :meth:`settle`, the MD5 of all of them, if it was to be computed.
    :ivar rest: after :meth:`settle`, their other digests.
    """

    def __init__(
        self,
        writer: IBlobWriter,
        threads: IThreads,
        md5: bool,
        sha256: bool,
        algorithms: tuple[ChecksumAlgorithm, ...],
        share: Share,
    ) -> None:
        self.size = 0
        self.md5 = Digests(md5=md5)
        self.rest = Digests(md5=False, sha256=sha256, algorithms=algorithms)
        self._writer = writer
        self._md5_lane = threads.lane() if md5 else None
        # A CRC of bytes that MD5 has just brought into the cache costs less than a hop.
        self._rest_lane = threads.lane() if self.rest.slow or not md5 else None
        self._share = share
        self._batch: list[bytes | memoryview] = []
        self._gathered = 0
        self._hashing: deque[list[Deferred[None]]] = deque()
        self._writing: Deferred[None] | None = None

    async def add(self, data: bytes) -> None:
        """Take the next bytes.  Suspends while the threads have enough to do."""
        size = len(data)
        self.size += size
        if size > MOST:
            view = memoryview(data)
            for start in range(0, size, MOST):
                await self._gather(view[start : start + MOST])
        else:
            await self._gather(data)

    async def _gather(self, piece: bytes | memoryview) -> None:
        # Pieces are not cut to fill batches: to hash one and a bit more costs two calls.
        if self._gathered + len(piece) > MOST:
            await self._send()
        if self._batch and len(piece) < TINY and len(self._batch[-1]) < TINY:
            self._batch[-1] = b"".join((self._batch[-1], piece))
        else:
            self._batch.append(piece)
        self._gathered += len(piece)
        if self._gathered >= self._share.size:
            await self._send()

    async def _send(self) -> None:
        batch, self._batch, self._gathered = self._batch, [], 0
        most = ALONE if self._share.size == MOST else IN_FLIGHT
        while len(self._hashing) >= most:  # others may have come
            for hashing in self._hashing.popleft():
                await hashing
        lanes = []
        if self._rest_lane is not None:
            lanes.append(self._rest_lane.run(self.rest.update, *batch))
        if self._md5_lane is not None:
            update = self._update_both if self._rest_lane is None else self.md5.update
            lanes.append(self._md5_lane.run(update, *batch))
        self._hashing.append([_begin(lane) for lane in lanes])
        await self._written()
        self._writing = _begin(self._writer.write(*batch))

    def _update_both(self, *batch: bytes | memoryview) -> None:
        for piece in batch:
            self.md5.update(piece)
            self.rest.update(piece)

    async def _written(self) -> None:
        # Forgotten first: a wait that fails or is cancelled has ended that write for us.
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def settle(self) -> None:
        """Wait until everything is hashed and written."""
        if self._batch:
            await self._send()
        await self._written()
        while self._hashing:
            for hashing in self._hashing.popleft():
                await hashing

    async def abandon(self) -> None:
        """Let end what is under way, whatever its outcome, and remove what was written.

        Its wait may be cancelled; it goes on nevertheless.
        """
        cleaned: Deferred[None] = Deferred()
        Deferred.fromCoroutine(self._clean()).chainDeferred(cleaned)
        await cleaned

    async def _clean(self) -> None:
        for lanes in self._hashing:
            for hashing in lanes:
                hashing.addErrback(_forget)
        if self._writing is not None:
            await self._writing.addErrback(_forget)
        await self._writer.abort()


def _begin(awaitable: Awaitable[None]) -> Deferred[None]:
    """Start something to be awaited later."""
    if isinstance(awaitable, Deferred):
        return awaitable
    return Deferred.fromCoroutine(_await(awaitable))


async def _await(awaitable: Awaitable[None]) -> None:
    await awaitable


def _forget(failure: Failure) -> None:
    """Another error is being reported already."""
