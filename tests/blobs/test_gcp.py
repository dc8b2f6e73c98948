"""Objects in place in Cloud Storage, against a service that checks every request strictly."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from bleepstore.blobs.chunked_writer import SMALL_TOGETHER
from bleepstore.blobs.gcp import GcpBlobStore
from bleepstore.blobs.gcp_connection import gcp_authorizer, gcp_store
from bleepstore.blobs.gcp_messages import allowed_name
from bleepstore.config.storage_sections import GcpStorageConfig
from bleepstore.errors import (
    AccessDenied,
    Displaced,
    InternalError,
    ServiceUnavailable,
    SlowDown,
    StoreError,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.locators import parse_locator
from bleepstore.model.objects import Description, Extent, PlacedPart
from bleepstore.remote.bearer import BearerAuthorizer
from bleepstore.remote.requests import Origin
from bleepstore.remote.retries import Policy
from bleepstore.remote.service import Anonymous
from tests.contract.in_place import MIB, InPlaceContract, blob_id, random_bytes
from tests.fakes.gcs import FakeGcs
from tests.fakes.gcs_objects import UNIT
from tests.fakes.google_tokens import GoogleTokens, ServiceAccount
from tests.remote.machine import Machine

BUCKET = "the-bucket"
STORAGE = "https://storage.googleapis.com"
ACCOUNT = ServiceAccount("app@project.iam.example", "https://oauth2.googleapis.com/token")
QUICK = Policy(attempts=3, base=0.001, cap=0.001, total=60)


class World:
    """The service and its tokens, and stores that use it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.machine.files["/key.json"] = ACCOUNT.credentials_file()
        self.google = GoogleTokens(self.machine.now)
        self.google.accounts[ACCOUNT.email] = ACCOUNT
        self.gcs = FakeGcs(BUCKET, now=self.machine.now, tokens=self.google)
        self.stores: list[GcpBlobStore] = []

    def store(self, **settings: Any) -> GcpBlobStore:
        config = GcpStorageConfig(
            **{
                "bucket": BUCKET,
                "prefix": "some/prefix-",
                "credentials_file": "/key.json",
                **settings,
            }
        )
        store = gcp_store(
            config,
            self.machine.near,
            reactor,
            self.machine.now,
            self.machine.network.endpoint_for,
            lambda size: bytes(size),
            policy=QUICK,
        )
        self.stores.append(store)
        return store

    @property
    def bucket(self) -> Any:
        return self.gcs.buckets[BUCKET]

    def hidden(self) -> list[str]:
        """What lies in the cloud for nobody to see."""
        return [name for name in self.bucket.objects if ".bleepstore/uploads/" in name]


@pytest_twisted.async_yield_fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.machine.network.serve(world.gcs.app, STORAGE)
    await world.machine.network.serve(world.google.app, "https://oauth2.googleapis.com")
    yield world
    for store in world.stores:
        await store.stop()
    await world.machine.network.close()


class TestContract(InPlaceContract):
    @pytest.fixture
    def stores(self, world: World) -> Any:
        return world.store(), world.store()


async def stage(store: GcpBlobStore, data: bytes, key: str = "key", serial: int = 1) -> str:
    writer = await store.create(blob_id(serial), Placement("bucket", key, "", len(data)))
    for place in range(0, len(data), 300_000):
        await writer.write(data[place : place + 300_000])
    await writer.finish()
    return blob_id(serial)


async def put(store: GcpBlobStore, data: bytes, key: str = "key", serial: int = 1) -> str:
    return await store.place(await stage(store, data, key, serial), "")


async def read(store: GcpBlobStore, locator: str, offset: int, length: int) -> bytes:
    reader = await store.open(locator, offset, length)
    pieces = []
    while piece := await reader.read():
        pieces.append(piece)
    return b"".join(pieces)


# Uploads


@pytest_twisted.ensureDeferred
async def test_a_small_body_is_one_request(world: World) -> None:
    store = world.store()
    await put(store, b"x" * MIB)
    assert len(world.gcs.log) == 1
    assert "uploadType=multipart" in world.gcs.log[0]
    assert store._kept.total == 0


