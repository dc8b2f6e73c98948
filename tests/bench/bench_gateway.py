"""What a gateway costs: through it, and directly with plain treq, to the same server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import load, processes, signed
from tests.integration.backing import gateway_settings, make_backing_bucket
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MIB = 1024 * 1024

Pairs = list[tuple[float, float]]


def direct(behind: Daemon, kind: str, size: int, count: int = 0, connections: int = 1) -> float:
    """The rate of ``direct_treq``."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.direct_treq", behind.url, kind,
         str(size), str(count), str(connections)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def measure(
    directory: Path, seconds: float, pairs: int, large: int
) -> Iterator[tuple[str, str, float, Pairs]]:
    """Name, unit, what is wanted, and pairs of rates: through the gateway, and direct."""
    behind_directory = directory / "behind"
    with processes.bleepstore(behind_directory) as behind:
        make_backing_bucket(behind.url)
        yield _cached(directory, behind, seconds, pairs)
        with processes.bleepstore(directory / "front", gateway_settings(behind.url)) as front:
            s3 = client_of(front)
            s3.create_bucket(Bucket="bench")
            for n in range(64):
                s3.put_object(Bucket="bench", Key=f"small/{n}", Body=b"x" * 1024)
            s3.close()
            count = max(200, int(1500 * seconds))
            gets = [signed.head(front.port, "GET", f"/bench/small/{n}") for n in range(64)]
            yield (
                "gateway: GET of 1 KiB, 32 connections",
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
                "gateway: PUT of 4 KiB, 32 connections",
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
            yield "gateway: PUT of a large object", "MiB/s", 0.8, uploads
            yield "gateway: GET of a large object", "MiB/s", 0.8, downloads


def _cached(
    directory: Path, behind: Daemon, seconds: float, pairs: int
) -> tuple[str, str, float, Pairs]:
    """A GET that the cache serves, beside one of a server on its own disk."""
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
        rates = [
            (
                load.closed_loop(front.port, gets[front.port], seconds=seconds),
                load.closed_loop(local.port, gets[local.port], seconds=seconds),
            )
            for _ in range(pairs)
        ]
        return "gateway: cached GET of 64 KiB, 32 connections", "/s", 0.9, rates
