"""What the store in Azure does beside its contract, against Microsoft's emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from bleepstore.auth.azure_sas import container_sas
from bleepstore.blobs.azure import AzureBlobStore
from bleepstore.blobs.chunked_writer import SMALL_AT_LEAST, SMALL_TOGETHER
from bleepstore.errors import (
    AccessDenied,
    Displaced,
    InternalError,
    OperationAborted,
    ServiceUnavailable,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.locators import Locator, parse_locator
from bleepstore.model.objects import Description, Extent, PlacedPart
from bleepstore.remote.azure_connection import (
    DEVELOPMENT_ACCOUNT,
    DEVELOPMENT_KEY,
    decode_key,
)
from bleepstore.remote.retries import Policy
from tests.blobs.azure_world import make_store, new_prefix
from tests.contract.in_place import MIB, blob_id, random_bytes
from tests.integration.azurite import CONTAINER, ask, connection_string

QUICK = Policy(attempts=3, base=0.001, cap=0.001, total=60)


@pytest.fixture
def server(azure_account: str) -> str:
    return azure_account


@pytest_twisted.async_yield_fixture
async def store(server: str) -> AsyncIterator[Any]:
    made = make_store(server, new_prefix())
    await made.start()
    yield made
    await made.stop()


def native(server: str, store: AzureBlobStore, key: str) -> str:
    """The path of an object, for requests of another program."""
    return f"/{CONTAINER}/" + quote(store.name_of("bucket", key))


async def stage(store: AzureBlobStore, serial: int, data: bytes, key: str = "key") -> str:
    writer = await store.create(blob_id(serial), Placement("bucket", key, "", len(data)))
    for place in range(0, len(data), 700_000):
        await writer.write(data[place : place + 700_000])
    await writer.finish()
    return blob_id(serial)


async def read(store: AzureBlobStore, locator: str, length: int) -> bytes:
    reader = await store.open(locator, 0, length)
    pieces = []
    while piece := await reader.read():
        pieces.append(piece)
    return b"".join(pieces)


def tag(locator: str) -> str:
    found = parse_locator(locator)
    assert found is not None
    return found.tag


async def lying(store: AzureBlobStore) -> list[str]:
    """The directories under the reserved prefix, also of what never became a blob."""
    return [each async for page in store.blob_ids() for each in page]


@pytest.mark.parametrize(
    "sizes", [(3 * MIB, 10, 2 * MIB + 1, 0, 4 * MIB), (10, 2 * MIB, 0), (0, 2 * MIB)]
)
@pytest_twisted.ensureDeferred
async def test_bodies_for_one_key_do_not_destroy_each_other(
    store: Any, sizes: tuple[int, ...]
) -> None:
    """All are sent at once, and placed one after another: each is whole while it lies there."""
    bodies = [random_bytes(size, size) for size in sizes]
    staging = [Deferred.fromCoroutine(stage(store, n, body)) for n, body in enumerate(bodies)]
    staged = await gatherResults(staging, consumeErrors=True)
    expected = ""
    for blob, body in zip(staged, bodies, strict=True):
        placed = await store.place(blob, expected)
        assert await read(store, placed, len(body)) == body
        expected = tag(placed)
    assert await lying(store) == []


@pytest_twisted.ensureDeferred
async def test_blocks_that_another_program_discards_are_copied_again(
    server: str, store: Any
) -> None:
    """Whoever writes a blob takes the blocks of all others with him."""
    data = random_bytes(3 * MIB)
    staged = await stage(store, 1, data)
    path = native(server, store, "key")
    assert ask(server, "PUT", path + "?comp=blocklist", b"<BlockList/>")[0] == 201
    assert ask(server, "DELETE", path)[0] == 202
    placed = await store.place(staged, "")
    assert await read(store, placed, len(data)) == data


@pytest_twisted.ensureDeferred
async def test_nothing_is_copied_while_others_wait_for_the_key(store: Any) -> None:
    staged = await stage(store, 1, random_bytes(2 * MIB))
    store._calls.copy_block = None
    await store.place(staged, "")


@pytest_twisted.ensureDeferred
async def test_who_is_always_disturbed_gives_up(server: str, store: Any) -> None:

    async def nothing(name: str, block: str, run: Any) -> None:
        return

    store._calls.copy_block = nothing
    staged = await stage(store, 1, random_bytes(2 * MIB))
    with pytest.raises(OperationAborted):
        await store.place(staged, "")
    assert await store.look(store.name_of("bucket", "key")) is None


@pytest_twisted.ensureDeferred
async def test_another_program_wins_or_loses_as_a_whole(server: str, store: Any) -> None:
    ours = await store.place(await stage(store, 1, b"ours"), "")
    path = native(server, store, "key")
    status, answered, _ = ask(
        server, "PUT", path, b"theirs", x_ms_blob_type="BlockBlob", x_ms_meta_colour="blue"
    )
    assert status == 201
    with pytest.raises(Displaced):
        await read(store, ours, 4)
    data = random_bytes(2 * MIB)
    staged = await stage(store, 2, data)
    with pytest.raises(Displaced):
        await store.place(staged, tag(ours))
    found = await store.look(store.name_of("bucket", "key"))
    assert (found.blob_id, found.description.metadata) == ("", {"colour": "blue"})
    assert f'"{found.tag}"' == answered["etag"]
    await store.delete(ours)  # a late deletion spares theirs
    assert await read(store, str(Locator("", "object", found.tag, found.name)), 6) == b"theirs"
    assert await read(store, await store.place(staged, found.tag), len(data)) == data


@pytest_twisted.ensureDeferred
async def test_what_was_never_made_a_blob_is_removed_with_its_upload(store: Any) -> None:
    begun: list[str] = []

    async def began(_: str, __: Placement, locator: str) -> None:
        begun.append(locator)

    store.tell(began)
    writer = await store.create(blob_id(1), Placement("bucket", "key"))
    for _ in range(20):
        await writer.write(random_bytes(MIB))  # a crash: nobody ends it
    await writer._sent()  # else the block on its way may land behind the deletion
    assert await lying(store) == begun
    await store.delete(begun[0])
    assert await lying(store) == []
    await writer.abort()


@pytest_twisted.ensureDeferred
async def test_an_upload_that_is_given_up_leaves_nothing(store: Any) -> None:
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    for serial, size in enumerate((10, 2 * MIB, 3 * MIB), 2):
        writer = await store.create(
            blob_id(serial), Placement("bucket", "key", upload=upload, part=serial)
        )
        await writer.write(random_bytes(min(size, MIB)))
        await writer.write(random_bytes(max(0, size - MIB)))
        await writer.finish()
        if serial == 4:
            await store.delete(blob_id(serial))  # the command was refused
        else:
            placed = await store.place(blob_id(serial), "")
    assert await lying(store) == [upload]
    await store.delete(placed)
    await store.delete(upload)
    await store.delete(upload)
    assert await lying(store) == []
    assert store._kept.total == 0


@pytest_twisted.ensureDeferred
async def test_a_part_that_is_sent_and_given_up_leaves_nothing(store: Any) -> None:
    upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
    writer = await store.create(blob_id(2), Placement("bucket", "key", upload=upload, part=1))
    for _ in range(12):
        await writer.write(random_bytes(MIB))
    await writer._sent()  # else the block on its way may land behind the deletion
    await writer.abort()
    assert await lying(store) == []


@pytest_twisted.ensureDeferred
async def test_many_parts_are_joined_and_removed(store: Any) -> None:
    """More than a page of a listing, more than are copied at a time."""
    placement = Placement("bucket", "key", "", -1, Description({"content-type": "a/b"}))
    upload = await store.begin_upload(blob_id(1), placement)
    parts = []
    for number in range(1, 212):
        writer = await store.create(blob_id(1 + number), Placement(upload=upload, part=number))
        await writer.write(b"%07d," % number)
        await writer.finish()
        placed = await store.place(blob_id(1 + number), "")
        parts.append(PlacedPart(number, (Extent(8, placed),)))
    staged = await store.stage_parts(upload, parts[5:], placement)
    placed = await store.place(staged, "")
    whole = b"".join(b"%07d," % number for number in range(6, 212))
    assert await read(store, placed, len(whole)) == whole
    names = [each.name async for page in store.list_names("") for each in page]
    assert names == [store.name_of("bucket", "key")]
    await store.delete(upload)
    assert await lying(store) == []


@pytest_twisted.ensureDeferred
async def test_a_long_listing_goes_on_where_it_is_told(store: Any) -> None:
    for number in range(205):
        await store.place(await stage(store, number, b"", f"{number:03}"), "")
    pages = [page async for page in store.list_names("bucket/")]
    assert [len(page) for page in pages] == [200, 5]
    after = pages[0][-1].name
    rest = [page async for page in store.list_names("bucket/", after)]
    assert rest == [pages[1]]


@pytest_twisted.ensureDeferred
async def test_a_listing_that_goes_on_leaves_out_nothing_in_whatever_order(store: Any) -> None:
    """Azurite's is that of UTF-16."""
    for serial, key in enumerate(("z", "\U00010000a", "\U0001f600", "\ue000z", "\uffee")):
        await store.place(await stage(store, serial, b"", key), "")
    (page,) = [page async for page in store.list_names("bucket/")]
    names = [each.name for each in page]
    for place, after in enumerate(names):
        rest = [each.name async for more in store.list_names("bucket/", after) for each in more]
        assert set(names[place + 1 :]) <= set(rest) <= set(names) - {after}


