"""Clients that write through a gateway while all goes wrong, and know what each key may hold."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from tests.fakes.fault_proxy import USUAL, Fault, FaultProxy, Script, Seeded
from tests.integration.cluster import eventually
from tests.integration.daemon import Daemon

MIB = 1 << 20


class Writers:
    """Writers of keys of their own, and what each key may hold by now.

    :ivar allowed: key → contents, None for none; more than one while a write's outcome is not
        known.
    """

    def __init__(self) -> None:
        self.allowed: dict[str, list[bytes | None]] = {}
        self.refused = 0
        self.acknowledged = 0
        self._lock = threading.Lock()

    def write(self, s3: Any, writer: int, seed: int, count: int) -> None:
        dice = random.Random(f"{seed} {writer}")
        for number in range(count):
            key = f"{writer}/{dice.randrange(3)}"
            size = dice.choice((0, 10, 70_000, 1_500_000, 3_000_000))
            body: bytes | None = random.Random(f"{seed} {key} {number}").randbytes(size)
            try:
                kind = dice.random()
                if kind < 0.2:
                    body = None
                    s3.delete_object(Bucket="bucket", Key=key)
                elif kind < 0.35:
                    self._in_parts(s3, key, body or b"")
                else:
                    s3.put_object(Bucket="bucket", Key=key, Body=body)
            except (ClientError, BotoCoreError):
                with self._lock:
                    self.refused += 1
                self.allowed.setdefault(key, [None]).append(body)
            else:
                with self._lock:
                    self.acknowledged += 1
                self.allowed[key] = [body]

    @staticmethod
    def _in_parts(s3: Any, key: str, body: bytes) -> None:
        upload = s3.create_multipart_upload(Bucket="bucket", Key=key)
        named = {"Bucket": "bucket", "Key": key, "UploadId": upload["UploadId"]}
        part = s3.upload_part(**named, PartNumber=1, Body=body)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

    def check(self, s3: Any) -> None:
        """Every key holds what it may hold; now it is known what."""
        for key, bodies in self.allowed.items():
            try:
                found = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                found = None
            assert found in bodies, f"{key}: {len(found or b'')} bytes, of {len(bodies)}"
            self.allowed[key] = [found]


class Place(Protocol):
    """A gateway, a cloud, and what can go wrong between the two."""

    front: Daemon
    proxy: FaultProxy

    def client(self) -> Any:
        """A client of the gateway, which sends nothing again."""

    def shown(self) -> Mapping[str, int]:
        """The objects that the cloud shows: key → bytes."""


def require_nothing_lost_in_a_failing_network(place: Place, seed: int, writes: int) -> None:
    """Eight writers go on while every fourth request to the cloud fails, now early and now late.

    :param seed: of the faults.
    :param writes: of each writer.
    """
    s3 = place.client()
    s3.create_bucket(Bucket="bucket")
    writers = Writers()
    faults = (*USUAL, Fault("reset_request", at=300_000), Fault("truncate", at=0))
    place.proxy.plan = Seeded(seed, 0.25, faults, in_a_row=9)
    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(writers.write, s3, n, 1, writes) for n in range(8)]:
            each.result(timeout=300)
    assert len(place.proxy.happened) > 50
    place.proxy.plan = Script(())
    writers.check(s3)
    require_what_is_indexed(s3, writers, place.shown)
    print(f"{len(place.proxy.happened)} faults, {writers.refused} of {8 * writes} writes refused")


def require_nothing_lost_in_crashes(place: Place, seed: int, least: int) -> None:
    """The gateway is killed at random instants, while the network fails, and started again.

    :param seed: of the instants.
    :param least: writes that must be acknowledged for it to mean something.
    """
    s3 = place.client()
    s3.create_bucket(Bucket="bucket")
    writers = Writers()
    dice = random.Random(seed)
    for round_number in range(6):
        place.proxy.plan = Seeded(round_number, 0.1, USUAL)
        killed = threading.Event()
        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(writers.write, s3, n, round_number, 12) for n in range(6)]
            killed.wait(dice.uniform(0.2, 1.5))
            place.front.kill()
            for each in running:
                each.result(timeout=120)
        place.proxy.plan = Script(())
        s3.close()
        place.proxy.drain()
        place.front.start()
        s3 = place.client()
        writers.check(s3)
    require_what_is_indexed(s3, writers, place.shown)
    assert writers.acknowledged > least
    print(f"{writers.acknowledged} acknowledged, {writers.refused} not")


def require_what_is_indexed(
    s3: Any, writers: Writers, shown: Callable[[], Mapping[str, int]]
) -> None:
    """The cloud shows the objects that are listed, and soon no others.

    What a deletion left that was committed just before a crash is the collector's, which begins
    when the server has started.

    :param shown: gives the objects that the cloud shows: key → bytes.
    """
    entries = s3.list_objects_v2(Bucket="bucket").get("Contents", ())
    listed = {entry["Key"]: entry["Size"] for entry in entries}
    assert listed.keys() == {key for key, (body,) in writers.allowed.items() if body is not None}
    eventually(lambda: shown().keys() <= listed.keys())
    assert shown() == listed


def require_little_memory(s3: Any, front: Daemon, pieces: int = 24) -> None:
    """Sixteen large bodies go to the cloud and come back at once, and few of their bytes are in
    memory at any time.

    :param pieces: MiB of each; all of them would be more than is allowed.
    """
    data, count = random.Random(1).randbytes(MIB), 16
    s3.put_object(Bucket="bucket", Key="warm", Body=data * 2)
    before = _most_memory(front)
    digest = hashlib.md5(data * pieces, usedforsecurity=False).hexdigest()

    def transfer(number: int) -> None:
        answer = s3.put_object(Bucket="bucket", Key=f"{number}", Body=data * pieces)
        assert answer["ETag"] == f'"{digest}"'
        received = hashlib.md5(usedforsecurity=False)
        body = s3.get_object(Bucket="bucket", Key=f"{number}")["Body"]
        for piece in body.iter_chunks(MIB):
            received.update(piece)
        assert received.hexdigest() == digest

    with ThreadPoolExecutor(count) as pool:
        for each in [pool.submit(transfer, number) for number in range(count)]:
            each.result(timeout=300)
    assert _most_memory(front) - before < 100 * MIB


def _most_memory(daemon: Daemon) -> int:
    """Bytes of memory that a server has had at most."""
    with open(f"/proc/{daemon.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
