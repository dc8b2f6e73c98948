"""``python -m tests.bench.bench_http``: the HTTP channel alone, beside its references.

Small answers: requests a second of one process, beside a twisted.web Site with one Resource that
answers the same bytes.  Large ones: 1 GiB each way, beside a blocking loop of read and send, and of
receive.  References are measured in turn with their subjects, in the same run.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.web.resource import Resource
from twisted.web.server import Site

from bleepstore.http.factory import HTTPFactory
from bleepstore.http.request import Request
from bleepstore.http.settings import Limits
from tests.bench.load import closed_loop
from tests.http.connection import running

KIB = 1024
MIB = 1024 * KIB
PIECE = MIB
GET = (
    b"GET /bucket/some/key?partNumber=1 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n"
    b"User-Agent: Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11\r\n"
    b"Accept-Encoding: identity\r\nX-Amz-Date: 20260101T000000Z\r\n"
    b"X-Amz-Content-SHA256: " + b"e" * 64 + b"\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=bleepstore/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + b"0" * 64 + b"\r\n\r\n"
)
FIELDS = [(b"Content-Type", b"binary/octet-stream"), (b"ETag", b'"' + b"0" * 32 + b'"')]


# Servers, each in a process of its own


class Page(Resource):
    isLeaf = True

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def render_GET(self, request: object) -> bytes:
        return self._body


def serve(kind: str, size: int, path: str) -> None:
    """Listen, print the port, serve until standard input ends."""
    if kind == "raw":
        serve_raw(path)
        return
    body = bytes(size)
    factory: Factory
    if kind == "site":
        factory = Site(Page(body))
    elif kind == "channel":
        factory = HTTPFactory(
            lambda request: request.respond(200, FIELDS, body),
            Limits(),
            reactor,
        )
    else:
        factory = HTTPFactory(running(large(path)), Limits(), reactor)  # type: ignore[arg-type]
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.callInThread(wait_for_the_end)  # type: ignore[attr-defined]
    reactor.run()


def wait_for_the_end() -> None:
    sys.stdin.read()
    reactor.callFromThread(reactor.stop)  # type: ignore[attr-defined]


def large(path: str) -> Callable[[Request], object]:
    async def handle(request: Request) -> None:
        if request.method == b"PUT":
            while await request.body.read():
                pass
            request.respond(200, FIELDS)
            return
        with open(path, "rb", buffering=0) as file:
            length = b"%d" % os.fstat(file.fileno()).st_size
            request.start(200, [*FIELDS, (b"Content-Length", length)])
            while piece := file.read(PIECE):
                await request.send(piece)
            request.finish()

    return handle


def serve_raw(path: str) -> None:
    """What one thread can do without HTTP: after one line, read and send, or receive."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        with client:
            head, _, body = client.recv(64 * KIB).partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                with open(path, "rb", buffering=0) as file:
                    while piece := file.read(PIECE):
                        client.sendall(piece)
            else:
                left = os.path.getsize(path) - len(body)
                while left:
                    left -= len(client.recv(256 * KIB))
                client.sendall(b"done")


class Server:
    """One of them, from outside."""

    def __init__(self, kind: str, size: int, path: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bench_http", "--serve", kind, str(size), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()


# The measurements


def moved(port: int, method: str, size: int) -> float:
    """GiB/s of one body of ``size``."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        began = time.perf_counter()
        client.sendall(
            f"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
            + (b"Content-Length: %d\r\n\r\n" % size if method == "PUT" else b"\r\n")
        )
        if method == "PUT":
            piece = bytes(256 * KIB)
            for _ in range(size // len(piece)):
                client.sendall(piece)
            client.recv(KIB)
        else:
            buffer = bytearray(256 * KIB)
            received = 0
            while received < size:
                count = client.recv_into(buffer)
                if not count:
                    raise ConnectionError("the server closed the connection early")
                received += count
        return size / (time.perf_counter() - began) / (1 << 30)


def compare(name: str, unit: str, ours: list[float], theirs: list[float], reference: str) -> None:
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"{name:<28} {statistics.median(ours):>10,.2f} {unit:<6} {ratio:5.2f} × "
        f"{reference} ({statistics.median(theirs):,.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_http", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run: breakage, not figures")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind, size, path = options.serve
        serve(kind, int(size), path)
        return
    seconds, rounds, bulk = (0.3, 1, 64 * MIB) if options.quick else (2.0, 5, KIB * MIB)
    for size in (0, KIB):
        with Server("channel", size, "") as ours, Server("site", size, "") as site:
            for connections in (16, 32):
                pairs = [
                    [
                        closed_loop(server.port, [GET], connections, seconds)
                        for server in (ours, site)
                    ]
                    for _ in range(rounds)
                ]
                compare(
                    f"GET {size} bytes, {connections} clients",
                    "req/s",
                    *map(list, zip(*pairs, strict=True)),
                    "twisted.web Site",
                )
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-") as directory:
        path = Path(directory, "large")
        with path.open("wb") as file:
            for _ in range(bulk // MIB):
                file.write(os.urandom(MIB))
        with Server("large", 0, str(path)) as ours, Server("raw", 0, str(path)) as raw:
            for method, reference in (("GET", "read and send"), ("PUT", "receive")):
                pairs = [
                    [moved(server.port, method, bulk) for server in (ours, raw)]
                    for _ in range(rounds)
                ]
                compare(
                    f"{method} {bulk // MIB} MiB",
                    "GiB/s",
                    *map(list, zip(*pairs, strict=True)),
                    reference,
                )


if __name__ == "__main__":
    main()
