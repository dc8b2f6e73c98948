"""How fast the write path, the read path and the threads are, each beside a reference.

    python -m tests.bench.bench_blobs [--size MiB] [--dir DIRECTORY] [NAME ...]

Prints a line per figure: the figure, its reference measured in the same run, and their ratio.
The source of uploads and the sink of downloads is a process of its own at the other end of a
loopback connection, as a client would be.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from typing import Any

from twisted.internet import defer, protocol, task, tcp
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from bleepstore.blobs.local import LocalBlobStore
from bleepstore.http.outbound import outbound_for
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.shares import MOST
from bleepstore.streams import digests
from bleepstore.streams.egress import BodyReader, send_body
from bleepstore.streams.expectations import Expectations
from bleepstore.streams.ingest import Ingest
from bleepstore.streams.threads import ReactorThreads

MIB = 1 << 20
EVERYTHING = Expectations(max_size=1 << 50)


def report(name: str, figure: float, unit: str, reference: float, of: str) -> None:
    ratio = figure / reference
    print(f"{name:34} {figure:10,.2f} {unit:6} {reference:10,.2f} {of:34} {ratio:.2f}", flush=True)


# The other end of a connection


def _feed(connection: socket.socket, size: int) -> None:
    chunk = memoryview(os.urandom(MIB))
    while size > 0:
        size -= connection.send(chunk[: min(size, MIB)])
    connection.close()


def _drain(connection: socket.socket, size: int) -> None:
    buffer = bytearray(MIB)
    while connection.recv_into(buffer):
        pass


def peer(work: Callable[[socket.socket, int], None], size: int) -> tuple[socket.socket, Any]:
    """A connected socket whose other end is worked by a process; it is TCP over loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    listener.close()
    process = get_context("fork").Process(target=_work, args=(work, theirs, ours, size))
    process.start()
    theirs.close()
    return ours, process


def _work(work: Any, theirs: socket.socket, ours: socket.socket, size: int) -> None:
    ours.close()
    work(theirs, size)
    os._exit(0)


# A payload and a request on a connection, by the parts of the HTTP channel, without HTTP


class Connection(protocol.Protocol):
    """The payload of an upload, and the request of a download."""

    transport: Any

    def __init__(self, length: int | None = None) -> None:
        self.length = length
        self.trailers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.waiting: defer.Deferred[None] | None = None
        self.paused = self.ended = False

    def makeConnection(self, transport: Any) -> None:
        self.outbound = outbound_for(transport, self.wake)
        self.outbound.read_widely(MOST)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)
        if not self.paused:
            self.paused = True
            self.transport.pauseProducing()
        self.wake()

    def connectionLost(self, reason: object = None) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            waiting.callback(None)

    async def read(self) -> bytes:
        if not self.chunks and not self.ended:
            self.waiting = defer.Deferred()
            await self.waiting
        chunk = self.chunks.pop(0) if self.chunks else b""
        if self.paused and not self.ended:
            self.paused = False
            self.transport.resumeProducing()
        return chunk

    async def send(self, data: bytes | memoryview) -> None:
        self.outbound.write(data)
        if self.outbound.full:
            self.waiting = defer.Deferred()
            await self.waiting
        if self.ended:
            raise ConnectionError

    def abort(self) -> None:
        self.outbound.abort()


def adopt(reactor: Any, ours: socket.socket, connection: Connection) -> None:
    """Give a socket to the reactor, as a listening port would."""
    ours.setblocking(False)
    server = tcp.Server(ours, connection, ("127.0.0.1", 0), None, 0, reactor)  # type: ignore[arg-type]
    connection.makeConnection(server)


# The figures


