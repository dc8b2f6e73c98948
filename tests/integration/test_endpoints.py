"""Where the server listens: TLS, UNIX sockets, sockets handed over by a service manager."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

from tests.integration.clients import clean_environment, find, run
from tests.integration.conftest import client_of
from tests.integration.daemon import TWISTD, Daemon

AUTHORITY = trustme.CA()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    issued = AUTHORITY.issue_cert("127.0.0.1", "localhost")
    path = tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return path


def test_tls_by_an_endpoint_string(tmp_path: Path, certificate: Path) -> None:
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={certificate}:certKey={certificate}"
    with Daemon(tmp_path, {"server": {"listen": [endpoint]}}) as daemon:
        secure = f"https://127.0.0.1:{daemon.port}"
        s3 = client_of(daemon, endpoint_url=secure, verify=str(tmp_path / "ca.pem"))
        s3.create_bucket(Bucket="over-tls")
        body = os.urandom(3_000_000)
        s3.put_object(Bucket="over-tls", Key="k", Body=body)
        assert s3.get_object(Bucket="over-tls", Key="k")["Body"].read() == body
        s3.close()


def test_a_unix_socket(tmp_path: Path) -> None:
    listen = ["tcp:0:interface=127.0.0.1", f"unix:{tmp_path}/s3.sock"]
    with Daemon(tmp_path, {"server": {"listen": listen}}):
        done = run(
            find("curl"), "-sS", "--unix-socket", tmp_path / "s3.sock", "http://localhost/health",
            env=clean_environment(tmp_path), cwd=tmp_path,
        )  # fmt: skip
        assert '"ok"' in done.stdout


HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_FDNAMES"] = "bleepstore.socket"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_of_systemd(tmp_path: Path) -> None:
    """As ``bleepstore.socket`` does it: the socket is open before the server starts."""
    config = tmp_path / "bleepstore.yaml"
    config.write_text(yaml.safe_dump({"server": {"listen": ["systemd:domain=INET:index=0"]}}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [
            sys.executable, "-c", HAND_OVER, str(listener.fileno()),
            str(TWISTD), "-n", "--pidfile=", "bleepstore", "--config", str(config),
        ]  # fmt: skip
        with socket.create_connection(("127.0.0.1", port)) as early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                pass_fds=[listener.fileno()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                early.settimeout(60)
                answer = early.recv(65_536)
            finally:
                process.terminate()
                process.wait(timeout=60)
    assert answer.startswith(b"HTTP/1.1 200 ")
