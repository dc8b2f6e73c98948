"""A gateway to another S3: what lies there, what other programs do to it, and a network that fails.

What a gateway has in common with any other server, the S3 tests say; they run before one, too.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.fakes.fault_proxy import USUAL, Fault, FaultProxy, Script, Seeded
from tests.integration import clients
from tests.integration.backing import (
    BUCKET,
    PREFIX,
    backing_client,
    gateway,
    gateway_settings,
    make_backing_bucket,
)
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon
from tests.integration.raw import Account

MIB = 1 << 20


class Both:
    """A gateway and the server behind it, with a client of each."""

    def __init__(self, front: Daemon, behind: Daemon) -> None:
        self.front = front
        self.s3 = client_of(
            front,
            config=Config(
                retries={"total_max_attempts": 1}, max_pool_connections=32, read_timeout=60
            ),
        )
        self.cloud = backing_client(behind.url)

    def lying(self) -> dict[str, int]:
        """What lies in the cloud below the gateway's prefix: name → size."""
        pages = self.cloud.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
        return {
            entry["Key"].removeprefix(PREFIX): entry["Size"]
            for page in pages
            for entry in page.get("Contents", ())
        }

    def native(self, name: str) -> Any:
        return self.cloud.get_object(Bucket=BUCKET, Key=PREFIX + name)

    def close(self) -> None:
        self.s3.close()
        self.cloud.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with gateway(tmp_path_factory.mktemp("gateway")) as (front, behind):
        made = Both(front, behind)
        yield made
        made.close()


@pytest.fixture
def bucket(both: Both, request: pytest.FixtureRequest) -> str:
    name = hashlib.md5(request.node.name.encode(), usedforsecurity=False).hexdigest()
    both.s3.create_bucket(Bucket=name)
    return name


def test_the_clouds_own_tools_read_what_was_put(both: Both, bucket: str) -> None:
    body = gzip.compress(b"a poem " * 1000)
    both.s3.put_object(
        Bucket=bucket,
        Key="a/poem.gz",
        Body=body,
        ContentType="text/x-poem",
        ContentEncoding="gzip",
        CacheControl="no-cache",
        Metadata={"colour": "blue"},
    )
    native = both.native(f"{bucket}/a/poem.gz")
    assert native["Body"].read() == body
    assert native["ContentType"] == "text/x-poem"
    assert native["ContentEncoding"] == "gzip"
    assert native["CacheControl"] == "no-cache"
    assert native["Metadata"].pop("bleepstore-blob")
    assert native["Metadata"] == {"colour": "blue"}
    assert native["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def test_uploads_and_copies_are_the_clouds_own(both: Both, bucket: str) -> None:
    data = random.Random(1).randbytes(11 * MIB)
    upload = both.s3.create_multipart_upload(Bucket=bucket, Key="big", ContentType="video/mp4")
    named = {"Bucket": bucket, "Key": "big", "UploadId": upload["UploadId"]}
    parts = []
    for number in (1, 2, 3):
        piece = data[(number - 1) * 5 * MIB : number * 5 * MIB]
        part = both.s3.upload_part(**named, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    (native,) = both.cloud.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert native["Key"] == f"{PREFIX}{bucket}/big"
    listed = both.cloud.list_parts(Bucket=BUCKET, Key=native["Key"], UploadId=native["UploadId"])
    assert [part["Size"] for part in listed["Parts"]] == [5 * MIB, 5 * MIB, MIB]
    done = both.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    native = both.native(f"{bucket}/big")
    assert native["Body"].read() == data
    assert native["ContentType"] == "video/mp4"
    both.s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "big"},
        MetadataDirective="REPLACE",
        Metadata={"new": "yes"},
    )
    assert both.s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == data
    assert both.native(f"{bucket}/copy")["Metadata"]["new"] == "yes"
    both.s3.delete_object(Bucket=bucket, Key="big")
    assert both.lying().keys() & {f"{bucket}/big", f"{bucket}/copy"} == {f"{bucket}/copy"}
    upload = both.s3.create_multipart_upload(Bucket=bucket, Key="given up")
    both.s3.abort_multipart_upload(Bucket=bucket, Key="given up", UploadId=upload["UploadId"])
    assert "Uploads" not in both.cloud.list_multipart_uploads(Bucket=BUCKET)


