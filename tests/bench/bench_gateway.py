"""What a gateway costs: through it, and directly with plain treq, to the same server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import load, processes, signed
from tests.integration.azurite import azurite
from tests.integration.backing import (
    azure_settings,
    cloud_storage,
    gateway_settings,
    make_backing_bucket,
)
from tests.integration.conftest import client_of
from tests.integration.moto import moto

MIB = 1024 * 1024

Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Behind:
    """A server that a gateway is before.

    :ivar dialect: see ``dialects``.
    :ivar settings: of a gateway to it.
    :ivar credentials: for the dialect.
    """

    dialect: str
    url: str
    settings: Mapping[str, Any]
    credentials: str = ""


Server = Callable[[Path], AbstractContextManager[Behind]]
"""Starts one; it may use the directory."""


@contextmanager
def another_bleepstore(directory: Path) -> Iterator[Behind]:
    """Ours."""
    with processes.bleepstore(directory) as behind:
        make_backing_bucket(behind.url)
        yield Behind("s3", behind.url, gateway_settings(behind.url))


@contextmanager
def motos_server(_: Path) -> Iterator[Behind]:
    """A mock of AWS, in Python on Werkzeug; it keeps all in memory."""
    with moto() as url:
        make_backing_bucket(url)
        yield Behind("s3", url, gateway_settings(url))


@contextmanager
def microsofts_emulator(_: Path) -> Iterator[Behind]:
    """Azurite, in JavaScript; it keeps all in memory."""
    with azurite() as url:
        yield Behind("azure", url, azure_settings(url))


@contextmanager
def fake_of_cloud_storage(directory: Path) -> Iterator[Behind]:
    """The tests' own, in Python on Klein; it keeps all in memory."""
    directory.mkdir(parents=True)
    with cloud_storage(directory) as gcp:
        settings = {"storage": {"backend": "gcp", "gcp": gcp}}
        credentials = Path(gcp["credentials_file"]).read_text()
        yield Behind("google", gcp["endpoint_url"], settings, credentials)


def direct(behind: Behind, kind: str, size: int, count: int = 0, connections: int = 1) -> float:
    """The rate of ``direct_treq``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.direct_treq", behind.dialect, behind.url, kind,
         str(size), str(count), str(connections)],
        input=behind.credentials, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def cached(directory: Path, seconds: float, pairs: int) -> Pairs:
    """Rates of GETs of 64 KiB that the cache serves, and of the same from a local disk."""
    with another_bleepstore(directory / "behind") as behind:
        return _cached(directory, behind, seconds, pairs)


def measure(
    directory: Path,
    server: Server,
    seconds: float,
    pairs: int,
    large: int,
    rate: int = 1500,
) -> Iterator[tuple[str, str, float, Pairs]]:
    """Name, unit, what is wanted, and pairs of rates: through the gateway, and direct.

    :param server: what is behind.
    :param rate: requests a second of which the server may be capable.
    """
    with (
        server(directory / "behind") as behind,
        processes.bleepstore(directory / "front", behind.settings) as front,
    ):
        s3 = client_of(front)
        s3.create_bucket(Bucket="bench")
        for n in range(64):
            s3.put_object(Bucket="bench", Key=f"small/{n}", Body=b"x" * 1024)
        s3.close()
        count = max(200, int(rate * seconds))
        gets = [signed.head(front.port, "GET", f"/bench/small/{n}") for n in range(64)]
        yield (
            "GET of 1 KiB, 32 connections",
            "/s",
            0.7,
            [
                (
                    load.closed_loop(front.port, gets, seconds=seconds),
                    direct(behind, "get", 1024, count, 32),
                )
                for _ in range(pairs)
            ],
        )
        body = b"y" * 4096
        puts = [signed.put(front.port, f"/bench/put/{n}", body) for n in range(20_000)]
        yield (
            "PUT of 4 KiB, 32 connections",
            "/s",
            0.7,
            [
                (
                    load.closed_loop(front.port, puts, seconds=seconds),
                    direct(behind, "put", 4096, count, 32),
                )
                for _ in range(pairs)
            ],
        )
        piece = bytes(range(256)) * 4096
        uploads: Pairs = []
        downloads: Pairs = []
        into = bytearray(MIB)
        mib = 1.0 / MIB
        for _ in range(pairs):
            head = signed.head(front.port, "PUT", "/bench/large", length=large)
            size, took = load.upload(front.port, head, piece, large // len(piece))
            uploads.append((size / took * mib, direct(behind, "put", large) * mib))
            get = signed.head(front.port, "GET", "/bench/large")
            size, took = load.download(front.port, get, into)
            downloads.append((size / took * mib, direct(behind, "get", large) * mib))
        yield "PUT of a large object", "MiB/s", 0.8, uploads
        yield "GET of a large object", "MiB/s", 0.8, downloads


def _cached(directory: Path, behind: Behind, seconds: float, pairs: int) -> Pairs:
    settings = {"storage": {"cache": {"dir": "cache"}}}
    with (
        processes.bleepstore(directory / "cached", gateway_settings(behind.url, settings)) as front,
        processes.bleepstore(directory / "local") as local,
    ):
        for daemon in (front, local):
            s3 = client_of(daemon)
            s3.create_bucket(Bucket="cached")
            for n in range(64):
                s3.put_object(Bucket="cached", Key=f"{n}", Body=b"x" * 65536)
                s3.get_object(Bucket="cached", Key=f"{n}")["Body"].read()
            s3.close()
        gets = {
            daemon.port: [signed.head(daemon.port, "GET", f"/cached/{n}") for n in range(64)]
            for daemon in (front, local)
        }
        return [
            (
                load.closed_loop(front.port, gets[front.port], seconds=seconds),
                load.closed_loop(local.port, gets[local.port], seconds=seconds),
            )
            for _ in range(pairs)
        ]