@pytest_twisted.ensureDeferred
async def test_a_large_body_is_sent_in_chunks_and_its_temporary_object_removed(
    world: World,
) -> None:
    store = world.store()
    data = random_bytes(20 * MIB + 5)
    locator = await put(store, data)
    assert await read(store, locator, 0, len(data)) == data
    assert len([line for line in world.gcs.log if line.startswith("PUT")]) == 3
    assert world.hidden() == []
    assert world.gcs.refused == []


@pytest.mark.parametrize(
    "interruptions",
    [
        [(0, 503)],
        [(3, 503)],
        [(3, 308)],
        [(0, 308), (1, 503), (2, 308), (0, 500)],
        [(5, 308)] * 4,
    ],
    ids=str,
)
@pytest_twisted.ensureDeferred
async def test_an_upload_goes_on_from_where_it_broke_off(
    world: World, interruptions: list[tuple[int, int]]
) -> None:
    store = world.store()
    data = random_bytes(3 * MIB + 17)
    world.gcs.interruptions = list(interruptions)
    locator = await put(store, data)
    assert world.gcs.interruptions == []
    assert await read(store, locator, 0, len(data)) == data


@pytest_twisted.ensureDeferred
async def test_an_upload_that_keeps_failing_is_an_error_and_leaves_nothing(world: World) -> None:
    store = world.store()
    world.gcs.interruptions = [(0, 503)] * 20
    writer = await store.create(blob_id(1), Placement("bucket", "key", "", 3 * MIB))
    await writer.write(random_bytes(MIB))
    await writer.write(random_bytes(MIB))
    with pytest.raises(SlowDown):
        await writer.finish()
    await writer.abort()
    assert list(world.bucket.objects) == []
    assert all(session.cancelled for session in world.bucket.sessions.values())


@pytest_twisted.ensureDeferred
async def test_an_upload_whose_session_is_gone_is_an_error(world: World) -> None:
    store = world.store()
    writer = await store.create(blob_id(1), Placement("bucket", "key", "", 3 * MIB))
    await writer.write(random_bytes(MIB))
    await writer.write(random_bytes(MIB))
    world.bucket.sessions.clear()
    with pytest.raises(StoreError):
        await writer.finish()
    await writer.abort()


@pytest_twisted.ensureDeferred
async def test_the_md5_of_what_is_large_is_told_by_the_service(world: World) -> None:
    store = world.store()
    data = random_bytes(2 * MIB + 3)
    digest = md5(data).hexdigest()

    async def finished(size: int, here: str = "") -> tuple[bool, str]:
        writer = await store.create(blob_id(1), Placement("bucket", "key", "", size))
        for place in range(0, len(data), MIB):
            await writer.write(data[place : place + MIB])
        told = await writer.finish(here)
        await store.delete(blob_id(1))
        return writer.hashes, told

    assert await finished(len(data)) == (False, "")  # what it tells is not known yet
    assert await finished(len(data), digest) == (False, digest)
    assert await finished(len(data)) == (True, digest)
    assert await finished(-1, digest) == (False, digest)
    small = await store.create(blob_id(2), Placement("bucket", "key", "", MIB))
    assert not small.hashes


@pytest_twisted.ensureDeferred
async def test_bytes_that_were_kept_wrongly_are_noticed(world: World) -> None:
    store = world.store()
    writer = await store.create(blob_id(1), Placement("bucket", "key", "", 3 * MIB))
    for _ in range(3):
        await writer.write(random_bytes(MIB))
    append = world.bucket.append
    world.bucket.append = lambda session, start, data, total: append(
        session, start, b"\0" + data[1:], total
    )
    with pytest.raises(InternalError, match="other bytes"):
        await writer.finish()
    await writer.abort()
    assert list(world.bucket.objects) == []


@pytest_twisted.ensureDeferred
async def test_many_small_bodies_together_are_not_kept(world: World) -> None:
    store = world.store()
    store._kept.total = SMALL_TOGETHER + 1
    await put(store, b"x" * 65_537)
    assert "uploadType=resumable" in world.gcs.log[0]
    await put(store, b"x" * 65_536, "other", 2)
    assert "uploadType=multipart" in world.gcs.log[-1]
    store._kept.total -= SMALL_TOGETHER + 1
    assert store._kept.total == 0


# Placing