class Bench:
    def __init__(self, reactor: Any, root: str, size: int) -> None:
        self.reactor = reactor
        self.size = size
        self.root = root
        self.threads = ReactorThreads(reactor)
        self.blobs = LocalBlobStore(os.path.join(root, "blobs"), self.threads)
        serials = itertools.count(1)
        self.ingest = Ingest(self.blobs, self.threads, lambda: f"00000001-{next(serials):08x}")

    async def run(self, names: list[str]) -> None:
        await self.threads.start()
        await self.blobs.start()
        digests.load()
        for name in names:
            await getattr(self, name)()
        await self.blobs.stop()
        await self.threads.stop()

    async def hop(self) -> None:
        """Calls of nothing in a thread, alone and by 32 at once."""
        pool = ThreadPool(0, 16)
        pool.start()
        for at_once, calls in ((1, 3000), (32, 400)):
            figures = []
            for call in (
                lambda: self.threads.run(int),
                lambda: deferToThreadPool(self.reactor, pool, int),
            ):
                start = time.perf_counter()
                await defer.gatherResults(
                    [defer.Deferred.fromCoroutine(_repeat(call, calls)) for _ in range(at_once)]
                )
                figures.append((time.perf_counter() - start) / calls / at_once * 1e6)
            report(f"hop, {at_once} at once", figures[0], "µs", figures[1], "µs deferToThreadPool")
        pool.stop()

    async def inline(self) -> None:
        """A 4 KiB body, in one chunk, beside the hashing it needs."""
        body = os.urandom(4096)
        start = time.perf_counter()
        for _ in range(10_000):
            each = digests.Digests(algorithms=(ChecksumAlgorithm.CRC64NVME,))
            each.update(body)
            each.md5()
            each.checksum(ChecksumAlgorithm.CRC64NVME)
        hashing = (time.perf_counter() - start) / 10_000 * 1e6
        placement = Placement("b", "k")
        start = time.perf_counter()
        for _ in range(10_000):
            payload = _OneChunk(body)
            coroutine = self.ingest.take(payload, EVERYTHING, placement)  # type: ignore[arg-type]
            try:
                coroutine.send(None)
            except StopIteration:
                continue
            raise AssertionError("it suspended")
        report(
            "4 KiB body inline",
            (time.perf_counter() - start) / 10_000 * 1e6,
            "µs",
            hashing,
            "µs for its digests alone",
        )

    async def upload(self) -> None:
        """A large body from a socket to the disk."""
        data = os.urandom(64 * MIB)
        start = time.perf_counter()
        hashlib.md5(data).digest()
        reference = 64 / (time.perf_counter() - start)
        ours, process = peer(_feed, self.size)
        connection = Connection(self.size)
        start = time.perf_counter()
        adopt(self.reactor, ours, connection)
        result = await self.ingest.take(connection, EVERYTHING, Placement())  # type: ignore[arg-type]
        rate = self.size / MIB / (time.perf_counter() - start)
        process.join()
        report("upload", rate, "MiB/s", reference, "MiB/s of MD5 alone")
        for extent in result.extents:
            await self.blobs.delete(extent.blob_id)

    async def upload_again(self) -> None:
        """The same with memory that was used a moment ago: a virtual machine whose host takes
        free memory back pays 2 s a GiB for the first use of what it gets again."""
        await self.upload()

    async def download(self) -> None:
        """A large blob, in the page cache, to a socket; beside a loop of read and send."""
        ours, process = peer(_feed, self.size)
        connection = Connection(self.size)
        adopt(self.reactor, ours, connection)
        result = await self.ingest.take(connection, EVERYTHING, Placement())  # type: ignore[arg-type]
        process.join()
        blob_id = result.extents[0].blob_id
        path = self.blobs._files.path(blob_id)
        for _ in range(2):
            ours, process = peer(_drain, self.size)
            start = time.perf_counter()
            with open(path, "rb", buffering=0) as file:
                while data := file.read(256 * 1024):
                    ours.sendall(data)
            ours.close()
            process.join()
            reference = self.size / MIB / (time.perf_counter() - start)
        ours, process = peer(_drain, self.size)
        connection = Connection()
        start = time.perf_counter()
        adopt(self.reactor, ours, connection)
        await send_body(connection, BodyReader(self.blobs, result.extents))  # type: ignore[arg-type]
        connection.outbound.close()
        while process.is_alive():
            await task.deferLater(self.reactor, 0.001)
        rate = self.size / MIB / (time.perf_counter() - start)
        report("download", rate, "MiB/s", reference, "MiB/s of read and send")
        await self.blobs.delete(blob_id)

    async def puts(self) -> None:
        """Durable blobs of 64 KiB, by 32 at once, beside files written and synced one by one."""
        body = os.urandom(64 * 1024)
        count = 30
        start = time.perf_counter()
        for index in range(200):
            with open(os.path.join(self.root, f"plain-{index}"), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        reference = 200 / (time.perf_counter() - start)

        async def put() -> None:
            await self.ingest.take(_OneChunk(body), EVERYTHING, Placement())  # type: ignore[arg-type]

        start = time.perf_counter()
        await defer.gatherResults(
            [defer.Deferred.fromCoroutine(_repeat(put, count)) for _ in range(32)]
        )
        rate = 32 * count / (time.perf_counter() - start)
        report(
            "durable 64 KiB blobs, 32 at once", rate, "1/s", reference, "1/s write and fsync, alone"
        )

    async def gets(self) -> None:
        """Reads of blobs of 64 KiB from the page cache, beside open, read and close."""
        body = os.urandom(64 * 1024)
        result = await self.ingest.take(_OneChunk(body), EVERYTHING, Placement())  # type: ignore[arg-type]
        path = self.blobs._files.path(result.extents[0].blob_id)
        start = time.perf_counter()
        for _ in range(3000):
            with open(path, "rb", buffering=0) as file:
                file.read(64 * 1024)
        reference = (time.perf_counter() - start) / 3000 * 1e6
        start = time.perf_counter()
        for _ in range(3000):
            reader = BodyReader(self.blobs, result.extents)
            assert await reader.prime()
            reader.close()
        report(
            "read a 64 KiB blob",
            (time.perf_counter() - start) / 3000 * 1e6,
            "µs",
            reference,
            "µs open, read, close",
        )


class _OneChunk:
    def __init__(self, body: bytes) -> None:
        self.trailers: dict[str, str] = {}
        self.length = len(body)
        self.body = body

    async def read(self) -> bytes:
        body, self.body = self.body, b""
        return body


async def _repeat(call: Callable[[], Awaitable[object]], times: int) -> None:
    for _ in range(times):
        await call()


FIGURES = ["hop", "inline", "puts", "gets", "upload", "upload_again", "download"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large transfers")
    parser.add_argument("--dir", help="where to put blobs; on a real disk for honest figures")
    options = parser.parse_args()
    from twisted.internet import reactor

    root = tempfile.mkdtemp(prefix="bench-blobs-", dir=options.dir)
    failed: list[Failure] = []

    def start() -> None:
        bench = Bench(reactor, root, options.size * MIB)
        running = defer.Deferred.fromCoroutine(bench.run(options.names or FIGURES))
        running.addErrback(lambda failure: failed.append(failure))
        running.addBoth(lambda _: reactor.stop())

    try:
        reactor.callWhenRunning(start)
        reactor.run()
    finally:
        shutil.rmtree(root)
    for failure in failed:
        print(failure.getTraceback(), file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
