"""A machine for sources of credentials: environment, files, clock, and a network of fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet import reactor

from bleepstore.remote.surroundings import Surroundings
from tests.fakes.network import Network

NOW = 1_790_000_000_000


class Machine:
    """All that a source of credentials may look at.

    :ivar read: the files that were read, in order.
    """

    def __init__(self) -> None:
        self.environ: dict[str, str] = {"HOME": "/home/me"}
        self.files: dict[str, str] = {}
        self.read: list[str] = []
        self.time = NOW
        self.network = Network()
        self.near = Surroundings(
            self.environ,
            self._read_file,
            self.now,
            reactor,
            self.network.endpoint_for,
            lambda size: bytes(size),
        )

    def now(self) -> int:
        return self.time

    async def _read_file(self, path: str) -> bytes:
        self.read.append(path)
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path].encode()


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    made = Machine()
    try:
        yield made
    finally:
        await made.near.stop()
        await made.network.close()
