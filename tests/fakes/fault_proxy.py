"""A proxy between an HTTP client and a real server, which lets requests go wrong on purpose.

It reads both sides as HTTP/1.1 so that it can break an exchange at a chosen byte.  What goes wrong
is decided for each request by a *plan*: a script, or a seed.  A seeded plan depends on the
request's method and path and on how often they were seen, not on the order in which connections
happen to be served; so a seed that failed fails again.

It runs in threads of its own: tests that block, and tests that run a reactor, can both use it.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

PATIENCE = 30.0
"""Seconds after which a silent peer is given up, so that a broken test ends."""

_RST = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    :ivar kind: ``pass``: nothing;
        ``status``: the proxy answers ``status`` itself, after it has read the body; the server
        hears nothing;
        ``refuse``: the same at once, and the body is not read;
        ``reset_request``: a reset when ``at`` bytes of the body were forwarded;
        ``reset_answer``: a reset when ``at`` bytes of the answer's body were forwarded; with -1
        before anything of the answer, though the server has done what was asked;
        ``truncate``: an orderly end of the connection at that place;
        ``stall_request``: nothing is read of the body after ``at`` bytes;
        ``stall_answer``: nothing is sent of the answer after ``at`` bytes of its body, with -1
        not even its head;
        ``slow``: the answer is held for ``seconds``, and its first ``at`` bytes come one by one.
    :ivar headers: of an answer of the proxy's own.
    """

    kind: str = "pass"
    at: int = 0
    status: int = 503
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


PASS = Fault()

Plan = Callable[[str, str], Fault]
"""(method, target) → the fault of this request.  Called under a lock."""


class Script:
    """The faults of a list, one for each request that matches, in order; then nothing more.

    :param matching: ``(method, target)`` → whether the request counts.
    """

    def __init__(
        self,
        faults: Iterable[Fault],
        matching: Callable[[str, str], bool] = lambda method, target: True,
    ) -> None:
        self._faults = list(faults)
        self._matching = matching

    def __call__(self, method: str, target: str) -> Fault:
        if self._faults and self._matching(method, target):
            return self._faults.pop(0)
        return PASS

    @property
    def left(self) -> int:
        """Faults that have not happened yet."""
        return len(self._faults)


class Seeded:
    """Any of some faults, for a share of the requests, by a seed.

    :param rate: the share of requests that go wrong, 0 to 1.
    :param in_a_row: after so many faults for one method and path one passes, so that a client
        with more attempts always gets through.
    """

    def __init__(self, seed: int, rate: float, faults: Iterable[Fault], in_a_row: int = 2) -> None:
        self._seed = seed
        self._rate = rate
        self._faults = tuple(faults)
        self._most = in_a_row
        self._seen: Counter[tuple[str, str]] = Counter()
        self._row: Counter[tuple[str, str]] = Counter()

    def __call__(self, method: str, target: str) -> Fault:
        request = (method, target.partition("?")[0])
        self._seen[request] += 1
        chance = random.Random(f"{self._seed} {request} {self._seen[request]}")
        if self._row[request] < self._most and chance.random() < self._rate:
            self._row[request] += 1
            return chance.choice(self._faults)
        self._row[request] = 0
        return PASS


USUAL = (
    Fault("status", status=503),
    Fault("status", status=429, headers={"Retry-After": "0"}),
    Fault("status", status=500),
    Fault("refuse", status=503),
    Fault("reset_request", at=0),
    Fault("reset_request", at=1000),
    Fault("reset_answer", at=-1),
    Fault("reset_answer", at=100),
    Fault("truncate", at=10),
    Fault("truncate", at=70_000),
    Fault("slow", seconds=0.05, at=20),
)
"""Faults that a good client gets over without waiting for a deadline."""


class _Over(Exception):
    """This connection has come to its end."""


