"""What an operator meets: settings that take effect, mixed-up stores, backups, signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.daemon import START_TIMEOUT, TWISTD, Daemon
from tests.integration.raw import Account, send

LARGE = bytes(range(256)) * 400  # more than what is kept beside the metadata
ROOT = Path(__file__).parents[2]


def account(daemon: Daemon) -> Account:
    return Account(daemon.port, "bleepstore", "bleepstore-secret")


def refusal(directory: Path, settings: dict[str, Any] | None = None) -> str:
    """What a server says that must not start here; status 1 and one line."""
    config = directory / "bleepstore.yaml"
    config.write_text(yaml.safe_dump({"server": {"port": 0}, **(settings or {})}))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLEEPSTORE")}
    ended = subprocess.run(
        [TWISTD, "-n", "--pidfile=", "bleepstore", "--config", config],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_TIMEOUT,
    )
    assert ended.returncode == 1, ended.stdout
    (line,) = ended.stdout.splitlines()
    return line


def lose_metadata(directory: Path) -> None:
    for path in (directory / "data").glob("metadata.db*"):
        path.unlink()


@pytest.mark.parametrize(
    "storage",
    [
        {"backend": "sqlite"},
        {"backend": "local"},
        {"backend": "memory", "memory": {"persistence": "snapshot"}},
    ],
    ids=lambda storage: storage["backend"],
)
def test_objects_outlive_a_restart_on_every_durable_backend(
    tmp_path: Path, storage: dict[str, Any]
) -> None:
    daemon = Daemon(tmp_path, {"storage": storage})
    with daemon:
        assert account(daemon).request("PUT", "/bucket").status == 200
        assert account(daemon).request("PUT", "/bucket/k", body=LARGE).status == 200
    with daemon:
        assert account(daemon).request("GET", "/bucket/k").body == LARGE


def test_an_sqlite_backend_is_not_shared(tmp_path: Path) -> None:
    storage = {"storage": {"backend": "sqlite"}}
    with Daemon(tmp_path, storage):
        other = {**storage, "metadata": {"sqlite": {"path": "other.db"}}}
        assert "objects.db is in use by another process" in refusal(tmp_path, other)


def test_object_data_without_its_metadata_is_not_served_nor_swept(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon:
        account(daemon).request("PUT", "/bucket")
        account(daemon).request("PUT", "/bucket/k", body=LARGE)
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "data", kept)
    lose_metadata(tmp_path)
    for _ in range(2):  # it does not take it as its own by asking twice
        assert "there is object data of an earlier metadata" in refusal(tmp_path)
    lose_metadata(tmp_path)
    for path in kept.glob("metadata.db*"):
        shutil.copy(path, tmp_path / "data")
    daemon.port = 0
    with daemon:
        assert account(daemon).request("GET", "/bucket/k").body == LARGE


@pytest.mark.parametrize(
    ("backend", "place", "marker"),
    [("local", "objects", "objects/bleepstore-blobs"), ("sqlite", "objects.db", "objects.db")],
)
def test_metadata_without_its_object_data_is_served_when_that_is_wanted(
    tmp_path: Path, backend: str, place: str, marker: str
) -> None:
    settings = {"storage": {"backend": backend}}
    daemon = Daemon(tmp_path, settings)
    with daemon:
        account(daemon).request("PUT", "/bucket")
        account(daemon).request("PUT", "/bucket/large", body=LARGE)
        account(daemon).request("PUT", "/bucket/small", body=b"small")
    for path in (tmp_path / "data").glob(f"{place}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for _ in range(2):  # a supervisor that tries again makes it no other
        said = refusal(tmp_path, settings)
        assert "is its disk mounted?" in said
        assert f"make an empty file ./data/{marker}" in said
    (tmp_path / "data" / marker).touch()
    daemon.port = 0
    with daemon:
        assert account(daemon).request("GET", "/bucket/small").body == b"small"
        account(daemon).request("PUT", "/bucket/large", body=LARGE)
        assert account(daemon).request("GET", "/bucket/large").body == LARGE


def test_damaged_metadata_is_named_in_one_line(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        account(daemon).request("PUT", "/bucket")
    path = tmp_path / "data" / "metadata.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    assert "data/metadata.db: database disk image is malformed" in refusal(tmp_path)


def test_a_backup_of_a_running_server_serves(tmp_path: Path) -> None:
    """The commands of docs/operations.md, as far as they are installed everywhere."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (target / "data").mkdir(parents=True)
    bodies = {f"k{n}": bytes([n]) * size for n, size in enumerate((10, 20_000, 300_000))}
    with Daemon(source) as daemon:
        account(daemon).request("PUT", "/bucket")
        for key, body in bodies.items():
            account(daemon).request("PUT", f"/bucket/{key}", body=body)
        running = sqlite3.connect(source / "data" / "metadata.db")
        saved = sqlite3.connect(target / "data" / "metadata.db")
        running.backup(saved)  # what the shell's .backup calls
        running.close()
        saved.close()
        shutil.copytree(source / "data" / "objects", target / "data" / "objects")
    with Daemon(target) as daemon:
        for key, body in bodies.items():
            assert account(daemon).request("GET", f"/bucket/{key}").body == body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_that_come_again_change_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with Daemon(tmp_path) as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port)) as slow:
            slow.sendall(
                f"PUT {account(daemon).presigned('PUT', '/bucket/k')} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{daemon.port}\r\nContent-Length: 100\r\n\r\n".encode()
            )
            for _ in range(3):
                daemon.signal(number)
        assert daemon.wait() in (-number, 0)
    assert "Traceback" not in "".join(daemon.log), "".join(daemon.log)