@pytest_twisted.ensureDeferred
async def test_a_lease_of_another_program_is_respected(server: str, store: Any) -> None:
    placed = await store.place(await stage(store, 1, b"ours"), "")
    path = native(server, store, "key") + "?comp=lease"
    status, _, _ = ask(server, "PUT", path, x_ms_lease_action="acquire", x_ms_lease_duration="-1")
    assert status == 201
    with pytest.raises(OperationAborted):
        await store.delete(placed)
    staged = await stage(store, 2, b"new")
    with pytest.raises(OperationAborted):
        await store.place(staged, tag(placed))
    assert (
        ask(server, "PUT", path, x_ms_lease_action="break", x_ms_lease_break_period="0")[0] == 202
    )
    await store.delete(placed)


@pytest_twisted.ensureDeferred
async def test_snapshots_go_with_their_blob(server: str, store: Any) -> None:
    placed = await store.place(await stage(store, 1, b"ours"), "")
    assert ask(server, "PUT", native(server, store, "key") + "?comp=snapshot")[0] == 201
    await store.delete(placed)
    assert await store.look(store.name_of("bucket", "key")) is None


@pytest_twisted.ensureDeferred
async def test_small_bodies_have_a_bound_together(store: Any) -> None:
    count = SMALL_TOGETHER // MIB
    for serial in range(count):
        await stage(store, serial, bytes(MIB), f"{serial}")
    assert await lying(store) == []
    await stage(store, count, bytes(SMALL_AT_LEAST), "small")
    assert await lying(store) == []
    await stage(store, count + 1, bytes(SMALL_AT_LEAST + 1), "larger")
    assert len(await lying(store)) == 1
    for serial in range(count + 2):
        await store.delete(blob_id(serial))
    assert store._kept.total == 0
    assert await lying(store) == []


