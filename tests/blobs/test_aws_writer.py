"""What a server has of a body before it is known to be whole: never all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from twisted.internet.defer import DeferredSemaphore

from bleepstore.blobs.aws_writer import KEPT, AwsWriter
from bleepstore.blobs.cloud_digests import CloudDigests
from bleepstore.model.locators import UPLOAD, Locator
from bleepstore.remote.requests import Upload
from tests.objectstore.driving import run

LOCATOR = Locator("blob", UPLOAD, "id", "name")


class Taker:
    """A server that takes all it can get, and the store, as a writer sees them."""

    def __init__(self) -> None:
        self.received = 0
        self.calls: Any = self
        self.digests = CloudDigests()
        self.cutting = DeferredSemaphore(1)
        self.staged: list[str] = []
        self._end: Callable[[], Awaitable[str]] | None = None

    async def put_part(self, name: str, upload_id: str, number: int, body: Upload) -> str:
        source = body.open()
        while piece := await source.read():
            self.received += len(piece)
        return "etag"

    def keep(self, size: int) -> None: ...

    def may_keep(self, size: int) -> bool:
        return size <= KEPT

    async def begin(self) -> Locator:
        return LOCATOR

    def stage_bytes(self, data: bytes) -> None:
        self.staged.append("bytes")

    def stage_upload(self, upload: Locator, parts: Sequence[tuple[int, str]]) -> None:
        self.staged.append("upload")

    def stage_part(self, end: Callable[[], Awaitable[str]], drop: Callable[[], None]) -> None:
        self._end = end

    def unstage(self) -> None: ...

    async def place(self) -> str:
        assert self._end is not None
        return await self._end()


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_the_last_pieces_of_an_object_wait_until_it_is_whole(pieces: int) -> None:
    """Or the server would answer before its client knows that there is no more to send."""
    taker = Taker()
    size = (KEPT + 1) * pieces
    writer = AwsWriter(taker, size)
    for _ in range(pieces):
        run(writer.write(bytes(KEPT + 1)))
        assert taker.received < size
    run(writer.finish())
    assert (taker.received, taker.staged) == (size, ["upload"])


def test_the_last_pieces_of_a_part_wait_until_it_is_placed() -> None:
    taker = Taker()
    writer = AwsWriter(taker, 2 * KEPT + 2, LOCATOR, 1)
    run(writer.write(bytes(KEPT + 1)))
    run(writer.write(bytes(KEPT + 1)))
    run(writer.finish())
    assert taker.received == KEPT + 1
    assert run(taker.place()) == "etag"
    assert taker.received == 2 * KEPT + 2
