"""The store in AWS S3, against real servers that speak its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from hashlib import md5
from typing import Any

import pytest
import pytest_twisted

from bleepstore.blobs.aws_writer import KEPT_TOGETHER
from bleepstore.errors import (
    AccessDenied,
    Displaced,
    InternalError,
    MissingContentLength,
    SlowDown,
    StoreError,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.objects import Extent, PlacedPart
from bleepstore.remote.retries import Policy
from tests.blobs.aws_world import make_store, new_prefix
from tests.contract.in_place import MIB, InPlaceContract, blob_id, random_bytes
from tests.fakes.fault_proxy import Fault, FaultProxy, Script
from tests.integration.backing import make_backing_bucket
from tests.integration.daemon import Daemon
from tests.integration.moto import moto as motos_server


@pytest.fixture(scope="module")
def bleepstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemon(tmp_path_factory.mktemp("backing")) as daemon:
        make_backing_bucket(daemon.url)
        yield daemon.url


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Moto's server, as another opinion of what S3 does."""
    pytest.importorskip("moto")
    with motos_server() as url:
        make_backing_bucket(url)
        yield url


async def two_stores(url: str) -> AsyncIterator[Any]:
    prefix = new_prefix()
    stores = make_store(url, prefix), make_store(url, prefix)
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


class TestOnBleepStore(InPlaceContract):
    @pytest_twisted.async_yield_fixture
    async def stores(self, bleepstore: str) -> AsyncIterator[Any]:
        async for stores in two_stores(bleepstore):
            yield stores


class TestOnMoto(InPlaceContract):
    """Moto lets conditions pass that S3 decides: If-Match of CompleteMultipartUpload, and
    x-amz-copy-source-if-match.  What depends on them is left to the other server."""

    test_a_source_that_has_changed_is_not_copied = None

    @pytest.mark.parametrize("size", [10])
    @pytest_twisted.ensureDeferred
    async def test_what_lies_there_unexpectedly_stays(
        self, store: Any, other: Any, size: int
    ) -> None:
        await self.require_that_it_stays(store, other, size)

    @pytest_twisted.async_yield_fixture
    async def stores(self, moto: str) -> AsyncIterator[Any]:
        async for stores in two_stores(moto):
            yield stores


