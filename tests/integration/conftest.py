"""A server for all tests of this folder, and a bucket of its own for each."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes.fault_proxy import PASS, USUAL, Plan, Seeded
from tests.integration import clients
from tests.integration.backing import azure_settings, gateway, google_gateway
from tests.integration.cluster import Cluster
from tests.integration.daemon import Daemon
from tests.integration.world import SETTINGS, World

_numbers = itertools.count(1)

SLOW = {"election_timeout_ms": 3000, "heartbeat_interval_ms": 300, "request_timeout_ms": 10_000}
"""Settings of a cluster whose leader is to stay, however busy the machine is."""


@pytest.fixture(scope="session", params=["local", "aws", "gcp", "azure", "faulty", "cluster"])
def backend(request: pytest.FixtureRequest) -> str:
    """Where the bytes are: on the disk; behind a gateway to another S3, Cloud Storage or Azure;
    behind one to another S3 of whose requests every tenth goes wrong; on three nodes of a cluster,
    of which one is asked that does not lead."""
    name: str = request.param
    return name


def faults() -> Plan:
    """Every tenth request goes wrong.  But a large body that breaks is gone, and its client told to
    send it again; these tests ask once, so that is left to those of ``test_gateway``."""
    seeded = Seeded(1, 0.1, USUAL)
    return lambda method, target: PASS if "partNumber=" in target else seeded(method, target)


CANNOT_GO_ON = ("test_parallel_overwrites_are_never_mixed",)
"""An answer that breaks off cannot go on when the object was replaced meanwhile."""

MOVE_NO_BYTES = ("test_s3_access", "test_s3_auth", "test_s3_buckets", "test_s3_listing")
"""Modules that are about metadata alone: not worth the time of a network that fails, nor of one
more cloud.  What each cloud must do, ``contract.in_place`` asks of its store."""

FRONT_ALONE = ("test_endpoints", "test_operator", "test_robustness")

AZURE_CLIENTS = ("test_aws_cli", "test_boto3_transfers", "test_rclone")
"""Blocks are slow in the emulator: these clients put real files through it, the others do not."""

_LEFT_OUT = {
    "faulty": MOVE_NO_BYTES,
    "azure": (*MOVE_NO_BYTES, *FRONT_ALONE),
    "cluster": (*FRONT_ALONE, "test_clients"),  # real clients are tried with real, large files
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what would take time and tell nothing new, and what a cluster cannot store."""
    items[:] = [item for item in items if _is_worth_it(item, _backend(item))]


def _is_worth_it(item: pytest.Item, backend: str) -> bool:
    if backend == "cluster" and item.get_closest_marker("large_objects") is not None:
        return False
    if backend == "azure" and item.path.stem == "test_clients":
        return getattr(item, "originalname", "") in AZURE_CLIENTS
    if backend == "faulty" and item.name.startswith(CANNOT_GO_ON):
        return False
    return item.path.stem not in _LEFT_OUT.get(backend, ())


def _backend(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return "" if callspec is None else str(callspec.params.get("backend", ""))


@contextmanager
def serving(
    request: pytest.FixtureRequest,
    backend: str,
    directory: Path,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Daemon]:
    """A server on a backend; it must not have logged a traceback in the end."""
    if backend == "local":
        with Daemon(directory, settings) as daemon:
            yield daemon
    elif backend == "cluster":
        sections = {"storage": {"inline_max_bytes": 65536}, **(settings or {})}
        with Cluster(directory, settings=SLOW, sections=sections) as cluster:
            yield cluster.followers()[0]
        return
    elif backend == "gcp":
        with google_gateway(directory, settings) as daemon:
            yield daemon
    elif backend == "azure":
        url = request.getfixturevalue("azure_account")
        with Daemon(directory, azure_settings(url, settings, f"{directory.name}/")) as daemon:
            yield daemon
    else:
        plan = faults() if backend == "faulty" else None
        with gateway(directory, settings, plan) as (daemon, _):
            yield daemon
    tracebacks = [line for line in daemon.log if "Traceback" in line or "Unhandled" in line]
    assert not tracebacks, "".join(daemon.log)


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """``twistd bleepstore`` with nothing but its defaults (and a free port), on each backend."""
    with serving(request, backend, tmp_path_factory.mktemp("server")) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def world(
    request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A server with several accounts, on each backend."""
    with serving(request, backend, tmp_path_factory.mktemp("world"), SETTINGS) as daemon:
        made = World(daemon)
        yield made
        made.close()


def client_of(daemon: Daemon, **options: Any) -> Any:
    """A boto3 client with its own defaults."""
    return boto3.client(
        "s3",
        endpoint_url=options.pop("endpoint_url", daemon.url),
        aws_access_key_id=options.pop("access_key", clients.ACCESS_KEY),
        aws_secret_access_key=options.pop("secret_key", clients.SECRET_KEY),
        region_name=clients.REGION,
        **options,
    )


@pytest.fixture
def s3(server: Daemon) -> Iterator[Any]:
    client = client_of(server)
    yield client
    client.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of real files: empty, small, of several parts, with names that hurt."""
    folder = tmp_path / "files"
    content = random.Random(1)
    for name, size in {
        "empty": 0,
        "small.txt": 1_000,
        "just over inline.bin": 70_001,
        "several parts.bin": 20_000_003,
        "deep/er/ünï cödé + (1)~'x'.txt": 12_345,
        "deep/percent%20 & =?#.txt": 1,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.randbytes(size))
        os.utime(path, (1_700_000_000, 1_700_000_000))  # clients compare times of whole seconds
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder: relative name → content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
