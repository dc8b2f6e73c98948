"""The server that is measured, and the references beside it: each a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.integration.daemon import Daemon

WEB_REFERENCE = """
import sys
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

class Empty(Resource):
    isLeaf = True
    body = b"x" * 1024
    def render_GET(self, request):
        return self.body
    def render_PUT(self, request):
        request.content.read()
        return b""

port = reactor.listenTCP(0, Site(Empty()), interface="127.0.0.1", backlog=1024)
print(port.getHost().port, flush=True)
reactor.run()
"""

READ_AND_SEND = """
import socket, sys
path = sys.argv[1]
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        connection, _ = server.accept()
        with connection, open(path, "rb", buffering=0) as source:
            connection.recv(65536)
            length = source.seek(0, 2)
            source.seek(0)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % length)
            buffer = memoryview(bytearray(262144))
            while count := source.readinto(buffer):
                connection.sendall(buffer[:count])
"""


@contextlib.contextmanager
def script(text: str, *arguments: str) -> Iterator[int]:
    """A reference: a script that prints its port first."""
    command = [sys.executable, "-c", text, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def bleepstore(directory: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Daemon]:
    """The server with its defaults, in a directory that keeps its data."""
    directory.mkdir(parents=True, exist_ok=True)
    with Daemon(directory, settings) as daemon:
        yield daemon


def seconds_to_first_answer(command: list[str], port: int, directory: Path, path: str) -> float:
    """From the start of a process to the end of its first answer on ``port``."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                    if connection.recv(4096):
                        return time.perf_counter() - start
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command} exited with {process.returncode}") from None
                time.sleep(0.002)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def resident(pid: int, field: str = "VmRSS") -> int:
    """Resident memory of a process in bytes; ``VmHWM`` is its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} of process {pid}")