class TestAws:
    """What is this store's own, before a server and a network that can be made to fail."""

    @pytest.fixture
    def proxy(self, bleepstore: str) -> Iterator[FaultProxy]:
        with FaultProxy(int(bleepstore.rpartition(":")[2])) as proxy:
            yield proxy

    @pytest_twisted.async_yield_fixture
    async def store(self, proxy: FaultProxy) -> AsyncIterator[Any]:
        store = make_store(proxy.url, new_prefix(), policy=Policy(base=0.001, cap=0.01))
        await store.start()
        yield store
        await store.stop()

    @staticmethod
    async def written(store: Any, data: bytes, length: int, **more: Any) -> str:
        """Write a body in pieces; gives the blob's id."""
        writer = await store.create(blob_id(1), Placement("bucket", "key", "", length, **more))
        try:
            for at in range(0, len(data), 1_000_000):
                await writer.write(data[at : at + 1_000_000])
            await writer.finish()
        except BaseException:
            await writer.abort()
            raise
        return blob_id(1)

    @staticmethod
    async def read(store: Any, locator: str, length: int) -> bytes:
        reader = await store.open(locator, 0, length)
        pieces = []
        while piece := await reader.read():
            pieces.append(piece)
        reader.close()
        return b"".join(pieces)

    @pytest_twisted.ensureDeferred
    async def test_the_md5_of_what_is_large_is_told_by_the_server(self, store: Any) -> None:
        data = random_bytes(2 * MIB + 3)
        digest = md5(data).hexdigest()
        upload = await store.begin_upload(blob_id(9), Placement("bucket", "key"))
        large = Placement("bucket", "key", "", len(data))
        part = Placement("bucket", "key", "", len(data), upload=upload, part=1)

        async def finished(placement: Placement, here: str = "") -> tuple[bool, str]:
            writer = await store.create(blob_id(1), placement)
            for place in range(0, len(data), MIB):
                await writer.write(data[place : place + MIB])
            return writer.hashes, await writer.finish(here)

        assert await finished(large) == (False, "")  # what it tells is not known yet
        assert await finished(large, digest) == (False, digest)
        assert await finished(large) == (True, digest)
        assert await finished(Placement("bucket", "key", "", -1), digest) == (False, digest)
        assert await finished(part) == (True, "")
        assert (await store.place(blob_id(1), "")).split()[2] == digest
        small = await store.create(blob_id(2), Placement("bucket", "key", "", MIB))
        assert not small.hashes

    @pytest.mark.parametrize("size", [1000, 3 * MIB, 8 * MIB, 20 * MIB + 7])
    @pytest_twisted.ensureDeferred
    async def test_an_object_whose_length_nobody_knows(self, store: Any, size: int) -> None:
        data = random_bytes(size)
        for _ in range(6):  # more than may be cut at a time, were it not given back
            writer = await store.create(blob_id(2), Placement("bucket", "other", "", -1))
            await writer.write(data[:MIB])
            await writer.write(data[: MIB + 1])
            await writer.abort()
        placed = await store.place(await self.written(store, data, -1), "")
        assert await self.read(store, placed, size) == data
        assert store._kept == 0

    @pytest_twisted.ensureDeferred
    async def test_a_part_whose_length_nobody_knows_is_small_or_refused(self, store: Any) -> None:
        upload = await store.begin_upload(blob_id(9), Placement("bucket", "key"))
        named = {"upload": upload, "part": 1}
        await store.place(await self.written(store, b"x" * MIB, -1, **named), "")
        with pytest.raises(MissingContentLength):
            await self.written(store, b"x" * (MIB + 1), -1, **named)
        assert store._kept == 0

    @pytest_twisted.ensureDeferred
    async def test_where_many_are_kept_a_body_is_streamed_sooner(self, store: Any) -> None:
        data = random_bytes(100_000)
        store.keep(KEPT_TOGETHER)
        begun: list[str] = []

        async def began(_: str, __: Placement, locator: str) -> None:
            begun.append(locator)

        store.tell(began)
        placed = await store.place(await self.written(store, data, len(data)), "")
        assert len(begun) == 1
        assert await self.read(store, placed, len(data)) == data
        store.keep(-KEPT_TOGETHER)
        assert store._kept == 0

    @pytest.mark.parametrize("size", [10, 2 * MIB])
    @pytest_twisted.ensureDeferred
    async def test_a_placement_whose_answers_are_lost_is_displaced_by_itself(
        self, store: Any, proxy: FaultProxy, size: int
    ) -> None:
        """The request is made again, and meets what the first one has put there; unless the
        server takes a completion twice, as ours does."""
        staged = await self.written(store, random_bytes(size), size)
        proxy.plan = Script([Fault("reset_answer", at=-1)])
        with nullcontext() if size > MIB else pytest.raises(Displaced):
            await store.place(staged, "")
        found = await store.look(store.name_of("bucket", "key"))
        assert (found.blob_id, found.size) == (staged, size)

    @pytest.mark.parametrize(
        "fault", [Fault("reset_request", at=2 * MIB), Fault("reset_answer", at=-1)]
    )
    @pytest_twisted.ensureDeferred
    async def test_a_stream_that_breaks_fails_and_leaves_nothing(
        self, store: Any, proxy: FaultProxy, fault: Fault
    ) -> None:
        """Its bytes are gone: the client, who has them, is told to try again."""
        data = random_bytes(6 * MIB)
        proxy.plan = Script([fault], lambda method, _: method == "PUT")
        with pytest.raises(StoreError):
            await self.written(store, data, len(data))
        assert await store.look(store.name_of("bucket", "key")) is None
        assert store._kept == 0

    @pytest_twisted.ensureDeferred
    async def test_a_download_that_breaks_goes_on(self, store: Any, proxy: FaultProxy) -> None:
        data = random_bytes(3 * MIB)
        placed = await store.place(await self.written(store, data, len(data)), "")
        proxy.plan = Script([Fault("reset_answer", at=MIB), Fault("truncate", at=5)])
        assert await self.read(store, placed, len(data)) == data
        assert len(proxy.happened) == 2

    @pytest.mark.parametrize(
        ("status", "error"),
        [(403, AccessDenied), (400, InternalError), (500, InternalError), (503, SlowDown)],
    )
    @pytest_twisted.ensureDeferred
    async def test_refusals_are_s3s(
        self, store: Any, proxy: FaultProxy, status: int, error: type[StoreError]
    ) -> None:
        staged = await self.written(store, b"data", 4)
        proxy.plan = lambda method, target: Fault("status", status=status)
        with pytest.raises(error):
            await store.place(staged, "")
        with pytest.raises(error):
            await store.look("name")
        proxy.plan = Script(())
        await store.place(staged, "")

    @pytest_twisted.ensureDeferred
    async def test_a_bucket_that_is_gone_is_no_empty_one(self, proxy: FaultProxy) -> None:
        store = make_store(proxy.url, bucket="another")
        await store.start()
        with pytest.raises(InternalError):
            await store.look("name")
        with pytest.raises(InternalError, match="bucket or container behind this"):
            await store.check()
        await store.stop()

    @pytest.mark.parametrize(("offset", "length"), [(0, 5000), (10, 4000), (0, 1)])
    @pytest_twisted.ensureDeferred
    async def test_a_run_of_a_small_object_becomes_a_part(
        self, store: Any, offset: int, length: int
    ) -> None:
        data = random_bytes(5000)
        source = await store.place(await self.written(store, data, 5000), "")
        placement = Placement("bucket", "into")
        upload = await store.begin_upload(blob_id(2), placement)
        part = await store.copy_part(blob_id(3), upload, 1, Extent(length, source, offset))
        staged = await store.stage_parts(
            upload, [PlacedPart(1, (Extent(length, part),))], placement
        )
        placed = await store.place(staged, "")
        assert await self.read(store, placed, length) == data[offset : offset + length]