def test_what_other_programs_change_is_noticed(both: Both, bucket: str) -> None:
    both.s3.put_object(Bucket=bucket, Key="changed", Body=b"ours")
    both.s3.put_object(Bucket=bucket, Key="deleted", Body=b"ours")
    name = f"{PREFIX}{bucket}/"
    both.cloud.put_object(Bucket=BUCKET, Key=f"{name}changed", Body=b"theirs now")
    both.cloud.put_object(Bucket=BUCKET, Key=f"{name}new", Body=b"theirs")
    both.cloud.delete_object(Bucket=BUCKET, Key=f"{name}deleted")
    assert both.s3.get_object(Bucket=bucket, Key="changed")["Body"].read() == b"theirs now"
    assert both.s3.head_object(Bucket=bucket, Key="changed")["ContentLength"] == 10
    with pytest.raises(both.s3.exceptions.NoSuchKey):
        both.s3.get_object(Bucket=bucket, Key="deleted")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        both.s3.put_object(Bucket=bucket, Key="new", Body=b"ours", IfNoneMatch="*")
    both.s3.put_object(Bucket=bucket, Key="new", Body=b"ours")
    assert both.native(f"{bucket}/new")["Body"].read() == b"ours"


def test_one_key_is_written_read_and_deleted_at_once(both: Both, bucket: str) -> None:
    """Whoever reads gets a whole object, of one writer, or none."""

    def body(number: int) -> bytes:
        return b"%08d" % number * (1 + number % 3 * 30_000)

    def write(number: int) -> None:
        if number % 7 == 6:
            both.s3.delete_object(Bucket=bucket, Key="key")
        else:
            both.s3.put_object(Bucket=bucket, Key="key", Body=body(number))

    def read(_: int) -> None:
        try:
            answer = both.s3.get_object(Bucket=bucket, Key="key")
        except both.s3.exceptions.NoSuchKey:
            return
        data = answer["Body"].read()
        assert data == body(int(data[:8]))
        assert answer["ETag"] == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'

    with ThreadPoolExecutor(12) as pool:
        writing = [pool.submit(write, number) for number in range(80)]
        reading = [pool.submit(read, number) for number in range(160)]
        for each in (*writing, *reading):
            each.result(timeout=120)
    both.s3.put_object(Bucket=bucket, Key="key", Body=b"last")
    assert both.native(f"{bucket}/key")["Body"].read() == b"last"


