"""A cloud in memory, and a store that keeps objects in place in it.

The cloud can be made to fail before or after it does what is asked: an error before is a request
that never arrived, one after is an answer that never arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from bleepstore.errors import Displaced, InternalError
from bleepstore.interfaces.blobs import (
    BlobCapabilities,
    IBlobReader,
    IBlobWriter,
    Placement,
)
from bleepstore.interfaces.in_place import Began, IInPlaceStore, ListedName, NativeObject
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.locators import OBJECT, PART, UPLOAD, Locator, parse_locator
from bleepstore.model.objects import Description, Extent, PlacedPart

SMALL = 1024
"""Bytes up to which a body is kept until it is placed; more begins an upload at once."""

RESERVED = ".bleepstore/"


@dataclass
class Lying:
    """An object in the cloud."""

    data: bytes
    tag: str
    blob_id: str
    description: Description
    last_modified: int


@dataclass
class InProgress:
    """An upload in the cloud."""

    name: str
    blob_id: str
    description: Description
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


class Cloud:
    """Names and what lies under them.

    :ivar requests: what was asked for so far: the operation and the name.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Lying] = {}
        self.uploads: dict[str, InProgress] = {}
        self.requests: list[tuple[str, str]] = []
        self.time = 1_600_000_000_000
        self._serial = 0
        self._before: dict[str, list[Callable[[], Any]]] = {}
        self._after: dict[str, list[Callable[[], Any]]] = {}

    def before(self, operation: str, action: Callable[[], Any]) -> None:
        """Do this once before the next request of its kind is carried out."""
        self._before.setdefault(operation, []).append(action)

    def after(self, operation: str, action: Callable[[], Any]) -> None:
        """Do this once after the next request of its kind was carried out."""
        self._after.setdefault(operation, []).append(action)

    def lose_request(self, operation: str, error: Exception) -> None:
        self.before(operation, lambda: _raise(error))

    def lose_answer(self, operation: str, error: Exception) -> None:
        self.after(operation, lambda: _raise(error))

    def hold(self, operation: str) -> Deferred[None]:
        """Have the next request of its kind wait until this is called back."""
        gate: Deferred[None] = Deferred()
        self.before(operation, lambda: gate)
        return gate

    async def ask(self, operation: str, name: str, action: Callable[[], Any]) -> Any:
        """One request."""
        self.requests.append((operation, name))
        await self._act(self._before, operation)
        result = action()
        await self._act(self._after, operation)
        return result

    def new_tag(self) -> str:
        self._serial += 1
        return f"tag-{self._serial}"

    def put(
        self, name: str, data: bytes, blob_id: str = "", description: Description | None = None
    ) -> str:
        """As another program would do, unless there is a blob's id; gives the tag."""
        tag = self.new_tag()
        self.time += 1000
        self.objects[name] = Lying(data, tag, blob_id, description or Description(), self.time)
        return tag

    @staticmethod
    async def _act(actions: dict[str, list[Callable[[], Any]]], operation: str) -> None:
        if actions.get(operation):
            outcome = actions[operation].pop(0)()
            if isinstance(outcome, Deferred):
                await outcome


def _raise(error: Exception) -> None:
    raise error


Place = Callable[[str], str]
"""Carries out what was staged, given the tag that is expected; gives the locator."""


