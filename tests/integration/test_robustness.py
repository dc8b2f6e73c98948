"""Clients that are slow, rude or gone, beside one that behaves: it is served, and nothing is left.

Time-outs are configured to be short; no test waits for anything but an answer or an end.
"""

from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.raw import TIMEOUT, UNSIGNED, Account

SMALL = b"x" * 1000
LARGE_SIZE = 64 * 1024 * 1024
SHORT = {"read_timeout": 1.0, "write_timeout": 1.0, "idle_timeout": 1.0}
MIB = 1024 * 1024


class Served:
    """A server with a bucket, and what can be seen of its process."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.account = Account(daemon.port, "bleepstore", "bleepstore-secret")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.daemon.port), timeout=TIMEOUT)

    def head(self, method: str, target: str, *fields: str) -> bytes:
        """The head of a request that is presigned."""
        lines = [f"{method} {self.account.presigned(method, target)} HTTP/1.1"]
        return "\r\n".join([*lines, f"Host: {self.account.host}", *fields, "", ""]).encode()

    def memory(self) -> int:
        """Resident bytes."""
        return 1024 * int(self._status("VmRSS").split()[0])

    def descriptors(self) -> int:
        """Open ones, with that of a connection which has its answer: by then the server has closed
        those that had ended before.  A client sees their end a moment earlier."""
        with self.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536)
            return len(list(Path(f"/proc/{self.daemon.pid}/fd").iterdir()))

    def files(self) -> list[Path]:
        """The blobs on disk."""
        return list((self.daemon.directory / "data" / "objects").rglob("0*-*"))

    def _status(self, field: str) -> str:
        lines = Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        (value,) = [line.partition(":")[2] for line in lines if line.startswith(field)]
        return value


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Daemon(tmp_path_factory.mktemp("rude"), {"server": SHORT}) as daemon:
        made = Served(daemon)
        assert made.account.request("PUT", "/bucket").status == 200
        assert made.account.request("PUT", "/bucket/small", body=SMALL).status == 200
        yield made
    lines = [line for line in daemon.log if "Traceback" in line or " 500 " in line]
    assert not lines, "".join(daemon.log)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    data = bytearray()
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    return bytes(data)


def test_slow_clients_are_given_up_and_do_not_slow_others_down(served: Served) -> None:
    before = served.memory()
    half_a_head = b"GET /bucket/small HTTP/1.1\r\nHost: x\r\n"
    stalled = served.head("PUT", "/bucket/slow", f"Content-Length: {LARGE_SIZE}") + bytes(100_000)
    with ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall(half_a_head if number % 2 else stalled)
        for _ in range(50):
            assert served.account.request("GET", "/bucket/small").body == SMALL
        assert served.memory() - before < 64 * MIB
        answers = {read_all(connection)[:12] for connection in slow}
    assert answers == {b"HTTP/1.1 400"}


def test_uploads_whose_clients_vanish_or_stall_leave_nothing(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path, {"server": {**SHORT, "shutdown_timeout": 0.2}}) as daemon,
        ExitStack() as still,
    ):
        made = Served(daemon)
        assert made.account.request("PUT", "/bucket").status == 200
        head = made.head("PUT", "/bucket/gone", f"Content-Length: {LARGE_SIZE}")
        for number in range(30):
            connection = made.connect()
            connection.sendall(head + bytes(100_000 * (number % 5)))
            if number % 3 == 0:
                still.callback(connection.close)  # when the server has ended
                continue
            if number % 3 == 1:
                linger = b"\1\0\0\0\0\0\0\0"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # reset
            connection.close()
        assert made.account.request("GET", "/bucket/gone").error == (404, "NoSuchKey")
        daemon.stop()
        assert made.files() == []
    assert "Traceback" not in "".join(daemon.log), "".join(daemon.log)


def test_who_asks_and_does_not_read_is_cut_off_and_costs_little(served: Served) -> None:
    target = "/bucket/large"
    body = bytes(LARGE_SIZE)
    assert served.account.request("PUT", target, body=body, sha256=UNSIGNED).status == 200
    before, descriptors = served.memory(), served.descriptors()
    with ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(20)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(served.head("GET", target))
        assert served.account.request("GET", "/bucket/small").body == SMALL
        assert served.memory() - before < 64 * MIB
        # Nothing is read until the server has cut them all.
        while served.descriptors() > descriptors:
            assert served.account.request("GET", "/bucket/small").body == SMALL
        for connection in connections:
            assert len(read_all(connection)) < LARGE_SIZE
    assert served.account.request("DELETE", target).status == 204


def test_many_requests_at_once_on_one_connection_are_answered_in_order(served: Served) -> None:
    with served.connect() as connection:
        requests = served.head("GET", "/bucket/small") * 1000
        sender = threading.Thread(target=connection.sendall, args=(requests,))
        sender.start()
        received = bytearray()
        while received.count(b"HTTP/1.1 200 OK\r\n") < 1000 or not received.endswith(SMALL):
            piece = connection.recv(MIB)
            assert piece, "closed too early"
            received += piece
        sender.join()
    assert received.count(SMALL) == 1000


def test_connections_that_come_and_go_cost_no_descriptor(served: Served) -> None:
    before = served.descriptors()
    for number in range(600):
        with served.connect() as connection:
            connection.sendall((b"", b"GE", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[number % 3])
            connection.shutdown(socket.SHUT_WR)
            read_all(connection)
    assert served.descriptors() <= before


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=["a long field", "many fields", "a long target"],
)
def test_a_head_that_does_not_end_is_refused(served: Served, head: bytes) -> None:
    with served.connect() as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(head + b"\r\n\r\n")
        assert read_all(connection)[:10] in (b"HTTP/1.1 4", b"")
    assert served.account.request("GET", "/bucket/small").body == SMALL


METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "get")
PATHS = (
    "/", "/bucket", "/bucket/", "/bucket/g", "/bucket/..", "/bucket//", "/bucket/%ff%fe",
    "/bucket/%00", "/bucket/" + "a" * 1025, "/nope/k", "/metrics", "/docs", "*", "/%",
)  # fmt: skip
QUERIES = (
    "", "?acl", "?uploads", "?uploadId=x", "?partNumber=1&uploadId=x", "?delete", "?list-type=2",
    "?max-keys=-1", "?versionId=x", "?tagging", "?attributes", "?encoding-type=bad",
    "?prefix=%ff", "?continuation-token=zz", "?X-Amz-Signature=1", "?%00", "?=", "?&&",
    "?max-parts=99999999999999999999&uploadId=x", "?marker=%F0%9F%98%80",
)  # fmt: skip
NAMES = (
    "Range", "If-Match", "If-Modified-Since", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-acl", "x-amz-grant-read", "x-amz-checksum-crc32", "x-amz-trailer", "Content-MD5",
    "x-amz-decoded-content-length", "x-amz-storage-class", "x-amz-meta-a", "Content-Encoding",
    "x-amz-metadata-directive", "x-amz-object-attributes", "x-amz-mp-object-size", "Content-Type",
)  # fmt: skip
VALUES = (
    "", "x", "0", "-1", "9" * 25, '"abc"', "*", "bytes=0-", "bytes=5-2", "bytes=0-1,3-4",
    "Thu, 32 Foo 1", "\xff\xfe", "a" * 3000, "/bucket/small", "bucket/%ff", "id=x", "public-read",
    "SHA256", "aws-chunked", "AAAAAA==", "1B2M2Y8AsgTpgAmY7PhCfg==", "COPY", "GLACIER",
)  # fmt: skip
HASHES = (
    None,
    UNSIGNED,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
)
BODIES = (
    b"", b"x", b"<Delete><Object><Key>g</Key></Object></Delete>", b"<Delete/>", b"\xff" * 100,
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"5\r\nhello\r\n0\r\n\r\n", b"<a>" * 500,
    bytes(70_000),
)  # fmt: skip


def test_garbage_is_refused_politely_and_costs_no_memory(served: Served) -> None:
    dice = random.Random(20)

    def throw(count: int) -> None:
        for _ in range(count):
            method, target = dice.choice(METHODS), dice.choice(PATHS) + dice.choice(QUERIES)
            headers = {dice.choice(NAMES): dice.choice(VALUES) for _ in range(dice.randrange(4))}
            body = dice.choice(BODIES)
            if dice.random() < 0.7:
                answer = served.account.request(
                    method, target, headers, body, sha256=dice.choice(HASHES)
                )
                assert answer.status < 500 or answer.status == 501, (method, target, headers)
                continue
            request = bytearray(
                f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                .encode() + body
            )  # fmt: skip
            for _ in range(dice.randrange(6)):
                request[dice.randrange(len(request))] = dice.randrange(256)
            with served.connect() as connection, suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                assert read_all(connection)[9:12] != b"500", bytes(request)

    throw(500)
    memory, descriptors = served.memory(), served.descriptors()
    throw(1500)
    assert served.memory() - memory < 16 * MIB
    assert served.descriptors() <= descriptors


def test_readers_see_whole_objects_while_others_replace_them(served: Served) -> None:
    sizes = (0, 10, 16_384, 16_385, 200_000)
    written: set[str] = set()
    wrong: list[str] = []

    def act(seed: int) -> None:
        dice = random.Random(seed)
        for number in range(60):
            target = f"/bucket/shared-{dice.randrange(4)}"
            what = dice.choice(("put", "put", "get", "get", "get", "delete", "list"))
            if what == "put":
                body = hashlib.sha256(f"{seed}.{number}".encode()).digest() * 6250
                body = body[: dice.choice(sizes)]
                written.add(hashlib.md5(body).hexdigest())
                answer = served.account.request("PUT", target, body=body)
                expected = (200, f'"{hashlib.md5(body).hexdigest()}"')
                if (answer.status, answer.headers.get("etag")) != expected:
                    wrong.append(f"{target}: {answer.status}")
            elif what == "get":
                answer = served.account.request("GET", target)
                digest = hashlib.md5(answer.body).hexdigest()
                if answer.status != 404 and (
                    digest not in written or answer.headers["etag"] != f'"{digest}"'
                ):
                    wrong.append(f"{target}: {len(answer.body)} bytes, {answer.headers}")
            elif what == "delete":
                if served.account.request("DELETE", target).status != 204:
                    wrong.append(f"{target} could not be deleted")
            else:
                listed = served.account.request("GET", "/bucket?list-type=2&prefix=shared-").xml()
                keys = [element.text or "" for element in listed.iter("Key")]
                if keys != sorted(set(keys)):
                    wrong.append(f"listed {keys}")

    threads = [threading.Thread(target=act, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_connections_over_the_limit_are_told_to_slow_down(tmp_path: Path) -> None:
    with Daemon(tmp_path, {"server": {"max_connections": 4}}) as daemon, ExitStack() as stack:
        made = Served(daemon)
        kept = [HTTPConnection("127.0.0.1", daemon.port, timeout=TIMEOUT) for _ in range(4)]
        for connection in kept:
            stack.callback(connection.close)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        with made.connect() as surplus:
            surplus.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = read_all(surplus)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"<Code>SlowDown</Code>" in answer
        kept[0].request("GET", "/healthz")
        assert kept[0].getresponse().status == 200


class Confined(Daemon):
    """A server that is started with a soft limit of 64 open files."""

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        confined = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *command]
        return super()._spawn(confined, environment, pass_fds)


def test_a_low_soft_limit_of_open_files_does_not_limit_the_connections(tmp_path: Path) -> None:
    with Confined(tmp_path, {"server": {"max_connections": 100}}) as daemon, ExitStack() as stack:
        made = Served(daemon)
        made.account.request("PUT", "/bucket")
        body = bytes(100_000)
        for _ in range(90):
            idle = stack.enter_context(made.connect())
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
        assert made.account.request("PUT", "/bucket/key", body=body).status == 200
        assert made.account.request("GET", "/bucket/key").body == body
