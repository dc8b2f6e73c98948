"""A gateway to Azure Storage: what lies there, one key, a network that fails, crashes.

What a gateway has in common with any other server, the S3 tests say; they run before one, too.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.config import Config

from bleepstore.blobs.azure_messages import listed_page
from tests.fakes.fault_proxy import FaultProxy
from tests.integration.azurite import CONTAINER, ask
from tests.integration.backing import azure_settings
from tests.integration.cloud_writers import (
    require_little_memory,
    require_nothing_lost_in_a_failing_network,
    require_nothing_lost_in_crashes,
)
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MIB = 1 << 20
HIDDEN = ".bleepstore/"
PROGRAM = Path(sys.executable).with_name("bleepstore")


class World:
    """A gateway, Azure, and what can go wrong between the two."""

    def __init__(self, directory: Path, url: str, proxy: FaultProxy) -> None:
        self.url = url
        self.proxy = proxy
        self.prefix = f"{directory.name}/"
        settings = azure_settings(f"{proxy.url}{urlsplit(url).path}", prefix=self.prefix)
        self.front = Daemon(directory, settings).start()

    def client(self) -> Any:
        return client_of(
            self.front,
            config=Config(
                retries={"total_max_attempts": 1}, max_pool_connections=16, read_timeout=60
            ),
        )

    def lying(self) -> dict[str, int]:
        """What lies in the cloud: name without the prefix → size."""
        path = f"/{CONTAINER}?restype=container&comp=list&prefix={quote(self.prefix)}"
        status, _, document = ask(self.url, "GET", path)
        assert status == 200
        page = listed_page(document)
        assert not page.marker
        return {each.name.removeprefix(self.prefix): each.size for each in page.names}

    def shown(self) -> dict[str, int]:
        """The objects that other programs see of the bucket: key → bytes."""
        return {
            name.removeprefix("bucket/"): size
            for name, size in self.lying().items()
            if not name.startswith(HIDDEN)
        }

    def native(self, name: str) -> tuple[dict[str, str], bytes]:
        """What other programs of the cloud read: headers and body."""
        status, headers, body = ask(self.url, "GET", f"/{CONTAINER}/{quote(self.prefix + name)}")
        assert status == 200
        return headers, body


@pytest.fixture
def world(azure_account: str, tmp_path: Path) -> Iterator[World]:
    with FaultProxy(urlsplit(azure_account).port or 0) as proxy:
        world = World(tmp_path, azure_account, proxy)
        try:
            yield world
        finally:
            world.front.stop()


def test_what_lies_in_the_cloud(world: World) -> None:
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")
    poem = gzip.compress(b"a poem " * 1000)
    s3.put_object(
        Bucket="bucket",
        Key="a/poem.gz",
        Body=poem,
        ContentType="text/x-poem",
        ContentEncoding="gzip",
        CacheControl="no-cache",
        Metadata={"colour": "blue", "my-name": "x"},
    )
    headers, body = world.native("bucket/a/poem.gz")
    assert body == poem
    assert headers["content-type"] == "text/x-poem"
    assert headers["content-encoding"] == "gzip"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-ms-meta-colour"] == "blue"
    assert headers["x-ms-meta-my_2dname"] == "x"
    assert headers["x-ms-meta-bleepstore_blob"]
    data = random.Random(1).randbytes(11 * MIB)
    upload = s3.create_multipart_upload(Bucket="bucket", Key="big", ContentType="video/mp4")
    named = {"Bucket": "bucket", "Key": "big", "UploadId": upload["UploadId"]}
    parts = []
    for number in (1, 2, 3):
        piece = data[(number - 1) * 5 * MIB : number * 5 * MIB]
        part = s3.upload_part(**named, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert sum(name.startswith(HIDDEN) for name in world.lying()) == 3
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    headers, body = world.native("bucket/big")
    assert body == data
    assert headers["content-type"] == "video/mp4"
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/big")
    ranged = s3.get_object(Bucket="bucket", Key="copy", Range=f"bytes={5 * MIB - 1}-{5 * MIB}")
    assert ranged["Body"].read() == data[5 * MIB - 1 : 5 * MIB + 1]
    s3.delete_object(Bucket="bucket", Key="big")
    s3.delete_object(Bucket="bucket", Key="a/poem.gz")
    shown = {name: size for name, size in world.lying().items() if not name.startswith(HIDDEN)}
    assert shown == {"bucket/copy": 11 * MIB}


def test_one_key_is_written_read_and_deleted_at_once(world: World) -> None:
    """Whoever reads gets a whole object, of one writer, or none; large bodies come in meanwhile."""
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")

    def body(number: int) -> bytes:
        return b"%08d" % number * (1, 30_000, 180_000)[number % 3]

    def write(number: int) -> None:
        if number % 7 == 6:
            s3.delete_object(Bucket="bucket", Key="key")
        else:
            s3.put_object(Bucket="bucket", Key="key", Body=body(number))

    def read(_: int) -> None:
        try:
            answer = s3.get_object(Bucket="bucket", Key="key")
        except s3.exceptions.NoSuchKey:
            return
        data = answer["Body"].read()
        assert data == body(int(data[:8]))
        assert answer["ETag"] == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'

    with ThreadPoolExecutor(12) as pool:
        writing = [pool.submit(write, number) for number in range(40)]
        reading = [pool.submit(read, number) for number in range(80)]
        for each in (*writing, *reading):
            each.result(timeout=120)
    s3.put_object(Bucket="bucket", Key="key", Body=b"last")
    assert world.native("bucket/key")[1] == b"last"
    assert [name for name in world.lying() if not name.startswith(HIDDEN)] == ["bucket/key"]


def test_many_large_transfers_take_little_memory(world: World) -> None:
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")
    require_little_memory(s3, world.front, pieces=10)  # blocks are slow in the emulator


def test_what_other_programs_have_put_is_indexed_and_replaced(world: World) -> None:
    def put(name: str, body: bytes, **headers: str) -> None:
        path = f"/{CONTAINER}/{quote(world.prefix + name)}"
        headers = {"x_ms_blob_type": "BlockBlob", **headers}
        assert ask(world.url, "PUT", path, body, **headers)[0] == 201

    for number in range(3):
        put(f"photos/{number} ü.jpg", b"%d" % number, x_ms_blob_content_type="image/jpeg")
    put("photos/film", b"film", x_ms_meta_Colour="no")
    put("photos/folder/", b"")  # no name that we would give
    world.front.stop()
    done = subprocess.run(
        [PROGRAM, "gateway", "import"],
        cwd=world.front.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "5 objects seen, 4 indexed" in done.stdout
    assert "1 passed over" in done.stdout
    world.front.start()
    s3 = world.client()
    answer = s3.get_object(Bucket="photos", Key="2 ü.jpg")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"2", "image/jpeg")
    assert answer["ETag"] == f'"{hashlib.md5(b"2", usedforsecurity=False).hexdigest()}"'
    assert s3.head_object(Bucket="photos", Key="film")["Metadata"] == {"colour": "no"}
    put("photos/film", b"another")  # behind our back
    assert s3.get_object(Bucket="photos", Key="film")["Body"].read() == b"another"
    data = random.Random(1).randbytes(3 * MIB)
    put("photos/film", b"a third")
    s3.put_object(Bucket="photos", Key="film", Body=data)
    assert world.native("photos/film")[1] == data
    s3.close()


def test_no_acknowledged_write_is_lost_in_a_network_that_fails(world: World) -> None:
    require_nothing_lost_in_a_failing_network(world, seed=13, writes=12)


def test_no_acknowledged_write_is_lost_in_a_crash(world: World) -> None:
    require_nothing_lost_in_crashes(world, seed=5, least=20)
