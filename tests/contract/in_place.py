"""What every store does that keeps objects in place.  Subclassed where such a store can be made."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from bleepstore.errors import Displaced
from bleepstore.interfaces.blobs import IBlobReader, IBlobWriter, Placement
from bleepstore.interfaces.in_place import IInPlaceStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.locators import OBJECT, UPLOAD, parse_locator
from bleepstore.model.objects import Description, Extent, PlacedPart

MIB = 1 << 20
SIZES = [0, 1, 70_000, MIB, MIB + 1, 3 * MIB + 7]
"""Around where a body is no longer kept in memory."""

KEYS = [
    "plain",
    "a//b",
    "/leading and trailing/",
    "../dots/./in/it",
    "%2F+&?#=~'\"<>",
    "ünï cödé ✓ \U0001f600",
    "x" * 1024,
    "ü" * 512,
]

DESCRIPTION = Description(
    {"content-type": "text/x-poem", "cache-control": "no-cache", "content-encoding": "gzip"},
    {"colour": "blue", "greeting": "schöne Grüße"},
)


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def blob_id(serial: int) -> str:
    return f"00000001-{serial:08x}0123456789abcdef"


class InPlaceContract:
    """The subclass has an async fixture ``stores``: two stores of one fresh cloud, as two programs
    would have them, both started."""

    @pytest.fixture
    def store(self, stores: Sequence[Any]) -> Any:
        return stores[0]

    @pytest.fixture
    def other(self, stores: Sequence[Any]) -> Any:
        return stores[1]

    async def stage(
        self, store: Any, serial: int, data: bytes, key: str = "key", **more: Any
    ) -> str:
        """Stage bytes; gives the blob's id."""
        placement = Placement("bucket", key, "", len(data), **more)
        writer = await store.create(blob_id(serial), placement)
        for place in range(0, len(data), 300_000):
            await writer.write(data[place : place + 300_000])
        await writer.finish()
        return blob_id(serial)

    async def put(
        self,
        store: Any,
        serial: int,
        data: bytes,
        key: str = "key",
        expected: str = "",
        **more: Any,
    ) -> str:
        """Put bytes in place; gives the locator."""
        placed: str = await store.place(
            await self.stage(store, serial, data, key, **more), expected
        )
        return placed

    async def read(self, store: Any, locator: str, offset: int, length: int) -> bytes:
        reader = await store.open(locator, offset, length)
        pieces = []
        while piece := await reader.read():
            assert 1 <= len(piece) <= MIB
            pieces.append(piece)
        reader.close()
        return b"".join(pieces)

    async def names(self, store: Any, prefix: str, after: str = "") -> list[str]:
        return [each.name async for page in store.list_names(prefix, after) for each in page]

    @pytest_twisted.ensureDeferred
    async def test_it_provides_its_contracts(self, store: Any) -> None:
        verifyObject(IInPlaceStore, store)
        verifyObject(IPart, store)
        assert store.capabilities.in_place
        assert not store.capabilities.inline_small
        writer = await store.create(blob_id(1), Placement("bucket", "key", size=1))
        verifyObject(IBlobWriter, writer)
        await writer.write(b"x")
        await writer.finish()
        reader = await store.open(await store.place(blob_id(1), ""), 0, 1)
        verifyObject(IBlobReader, reader)
        reader.close()
        await store.check()

    @pytest.mark.parametrize("size", SIZES)
    @pytest_twisted.ensureDeferred
    async def test_nothing_shows_before_it_is_placed(self, store: Any, size: int) -> None:
        data = random_bytes(size)
        name = store.name_of("bucket", "key")
        staged = await self.stage(store, 1, data, description=DESCRIPTION)
        assert await store.look(name) is None
        text = await store.place(staged, "")
        locator = parse_locator(text)
        assert locator is not None
        assert (locator.blob_id, locator.kind, locator.name) == (staged, OBJECT, name)
        found = await store.look(name)
        assert (found.name, found.tag, found.size) == (name, locator.tag, size)
        assert found.blob_id == staged
        assert found.description == DESCRIPTION
        assert found.last_modified > 1_500_000_000_000
        assert await self.read(store, text, 0, size) == data

    @pytest_twisted.ensureDeferred
    async def test_any_range_is_read(self, store: Any) -> None:
        data = random_bytes(MIB + 100)
        locator = await self.put(store, 1, data)
        for offset, length in ((0, 1), (0, MIB), (99, MIB), (MIB + 99, 1), (5, 0)):
            assert await self.read(store, locator, offset, length) == data[offset:][:length]

    @pytest_twisted.ensureDeferred
    async def test_a_reader_may_be_closed_early(self, store: Any) -> None:
        locator = await self.put(store, 1, random_bytes(3 * MIB))
        reader = await store.open(locator, 0, 3 * MIB)
        assert await reader.read()
        reader.close()
        reader.close()
        assert await reader.read() == b""

    @pytest.mark.parametrize("size", [10, 2 * MIB])
    @pytest_twisted.ensureDeferred
    async def test_what_lies_there_unexpectedly_stays(
        self, store: Any, other: Any, size: int
    ) -> None:
        await self.require_that_it_stays(store, other, size)

    async def require_that_it_stays(self, store: Any, other: Any, size: int) -> None:
        theirs = await self.put(other, 1, b"theirs")
        staged = await self.stage(store, 2, random_bytes(size))
        with pytest.raises(Displaced):
            await store.place(staged, "")
        tag = parse_locator(theirs).tag  # type: ignore[union-attr]
        with pytest.raises(Displaced):
            await store.place(staged, tag[::-1])
        assert await self.read(store, theirs, 0, 6) == b"theirs"
        placed = await store.place(staged, tag)
        assert await self.read(store, placed, 0, size) == random_bytes(size)

    @pytest_twisted.ensureDeferred
    async def test_what_is_expected_and_gone_is_not_placed(self, store: Any) -> None:
        old = await self.put(store, 1, b"old")
        await store.delete(old)
        staged = await self.stage(store, 2, b"new")
        with pytest.raises(Displaced):
            await store.place(staged, parse_locator(old).tag)  # type: ignore[union-attr]
        assert await store.look(store.name_of("bucket", "key")) is None
        await store.place(staged, "")

    @pytest_twisted.ensureDeferred
    async def test_a_locator_reads_its_own_bytes_or_none(self, store: Any) -> None:
        old = await self.put(store, 1, b"old bytes")
        tag = parse_locator(old).tag  # type: ignore[union-attr]
        new = await self.put(store, 2, b"new bytes", expected=tag)
        for length in (1, 9):
            with pytest.raises(Displaced):
                await self.read(store, old, 0, length)
        assert await self.read(store, new, 0, 9) == b"new bytes"
        await store.delete(new)
        with pytest.raises(Displaced):
            await self.read(store, new, 0, 9)

    @pytest.mark.parametrize("data", [b"new", b"old"])
    @pytest_twisted.ensureDeferred
    async def test_a_late_deletion_spares_what_came_after(self, store: Any, data: bytes) -> None:
        old = await self.put(store, 1, b"old")
        await store.delete(old)
        new = await self.put(store, 2, data)
        await store.delete(old)
        assert await self.read(store, new, 0, 3) == data
        await store.delete(new)
        await store.delete(new)
        assert await store.look(store.name_of("bucket", "key")) is None

    @pytest.mark.parametrize("size", [0, 10, 2 * MIB])
    @pytest_twisted.ensureDeferred
    async def test_what_is_given_up_leaves_nothing(self, store: Any, size: int) -> None:
        begun: list[str] = []

        async def began(_: str, __: Placement, locator: str) -> None:
            begun.append(locator)

        store.tell(began)
        name = store.name_of("bucket", "key")
        writer = await store.create(blob_id(1), Placement("bucket", "key", size=size))
        await writer.write(random_bytes(size // 2))
        await writer.write(random_bytes(size // 2))
        await writer.abort()
        staged = await self.stage(store, 2, random_bytes(size))
        await store.delete(staged)
        for locator in begun:
            assert parse_locator(locator).kind == UPLOAD  # type: ignore[union-attr]
            await store.delete(locator)
            await store.delete(locator)
        assert await store.look(name) is None
        assert [ids async for ids in store.blob_ids() if ids] == []

    @pytest_twisted.ensureDeferred
    async def test_a_large_body_is_told_of_before_it_costs(self, store: Any) -> None:
        told: list[tuple[str, str]] = []

        async def began(blob: str, placement: Placement, locator: str) -> None:
            told.append((blob, placement.key))

        store.tell(began)
        await self.put(store, 1, random_bytes(10))
        assert told == []
        await self.put(store, 2, random_bytes(2 * MIB), "large")
        assert told == [(blob_id(2), "large")]

    @pytest_twisted.ensureDeferred
    async def test_a_copy_has_a_description_of_its_own(self, store: Any) -> None:
        data = random_bytes(2 * MIB)
        source = await self.put(store, 1, data, "source", description=DESCRIPTION)
        described = Description({"content-type": "a/b"}, {"size": "large"})
        placement = Placement("bucket", "copy", "a/b", len(data), described)
        await store.stage_copy(blob_id(2), Extent(len(data), source), placement)
        name = store.name_of("bucket", "copy")
        assert await store.look(name) is None
        placed = await store.place(blob_id(2), "")
        found = await store.look(name)
        assert (found.blob_id, found.description) == (blob_id(2), described)
        assert await self.read(store, placed, 0, len(data)) == data
        assert await self.read(store, source, 0, len(data)) == data

    @pytest_twisted.ensureDeferred
    async def test_an_object_is_copied_onto_itself(self, store: Any) -> None:
        source = await self.put(store, 1, b"data", description=DESCRIPTION)
        described = Description({"content-type": "a/b"})
        await store.stage_copy(
            blob_id(2), Extent(4, source), Placement("bucket", "key", "a/b", 4, described)
        )
        placed = await store.place(blob_id(2), parse_locator(source).tag)  # type: ignore[union-attr]
        found = await store.look(store.name_of("bucket", "key"))
        assert (found.blob_id, found.description) == (blob_id(2), described)
        assert await self.read(store, placed, 0, 4) == b"data"

    @pytest_twisted.ensureDeferred
    async def test_a_source_that_has_changed_is_not_copied(self, store: Any) -> None:
        source = await self.put(store, 1, b"old", "source")
        tag = parse_locator(source).tag  # type: ignore[union-attr]
        await self.put(store, 2, b"new", "source", tag)
        await store.stage_copy(blob_id(3), Extent(3, source), Placement("bucket", "copy", "", 3))
        with pytest.raises(Displaced):
            await store.place(blob_id(3), "")
        upload = await store.begin_upload(blob_id(4), Placement("bucket", "copy"))
        with pytest.raises(Displaced):
            await store.copy_part(blob_id(5), upload, 1, Extent(3, source))
        await store.delete(upload)
        assert await store.look(store.name_of("bucket", "copy")) is None

    async def part(self, store: Any, serial: int, upload: str, number: int, data: bytes) -> Any:
        placed = await self.put(store, serial, data, upload=upload, part=number)
        return PlacedPart(number, (Extent(len(data), placed),))

    @pytest_twisted.ensureDeferred
    async def test_parts_become_an_object(self, store: Any) -> None:
        first, last = random_bytes(5 * MIB), random_bytes(1000, 2)
        source = await self.put(store, 1, random_bytes(6 * MIB, 3), "source")
        placement = Placement("bucket", "key", "text/x-poem", -1, DESCRIPTION)
        upload = await store.begin_upload(blob_id(2), placement)
        assert parse_locator(upload).kind == UPLOAD  # type: ignore[union-attr]
        parts = [
            await self.part(store, 3, upload, 1, random_bytes(5 * MIB, 9)),
            await self.part(store, 4, upload, 2, b"not used"),
        ]
        parts[0] = await self.part(store, 5, upload, 1, first)
        run = Extent(5 * MIB, source, 100)
        copied = await store.copy_part(blob_id(6), upload, 7, run)
        parts[1] = PlacedPart(7, (Extent(5 * MIB, copied),))
        parts.append(await self.part(store, 7, upload, 10_000, last))
        name = store.name_of("bucket", "key")
        assert await store.look(name) is None
        staged = await store.stage_parts(upload, parts, placement)
        placed = await store.place(staged, "")
        whole = first + random_bytes(6 * MIB, 3)[100 : 100 + 5 * MIB] + last
        found = await store.look(name)
        assert (found.blob_id, found.size) == (staged, len(whole))
        assert found.description == DESCRIPTION
        assert await self.read(store, placed, 0, len(whole)) == whole
        for part in parts:
            await store.delete(part.extents[0].blob_id)
        await store.delete(upload)
        assert await self.read(store, placed, 0, 10) == whole[:10]

    @pytest_twisted.ensureDeferred
    async def test_an_empty_part_alone_is_an_empty_object(self, store: Any) -> None:
        upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
        part = await self.part(store, 2, upload, 1, b"")
        staged = await store.stage_parts(upload, [part], Placement("bucket", "key"))
        placed = await store.place(staged, "")
        assert await self.read(store, placed, 0, 0) == b""

    @pytest_twisted.ensureDeferred
    async def test_parts_wait_while_their_object_is_displaced(self, store: Any) -> None:
        upload = await store.begin_upload(blob_id(1), Placement("bucket", "key"))
        part = await self.part(store, 2, upload, 1, b"part")
        there = await self.put(store, 3, b"there")
        staged = await store.stage_parts(upload, [part], Placement("bucket", "key"))
        with pytest.raises(Displaced):
            await store.place(staged, "")
        await store.delete(staged)
        staged = await store.stage_parts(upload, [part], Placement("bucket", "key"))
        placed = await store.place(staged, parse_locator(there).tag)  # type: ignore[union-attr]
        assert await self.read(store, placed, 0, 4) == b"part"

    @pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:30])
    @pytest_twisted.ensureDeferred
    async def test_any_key_has_a_place(self, store: Any, key: str) -> None:
        placed = await self.put(store, 1, b"data", key)
        name = store.name_of("bucket", key)
        assert store.key_of(name) in (("bucket", key), None)
        assert (await store.look(name)).blob_id == blob_id(1)
        assert await self.read(store, placed, 0, 4) == b"data"
        await store.delete(placed)
        assert await store.look(name) is None

    @pytest_twisted.ensureDeferred
    async def test_names_are_listed_in_order(self, store: Any) -> None:
        for serial, key in enumerate(("b", "a", "c/d", "a b", "ü")):
            await self.put(store, serial, b"x", key)
        await self.stage(store, 9, random_bytes(2 * MIB), "staged")
        names = [store.name_of("bucket", key) for key in ("a", "a b", "b", "c/d", "ü")]
        assert await self.names(store, "bucket/") == names
        assert await self.names(store, "bucket/a") == names[:2]
        assert await self.names(store, "", names[1]) == names[2:]
        assert [store.key_of(name) for name in names[:2]] == [("bucket", "a"), ("bucket", "a b")]
        (page,) = [page async for page in store.list_names("bucket/c")]
        found = await store.look(names[3])
        assert (page[0].tag, page[0].size) == (found.tag, 1)
        assert page[0].etag == found.etag
