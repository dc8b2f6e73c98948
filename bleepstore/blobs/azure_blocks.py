"""Blobs that are made of blocks: of bytes that are sent, or of other blobs.

Azure shows blocks to nobody before their list is put, which is one request, with a precondition.
But the blocks of one name are shared by all who write it, and whoever puts a list or a blob there
discards those of all others ("Put Block List", remarks).  So bytes that come in are sent under a
name of their own; and what is copied to where an object lies is copied again if its blocks are
gone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

from bleepstore.blobs.azure_calls import AzureCalls
from bleepstore.blobs.azure_messages import Run, block_id, cut
from bleepstore.errors import InternalError, OperationAborted, StoreError
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.remote.requests import Header
from bleepstore.streams.digests import load

COPIES = 8
"""Runs of one blob that are copied at a time."""

LOSSES = 3
"""Times that the blocks of one blob may be gone before it is given up."""

T = TypeVar("T")


def crc64(data: bytes, crc: int = 0) -> int:
    """CRC64NVME, continued."""
    return load()[ChecksumAlgorithm.CRC64NVME](data, crc)


class SentBlob:
    """A blob that comes in chunks, under a name that nobody else writes
    (``chunked_writer.Sending``).

    :param blob_id: gives the blocks their names.
    """

    def __init__(self, calls: AzureCalls, name: str, blob_id: str) -> None:
        self._calls = calls
        self._name = name
        self._blob_id = blob_id
        self._blocks: list[str] = []
        self._size = 0

    async def send(self, data: bytes, last: bool) -> Run | None:
        """Send the next chunk; after the last one gives where all of them lie.

        :raises EntityTooLarge: there are too many.
        :raises StoreError: it cannot be sent.
        """
        if data:
            block = block_id(self._blob_id, len(self._blocks))
            await self._calls.put_block(self._name, block, data, crc64(data))
            self._blocks.append(block)
            self._size += len(data)
        if not last:
            return None
        tag = await self._calls.put_block_list(self._name, self._blocks, (), None)
        if tag is None:
            raise InternalError("the cloud has lost blocks that nobody else knows of")
        return Run(self._name, tag, 0, self._size)

    async def cancel(self) -> None:
        """Nothing is to be told; who has the name removes what was sent."""


class JoinedBlob:
    """A blob that is made of others of the container, inside the cloud.

    :param blob_id: gives the blocks their names.
    :param runs: what it is made of, in order.
    :param headers: of the blob.
    :raises EntityTooLarge: no blob can be so large.
    """

    def __init__(
        self,
        calls: AzureCalls,
        name: str,
        blob_id: str,
        runs: Sequence[Run],
        headers: Sequence[Header] = (),
    ) -> None:
        self._calls = calls
        self._name = name
        self._headers = headers
        self._runs = cut(runs)
        self._blocks = [block_id(blob_id, index) for index in range(len(self._runs))]
        self._copied = False

    async def prepare(self) -> None:
        """Copy what it is made of, so that :meth:`make` is short.

        What fails is tried again there: whoever waits here may not need it any more.
        """
        try:
            await self._copy()
        except StoreError:
            return
        self._copied = True

    async def make(self, expected: str | None) -> str:
        """Make it, and give its tag; can be called again.

        :param expected: the tag of what is there; empty: nothing is; None: no matter.
        :raises Displaced: something else is there, or a source has changed.
        :raises OperationAborted: others write the same name all the time.
        """
        for _ in range(LOSSES):
            if not self._copied:
                await self._copy()
                self._copied = True
            tag = await self._calls.put_block_list(
                self._name, self._blocks, self._headers, expected
            )
            if tag is not None:
                return tag
            self._copied = False
        raise OperationAborted

    async def _copy(self) -> None:
        async def copy(pair: tuple[str, Run]) -> None:
            await self._calls.copy_block(self._name, *pair)

        await for_each(zip(self._blocks, self._runs, strict=True), copy, COPIES)


async def for_each(
    items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, None]], at_once: int
) -> None:
    """Do something with each of several items, with some of them at a time.

    :raises Exception: the first one that comes up; what is under way then is cancelled.
    """
    left = iter(items)

    async def run() -> None:
        for item in left:
            await work(item)

    workers = [Deferred.fromCoroutine(run()) for _ in range(at_once)]
    try:
        await gatherResults(workers, consumeErrors=True)
    except FirstError as first:
        for worker in workers:
            worker.cancel()
        first.subFailure.raiseException()
