"""A whole object store in memory, whose two stores can be made to fail or to hang at any call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from bleepstore.background.collector import Collector
from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.errors import IncompleteBody
from bleepstore.interfaces.http import IPayload
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.acl import CannedAcl
from bleepstore.model.commands import Written
from bleepstore.model.objects import Description
from bleepstore.objectstore import ObjectStore
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.requests import Caller, Claims, PutRequest, ReadRequest
from bleepstore.streams.threads import ImmediateThreads
from bleepstore.wire.grants import RequestedAcl
from tests.objectstore.driving import run

ALICE = Account("a" * 64, "alice", "alice@example.com")
BOB = Account("b" * 64, "bob", "Bob@Example.com")
CAROL = Account("c" * 64, "carol")

CREDENTIALS = (
    Credential("ALICE", "secret", ALICE),
    Credential("BOB", "secret", BOB),
    Credential("CAROL", "secret", CAROL),
)

LARGE = 300_000
"""Bytes that are surely not kept inline."""


def content(size: int) -> bytes:
    """Bytes whose every run of a few differs from the others."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


@implementer(IPayload)
class Payload:
    """A body in pieces.

    :param pieces: bytes; an exception is raised in its place; a Deferred is waited for.
    """

    def __init__(
        self,
        *pieces: bytes | Exception | Deferred[bytes],
        length: int | None = None,
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self._pieces = list(pieces)
        self.length = length
        self.trailers: Mapping[str, str] = trailers or {}
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, Deferred):
            return await piece
        return piece


def vanishing(*pieces: bytes) -> Payload:
    """A body whose client goes away after some pieces."""
    return Payload(*pieces, IncompleteBody())


