"""A closed-loop load generator: N keep-alive connections on one epoll, no HTTP library in the way.

It must cost less than any server it measures, so it sends prepared bytes and finds the end of an
answer by its Content-Length.
"""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Sequence


class Connection:
    """One connection: a request is sent whole, and the next one after its answer."""

    __slots__ = ("buffer", "expected", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.expected = 0

    def receive(self) -> bool:
        """Take what has arrived; whether the answer is complete (and was a success)."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.buffer = self.buffer + data if self.buffer else data
        if not self.expected:
            head, separator, _ = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return False
            if not self.buffer.startswith(b"HTTP/1.1 2"):
                raise RuntimeError(self.buffer.decode("latin-1"))
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.expected = len(head) + 4 + length
        if len(self.buffer) < self.expected:
            return False
        self.buffer = b""
        self.expected = 0
        return True


def closed_loop(
    port: int, requests: Sequence[bytes], connections: int = 32, seconds: float = 3.0
) -> float:
    """Requests a second over ``seconds``, after a tenth of that as warm-up."""
    poll = select.epoll()
    by_fd = {}
    source = itertools.cycle(requests)
    for _ in range(connections):
        connection = Connection(port)
        by_fd[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
        connection.socket.sendall(next(source))
    done = 0
    start = time.perf_counter()
    warm = start + seconds / 10
    end = warm + seconds
    counting = False
    while (now := time.perf_counter()) < end:
        if not counting and now >= warm:
            counting, done, start = True, 0, now
        for fd, _event in poll.poll(1.0):
            connection = by_fd[fd]
            if connection.receive():
                done += 1
                connection.socket.sendall(next(source))
    rate = done / (time.perf_counter() - start)
    for connection in by_fd.values():
        connection.socket.close()
    poll.close()
    return rate


def download(port: int, request: bytes, into: bytearray) -> tuple[int, float]:
    """Fetch one large answer and throw it away: bytes of its body, seconds."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        start = time.perf_counter()
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        head, _, rest = head.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        left = length - len(rest)
        while left:
            received = connection.recv_into(into)
            if not received:
                raise ConnectionError("the answer ended early")
            left -= received
        return length, time.perf_counter() - start


def upload(port: int, head: bytes, piece: bytes, pieces: int) -> tuple[int, float]:
    """Send one large request, ``pieces`` times the same ``piece``: bytes, seconds to its answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        start = time.perf_counter()
        connection.sendall(head)
        for _ in range(pieces):
            connection.sendall(piece)
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return len(piece) * pieces, time.perf_counter() - start
