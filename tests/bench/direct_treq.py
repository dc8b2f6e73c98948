"""A client of an S3 server on the gateway's own treq client, in a process of its own.

``python -m tests.bench.direct_treq URL KIND SIZE COUNT CONNECTIONS`` prints the rate: requests a
second, or bytes a second of one large object.  What a gateway costs is seen beside it.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred

from bleepstore.blobs.aws_calls import AwsCalls
from bleepstore.remote.requests import Upload
from tests.blobs.aws_world import make_store

PIECE = bytes(range(256)) * 1024


class Repeated:
    """A body of one piece again and again."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._md5 = hashlib.md5(usedforsecurity=False)

    async def read(self) -> bytes:
        piece = PIECE[: self._left]
        self._left -= len(piece)
        return piece


async def small(calls: AwsCalls, kind: str, size: int, count: int, connections: int) -> float:
    """Requests a second."""
    body = b"y" * size
    tag = await _ready(calls, body)

    async def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            if kind == "get":
                answer = await calls.open("direct", tag, 0, size)
                while await answer.read():
                    pass
            else:
                request = calls._request("PUT", f"direct-{number}", b"", body)
                (await calls._service.call(request)).body.close()

    async def run(some: int) -> float:
        began = time.perf_counter()
        numbers = iter(range(some))
        for worker in [Deferred.fromCoroutine(work(numbers)) for _ in range(connections)]:
            await worker
        return some / (time.perf_counter() - began)

    await run(count // 10)
    return await run(count)


async def large(calls: AwsCalls, kind: str, size: int) -> float:
    """Bytes a second."""
    began = time.perf_counter()
    if kind == "put":
        request = calls._request("PUT", "large", b"", Upload(lambda: Repeated(size), size))
        (await calls._service.call(request)).body.close()
    else:
        found = await calls.look("large")
        assert found is not None
        answer = await calls.open("large", found.tag, 0, size)
        while await answer.read():
            pass
    return size / (time.perf_counter() - began)


async def _ready(calls: AwsCalls, body: bytes) -> str:
    request = calls._request("PUT", "direct", b"", body)
    answer = await calls._service.call(request)
    answer.body.close()
    return answer.header(b"etag").strip('"')


async def main(url: str, kind: str, size: int, count: int, connections: int) -> None:
    store = make_store(url)
    await store.start()
    if count:
        rate = await small(store.calls, kind, size, count, connections)
    else:
        rate = await large(store.calls, kind, size)
    print(rate)
    await store.stop()


if __name__ == "__main__":
    url, kind, *numbers = sys.argv[1:]
    core: Any = reactor
    task.react(lambda _: Deferred.fromCoroutine(main(url, kind, *map(int, numbers))), _reactor=core)