class _Stream:
    """One side of a connection, read as HTTP."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._buffer = bytearray()

    def more(self) -> bool:
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """The bytes up to and with a mark; nothing at the end of the connection."""
        searched = 0
        while (at := self._buffer.find(mark, max(0, searched - len(mark)))) < 0:
            searched = len(self._buffer)
            if not self.more():
                return b""
        return self._take(at + len(mark))

    def some(self, most: int) -> bytes:
        """At least a byte, unless the connection ends."""
        if not self._buffer:
            self.more()
        return self._take(min(most, len(self._buffer)))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


@dataclass
class _Head:
    raw: bytes
    first: list[str]
    fields: dict[str, str]


def _read_head(stream: _Stream) -> _Head:
    raw = stream.until(b"\r\n\r\n")
    if not raw:
        raise _Over
    lines = raw.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines[1:] if line]
    return _Head(
        raw, lines[0].split(" ", 2), {name.lower(): value.strip() for name, _, value in pairs}
    )


class FaultProxy:
    """Listens on a free port of the loopback while it is used as a context manager.

    :ivar port: where it listens.
    :ivar plan: may be replaced at any time.
    :ivar happened: (method, target, kind of fault) of the requests that did not just pass.
    :ivar requests: how many came.
    """

    def __init__(self, upstream_port: int, plan: Plan = lambda method, target: PASS) -> None:
        self.plan = plan
        self.happened: list[tuple[str, str, str]] = []
        self.requests = 0
        self._upstream_port = upstream_port
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultProxy:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._sockets:
                _shut(end)
        for thread in self._threads:
            thread.join(PATIENCE)

    def drain(self) -> None:
        """Wait until all that clients which are gone had asked for is done, or will never be."""
        for thread in self._threads[1:]:
            thread.join(PATIENCE)

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._upstream_port), PATIENCE)
        for end in (client, server):
            end.settimeout(PATIENCE)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._sockets |= {client, server}
        if self._closing.is_set():
            _shut(client)
        try:
            there, back = _Stream(client), _Stream(server)
            while True:
                self._exchange(there, back)
        except (_Over, OSError):
            pass
        finally:
            with self._lock:
                self._sockets -= {client, server}
            client.close()
            server.close()

    def _exchange(self, there: _Stream, back: _Stream) -> None:
        head = _read_head(there)
        method, target = head.first[0], head.first[1]
        with self._lock:
            self.requests += 1
            fault = self.plan(method, target)
            if fault.kind != "pass":
                self.happened.append((method, target, fault.kind))
        if fault.kind == "refuse":
            _answer(there, fault, close=True)
            raise _Over
        if fault.kind == "status":
            for _ in _body(there, head, method, answer=False):
                pass
            _answer(there, fault, close=False)
            return
        back.socket.sendall(head.raw)
        sent = 0
        for piece in _body(there, head, method, answer=False):
            sent = self._relay(piece, sent, back, there, fault, "request")
        if fault.kind in ("reset_request", "stall_request"):
            self._break(there, fault)  # the body was shorter than that
        answer = _read_head(back)
        if fault.kind == "slow":
            self._closing.wait(fault.seconds)
        if fault.at < 0 and fault.kind.endswith("_answer"):
            self._break(there, fault)
        there.socket.sendall(answer.raw)
        sent = 0
        for piece in _body(back, answer, method, answer=True):
            if fault.kind == "slow" and sent < fault.at:
                for at in range(len(piece[: fault.at])):
                    there.socket.sendall(piece[at : at + 1])
                there.socket.sendall(piece[fault.at :])
                sent += len(piece)
            else:
                sent = self._relay(piece, sent, there, there, fault, "answer")
        if answer.fields.get("connection", "").lower() == "close":
            raise _Over

    def _relay(
        self, piece: bytes, sent: int, to: _Stream, client: _Stream, fault: Fault, part: str
    ) -> int:
        """Forward a piece, or as much of it as there is to the place where it breaks."""
        breaks = fault.kind in (f"reset_{part}", f"stall_{part}") or (
            part == "answer" and fault.kind == "truncate"
        )
        if breaks and sent + len(piece) > fault.at:
            to.socket.sendall(piece[: max(0, fault.at - sent)])
            self._break(client, fault)
        to.socket.sendall(piece)
        return sent + len(piece)

    def _break(self, client: _Stream, fault: Fault) -> None:
        if fault.kind.startswith("stall"):
            # Not a byte is read or sent until the client gives up, or the test ends.
            gone = select.poll()
            gone.register(client.socket, select.POLLRDHUP)
            gone.poll(PATIENCE * 1000)
        elif fault.kind.startswith("reset"):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        raise _Over


def _answer(to: _Stream, fault: Fault, close: bool) -> None:
    lines = [f"HTTP/1.1 {fault.status} Fault", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in fault.headers.items()]
    if close:
        lines.append("Connection: close")
    to.socket.sendall("\r\n".join([*lines, "", ""]).encode())


def _body(stream: _Stream, head: _Head, method: str, answer: bool) -> Iterable[bytes]:
    """The body as it is on the wire, its framing with it (RFC 9112, section 6.3)."""
    if answer and (method == "HEAD" or int(head.first[1]) in (204, 304)):
        return
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        while True:
            line = stream.until(b"\r\n")
            if not line:
                raise _Over
            yield line
            left = int(line.split(b";")[0], 16)
            if not left:
                while (line := stream.until(b"\r\n")) != b"\r\n":
                    if not line:
                        raise _Over
                    yield line
                yield line
                return
            left += 2
            while left:
                piece = stream.some(left)
                if not piece:
                    raise _Over
                left -= len(piece)
                yield piece
    if answer and "content-length" not in head.fields:
        while piece := stream.some(65536):
            yield piece
        raise _Over
    left = int(head.fields.get("content-length", "0"))
    while left:
        piece = stream.some(min(left, 65536))
        if not piece:
            raise _Over
        left -= len(piece)
        yield piece


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        end.shutdown(socket.SHUT_RDWR)
