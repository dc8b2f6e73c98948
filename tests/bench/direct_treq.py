"""A client of a cloud on plain treq, in a process of its own: what a gateway is measured by.

``python -m tests.bench.direct_treq DIALECT URL KIND SIZE COUNT CONNECTIONS`` prints the rate:
requests a second, or bytes a second of one large object where COUNT is 0.  DIALECT is one of
``dialects``, KIND ``get`` or ``put``; credentials, if they are needed, come by standard input.

Nothing of it is ours: ``treq.client.HTTPClient`` over ``twisted.web.client.Agent`` and its
``HTTPConnectionPool``, set up as usual, with a connection kept for each worker.  So what is made
faster in a gateway does not move its own reference.  Requests are signed beforehand, as those of
the load generator are; large bodies stream both ways, with back-pressure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from tests.bench.dialects import DIALECTS, Make, Request

PIECE = bytes(range(256)) * 1024


@implementer(IBodyProducer)
class Repeated:
    """A body of one piece again and again, as fast as the transport takes it."""

    def __init__(self, size: int) -> None:
        self.length: Any = size
        self._left = size
        self._paused = False
        self._ended: Deferred[None] = Deferred()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._consumer = consumer
        self.resumeProducing()
        return self._ended

    def resumeProducing(self) -> None:
        self._paused = False
        while self._left and not self._paused:
            piece = PIECE[: self._left]
            self._left -= len(piece)
            self._consumer.write(piece)
        if not self._left and not self._ended.called:
            self._ended.callback(None)

    def pauseProducing(self) -> None:
        self._paused = True

    def stopProducing(self) -> None:
        self._left = 0
        self._paused = True


async def small(
    client: HTTPClient, make: Make, kind: str, size: int, count: int, connections: int
) -> float:
    """Requests a second, of COUNT after a tenth of that as warm-up."""
    body = b"y" * size
    await send(client, make("put", "direct", body, 0))
    if kind == "get":
        requests = [make(kind, "direct", None, 0)] * count
    else:
        requests = [make(kind, f"direct-{number}", body, 0) for number in range(count)]

    async def work(some: Iterator[Request]) -> None:
        for each in some:
            await send(client, each)

    async def run(some: list[Request]) -> float:
        began = time.perf_counter()
        shared = iter(some)
        for worker in [Deferred.fromCoroutine(work(shared)) for _ in range(connections)]:
            await worker
        return len(some) / (time.perf_counter() - began)

    await run(requests[: count // 10])
    return await run(requests)


async def send(client: HTTPClient, prepared: Request) -> None:
    """Make a request, and take its answer whole."""
    method, url, headers, body = prepared
    answer = await client.request(method, url, headers=headers, data=body)
    content = await answer.content()
    if answer.code not in (200, 201):
        raise RuntimeError(f"{answer.code}: {content!r}")


async def large(client: HTTPClient, make: Make, kind: str, size: int) -> float:
    """Bytes a second of one object; a GET is of what was PUT last."""
    name = "large"
    body = Repeated(size) if kind == "put" else None
    length = size if kind == "put" else 0
    method, place, headers, _ = make(kind, name, None, length)
    received = 0

    def take(data: bytes) -> None:
        nonlocal received
        received += len(data)

    began = time.perf_counter()
    answer = await client.request(method, place, headers=headers, data=body, unbuffered=True)
    await answer.collect(take)
    took = time.perf_counter() - began
    if answer.code not in (200, 201) or (kind == "get" and received != size):
        raise RuntimeError(f"{answer.code}, {received} bytes")
    return size / took


async def main(make: Make, kind: str, size: int, count: int, connections: int) -> None:
    core: Any = reactor
    pool = HTTPConnectionPool(core)
    pool.maxPersistentPerHost = max(connections, 1)
    client = HTTPClient(Agent(core, pool=pool))
    if count:
        rate = await small(client, make, kind, size, count, connections)
    else:
        rate = await large(client, make, kind, size)
    print(rate)
    await pool.closeCachedConnections()


if __name__ == "__main__":
    dialect, url, kind, *numbers = sys.argv[1:]
    make = DIALECTS[dialect](url, sys.stdin.read())
    core: Any = reactor
    task.react(
        lambda _: Deferred.fromCoroutine(main(make, kind, *map(int, numbers))), _reactor=core
    )