@pytest_twisted.ensureDeferred
async def test_a_copy_follows_its_tokens_to_the_end(world: World) -> None:
    store = world.store()
    data = random_bytes(3 * MIB + 5)
    source = await put(store, data, "source")
    world.bucket.rewrite_size = MIB
    await store.stage_copy(
        blob_id(2), Extent(len(data), source), Placement("bucket", "copy", "", len(data))
    )
    before = len(world.gcs.log)
    copied = await store.place(blob_id(2), "")
    calls = world.gcs.log[before:]
    assert len(calls) == 4
    assert all("rewriteTo" in line for line in calls)
    assert ["rewriteToken" in line for line in calls] == [False, True, True, True]
    assert await read(store, copied, 0, len(data)) == data


@pytest_twisted.ensureDeferred
async def test_a_placement_whose_answer_is_lost_shows_whose_bytes_are_there(
    world: World,
) -> None:
    store = world.store()
    staged = await stage(store, b"data")
    insert = world.bucket.insert

    def lose(*args: Any, **more: Any) -> Any:
        world.bucket.insert = insert
        world.gcs.failures = [503]
        return insert(*args, **more)

    # The request that is made again meets the bytes of the first one.
    world.bucket.insert = lose
    made = await store.place(staged, "")
    with pytest.raises(Displaced):
        await store.place(await stage(store, b"data"), "")
    found = await store.look(store.name_of("bucket", "key"))
    assert found is not None
    assert found.blob_id == staged
    assert parse_locator(made).tag == found.tag  # type: ignore[union-attr]


async def placed_part(store: GcpBlobStore, upload: str, number: int, data: bytes) -> PlacedPart:
    writer = await store.create(
        blob_id(1000 + number),
        Placement("bucket", "key", "", len(data), upload=upload, part=number),
    )
    await writer.write(data)
    await writer.finish()
    placed = await store.place(blob_id(1000 + number), "")
    return PlacedPart(number, (Extent(len(data), placed),))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 100])
