"""The proxy breaks what it is told to break, and nothing else."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.fakes.fault_proxy import PASS, Fault, FaultProxy, Script, Seeded

DATA = bytes(range(256)) * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers with DATA, and counts what it was asked to do."""

    protocol_version = "HTTP/1.1"
    done: list[tuple[str, int]]

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) == int(self.headers["Content-Length"]):
            self.done.append(("PUT", len(body)))
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(DATA), 1000):
                self.wfile.write(b"3e8\r\n" + DATA[at : at + 1000] + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA)

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        """Its client is a proxy that breaks connections: that is no error."""


@pytest.fixture
def done() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def proxy(done: list[tuple[str, int]]) -> Iterator[FaultProxy]:
    handler = type("Recording", (Handler,), {"done": done})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with FaultProxy(server.server_address[1]) as proxy:
        yield proxy
    server.shutdown()
    server.server_close()
    thread.join()


def ask(
    proxy: FaultProxy,
    method: str = "GET",
    body: bytes | None = None,
    path: str = "/",
    patience: float = 10,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=patience)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_what_passes_is_not_changed(proxy: FaultProxy, done: list[tuple[str, int]]) -> None:
    assert ask(proxy) == (200, DATA)
    assert ask(proxy, path="/chunked") == (200, DATA)
    assert ask(proxy, "PUT", DATA) == (200, DATA)
    assert done == [("PUT", len(DATA))]
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == DATA
    connection.close()
    assert proxy.requests == 6
    assert proxy.happened == []


@pytest.mark.parametrize("kind", ["status", "refuse"])
def test_a_status_of_its_own(proxy: FaultProxy, done: list[tuple[str, int]], kind: str) -> None:
    proxy.plan = Script([Fault(kind, status=429)], lambda method, target: method == "PUT")
    assert ask(proxy)[0] == 200
    assert ask(proxy, "PUT", b"x")[0] == 429
    assert done == []
    assert ask(proxy, "PUT", b"x")[0] == 200
    assert proxy.happened == [("PUT", "/", kind)]


def test_a_reset_within_the_request(proxy: FaultProxy, done: list[tuple[str, int]]) -> None:
    proxy.plan = Script([Fault("reset_request", at=1000)])
    with pytest.raises(ConnectionError):
        ask(proxy, "PUT", DATA)
    assert done == []


def test_a_reset_after_the_server_has_done_it(
    proxy: FaultProxy, done: list[tuple[str, int]]
) -> None:
    proxy.plan = Script([Fault("reset_answer", at=-1)])
    with pytest.raises(ConnectionError):
        ask(proxy, "PUT", DATA)
    assert done == [("PUT", len(DATA))]


@pytest.mark.parametrize("at", [0, 1, 1000, len(DATA) - 1])
def test_an_answer_that_is_cut_short(proxy: FaultProxy, at: int) -> None:
    proxy.plan = Script([Fault("truncate", at=at)])
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(proxy)
    assert len(caught.value.partial) == at


@pytest.mark.parametrize(
    "fault",
    [
        Fault("stall_answer", at=-1),
        Fault("stall_answer", at=1000),
        Fault("stall_request", at=1000),
    ],
)
def test_a_stall_lasts_until_the_client_gives_up(proxy: FaultProxy, fault: Fault) -> None:
    proxy.plan = Script([fault])
    with pytest.raises(TimeoutError):
        ask(proxy, "PUT", DATA * 40, patience=0.2)
    assert ask(proxy) == (200, DATA)


def test_a_slow_start_is_whole(proxy: FaultProxy) -> None:
    proxy.plan = Script([Fault("slow", seconds=0.01, at=10)])
    assert ask(proxy) == (200, DATA)


def test_a_seed_decides_by_the_request_alone() -> None:
    faults = (Fault("status"), Fault("truncate"))
    requests = [("GET", f"/{number % 7}") for number in range(100)]
    one, two, three = Seeded(1, 0.5, faults), Seeded(1, 0.5, faults), Seeded(2, 0.5, faults)
    first = {}
    for request in requests:
        first.setdefault(request, []).append(one(*request).kind)
    second = {}
    for request in sorted(requests):
        second.setdefault(request, []).append(two(*request).kind)
    assert first == second
    assert [one(*request) for request in requests] != [three(*request) for request in requests]


def test_no_request_fails_for_ever() -> None:
    plan = Seeded(3, 1.0, (Fault("status"),), in_a_row=2)
    assert [plan("GET", "/?a").kind for _ in range(6)] == ["status", "status", "pass"] * 2
    assert plan("GET", "/other").kind == "status"
    assert PASS.kind == "pass"
