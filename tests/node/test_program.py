"""The program as a process: it starts, says so, ends, and exits with the right status.

Every test here starts a real ``twistd`` or ``bleepstore``; the port is always the system's choice.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bleepstore import __version__

BIN = Path(sys.executable).parent
TWISTD = [str(BIN / "twistd"), "-n", "--pidfile=", "bleepstore"]
BLEEPSTORE = [sys.executable, "-m", "bleepstore"]
TAP = Path(__file__).parents[2] / "tap"
URL = re.compile(r"listens on (http://127\.0\.0\.1:\d+)")
BOUND = 60.0
"""Seconds until a hang is one; nothing is expected to take anywhere near it."""


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("BLEEPSTORE")}
    return {**clean, **more}


class Process:
    """A server in a directory of its own; its log is read line by line."""

    def __init__(self, command: list[str], directory: Path, **env: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, cwd=directory, env=environment(**env),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def read_until(self, pattern: re.Pattern[str]) -> re.Match[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if match := pattern.search(line):
                return match
        raise AssertionError("it ended:\n" + "".join(self.lines))

    def url(self) -> str:
        return self.read_until(URL)[1]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        return self.process.wait(timeout=BOUND)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    """Start servers that end with the test."""
    started: list[Process] = []

    def start(command: list[str], *options: str, **env: str) -> Process:
        process = Process([*command, *options], tmp_path, **env)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.communicate()


def finished(
    command: list[str], directory: Path, *options: str, lifeline: int = -1, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run something that ends by itself.

    :param lifeline: a file that it and its children keep open.
    """
    return subprocess.run(
        [*command, *options], cwd=directory, env=environment(**env),
        capture_output=True, text=True, timeout=BOUND,
        pass_fds=() if lifeline < 0 else (lifeline,),
    )  # fmt: skip


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=BOUND) as answer:
        return answer.status, answer.read()


