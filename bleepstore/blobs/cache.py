"""A store in a cloud, whose bytes are read from a cache on the local disk where they are there.

A locator's bytes never change, so what is cached is right for as long as the index names it.  That
another program has changed the object is noticed by reads that ask the cloud, not by those that are
served from here.

A block is fetched once, however many want it at a time (single flight): the first reader streams on
and fills block after block; others wait for the one that is under way, and ask for themselves only
where nobody is ahead of them.  The blocks that were not read
for longest go when there is no room.

Knows an in-place store by its interface, and ``cache_blocks``.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.blobs.cache_blocks import (
    AT_HAND,
    BLOCK,
    HEAD,
    OpenFiles,
    Run,
    block_name,
    blocks_in,
    read_block,
    remove_block,
    write_block,
)
from bleepstore.files import FULL
from bleepstore.interfaces.blobs import BlobCapabilities, IBlobReader, IBlobWriter, Placement
from bleepstore.interfaces.in_place import Began, IInPlaceStore, ListedName, NativeObject
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import IThreads
from bleepstore.model.objects import Extent, PlacedPart

_log = Logger()


class Blocks:
    """Which blocks there are, by their last use; and those that are being fetched.

    :param directory: of the cache; made if it is missing.
    :param max_bytes: of all files together.
    """

    def __init__(self, directory: str, max_bytes: int, threads: IThreads) -> None:
        self._directory = os.path.join(os.path.abspath(directory), "blocks")
        self._max_bytes = max_bytes
        self._threads = threads
        self._open = OpenFiles(self._directory)
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._fetching: dict[str, list[Deferred[None]]] = {}
        self._failing = False

    def stop(self) -> None:
        """Close what is open; reading opens it again."""
        self._open.close_all()

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self._total

    async def start(self) -> None:
        """Learn what an earlier process has left.

        :raises OSError: the directory cannot be used.
        """
        self._sizes.clear()
        self._total = 0
        for name, size in await self._threads.run(blocks_in, self._directory):
            self._sizes[name] = size
            self._total += size
        await self._make_room(self._max_bytes)

    def at_hand(self, name: str, start: int, length: int) -> bytes | None:
        """``length`` bytes of a small block from ``start``, from the page cache; None if they are
        not there: perhaps :meth:`read` has them."""
        size = self._sizes.get(name)
        if size is None or not HEAD < size <= AT_HAND:
            return None
        run = self._open.read(name, size)
        return None if run is None else self._taken(name, run, start, length)

    async def read(self, name: str, start: int, length: int) -> bytes | None:
        """``length`` bytes of a block from ``start``; None if they are not there."""
        data = self.at_hand(name, start, length)
        if data is None and name in self._sizes:
            run = await self._threads.run(read_block, self._directory, name)
            if run is None:
                self._forget(name)
            else:
                data = self._taken(name, run, start, length)
        return data

    def _taken(self, name: str, run: Run, start: int, length: int) -> bytes | None:
        first = start - run.start
        if first < 0 or first + length > len(run.data):
            return None
        if name in self._sizes:
            self._sizes.move_to_end(name)
        return run.data if length == len(run.data) else run.data[first : first + length]

    async def write(self, name: str, run: Run) -> None:
        """Keep a run of a block.  Never fails: a cache that cannot be written is no cache."""
        size = await self._written(name, run)
        self._forget(name)
        if size is None:
            await self._threads.run(self._remove, [name])
            return
        self._sizes[name] = size
        self._total += size
        await self._make_room(self._max_bytes)

    async def _written(self, name: str, run: Run) -> int | None:
        """Write a block; None if it cannot be.  On a full disk what was not read for longest goes
        for it, as where the cache itself is full."""
        for again in (True, False):
            try:
                size = await self._threads.run(write_block, self._directory, name, run)
            except OSError as error:
                if again and error.errno in FULL and self._total:
                    await self._make_room(max(0, self._total - HEAD - len(run.data)))
                    continue
                if not self._failing:  # once, not for every block that is read
                    self._failing = True
                    _log.warn(
                        "the cache cannot be written, and reads go on without it: {error}",
                        error=error,
                    )
                return None
            self._failing = False
            return size
        return None

    def is_fetched(self, name: str) -> bool:
        """Whether somebody fetches a block at this moment."""
        return name in self._fetching

    async def fetched(self, name: str) -> None:
        """Wait until a block that is being fetched is there, or nobody fetches it any more."""
        waiter: Deferred[None] = Deferred()
        self._fetching[name].append(waiter)
        await waiter

    def begin(self, name: str) -> None:
        """Fetch a block; ended by exactly one :meth:`end`."""
        self._fetching[name] = []

    def end(self, name: str) -> None:
        """The block is there, or will not be."""
        for waiter in self._fetching.pop(name):
            if not waiter.called:
                waiter.callback(None)

    def _forget(self, name: str) -> None:
        self._open.close(name)
        self._total -= self._sizes.pop(name, 0)

    async def _make_room(self, most: int) -> None:
        """Remove what was not read for longest, until no more than so many bytes are left."""
        gone = []
        while self._total > most and self._sizes:
            name, size = self._sizes.popitem(last=False)
            self._open.close(name)
            self._total -= size
            gone.append(name)
        if gone:
            await self._threads.run(self._remove, gone)

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            remove_block(self._directory, name)


@implementer(IInPlaceStore, IPart)
class CachedStore:
    """Reads by way of the cache; all else is the store's own."""

    def __init__(self, store: Any, blocks: Blocks) -> None:
        """:param store: a CloudStore that is an IInPlaceStore and IPart."""
        self._store = store
        self.blocks = blocks
        self.capabilities: BlobCapabilities = store.capabilities
        self.site: str = store.site

    async def start(self) -> None:
        """See :class:`IPart`."""
        await self.blocks.start()
        await self._store.start()

    async def stop(self) -> None:
        """See :class:`IPart`."""
        await self._store.stop()
        self.blocks.stop()

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        """See :class:`IInPlaceStore`.  The first bytes are at hand when it returns, so that what
        cannot be read is known by then."""
        number, start = divmod(offset, BLOCK)
        if start + length <= BLOCK:
            data = self.blocks.at_hand(block_name(blob_id, number), start, length)
            if data is not None:
                return _Bytes(data)
        reader = _Reader(self._store, self.blocks, blob_id, offset, length)
        await reader.prime()
        return reader

    def create(self, blob_id: str, placement: Placement) -> Awaitable[IBlobWriter]:
        """See :class:`IBlobStore`."""
        made: Awaitable[IBlobWriter] = self._store.create(blob_id, placement)
        return made

    def delete(self, blob_id: str) -> Awaitable[None]:
        """See :class:`IInPlaceStore`; blocks that nobody asks for any more go in their turn."""
        deleted: Awaitable[None] = self._store.delete(blob_id)
        return deleted

    def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        """See :class:`IBlobStore`."""
        ids: AsyncIterator[tuple[str, ...]] = self._store.blob_ids()
        return ids

    def check(self) -> Awaitable[None]:
        """See :class:`IBlobStore`."""
        checked: Awaitable[None] = self._store.check()
        return checked

    def tell(self, began: Began) -> None:
        """See :class:`IInPlaceStore`."""
        self._store.tell(began)

    def name_of(self, bucket: str, key: str) -> str:
        """See :class:`IInPlaceStore`."""
        name: str = self._store.name_of(bucket, key)
        return name

    def key_of(self, name: str) -> tuple[str, str] | None:
        """See :class:`IInPlaceStore`."""
        where: tuple[str, str] | None = self._store.key_of(name)
        return where

    def place(self, blob_id: str, expected: str) -> Awaitable[str]:
        """See :class:`IInPlaceStore`."""
        placed: Awaitable[str] = self._store.place(blob_id, expected)
        return placed

    def stage_copy(self, blob_id: str, source: Extent, placement: Placement) -> Awaitable[None]:
        """See :class:`IInPlaceStore`."""
        staged: Awaitable[None] = self._store.stage_copy(blob_id, source, placement)
        return staged

    def begin_upload(self, blob_id: str, placement: Placement) -> Awaitable[str]:
        """See :class:`IInPlaceStore`."""
        begun: Awaitable[str] = self._store.begin_upload(blob_id, placement)
        return begun

    def copy_part(self, blob_id: str, upload: str, number: int, source: Extent) -> Awaitable[str]:
        """See :class:`IInPlaceStore`."""
        copied: Awaitable[str] = self._store.copy_part(blob_id, upload, number, source)
        return copied

    def stage_parts(
        self, upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> Awaitable[str]:
        """See :class:`IInPlaceStore`."""
        staged: Awaitable[str] = self._store.stage_parts(upload, parts, placement)
        return staged

    def look(self, name: str) -> Awaitable[NativeObject | None]:
        """See :class:`IInPlaceStore`."""
        found: Awaitable[NativeObject | None] = self._store.look(name)
        return found

    def list_names(self, prefix: str, after: str = "") -> AsyncIterator[tuple[ListedName, ...]]:
        """See :class:`IInPlaceStore`."""
        names: AsyncIterator[tuple[ListedName, ...]] = self._store.list_names(prefix, after)
        return names


@implementer(IBlobReader)
class _Bytes:
    """A run that was at hand as a whole."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """See :class:`IBlobReader`."""
        self._data = b""


@implementer(IBlobReader)
class _Reader:
    """A run of a blob, block by block: from the disk, or from one answer of the cloud for as long
    as blocks are missing."""

    def __init__(self, store: Any, blocks: Blocks, blob_id: str, offset: int, length: int) -> None:
        self._store = store
        self._blocks = blocks
        self._blob_id = blob_id
        self._at = offset
        self._end = offset + length
        self._upstream: IBlobReader | None = None
        self._held = b""
        self._primed: bytes | None = None
        self._closed = False

    async def prime(self) -> None:
        """Read the first bytes."""
        try:
            self._primed = await self._next()
        except BaseException:
            self.close()
            raise

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        if self._primed is not None:
            data, self._primed = self._primed, None
            return b"" if self._closed else data
        return await self._next()

    def close(self) -> None:
        """See :class:`IBlobReader`."""
        self._closed = True
        self._held = b""
        self._drop()

    def _drop(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

    async def _next(self) -> bytes:
        """The bytes that are wanted of the next block."""
        while self._at < self._end and not self._closed:
            number, start = divmod(self._at, BLOCK)
            length = min(BLOCK - start, self._end - self._at)
            name = block_name(self._blob_id, number)
            if self._upstream is None:
                data = await self._blocks.read(name, start, length)
                if data is None and self._blocks.is_fetched(name):
                    await self._blocks.fetched(name)
                    data = await self._blocks.read(name, start, length)
                if data is not None:
                    self._at += len(data)
                    return b"" if self._closed else data
            data = await self._fetch(name, start, length)
            if len(data) == length:
                self._at += length
                return data
        return b""

    async def _fetch(self, name: str, start: int, length: int) -> bytes:
        """The bytes from the cloud, kept on their way; fewer if the reader is closed meanwhile."""
        mine = not self._blocks.is_fetched(name)
        if mine:
            self._blocks.begin(name)
        try:
            if self._upstream is None:
                upstream = await self._store.open(self._blob_id, self._at, self._end - self._at)
                if self._closed:
                    upstream.close()
                    return b""
                self._upstream = upstream
            data = await self._pull(length)
            if mine and len(data) == length:
                await self._blocks.write(name, Run(start, data))
            if self._at + length == self._end:
                self._drop()
            return data
        finally:
            if mine:
                self._blocks.end(name)

    async def _pull(self, length: int) -> bytes:
        pieces = [self._held]
        size = len(self._held)
        while size < length and self._upstream is not None:
            piece = await self._upstream.read()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        whole = b"".join(pieces)
        self._held = b"" if self._closed else whole[length:]
        return whole[:length]
