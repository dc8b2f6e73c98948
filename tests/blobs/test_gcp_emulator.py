"""The same against somebody else's emulator, for what it does well.

It ignores preconditions and the resource of a rewrite; what those are for is tested with our own
fake.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_twisted
from twisted.internet import reactor

from bleepstore.blobs.gcp import GcpBlobStore
from bleepstore.blobs.gcp_connection import gcp_store
from bleepstore.config.storage_sections import GcpStorageConfig
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.objects import Description, Extent, PlacedPart
from bleepstore.remote.connections import endpoints
from bleepstore.remote.surroundings import Surroundings
from tests.contract.in_place import MIB, blob_id, random_bytes

_SERVE = """
import logging, sys
from gcp_storage_emulator.server import create_server
logging.disable()
server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="the-bucket")
server.start()
print(server._api._httpd.server_port, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """A process of its own; its endpoint."""
    pytest.importorskip("gcp_storage_emulator")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


@pytest_twisted.async_yield_fixture
async def store(emulator: str) -> AsyncIterator[GcpBlobStore]:
    def now() -> int:
        return 1_790_000_000_000

    async def no_file(path: str) -> bytes:
        raise FileNotFoundError(path)

    endpoint_for = endpoints(reactor)
    near = Surroundings({}, no_file, now, reactor, endpoint_for, bytes)
    config = GcpStorageConfig(bucket="the-bucket", prefix="some/", endpoint_url=emulator)
    store = gcp_store(config, near, reactor, now, endpoint_for, bytes)
    yield store
    await store.stop()


async def put(store: GcpBlobStore, key: str, data: bytes, serial: int) -> str:
    description = Description({"content-type": "text/x-poem"}, {"colour": "blue"})
    placement = Placement("bucket", key, "text/x-poem", len(data), description)
    writer = await store.create(blob_id(serial), placement)
    for at in range(0, len(data), MIB):
        await writer.write(data[at : at + MIB])
    await writer.finish()
    return await store.place(blob_id(serial), "")


async def read(store: GcpBlobStore, locator: str, offset: int, length: int) -> bytes:
    reader = await store.open(locator, offset, length)
    pieces = []
    while piece := await reader.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("key", ["plain", "a//b", "/leading", "ünï ✓", "%2F+&?#="])
@pytest_twisted.ensureDeferred
async def test_a_small_object(store: GcpBlobStore, key: str) -> None:
    locator = await put(store, key, b"some data", 1)
    assert await read(store, locator, 0, 9) == b"some data"
    assert await read(store, locator, 5, 3) == b"dat"
    found = await store.look(store.name_of("bucket", key))
    assert found is not None
    assert (found.blob_id, found.size) == (blob_id(1), 9)
    assert found.description.metadata == {"colour": "blue"}
    await store.delete(locator)
    assert await store.look(store.name_of("bucket", key)) is None


@pytest_twisted.ensureDeferred
async def test_a_large_object_by_a_resumable_upload(store: GcpBlobStore) -> None:
    data = random_bytes(17 * MIB + 3)
    locator = await put(store, "large", data, 2)
    assert await read(store, locator, 0, len(data)) == data
    assert await read(store, locator, MIB + 1, 5 * MIB) == data[MIB + 1 :][: 5 * MIB]
    await store.delete(locator)


@pytest_twisted.ensureDeferred
async def test_parts_are_composed(store: GcpBlobStore) -> None:
    upload = await store.begin_upload(blob_id(3), Placement("bucket", "composed"))
    parts = []
    for number in range(1, 41):
        writer = await store.create(
            blob_id(100 + number),
            Placement("bucket", "composed", "", 5, upload=upload, part=number),
        )
        await writer.write(b"%05d" % number)
        await writer.finish()
        placed = await store.place(blob_id(100 + number), "")
        parts.append(PlacedPart(number, (Extent(5, placed),)))
    staged = await store.stage_parts(upload, parts, Placement("bucket", "composed"))
    locator = await store.place(staged, "")
    whole = b"".join(b"%05d" % number for number in range(1, 41))
    assert await read(store, locator, 0, len(whole)) == whole
    await store.delete(upload)
    await store.delete(locator)


@pytest_twisted.ensureDeferred
async def test_names_are_listed(store: GcpBlobStore) -> None:
    locators = [await put(store, key, b"x", 4) for key in ("b", "a", "c/d")]
    names = [each.name async for page in store.list_names("bucket/") for each in page]
    assert names == [store.name_of("bucket", key) for key in ("a", "b", "c/d")]
    for locator in locators:
        await store.delete(locator)
    await store.check()
