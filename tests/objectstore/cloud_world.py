"""An object store whose bytes lie in a cloud, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock

from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.model.commands import CompletedPart
from bleepstore.model.locators import parse_locator
from bleepstore.model.objects import Description
from bleepstore.objectstore import ObjectStore
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.requests import (
    Claims,
    CompleteRequest,
    CopyRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.streams.threads import ImmediateThreads
from bleepstore.wire.copying import CopySource
from tests.fakes.cloud import Cloud, FakeInPlaceStore
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, CREDENTIALS, Faulty, Payload, World


class CloudWorld(World):
    """As :class:`World`, with a cloud in the place of the disk."""

    def __init__(
        self, *, adopt: bool = True, metadata: Faulty | None = None, cloud: Cloud | None = None
    ) -> None:
        self.clock = Clock()
        self.time = 1_700_000_000_000
        self.threads = ImmediateThreads()
        self.cloud = cloud or Cloud()
        self.metadata = metadata or Faulty(MemoryMetadata())
        self.pins = Pins()
        self.released = 0
        self.rolls = 0
        self.adopt = adopt
        self.store = self.process()
        self.bucket()

    def process(self, max_object_size: int = 5 * 1024**4, region: str = "us-east-1") -> ObjectStore:
        """A new process; what another one had staged is lost to it."""
        self.native = FakeInPlaceStore(self.cloud)
        self.blobs = self.native
        store = ObjectStore(
            metadata=self.metadata,  # type: ignore[arg-type]
            blobs=self.native,
            threads=self.threads,
            now=lambda: self.time,
            dice=self._dice,
            pins=self.pins,
            credentials=CREDENTIALS,
            region=region,
            node_id="node-1",
            max_object_size=max_object_size,
            released=self._on_release,
            adopt_foreign=self.adopt,
        )
        run(store.start())
        return store

    def crash(self) -> None:
        """Another process takes over, and settles what this one has left."""
        self.store = self.process()
        assert self.store.settling is not None
        assert run(self.store.settling.settle_all())

    def copy(self, source: str, key: str, replace: Description | None = None) -> Any:
        request = CopyRequest(CopySource("bucket", source), "bucket", key, replace=replace)
        return run(self.store.copies.copy(self.caller(ALICE), request))

    def upload(self, key: str, description: Description | None = None) -> UploadName:
        request = UploadRequest("bucket", key, description or Description())
        upload = run(self.store.uploads.create(self.caller(ALICE), request))
        return UploadName("bucket", key, upload.upload_id)

    async def sending(self, upload: UploadName, number: int, data: bytes) -> CompletedPart:
        part = await self.store.uploads.put_part(
            self.caller(ALICE), upload, number, Payload(data, length=len(data)), Claims()
        )
        return CompletedPart(number, part.etag)

    def part(self, upload: UploadName, number: int, data: bytes) -> CompletedPart:
        return run(self.sending(upload, number, data))

    async def completing(self, upload: UploadName, parts: Sequence[CompletedPart]) -> Any:
        return await self.store.uploads.complete(
            self.caller(ALICE), CompleteRequest(upload, tuple(parts))
        )

    def complete(self, upload: UploadName, *parts: CompletedPart) -> Any:
        return run(self.completing(upload, parts))

    def delete(self, key: str) -> Any:
        return run(self.store.objects.delete(self.caller(ALICE), "bucket", key))

    def requests(self) -> list[str]:
        """The kinds of requests to the cloud since this was called last."""
        kinds = [kind for kind, _ in self.cloud.requests]
        self.cloud.requests.clear()
        return kinds

    def require_agreement(self, *, uploads: bool = True) -> None:
        """Index and cloud describe the same bytes, and nothing else is left anywhere.

        :param uploads: whether there can be no upload in the cloud that the index does not know.
        """

        async def ask() -> None:
            page = await self.metadata.list_objects("bucket")
            described = {}
            for entry in page.objects:
                found = await self.metadata.get_object("bucket", entry.key, "", True)
                (extent,) = found.manifest.extents
                locator = parse_locator(extent.blob_id)
                assert locator is not None
                described[locator.name] = (locator.tag, entry.size)
            lying = {name: (each.tag, len(each.data)) for name, each in self.cloud.objects.items()}
            assert described == lying
            assert not await self.metadata.intents()
            listed = await self.metadata.list_uploads("bucket")
            known = {upload.native.split(" ")[2] for upload in listed.uploads}
            if self.native.directories:
                assert known >= set(self.cloud.uploads)
            elif uploads:
                assert known == set(self.cloud.uploads)
            assert not self.native._staged

        run(ask())