@pytest_twisted.ensureDeferred
async def test_parts_are_composed_in_a_tree(world: World, count: int) -> None:
    store = world.store()
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    parts = [await placed_part(store, upload, n, b"%04d" % n) for n in range(1, count + 1)]
    world.gcs.log.clear()
    await store.place(await store.stage_parts(upload, parts, Placement("bucket", "key")), "")
    composed = [line for line in world.gcs.log if "/compose" in line]
    assert len(composed) == 1 + (0 if count <= 32 else (count + 31) // 32 - (count % 32 == 1))
    found = await store.look(store.name_of("bucket", "key"))
    assert found is not None
    whole = b"".join(b"%04d" % n for n in range(1, count + 1))
    assert world.bucket.objects[found.name].data == whole
    assert found.etag == found.tag  # no MD5 of what was composed
    await store.delete(upload)
    assert world.hidden() == []


@pytest_twisted.ensureDeferred
async def test_a_tree_of_three_levels(world: World) -> None:
    store = world.store()
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    name = parse_locator(upload).name  # type: ignore[union-attr]
    parts = []
    for number in range(1, 1026):  # more than 32 × 32: three levels
        made = world.bucket.insert(f"{name}{number:05}-x", b"%d," % number, {}, {})
        part = f"x part {made.generation} {made.name}"
        parts.append(PlacedPart(number, (Extent(len(made.data), part),)))
    await store.place(await store.stage_parts(upload, parts, Placement("bucket", "key")), "")
    composed = [line for line in world.gcs.log if "/compose" in line]
    assert len(composed) == 32 + 1 + 1
    whole = world.bucket.objects[store.name_of("bucket", "key")].data
    assert whole == b"".join(b"%d," % number for number in range(1, 1026))


@pytest_twisted.ensureDeferred
async def test_a_tree_that_fails_is_an_error_and_can_be_made_again(world: World) -> None:
    store = world.store()
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    parts = [await placed_part(store, upload, n, b"%04d" % n) for n in range(1, 100)]
    gone = parse_locator(parts[50].extents[0].blob_id)
    assert gone is not None
    kept = world.bucket.objects.pop(gone.name)
    with pytest.raises(Displaced):
        await store.stage_parts(upload, parts, Placement("bucket", "key"))
    world.bucket.objects[gone.name] = kept
    await store.place(await store.stage_parts(upload, parts, Placement("bucket", "key")), "")
    await store.delete(upload)
    assert world.hidden() == []


@pytest_twisted.ensureDeferred
async def test_a_whole_object_becomes_a_part_inside_the_cloud(world: World) -> None:
    store = world.store()
    source = await put(store, b"x" * 1000, "source")
    upload = await store.begin_upload(blob_id(2), Placement("bucket", "key"))
    world.gcs.log.clear()
    await store.copy_part(blob_id(3), upload, 1, Extent(1000, source))
    assert not [line for line in world.gcs.log if "alt=media" in line]
    await store.copy_part(blob_id(4), upload, 2, Extent(999, source))
    assert [line for line in world.gcs.log if "alt=media" in line]


@pytest_twisted.ensureDeferred
async def test_a_part_of_a_source_that_cannot_be_opened_is_not_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    source = await put(store, b"x" * 1000, "source")
    upload = await store.begin_upload(blob_id(2), Placement("bucket", "key"))
    begun: list[str] = []
    create = store.create

    async def noted(blob_id: str, placement: Placement) -> Any:
        begun.append(blob_id)
        return await create(blob_id, placement)

    async def closed(*_: object) -> Any:
        raise SlowDown

    monkeypatch.setattr(store, "create", noted)
    monkeypatch.setattr(store, "open", closed)
    with pytest.raises(SlowDown):
        await store.copy_part(blob_id(3), upload, 1, Extent(999, source))
    assert begun == []


@pytest_twisted.ensureDeferred
async def test_what_a_crash_left_is_listed_and_removed(world: World) -> None:
    store = world.store()
    await stage(store, random_bytes(2 * MIB), "staged", 7)
    upload = await store.begin_upload(blob_id(8), Placement("bucket", "key"))
    await placed_part(store, upload, 1, b"part")
    after = world.store()
    ids = [each async for page in after.blob_ids() for each in page]
    assert [each.split(" ")[0] for each in ids] == [blob_id(7), blob_id(8)]
    assert ids[1] == upload
    for each in ids:
        await after.delete(each)
    assert world.hidden() == []


# Reading and listing


@pytest_twisted.ensureDeferred
async def test_what_is_stored_gzipped_is_read_so(world: World) -> None:
    store = world.store()
    packed = gzip.compress(b"data" * 1000)
    description = Description({"content-encoding": "gzip"})
    placement = Placement("bucket", "key", "", len(packed), description)
    writer = await store.create(blob_id(1), placement)
    await writer.write(packed)
    await writer.finish()
    locator = await store.place(blob_id(1), "")
    assert await read(store, locator, 0, len(packed)) == packed


@pytest_twisted.ensureDeferred
async def test_a_run_beyond_the_end_is_an_error(world: World) -> None:
    store = world.store()
    locator = await put(store, b"data")
    for offset, length in ((0, 5), (4, 1), (9, 1), (5, 0)):
        with pytest.raises(InternalError):
            await read(store, locator, offset, length)


@pytest_twisted.ensureDeferred
async def test_what_another_program_wrote_is_seen(world: World) -> None:
    store = world.store()
    world.bucket.insert(
        "some/prefix-bucket/theirs",
        b"theirs",
        {"contentType": "text/plain", "metadata": {"A": "b"}},
        {},
    )
    found = await store.look("some/prefix-bucket/theirs")
    assert found is not None
    assert found.blob_id == ""
    assert found.etag == md5(b"theirs").hexdigest()
    assert found.description == Description({"content-type": "text/plain"}, {"A": "b"})


@pytest_twisted.ensureDeferred
async def test_listings_step_over_the_reserved_prefix(world: World) -> None:
    store = world.store(prefix="")
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    for number in range(1, 1050):
        name = f"{parse_locator(upload).name}{number:05}"  # type: ignore[union-attr]
        world.bucket.insert(name, b"", {}, {})
    for name in ("!first", "bucket/a", ".bleepstore", ".bleepstorf"):
        world.bucket.insert(name, b"x", {}, {})
    world.gcs.log.clear()
    names = [each.name async for page in store.list_names("") for each in page]
    assert names == ["!first", ".bleepstore", ".bleepstorf", "bucket/a"]
    assert len(world.gcs.log) == 2


def test_names_that_the_cloud_cannot_have() -> None:
    for name in ("a\nb", "a\rb", ".", "..", ".well-known/acme-challenge/x", "ü" * 513):
        assert not allowed_name(name)
    for name in ("a/../b", ".x", "ü" * 512, "\t", "#?*[]"):
        assert allowed_name(name)


# Failures


@pytest_twisted.ensureDeferred
async def test_failures_that_pass_are_not_seen(world: World) -> None:
    store = world.store()
    world.gcs.failures = [503, 429]
    locator = await put(store, b"data")
    world.gcs.failures = [500, 502]
    assert await read(store, locator, 0, 4) == b"data"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, AccessDenied),
        (429, SlowDown),
        (500, InternalError),
        (502, ServiceUnavailable),
        (503, SlowDown),
        (404, Displaced),
    ],
)
@pytest_twisted.ensureDeferred
async def test_failures_that_stay_are_errors_of_s3(
    world: World, status: int, error: type[StoreError]
) -> None:
    store = world.store()
    staged = await stage(store, b"data")
    world.gcs.failures = [status] * 3
    with pytest.raises(error):
        await store.place(staged, "")
    world.gcs.failures = []
    await store.place(staged, "")


