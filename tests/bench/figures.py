"""The figures: what is measured, its reference in the same run, and what it should at least be."""

from __future__ import annotations

import hashlib
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import bench_cluster, bench_gateway, bench_raft, load, populate, processes, signed
from tests.bench.bench_gateway import Server
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MIB = 1024 * 1024


@dataclass(frozen=True)
class Setting:
    """How much to do.  ``quick`` looks for breakage, not for figures worth quoting."""

    directory: Path
    seconds: float = 3.0
    pairs: int = 5
    large: int = 1024 * MIB
    many: int = 1_000_000
    clients: int = 16
    behind: int = 200_000


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    :ivar ratio: the subject in units of its reference; None where there is only a bound.
    :ivar wanted: e.g. "≥ 0.7" or "≤ 64 MiB".
    """

    name: str
    measured: str
    reference: str
    ratio: float | None
    wanted: str
    met: bool


def at_least(
    name: str, unit: str, wanted: float, pairs: list[tuple[float, float]], what: str
) -> Figure:
    """A rate against its reference: the median of the ratios, pair by pair."""
    ratio = statistics.median(subject / reference for subject, reference in pairs)
    subject = statistics.median(s for s, _ in pairs)
    reference = statistics.median(r for _, r in pairs)
    return Figure(
        name,
        f"{subject:,.2f} {unit}" if subject < 100 else f"{subject:,.0f} {unit}",
        f"{what}: {reference:,.2f} {unit}"
        if reference < 100
        else f"{what}: {reference:,.0f} {unit}",
        ratio,
        f"≥ {wanted:.2f}",
        ratio >= wanted,
    )


def at_most(name: str, wanted: float, pairs: list[tuple[float, float]], what: str) -> Figure:
    """A duration in seconds against its reference: the median of the ratios, pair by pair."""
    ratio = statistics.median(subject / reference for subject, reference in pairs)
    subject = statistics.median(s for s, _ in pairs)
    reference = statistics.median(r for _, r in pairs)
    return Figure(
        name,
        f"{subject * 1000:,.1f} ms",
        f"{what}: {reference * 1000:,.1f} ms",
        ratio,
        f"≤ {wanted:.2f}",
        ratio <= wanted,
    )


def bound(name: str, value: float, unit: str, wanted: float) -> Figure:
    """A value that must not be passed."""
    shown = f"{value:,.3g} {unit}"
    return Figure(name, shown, "", None, f"≤ {wanted:,.3g} {unit}", value <= wanted)


def small_objects(setting: Setting) -> Iterator[Figure]:
    """Signed GET of 1 KiB and durable PUT of 4 KiB against an empty twisted.web Resource.

    Both servers get the same bytes.
    """
    with (
        processes.bleepstore(setting.directory / "small") as daemon,
        processes.script(processes.WEB_REFERENCE) as reference,
    ):
        s3 = client_of(daemon)
        s3.create_bucket(Bucket="bench")
        for n in range(64):
            s3.put_object(Bucket="bench", Key=f"small/{n}", Body=b"x" * 1024)
        gets = [signed.head(daemon.port, "GET", f"/bench/small/{n}") for n in range(64)]
        yield at_least(
            "signed GET of 1 KiB, 32 connections",
            "/s",
            1.0,
            [
                (
                    load.closed_loop(daemon.port, gets, seconds=setting.seconds),
                    load.closed_loop(reference, gets, seconds=setting.seconds),
                )
                for _ in range(setting.pairs)
            ],
            "empty Resource",
        )
        body = b"y" * 4096
        puts = [signed.put(daemon.port, f"/bench/put/{n}", body) for n in range(20_000)]
        yield at_least(
            "durable PUT of 4 KiB, 32 connections",
            "/s",
            0.7,
            [
                (
                    load.closed_loop(daemon.port, puts, seconds=setting.seconds),
                    load.closed_loop(reference, puts, seconds=setting.seconds),
                )
                for _ in range(setting.pairs)
            ],
            "empty Resource",
        )
        if shutil.which("strace"):
            yield _fsyncs(daemon, puts, setting)


def _fsyncs(daemon: Daemon, puts: list[bytes], setting: Setting) -> Figure:
    """fsyncs for each PUT, counted by strace (which slows the server, so groups are larger)."""
    trace = subprocess.Popen(
        ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", "/dev/stdout", "-p", str(daemon.pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert trace.stderr is not None
    assert trace.stdout is not None
    trace.stderr.readline()  # "strace: Process … attached"
    rate = load.closed_loop(daemon.port, puts, seconds=setting.seconds)
    trace.terminate()
    count = sum("sync(" in line for line in trace.stdout.read().splitlines())
    return bound("fsyncs for each of these PUTs", count / (rate * setting.seconds * 1.1), "", 1 / 8)


def large_objects(setting: Setting) -> Iterator[Figure]:
    """GET and PUT of one large object on one connection."""
    source = setting.directory / "large-source"
    piece = bytes(range(256)) * 4096
    pieces = setting.large // len(piece)
    with source.open("wb") as file:
        for _ in range(pieces):
            file.write(piece)
    into = bytearray(MIB)
    gib = 1024**3
    with processes.bleepstore(setting.directory / "large") as daemon:
        client_of(daemon).create_bucket(Bucket="bench")
        uploads = []
        for n in range(setting.pairs):
            head = signed.head(daemon.port, "PUT", f"/bench/large-{n % 2}", length=setting.large)
            size, seconds = load.upload(daemon.port, head, piece, pieces)
            md5 = hashlib.md5(usedforsecurity=False)
            start = time.perf_counter()
            for _ in range(pieces):
                md5.update(piece)
            uploads.append((size / seconds / gib, size / (time.perf_counter() - start) / gib))
        with processes.script(processes.READ_AND_SEND, str(source)) as reference:
            downloads = []
            for _ in range(setting.pairs):
                get = signed.head(daemon.port, "GET", "/bench/large-0")
                size, seconds = load.download(daemon.port, get, into)
                other, reference_seconds = load.download(reference, b"GET / HTTP/1.0\r\n\r\n", into)
                downloads.append((size / seconds / gib, other / reference_seconds / gib))
    source.unlink()
    shutil.rmtree(setting.directory / "large")
    yield at_least("GET of 1 GiB, one connection", "GiB/s", 0.7, downloads, "read-and-send loop")
    yield at_least("PUT of 1 GiB, one connection", "GiB/s", 0.8, uploads, "hashlib's MD5")


def listings(setting: Setting) -> Iterator[Figure]:
    """The first page of a large bucket against that of a small one, and what a delimiter costs."""
    directory = populate.directory(setting.directory, setting.many)
    with processes.bleepstore(directory) as daemon:

        def page(bucket: str, query: str = "") -> Callable[[], float]:
            request = signed.head(daemon.port, "GET", f"/{bucket}", "list-type=2" + query)
            return lambda: _seconds(daemon.port, request)

        rounds = setting.pairs * 6
        yield at_most(
            f"first page of 1,000 keys of {setting.many:,}",
            1.5,
            _pairs(page("many"), page("few"), rounds),
            "of 10,000",
        )
        yield at_most(
            f"10 prefixes over {setting.many:,} keys",
            1.5,
            _pairs(page("many", "&delimiter=%2F"), page("tiny"), rounds),
            "10 keys alone",
        )


def _seconds(port: int, request: bytes) -> float:
    connection = load.Connection(port)
    with connection.socket:
        start = time.perf_counter()
        connection.socket.sendall(request)
        while not connection.receive():
            pass
        return time.perf_counter() - start


def _pairs(
    subject: Callable[[], float], reference: Callable[[], float], rounds: int
) -> list[tuple[float, float]]:
    subject()
    reference()
    return [(subject(), reference()) for _ in range(rounds)]


def without_bytes(setting: Setting) -> Iterator[Figure]:
    """Complete of 10,000 parts and Copy of 5 GiB: metadata only."""
    part = 5 * MIB
    with processes.bleepstore(setting.directory / "parts") as daemon:
        s3 = client_of(daemon)
        s3.create_bucket(Bucket="bench")
        s3.put_object(Bucket="bench", Key="part", Body=bytes(part))
        for key, count in (("ten-thousand", 10_000), ("five-gib", 1024)):
            upload = s3.create_multipart_upload(Bucket="bench", Key=key)["UploadId"]
            copy = {"x-amz-copy-source": "/bench/part"}
            requests = [
                signed.head(
                    daemon.port,
                    "PUT",
                    f"/bench/{key}",
                    f"partNumber={n}&uploadId={upload}",
                    headers=copy,
                )
                for n in range(1, count + 1)
            ]
            connection = load.Connection(daemon.port)
            with connection.socket:
                for request in requests:
                    connection.socket.sendall(request)
                    while not connection.receive():
                        pass
            etag = s3.head_object(Bucket="bench", Key="part")["ETag"]
            parts: list[dict[str, Any]] = [
                {"PartNumber": n, "ETag": etag} for n in range(1, count + 1)
            ]
            before = populate.used(setting.directory / "parts")
            start = time.perf_counter()
            s3.complete_multipart_upload(
                Bucket="bench", Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
            seconds = time.perf_counter() - start
            if count == 10_000:
                yield bound("Complete of 10,000 parts", seconds, "s", 1.0)
                grown = populate.used(setting.directory / "parts") - before
                yield bound("  blob bytes it wrote", grown, "B", 0)
        durations = []
        for n in range(setting.pairs):
            start = time.perf_counter()
            s3.copy_object(
                Bucket="bench", Key=f"copy-{n}", CopySource={"Bucket": "bench", "Key": "five-gib"}
            )
            durations.append(time.perf_counter() - start)
        yield bound("Copy of 5 GiB", statistics.median(durations) * 1000, "ms", 50)


def startup(setting: Setting) -> Iterator[Figure]:
    """From the start of the process to the end of its first answer."""
    twistd = str(Path(sys.executable).with_name("twistd"))
    empty = setting.directory / "start-empty"
    empty.mkdir(exist_ok=True)
    full = populate.directory(setting.directory, setting.many)
    for name, directory, wanted in (
        ("empty store", empty, 1.5),
        (f"{setting.many:,} objects", full, 1.7),
    ):
        pairs = []
        for _ in range(setting.pairs + 1):
            port, other = processes.free_port(), processes.free_port()
            options = ["-n", "--pidfile="]
            subject = [twistd, *options, "bleepstore", "--port", str(port)]
            reference = [twistd, *options, "web", "--listen", f"tcp:{other}:interface=127.0.0.1"]
            pairs.append(
                (
                    processes.seconds_to_first_answer(subject, port, directory, "/healthz"),
                    processes.seconds_to_first_answer(reference, other, empty, "/"),
                )
            )
        yield at_most(f"start to first answer, {name}", wanted, pairs[1:], "twistd -n web")


def memory(setting: Setting) -> Iterator[Figure]:
    """Resident memory: idle, and while many clients move large objects each way."""
    directory = setting.directory / "memory"
    with processes.bleepstore(directory) as daemon:
        client_of(daemon).create_bucket(Bucket="bench")
        yield bound("memory, idle", processes.resident(daemon.pid) / MIB, "MiB", 64)
        grown = _grown(daemon, setting.clients, setting.large)
    shutil.rmtree(directory)
    name = f"memory, {setting.clients} clients each way, more than idle"
    yield bound(name, grown / MIB, "MiB", 64)


def memory_of_gateways(setting: Setting) -> Iterator[Figure]:
    """The same of gateways, each before another server.  The emulators keep all in their memory,
    so less is moved before them."""
    for behind, server, part in (
        ("another BleepStore", bench_gateway.another_bleepstore, 1),
        ("Google's fake", bench_gateway.fake_of_cloud_storage, 4),
        ("Azurite", bench_gateway.microsofts_emulator, 16),
    ):
        directory = setting.directory / "gateway-memory"
        size = max(setting.large // part, MIB)
        with (
            server(directory / "behind") as cloud,
            processes.bleepstore(directory / "front", cloud.settings) as front,
        ):
            client_of(front).create_bucket(Bucket="bench")
            grown = _grown(front, setting.clients, size)
        shutil.rmtree(directory)
        name = f"gateway before {behind}, {setting.clients} × {size // MIB:,} MiB each way"
        yield bound(name, grown / MIB, "MiB", 100)


def _grown(daemon: Daemon, clients: int, size: int) -> int:
    """By how many bytes the memory of a server grows while so many clients put, and as many get,
    an object of ``size`` each."""
    idle = processes.resident(daemon.pid)
    piece = bytes(MIB)
    pieces = size // MIB
    head = signed.head(daemon.port, "PUT", "/bench/source", length=size)
    load.upload(daemon.port, head, piece, pieces)
    errors: list[BaseException] = []

    def put(n: int) -> None:
        try:
            head = signed.head(daemon.port, "PUT", f"/bench/{n}", length=size)
            load.upload(daemon.port, head, piece, pieces)
        except Exception as error:
            errors.append(error)

    def get(_: int) -> None:
        try:
            head = signed.head(daemon.port, "GET", "/bench/source")
            load.download(daemon.port, head, bytearray(MIB))
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=way, args=(n,)) for n in range(clients) for way in (put, get)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return processes.resident(daemon.pid, "VmHWM") - idle


def core_of_raft(setting: Setting) -> Iterator[Figure]:
    """The core's own work beside AMP's for its messages, in batches as 32 clients make them."""
    core, over_amp, over_stock = bench_raft.costs(32, repeat=max(setting.pairs, 5) * 3)
    ratio = core / over_amp
    yield Figure(
        "Raft's core, a command committed by three",
        f"{core / 32 * 1e6:.1f} µs",
        f"AMP, the same messages: {over_amp / 32 * 1e6:.1f} µs "
        f"(Twisted's: {over_stock / 32 * 1e6:.1f} µs)",
        ratio,
        "≤ 0.50",
        ratio <= 0.5,
    )


def cluster(setting: Setting) -> Iterator[Figure]:
    """Three nodes on this machine beside one alone."""
    directory, seconds, pairs = setting.directory, setting.seconds, setting.pairs
    for name, wanted, make in (
        ("PUT of 4 KiB through the leader of three", 0.35, bench_cluster.writes),
        ("eventual GET of 1 KiB through a follower", 0.9, bench_cluster.eventual_reads),
        ("strong GET of 1 KiB through a follower", 0.5, bench_cluster.strong_reads),
    ):
        place = directory / f"cluster-{wanted}"
        yield at_least(name, "/s", wanted, make(place, seconds, pairs), "one node alone")
        shutil.rmtree(place)
    timeout = bench_cluster.ELECTION_MS / 1000
    delays = bench_cluster.failover(directory / "failover", setting.pairs)
    yield at_most(
        "a leader's death to the next write", 2.0, [(d, timeout) for d in delays], "election"
    )
    caught = bench_cluster.catch_up(directory / "behind", setting.behind)
    yield at_least(
        f"PUT while a node {setting.behind:,} behind catches up", "/s", 0.7, caught.rates, "before"
    )
    yield Figure(
        "that node had everything, by snapshot, after",
        f"{caught.seconds:.1f} s",
        "",
        None,
        "≥ 1 snapshot",
        caught.snapshots >= 1,
    )
    yield bound("the leader's log then", caught.log_bytes / MIB, "MiB", bench_cluster.LOG_MIB)


def gateway(setting: Setting) -> Iterator[Figure]:
    """Through a gateway and directly with plain treq, to another BleepStore."""
    rates = bench_gateway.cached(setting.directory / "cache", setting.seconds, setting.pairs)
    name = "gateway: cached GET of 64 KiB, 32 connections"
    yield at_least(name, "/s", 0.9, rates, "the local backend")
    yield from _before(setting, "gateway", bench_gateway.another_bleepstore)


def emulators(setting: Setting) -> Iterator[Figure]:
    """The same before what imitates the three clouds."""
    for name, server in (
        ("moto", bench_gateway.motos_server),
        ("Azurite", bench_gateway.microsofts_emulator),
        ("Google's fake", bench_gateway.fake_of_cloud_storage),
    ):
        yield from _before(setting, name, server, 128 * MIB, 100)


def _before(
    setting: Setting, behind: str, server: Server, large: int = 512 * MIB, rate: int = 1500
) -> Iterator[Figure]:
    for name, unit, wanted, pairs in bench_gateway.measure(
        setting.directory / behind,
        server,
        setting.seconds,
        setting.pairs,
        min(setting.large, large),
        rate,
    ):
        yield at_least(f"{behind}: {name}", unit, wanted, pairs, "direct, by treq")


ALL: dict[str, Callable[[Setting], Iterator[Figure]]] = {
    "small": small_objects,
    "large": large_objects,
    "listings": listings,
    "parts": without_bytes,
    "startup": startup,
    "memory": memory,
    "raft": core_of_raft,
    "cluster": cluster,
    "gateway": gateway,
    "emulators": emulators,
    "gateway-memory": memory_of_gateways,
}