@pytest_twisted.ensureDeferred
async def test_credentials_that_are_wrong_or_missing(server: str) -> None:
    wrong = make_store(
        server, connection_string=connection_string(server, "d3Jvbmc="), policy=QUICK
    )
    for ask_it in (wrong.check(), wrong.look("name"), wrong.place(await stage(wrong, 1, b"x"), "")):
        with pytest.raises(AccessDenied) as caught:
            await ask_it
        assert "devstoreaccount1" not in caught.value.message
    await wrong.stop()
    with pytest.raises(ValueError, match="neither an account nor a connection_string"):
        make_store(server, connection_string="")
    with pytest.raises(ValueError, match="not base64"):
        make_store(server, connection_string=connection_string(server, "hunter2!"))


@pytest_twisted.ensureDeferred
async def test_a_container_that_is_not_there(server: str) -> None:
    away = make_store(server, container="missing")
    with pytest.raises(InternalError, match="bucket or container behind this"):
        await away.check()
    for ask_it in (away.look("name"), away.place(await stage(away, 1, b"x"), "")):
        with pytest.raises(InternalError):
            await ask_it
    await away.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_away() -> None:
    away = make_store("http://127.0.0.1:9/account", policy=QUICK)
    with pytest.raises(ServiceUnavailable):
        await away.check()
    await away.stop()


@pytest_twisted.ensureDeferred
async def test_a_shared_access_signature_is_enough(server: str) -> None:
    """One of the container, from the environment."""
    key = decode_key(DEVELOPMENT_KEY)
    sas = container_sas(DEVELOPMENT_ACCOUNT, key, CONTAINER, "racwdl", "2099-01-01T00:00:00Z")
    store = make_store(
        server,
        new_prefix(),
        connection_string="",
        account=DEVELOPMENT_ACCOUNT,
        endpoint_url=server,
        environ={"AZURE_STORAGE_SAS_TOKEN": sas},
    )
    data = random_bytes(2 * MIB)
    placed = await store.place(await stage(store, 1, data), "")  # staged, and copied
    assert await read(store, placed, len(data)) == data
    await store.delete(placed)
    await store.check()
    await store.stop()