@pytest_twisted.ensureDeferred
async def test_a_bucket_that_is_gone_is_no_absence_of_its_objects(world: World) -> None:
    """Or the index would take them all for deleted."""
    store = world.store()
    locator = await put(store, b"data")
    staged = await stage(store, b"more", "other", 2)
    world.gcs.buckets.clear()
    for attempt in (
        store.look("some/prefix-bucket/key"),
        stage(store, b"x" * 2 * MIB, "large", 3),
    ):
        with pytest.raises(InternalError):
            await attempt
    for expected in (read(store, locator, 0, 4), store.place(staged, "")):
        with pytest.raises(Displaced):  # which makes the caller look
            await expected


@pytest.mark.parametrize("cancelled", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_session_that_has_ended_lets_the_client_send_again(
    world: World, cancelled: bool
) -> None:
    store = world.store()
    writer = await store.create(blob_id(1), Placement("bucket", "key", "", 40 * MIB))
    await writer.write(b"x" * 9 * MIB)
    if cancelled:
        for session in world.bucket.sessions.values():
            session.cancelled = True
    else:
        world.bucket.sessions.clear()
    with pytest.raises(ServiceUnavailable):
        await writer.write(*[b"x" * MIB] * 27)
    await writer.abort()


@pytest_twisted.ensureDeferred
async def test_a_token_that_is_revoked_is_fetched_anew(world: World) -> None:
    store = world.store()
    await put(store, b"data")
    world.google.tokens.clear()
    world.google.tokens["another"] = ""
    await put(store, b"data", "other", 2)
    assert len(world.google.tokens) == 2


@pytest_twisted.ensureDeferred
async def test_a_check_asks_as_little_as_it_can(world: World) -> None:
    store = world.store()
    for _ in range(3):
        await store.check()
    assert len(world.gcs.log) == 1
    assert "maxResults=1&" in world.gcs.log[0]
    missing = world.store(bucket="no-such-bucket")
    with pytest.raises(InternalError, match="bucket or container behind this"):
        await missing.check()


@pytest_twisted.ensureDeferred
async def test_another_project_is_billed_where_one_is_set(world: World) -> None:
    await world.store().check()
    assert world.gcs.billed == [None]
    await world.store(project="payer").check()
    assert world.gcs.billed == [None, "payer"]


@pytest_twisted.ensureDeferred
async def test_an_emulator_without_tls_is_sent_no_token_of_this_machine(world: World) -> None:
    near = world.machine.near
    emulator = Origin("http", "127.0.0.1", 9023)
    nobody = gcp_authorizer(GcpStorageConfig(), emulator, near)
    assert isinstance(nobody, Anonymous)
    somebody = gcp_authorizer(GcpStorageConfig(credentials_file="/k"), emulator, near)
    assert isinstance(somebody, BearerAuthorizer)
    usual = gcp_authorizer(GcpStorageConfig(), Origin("https", "x", 443), near)
    assert isinstance(usual, BearerAuthorizer)


def test_a_chunk_is_a_multiple_of_the_unit() -> None:
    from bleepstore.blobs.gcp_resumable import UNIT as OURS

    assert OURS == UNIT