def resident(daemon: Daemon) -> int:
    """Bytes of memory that a server has had at most."""
    with open(f"/proc/{daemon.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_many_large_transfers_take_little_memory(both: Both, bucket: str) -> None:
    size, count = 48 * MIB, 16
    data = random.Random(1).randbytes(MIB)
    both.s3.put_object(Bucket=bucket, Key="warm", Body=data * 2)
    before = resident(both.front)
    digest = hashlib.md5(data * 48, usedforsecurity=False).hexdigest()

    def transfer(number: int) -> None:
        key = f"large-{number}"
        answer = both.s3.put_object(Bucket=bucket, Key=key, Body=data * 48)
        assert answer["ETag"] == f'"{digest}"'
        received = hashlib.md5(usedforsecurity=False)
        for piece in both.s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(MIB):
            received.update(piece)
        assert received.hexdigest() == digest

    with ThreadPoolExecutor(count) as pool:
        for each in [pool.submit(transfer, number) for number in range(count)]:
            each.result(timeout=300)
    assert size * count > 700 * MIB
    assert resident(both.front) - before < 100 * MIB


def test_health_tells_whether_the_cloud_can_be_reached(tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    (tmp_path / "front").mkdir()
    with Daemon(tmp_path / "behind") as behind, FaultProxy(behind.port) as proxy:
        make_backing_bucket(behind.url)
        with Daemon(tmp_path / "front", gateway_settings(proxy.url)) as front:
            anonymous = Account(front.port)
            for _ in range(5):
                assert anonymous.request("GET", "/readyz").status == 200
            assert proxy.requests == 1, "it is not hammered"


def test_a_bucket_that_is_not_there_is_said_before_any_client_comes(tmp_path: Path) -> None:
    for folder in ("behind", "front"):
        (tmp_path / folder).mkdir()
    with Daemon(tmp_path / "behind") as behind:
        with Daemon(tmp_path / "front", gateway_settings(behind.url)) as front:
            account = Account(front.port, clients.ACCESS_KEY, clients.SECRET_KEY)
            assert account.request("GET", "/readyz").status == 503
            assert account.request("PUT", "/bucket").status == 200
            assert account.request("PUT", "/bucket/key", body=b"data").status == 500
        log = "".join(front.log)
        assert "warn  the bucket backing is not there" in log
        assert "(aws) cannot be used now: The bucket or container behind this server" in log
        assert "Traceback" not in log, "it is told in words"


def test_foreign_changes_are_refused_where_that_is_wanted(tmp_path: Path) -> None:
    with gateway(tmp_path, {"storage": {"foreign_changes": "refuse"}}) as (front, behind):
        made = Both(front, behind)
        made.s3.create_bucket(Bucket="bucket")
        made.s3.put_object(Bucket="bucket", Key="key", Body=b"ours")
        made.cloud.put_object(Bucket=BUCKET, Key=f"{PREFIX}bucket/key", Body=b"theirs")
        for ask in (
            lambda: made.s3.get_object(Bucket="bucket", Key="key"),
            lambda: made.s3.put_object(Bucket="bucket", Key="key", Body=b"ours"),
        ):
            with pytest.raises(ClientError, match="OperationAborted"):
                ask()
        assert made.native("bucket/key")["Body"].read() == b"theirs"
        made.close()


def test_no_acknowledged_write_is_lost_in_a_network_that_fails(tmp_path: Path) -> None:
    """Writers of keys of their own; what was not acknowledged may be there or not."""
    for folder in ("behind", "front"):
        (tmp_path / folder).mkdir()
    with (
        Daemon(tmp_path / "behind") as behind,
        FaultProxy(behind.port) as proxy,
    ):
        make_backing_bucket(behind.url)
        with Daemon(tmp_path / "front", gateway_settings(proxy.url)) as front:
            made = Both(front, behind)
            made.s3.create_bucket(Bucket="bucket")
            proxy.plan = Seeded(7, 0.25, (*USUAL, Fault("reset_request", at=300_000)), in_a_row=9)
            allowed: dict[str, list[bytes | None]] = {}
            lock = threading.Lock()
            refused = 0

            def write(writer: int) -> None:
                nonlocal refused
                dice = random.Random(writer)
                for number in range(25):
                    key = f"{writer}/{dice.randrange(3)}"
                    size = dice.choice((0, 10, 70_000, 1_500_000))
                    body: bytes | None = random.Random(f"{key} {number}").randbytes(size)
                    try:
                        if dice.random() < 0.2:
                            body = None
                            made.s3.delete_object(Bucket="bucket", Key=key)
                        else:
                            made.s3.put_object(Bucket="bucket", Key=key, Body=body)
                    except (ClientError, BotoCoreError):
                        with lock:
                            refused += 1
                        allowed.setdefault(key, [None]).append(body)
                    else:
                        allowed[key] = [body]

            with ThreadPoolExecutor(8) as pool:
                for each in [pool.submit(write, writer) for writer in range(8)]:
                    each.result(timeout=300)
            assert len(proxy.happened) > 50
            proxy.plan = Script(())
            for key, bodies in allowed.items():
                try:
                    found = made.s3.get_object(Bucket="bucket", Key=key)["Body"].read()
                except made.s3.exceptions.NoSuchKey:
                    found = None
                assert found in bodies, f"{key}: {len(found or b'')} bytes"
            print(f"{len(proxy.happened)} faults, {refused} of 200 writes refused")
            made.close()


def test_a_cache_answers_for_the_cloud(tmp_path: Path) -> None:
    for folder in ("behind", "front"):
        (tmp_path / folder).mkdir()
    with Daemon(tmp_path / "behind") as behind, FaultProxy(behind.port) as proxy:
        make_backing_bucket(behind.url)
        settings = {"storage": {"cache": {"dir": "cache", "max_bytes": 8 * MIB}}}
        with Daemon(tmp_path / "front", gateway_settings(proxy.url, settings)) as front:
            made = Both(front, behind)
            made.s3.create_bucket(Bucket="bucket")
            data = random.Random(1).randbytes(3 * MIB)
            made.s3.put_object(Bucket="bucket", Key="key", Body=data)
            assert made.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == data
            before = proxy.requests
            assert made.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == data
            ranged = made.s3.get_object(Bucket="bucket", Key="key", Range="bytes=5-2000004")
            assert ranged["Body"].read() == data[5:2_000_005]
            assert proxy.requests == before
            made.s3.put_object(Bucket="bucket", Key="key", Body=b"new")
            assert made.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"new"
            for number in range(4):
                made.s3.put_object(Bucket="bucket", Key=f"more-{number}", Body=data)
                made.s3.get_object(Bucket="bucket", Key=f"more-{number}")["Body"].read()
            kept = sum(f.stat().st_size for f in (tmp_path / "front/cache").rglob("*.?"))
            assert 0 < kept <= 8 * MIB
            made.close()