@pytest.mark.parametrize("command", [TWISTD, BLEEPSTORE], ids=["twistd", "bleepstore"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_comes(
    run: Any, tmp_path: Path, command: list[str], number: signal.Signals
) -> None:
    server = run(command, "--port", "0")
    url = server.url()
    assert get(f"{url}/healthz") == (200, b"")
    assert server.end(number) in (-number, 0)
    assert "Traceback" not in "".join(server.lines)
    # The first line is the one that says where; Twisted's own chatter is debug.
    assert f" info  BleepStore {__version__} listens on http://127.0.0.1:" in server.lines[0]
    assert " warn  The default credentials are in use" in server.lines[1]
    # And the last two say that this was a stop, and no crash.
    assert f" info  BleepStore at {url} stops; requests under way have 30 s" in server.lines[-2]
    assert f" info  BleepStore at {url} has stopped" in server.lines[-1]
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_requests_are_in_the_log_when_the_process_has_ended(run: Any) -> None:
    server = run(TWISTD, "--port", "0")
    get(f"{server.url()}/healthz")
    server.end()
    assert any(re.search(r" 127\.0\.0\.1 - - /healthz 200 - in=0 ", each) for each in server.lines)


@pytest.mark.parametrize(("level", "lines"), [("warn", 2), ("error", 1)])
def test_above_level_info_it_still_says_where_it_listens_and_logs_no_request(
    run: Any, level: str, lines: int
) -> None:
    server = run(TWISTD, "--port", "0", "--log-level", level)
    assert get(f"{server.url()}/healthz") == (200, b"")
    server.end()
    assert len(server.lines) == lines


def test_the_log_may_be_json(run: Any) -> None:
    server = run(TWISTD, "--port", "0", BLEEPSTORE__SERVER__LOG_FORMAT="json")
    get(f"{server.url()}/healthz")
    server.end()
    records = [json.loads(line) for line in server.lines]
    assert records[0]["level"] == "info"
    (request,) = [record for record in records if record["logger"] == "access"]
    assert request["status"] == 200


def test_own_credentials_never_reach_the_log(run: Any) -> None:
    server = run(
        TWISTD, "--port", "0", "--log-level", "debug",
        BLEEPSTORE_ACCESS_KEY="me", BLEEPSTORE_SECRET_KEY="hunter2",
    )  # fmt: skip
    server.url()
    server.end()
    assert "hunter2" not in "".join(server.lines)


def test_the_configuration_lies_in_the_working_directory(run: Any, tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text(
        "server: {port: 0}\nmetadata: {engine: memory}\nstorage: {backend: memory}\n"
    )
    server = run(BLEEPSTORE)
    assert get(f"{server.url()}/health")[0] == 200
    assert "(metadata: memory; objects: memory)" in server.lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["bleepstore.yaml"]


def test_twistd_logs_to_its_logfile(run: Any, tmp_path: Path) -> None:
    command = [str(BIN / "twistd"), "-n", "--pidfile=", "--logfile", "here.log", "bleepstore"]
    server = run(command, "--port", "0", NOTIFY_SOCKET=f"{tmp_path}/notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        server.end()  # that one was only there to see that a missing manager does no harm
        manager.bind(f"{tmp_path}/manager")
        manager.settimeout(BOUND)
        server = run(command, "--port", "0", NOTIFY_SOCKET=f"{tmp_path}/manager")
        assert manager.recv(100) == b"READY=1"
        server.end()
        assert manager.recv(100) == b"STOPPING=1"
    assert server.lines == []
    assert "listens on" in (tmp_path / "here.log").read_text()


def test_twistd_in_the_background(tmp_path: Path) -> None:
    """The daemon logs to twistd.log, has a PID file, and ends by its signal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/manager")
        manager.settimeout(BOUND)
        done = finished(
            [str(BIN / "twistd"), "bleepstore"], tmp_path, "--port", "0",
            NOTIFY_SOCKET=f"{tmp_path}/manager",
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert manager.recv(100) == b"READY=1"
        os.kill(int((tmp_path / "twistd.pid").read_text()), signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
    assert URL.search((tmp_path / "twistd.log").read_text())


def test_a_daemon_that_cannot_start_tells_its_parent(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    ended, lifeline = os.pipe()
    with open(ended, "rb") as end:
        with open(lifeline, "wb"):
            command = [str(BIN / "twistd"), "bleepstore"]
            done = finished(command, tmp_path, "--port", "0", lifeline=lifeline)
        assert done.returncode == 1
        assert "metadata.sqlite.path" in done.stderr
        assert end.read() == b""  # it has ended, too: it tells its parent before it cleans up
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize("command", [TWISTD, BLEEPSTORE], ids=["twistd", "bleepstore"])
class TestFailures:
    """Status 1, one line, and no traceback."""

    def test_a_port_in_use(self, command: list[str], tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = finished(command, tmp_path, "--port", str(port))
        line = f"cannot listen on 127.0.0.1:{port}: Address already in use"
        assert (done.returncode, done.stderr) == (1, f"bleepstore: {line}\n")
        assert f" critical BleepStore cannot start: {line}\n" in done.stdout
        assert len(done.stdout.splitlines()) == 1

    def test_a_second_server_on_the_same_data(
        self, command: list[str], tmp_path: Path, run: Any
    ) -> None:
        first = run(command, "--port", "0")
        first.url()
        done = finished(command, tmp_path, "--port", "0")
        assert done.returncode == 1
        assert done.stderr == (
            "bleepstore: metadata.sqlite.path: ./data/metadata.db is in use by another BleepStore "
            f"(process {first.process.pid})\n"
        )
        first.end(signal.SIGKILL)
        again = run(command, "--port", "0")
        again.url()
        again.end()

    def test_data_that_is_not_ours(self, command: list[str], tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "metadata.db").write_text("this is no database" * 100)
        done = finished(command, tmp_path, "--port", "0")
        assert done.returncode == 1
        assert re.fullmatch(r"bleepstore: .*metadata\.db.*\n", done.stderr)
        assert "Traceback" not in done.stdout

    def test_mistakes_in_the_configuration(self, command: list[str], tmp_path: Path) -> None:
        (tmp_path / "bleepstore.yaml").write_text("server:\n  prot: 1\n  host: 0.0.0.0\n")
        done = finished(command, tmp_path, "--port", "x")
        assert done.returncode == 1
        assert done.stderr == (
            "bleepstore: the configuration cannot be used:\n"
            "  bleepstore.yaml:2: server.prot: unknown key; did you mean server.port?\n"
            "  --port: server.port: must be a whole number, not 'x'\n"
        )
        assert done.stdout == ""

    def test_version_and_help(self, command: list[str], tmp_path: Path) -> None:
        done = finished(command, tmp_path, "--version")
        assert (done.returncode, done.stdout) == (0, f"BleepStore {__version__}\n")
        done = finished(command, tmp_path, "--help")
        assert done.returncode == 0
        for option in ("--config", "--host", "--port", "--log-level", "--version", "--help"):
            assert option in done.stdout


def test_wrong_options_are_named_in_one_line(tmp_path: Path) -> None:
    done = finished(BLEEPSTORE, tmp_path, "--prot", "1")
    assert done.returncode == 2
    assert done.stderr == "bleepstore: option --prot not recognized\nTry bleepstore --help.\n"
    done = finished(BLEEPSTORE, tmp_path, "serve")
    assert done.returncode == 2
    assert done.stderr.startswith("bleepstore: unexpected argument: serve\n")


def test_a_request_in_flight_keeps_the_process_no_longer_than_its_bound(run: Any) -> None:
    """The client announced a body that it never sends."""
    server = run(TWISTD, "--port", "0", BLEEPSTORE__SERVER__SHUTDOWN_TIMEOUT="0.2")
    port = int(server.url().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"PUT /bucket/key HTTP/1.1\r\nHost: local")
        began = time.monotonic()
        server.end()
        assert time.monotonic() - began < 20
        client.settimeout(BOUND)
        assert client.recv(10_000) == b""


CLOCK = """
import os, time
true, true_ns = time.time, time.time_ns
def ahead():
    with open(os.environ["AHEAD"]) as file:
        return int(file.read())
time.time = lambda: true() + ahead()
time.time_ns = lambda: true_ns() + ahead() * 10**9
"""
"""The clock of a process whose machine's is set, as ``sitecustomize``: so many seconds ahead."""


def test_a_clock_that_is_set_back_holds_nothing_up(run: Any, tmp_path: Path) -> None:
    path, ahead, earlier = tmp_path / "path", tmp_path / "ahead", tmp_path / "earlier"
    path.mkdir()
    (path / "sitecustomize.py").write_text(CLOCK)
    ahead.write_text("0")
    earlier.write_text("-864000")
    server = run(
        TWISTD, "--port", "0", AHEAD=str(ahead), BLEEPSTORE__SERVER__IDLE_TIMEOUT="0.2",
        PYTHONPATH=f"{path}:{os.environ.get('PYTHONPATH', '')}",
    )  # fmt: skip
    port = int(server.url().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND) as idle:
        # Once it is connected, the server is about to look whether it has been so for too long.
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200 ")
        before = time.gmtime(time.time() - 864_000)
        earlier.replace(ahead)
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: idle.recv(65_536), b""))
    after = time.gmtime(time.time() - 864_000)
    days = {time.strftime("Date: %a, %d %b %Y", moment).encode() for moment in (before, after)}
    assert any(day in answer for day in days)


def test_the_application_file_serves(run: Any, tmp_path: Path) -> None:
    command = [str(BIN / "twistd"), "--pidfile=", "-ny", str(TAP / "bleepstore.tac")]
    server = run(command, BLEEPSTORE__SERVER__PORT="0")
    url = server.url()
    assert get(f"{url}/readyz")[0] == 200
    server.end()
    assert any(" 127.0.0.1 - - /readyz 200 - in=0 " in line for line in server.lines)


def test_a_start_imports_nothing_that_it_does_not_need(run: Any) -> None:
    """They cost tens of milliseconds and megabytes each; prometheus_client comes with the first
    scrape, awscrt with the first checksum, yaml with the first file."""
    command = [sys.executable, "-X", "importtime", "-m", "bleepstore"]
    server = run(command, "--port", "0")
    server.url()
    server.end()
    imported = {line.rpartition("|")[2].strip() for line in server.lines if "|" in line}
    assert "bleepstore.s3.front" in imported
    unwanted = {"treq", "prometheus_client", "awscrt", "yaml", "twisted.conch"}
    assert not imported & unwanted