class Faulty:
    """A store in front of another: its calls can be made to fail, before or after they are done.

    :ivar calls: the names of the calls so far.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._before: dict[str, list[Callable[[], Any]]] = {}
        self._after: dict[str, list[Callable[[], Any]]] = {}
        self.calls: list[str] = []

    def before(self, name: str, action: Callable[[], Any]) -> None:
        """Do this once, before the next call of a method; what it raises, the call raises."""
        self._before.setdefault(name, []).append(action)

    def after(self, name: str, action: Callable[[], Any]) -> None:
        """Do this once, after the next call of a method was done and before it returns."""
        self._after.setdefault(name, []).append(action)

    def fail(self, name: str, error: Exception) -> None:
        """Have the next call of a method fail without having done anything."""
        self.before(name, lambda: _raise(error))

    def hang(self, name: str) -> Deferred[None]:
        """Have the next call of a method wait, before it does anything."""
        gate: Deferred[None] = Deferred()
        self.before(name, lambda: gate)
        return gate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not callable(method) or name in ("blob_ids", "stop", "peek_bucket", "reusable_bytes"):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            await self._act(self._before, name)
            result = await method(*args, **kwargs)
            await self._act(self._after, name)
            return Faulty(result) if name == "create" else result

        return call

    @staticmethod
    async def _act(actions: dict[str, list[Callable[[], Any]]], name: str) -> None:
        if actions.get(name):
            outcome = actions[name].pop(0)()
            if isinstance(outcome, Deferred):
                await outcome


class FaultyBlobs(Faulty):
    """A blob store whose writers can be made to fail, too.

    :ivar writer_faults: method of the writer → error, for the next writer that is created.
    """

    def __init__(self, inner: MemoryBlobStore) -> None:
        super().__init__(inner)
        self.writer_faults: dict[str, Exception] = {}

    async def create(self, *args: Any) -> Any:
        writer = await self.__getattr__("create")(*args)
        for name, error in self.writer_faults.items():
            writer.fail(name, error)
        self.writer_faults = {}
        return writer

    def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        batches: AsyncIterator[tuple[str, ...]] = self._inner.blob_ids()
        return batches


def _raise(error: Exception) -> None:
    raise error


class World:
    """An object store with three accounts, of whom Alice is the root.

    :ivar released: how often the collector was woken.
    """

    def __init__(
        self,
        *,
        max_object_size: int = 5 * 1024**4,
        region: str = "us-east-1",
        metadata: Faulty | None = None,
    ) -> None:
        self.clock = Clock()
        self.time = 1_700_000_000_000
        self.threads = ImmediateThreads()
        self.disk = MemoryBlobStore(self.clock, self.threads)
        self.blobs = FaultyBlobs(self.disk)
        self.metadata = metadata or Faulty(MemoryMetadata())
        self.pins = Pins()
        self.released = 0
        self.rolls = 0
        self.store = self.process(max_object_size, region)

    def process(self, max_object_size: int = 5 * 1024**4, region: str = "us-east-1") -> ObjectStore:
        """A new process on the same stores."""
        store = ObjectStore(
            metadata=self.metadata,  # type: ignore[arg-type]
            blobs=self.blobs,  # type: ignore[arg-type]
            threads=self.threads,
            now=lambda: self.time,
            dice=self._dice,
            pins=self.pins,
            credentials=CREDENTIALS,
            region=region,
            node_id="node-1",
            max_object_size=max_object_size,
            released=self._on_release,
        )
        run(store.start())
        return store

    def caller(self, account: Account | None, expected: str = "") -> Caller:
        """A request of an account, a second after the one before."""
        self.time += 1000
        return Caller(account, "R", self.time, expected)

    # Short forms for what most tests need

    def bucket(
        self, name: str = "bucket", owner: Account = ALICE, canned: CannedAcl | None = None
    ) -> None:
        acl = None if canned is None else RequestedAcl(canned=canned)
        run(self.store.buckets.create(self.caller(owner), name, acl=acl))

    def put(
        self,
        key: str,
        body: bytes | Payload,
        *,
        bucket: str = "bucket",
        account: Account | None = ALICE,
        acl: RequestedAcl | None = None,
        description: Description | None = None,
        claims: Claims | None = None,
        conditions: Any = None,
    ) -> Written:
        payload = body if isinstance(body, Payload) else Payload(body, length=len(body))
        request = PutRequest(
            bucket, key, description or Description(), acl, claims or Claims(), conditions
        )
        return run(self.store.objects.put(self.caller(account), request, payload))

    def get(self, key: str, *, account: Account | None = ALICE, **kwargs: Any) -> bytes:
        """The bytes that GetObject sends."""
        return self.read(self.caller(account), ReadRequest("bucket", key, **kwargs))

    def read(self, caller: Caller, request: ReadRequest) -> bytes:
        async def read() -> bytes:
            reading = await self.store.objects.get(caller, request)
            if reading.inline is not None:
                return reading.inline
            pieces = []
            try:
                while piece := await reading.read():
                    pieces.append(piece)
            finally:
                reading.close()
            return b"".join(pieces)

        return run(read())

    async def collect(self) -> None:
        """Delete the blobs that were let go of."""
        collector = Collector(
            self.clock,
            lambda: self.time,
            self.metadata,  # type: ignore[arg-type]
            self.blobs,  # type: ignore[arg-type]
            self.pins,
            interval=60,
        )
        await collector.collect()

    def stored(self) -> set[str]:
        """The blobs that are on disk."""

        async def walk() -> set[str]:
            return {each async for batch in self.disk.blob_ids() for each in batch}

        return run(walk())

    def known(self) -> set[str]:
        """The blobs on disk that metadata references or knows to be released."""

        async def ask() -> set[str]:
            blob_ids = sorted(self.stored())
            referenced: Sequence[str] = await self.metadata.referenced_blobs(blob_ids)
            released: Sequence[str] = await self.metadata.released_blobs(1000)
            return {*referenced, *released}

        return run(ask())

    def leaked(self) -> set[str]:
        """The blobs on disk that nothing knows."""
        return self.stored() - self.known()

    def _dice(self, size: int) -> bytes:
        self.rolls += 1
        return self.rolls.to_bytes(size, "big")

    def _on_release(self) -> None:
        self.released += 1