@implementer(IInPlaceStore, IPart)
class FakeInPlaceStore:
    """See :class:`IInPlaceStore`."""

    capabilities = BlobCapabilities(inline_small=False, in_place=True)
    site = "fake:cloud/"

    def __init__(self, cloud: Cloud, prefix: str = "") -> None:
        self._cloud = cloud
        self._prefix = prefix
        self.tells_md5 = False  # of parts, as their tags
        self.order = "utf-8"  # or utf-16-be: of names in listings
        self.directories = False  # whether an upload is but a directory, which its parts make
        self._staged: dict[str, tuple[str, str, Place]] = {}
        self._began: Began | None = None

    async def start(self) -> None:
        """Nothing is to be done."""

    async def stop(self) -> None:
        """What is staged is lost, as in a crash."""
        self._staged.clear()

    def tell(self, began: Began) -> None:
        self._began = began

    def name_of(self, bucket: str, key: str) -> str:
        return f"{self._prefix}{bucket}/{key}"

    def key_of(self, name: str) -> tuple[str, str] | None:
        bucket, slash, key = name.removeprefix(self._prefix).partition("/")
        return (bucket, key) if slash and key and not bucket.startswith(".") else None

    async def create(self, blob_id: str, placement: Placement) -> IBlobWriter:
        return _Writer(self, blob_id, placement)

    async def open(self, blob_id: str, offset: int, length: int) -> IBlobReader:
        locator = _locator(blob_id)

        def read() -> bytes:
            lying = self._cloud.objects.get(locator.name)
            if lying is None or lying.tag != locator.tag:
                raise Displaced
            return lying.data[offset : offset + length]

        data = await self._cloud.ask("read", locator.name, read)
        if len(data) != length:
            raise InternalError(f"{blob_id} ends early")
        return _Reader(data)

    async def delete(self, blob_id: str) -> None:
        self._staged.pop(blob_id, None)
        locator = parse_locator(blob_id)
        if locator is None or (locator.kind == PART and not self.directories):
            return

        def delete() -> None:
            if locator.kind == PART:
                self._delete_part(locator)
                return
            if locator.kind == UPLOAD:
                self._cloud.uploads.pop(locator.tag, None)
                return
            lying = self._cloud.objects.get(locator.name)
            if lying is not None and lying.tag == locator.tag:
                del self._cloud.objects[locator.name]

        await self._cloud.ask("delete", locator.name, delete)

    async def blob_ids(self) -> AsyncIterator[tuple[str, ...]]:
        ids: tuple[str, ...]
        for ids in ():
            yield ids

    async def check(self) -> None:
        await self._cloud.ask("check", "", lambda: None)

    async def place(self, blob_id: str, expected: str) -> str:
        operation, name, place = self._staged[blob_id]
        placed: str = await self._cloud.ask(operation, name, lambda: place(expected))
        del self._staged[blob_id]
        return placed

    async def stage_copy(self, blob_id: str, source: Extent, placement: Placement) -> None:
        name = self.name_of(placement.bucket, placement.key)

        def place(expected: str) -> str:
            data = self._run_of(source)
            return self._put(name, data, blob_id, placement.description, expected)

        self._staged[blob_id] = "copy", name, place

    async def begin_upload(self, blob_id: str, placement: Placement) -> str:
        name = self.name_of(placement.bucket, placement.key)
        upload_id = self._cloud.new_tag()

        def begin() -> None:
            self._cloud.uploads[upload_id] = InProgress(name, blob_id, placement.description)

        await self._cloud.ask("begin", name, begin)
        return str(Locator(blob_id, UPLOAD, upload_id, name))

    async def copy_part(self, blob_id: str, upload: str, number: int, source: Extent) -> str:
        locator = _locator(upload)

        def copy() -> str:
            return self._put_part(blob_id, locator, number, self._run_of(source))

        placed: str = await self._cloud.ask("copy_part", locator.name, copy)
        return placed

    async def stage_parts(
        self, upload: str, parts: Sequence[PlacedPart], placement: Placement
    ) -> str:
        locator = _locator(upload)
        wanted = [(part.number, _locator(part.extents[0].blob_id).tag) for part in parts]
        self._staged[locator.blob_id] = (
            "complete",
            locator.name,
            lambda expected: self._complete(locator, wanted, expected),
        )
        return locator.blob_id

    async def look(self, name: str) -> NativeObject | None:
        found = await self._cloud.ask("look", name, lambda: self._cloud.objects.get(name))
        if found is None:
            return None
        return NativeObject(
            name=name,
            tag=found.tag,
            size=len(found.data),
            etag=found.tag,
            blob_id=found.blob_id,
            last_modified=found.last_modified,
            description=found.description,
        )

    async def list_names(
        self, prefix: str, after: str = ""
    ) -> AsyncIterator[tuple[ListedName, ...]]:
        names = sorted(self._cloud.objects, key=lambda name: name.encode(self.order))
        for name in names:
            if (
                name.startswith(self._prefix + prefix)
                and not name.startswith(self._prefix + RESERVED)
                and name.encode() > after.encode()
            ):
                found = self._cloud.objects[name]
                size = len(found.data)
                yield (ListedName(name, found.tag, size, found.tag, found.last_modified),)

    # For the writer

    async def began(self, blob_id: str, placement: Placement) -> Locator:
        begun = await self.begin_upload(blob_id, placement)
        if self._began is not None:
            await self._began(blob_id, placement, begun)
        return _locator(begun)

    def stage(self, blob_id: str, placement: Placement, data: bytes, begun: Locator | None) -> None:
        name = self.name_of(placement.bucket, placement.key)
        if placement.upload:
            upload = _locator(placement.upload)
            self._staged[blob_id] = (
                "part",
                name,
                lambda _: self._put_part(blob_id, upload, placement.part, data),
            )
        elif begun is None:
            description = placement.description
            self._staged[blob_id] = (
                "put",
                name,
                lambda expected: self._put(name, data, blob_id, description, expected),
            )
        else:
            self._put_part(blob_id, begun, 1, data)
            parts = [(1, self._cloud.uploads[begun.tag].parts[1][0])]
            self._staged[blob_id] = (
                "complete",
                name,
                lambda expected: self._complete(begun, parts, expected),
            )

    def _run_of(self, source: Extent) -> bytes:
        locator = _locator(source.blob_id)
        lying = self._cloud.objects.get(locator.name)
        if lying is None or lying.tag != locator.tag:
            raise Displaced
        return lying.data[source.offset : source.offset + source.length]

    def _put(
        self, name: str, data: bytes, blob_id: str, description: Description, expected: str
    ) -> str:
        lying = self._cloud.objects.get(name)
        if (lying.tag if lying else "") != expected:
            raise Displaced
        return str(
            Locator(blob_id, OBJECT, self._cloud.put(name, data, blob_id, description), name)
        )

    def _put_part(self, blob_id: str, upload: Locator, number: int, data: bytes) -> str:
        tag = md5(data).hexdigest() if self.tells_md5 else self._cloud.new_tag()
        in_progress = self._cloud.uploads.get(upload.tag)
        if in_progress is None:
            if not self.directories:
                raise InternalError("there is no such upload")
            in_progress = InProgress(upload.name, upload.blob_id, Description())
            self._cloud.uploads[upload.tag] = in_progress
        in_progress.parts[number] = tag, data
        return str(Locator(blob_id, PART, tag, upload.name))

    def _delete_part(self, part: Locator) -> None:
        for upload_id, in_progress in tuple(self._cloud.uploads.items()):
            for number, (tag, _) in tuple(in_progress.parts.items()):
                if tag == part.tag:
                    del in_progress.parts[number]
            if not in_progress.parts:
                del self._cloud.uploads[upload_id]

    def _complete(self, upload: Locator, parts: list[tuple[int, str]], expected: str) -> str:
        in_progress = self._cloud.uploads.get(upload.tag)
        if in_progress is None:
            raise Displaced  # completed already: whoever looks finds its object
        pieces = []
        for number, tag in parts:
            has, data = in_progress.parts[number]
            if has != tag:
                raise InternalError("the parts are others")
            pieces.append(data)
        placed = self._put(
            upload.name,
            b"".join(pieces),
            upload.blob_id,
            in_progress.description,
            expected,
        )
        del self._cloud.uploads[upload.tag]
        return placed


@implementer(IBlobWriter)
class _Writer:
    def __init__(self, store: FakeInPlaceStore, blob_id: str, placement: Placement) -> None:
        self._store = store
        self.hashes = store.tells_md5 and bool(placement.upload)
        self._blob_id = blob_id
        self._placement = placement
        self._data = bytearray()
        self._begun: Locator | None = None

    async def write(self, *data: bytes | memoryview) -> None:
        for piece in data:
            self._data += piece
        if len(self._data) > SMALL and self._begun is None and not self._placement.upload:
            self._begun = await self._store.began(self._blob_id, self._placement)

    async def finish(self, md5: str = "") -> str:
        self._store.stage(self._blob_id, self._placement, bytes(self._data), self._begun)
        return md5

    async def abort(self) -> None:
        await self._store.delete(self._blob_id)


@implementer(IBlobReader)
class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        data, self._data = self._data[: 1 << 20], self._data[1 << 20 :]
        return data

    def close(self) -> None:
        self._data = b""


def _locator(text: str) -> Locator:
    locator = parse_locator(text)
    assert locator is not None, text
    return locator