def test_a_signal_to_rotate_a_log_that_is_no_file_ends_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.signal(signal.SIGUSR1)
        assert account(daemon).request("GET", "/").status == 200


def test_an_upload_in_flight_is_finished_before_the_end(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon:
        account(daemon).request("PUT", "/bucket")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as slow:
            slow.sendall(
                f"PUT {account(daemon).presigned('PUT', '/bucket/k')} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{daemon.port}\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(LARGE)}\r\n\r\n".encode()
            )
            assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")
            daemon.signal(signal.SIGTERM)
            slow.sendall(LARGE)
            answer = b"".join(iter(lambda: slow.recv(10_000), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in answer
        daemon.wait()
    with daemon:
        assert account(daemon).request("GET", "/bucket/k").body == LARGE


def test_a_stop_waits_no_longer_than_it_was_told(tmp_path: Path) -> None:
    with Daemon(tmp_path, {"server": {"shutdown_timeout": 0.2}}) as daemon:
        account(daemon).request("PUT", "/bucket")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as slow:
            slow.sendall(
                f"PUT {account(daemon).presigned('PUT', '/bucket/k')} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{daemon.port}\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(LARGE)}\r\n\r\n".encode()
            )
            assert slow.recv(1000).startswith(b"HTTP/1.1 100 ")
            daemon.signal(signal.SIGTERM)
            daemon.wait()  # the client is still there, and sends nothing
    assert not list((tmp_path / "data" / "objects").rglob("0*-*"))
    assert "Traceback" not in "".join(daemon.log), "".join(daemon.log)


def test_another_access_key_owns_what_is_stored_by_the_owner_id_of_before(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        account(daemon).request("PUT", "/bucket")
    told = {"access_key": "other", "secret_key": "other-secret"}
    with Daemon(tmp_path, {"auth": told}) as daemon:
        other = Account(daemon.port, "other", "other-secret")
        assert other.request("GET", "/bucket").error == (403, "AccessDenied")
        other.request("GET", "/")
    (owner,) = re.findall(
        "The buckets here belong to ([0-9a-f]{64}), and to no", "".join(daemon.log)
    )
    with Daemon(tmp_path, {"auth": {**told, "owner_id": owner}}) as daemon:
        other = Account(daemon.port, "other", "other-secret")
        assert other.request("GET", "/bucket").status == 200
        other.request("GET", "/")
    assert "The buckets here" not in "".join(daemon.log)


def test_region_domains_and_accounts_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = {
        "server": {"region": "eu-test-1", "domains": ["s3.example.org"], "max_object_size": 1000},
        "auth": {
            "owner_id": "o" * 64,
            "display_name": "Boss",
            "credentials": [
                {"access_key": "same", "secret_key": "same-secret", "owner_id": "o" * 64},
                {"access_key": "other", "secret_key": "other-secret", "email": "o@example.org"},
            ],
        },
    }
    with Daemon(tmp_path, settings) as daemon:
        root = account(daemon)
        same = Account(daemon.port, "same", "same-secret")
        other = Account(daemon.port, "other", "other-secret")
        assert root.request("PUT", "/bucket").error == (400, "AuthorizationHeaderMalformed")
        region = "eu-test-1"
        assert root.request("PUT", "/bucket", region=region).status == 200
        root.host = "bucket.S3.example.org"
        assert root.request("PUT", "/k", body=b"1", region=region).status == 200
        root.host = "127.0.0.1"
        assert same.request("GET", "/bucket/k", region=region).body == b"1"
        assert other.request("GET", "/bucket/k", region=region).error == (403, "AccessDenied")
        granted = {"x-amz-grant-read": 'emailAddress="o@example.org"'}
        assert root.request("PUT", "/bucket/k?acl", granted, region=region).status == 200
        assert other.request("GET", "/bucket/k", region=region).body == b"1"
        acl = root.request("GET", "/bucket?acl", region=region)
        assert (acl.text("Owner/ID"), acl.text("Owner/DisplayName")) == ("o" * 64, "Boss")
        assert root.request("PUT", "/bucket/k", body=b"x" * 1001, region=region).error == (
            400,
            "EntityTooLarge",
        )


def test_the_metrics_that_operations_names_exist(server: Daemon) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    named = {word.strip("`.,:;") for word in text.split() if word.startswith("`bleepstore_")}
    named = {name for name in named if not name.startswith("bleepstore_raft_")}  # of a cluster
    assert named
    served = send(server.port, "GET", "/metrics", {"host": "x"}).body.decode()
    assert named <= {line.split()[2] for line in served.splitlines() if line.startswith("# TYPE")}


def test_what_observability_switches_off_is_gone(tmp_path: Path) -> None:
    off = {"observability": {"metrics": False, "health_check": False}}
    with Daemon(tmp_path, off) as daemon:

        def status(path: str) -> int:
            return send(daemon.port, "GET", path, {"host": "x"}).status

        assert [status(path) for path in ("/metrics", "/healthz", "/readyz")] == [404] * 3
        health = send(daemon.port, "GET", "/health", {"host": "x"})
        assert json.loads(health.body) == {"status": "ok"}
