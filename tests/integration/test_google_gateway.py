"""A gateway to Cloud Storage: what lies there, a network that fails, crashes at random instants.

What a gateway has in common with any other server, the S3 tests say; they run before one, too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.config import Config

from tests.fakes.fault_proxy import PASS, Fault, FaultProxy, Script
from tests.integration.backing import BUCKET, PREFIX, cloud_storage
from tests.integration.cloud_writers import (
    Writers,
    require_little_memory,
    require_nothing_lost_in_a_failing_network,
    require_nothing_lost_in_crashes,
    require_what_is_indexed,
)
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MIB = 1 << 20
HIDDEN = f"{PREFIX}.bleepstore/"


class World:
    """A gateway, Cloud Storage, and what can go wrong between the two."""

    def __init__(self, directory: Path, gcp: dict[str, Any], proxy: FaultProxy) -> None:
        self.cloud_url = gcp["endpoint_url"]
        self.proxy = proxy
        (directory / "front").mkdir()
        storage = {"backend": "gcp", "gcp": {**gcp, "endpoint_url": proxy.url}}
        self.front = Daemon(directory / "front", {"storage": storage}).start()

    def client(self) -> Any:
        return client_of(
            self.front,
            config=Config(
                retries={"total_max_attempts": 1}, max_pool_connections=32, read_timeout=60
            ),
        )

    def lying(self) -> dict[str, Any]:
        """What lies in the cloud: name → resource."""
        with urlopen(f"{self.cloud_url}/inside") as answer:
            lying: dict[str, Any] = json.load(answer)[BUCKET]
        return lying

    def shown(self) -> dict[str, int]:
        """The objects that the cloud's own tools see in the bucket: key → bytes."""
        return {
            name.removeprefix(f"{PREFIX}bucket/"): int(resource["size"])
            for name, resource in self.lying().items()
            if not name.startswith(HIDDEN)
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with (
        cloud_storage(tmp_path) as gcp,
        FaultProxy(int(gcp["endpoint_url"].rpartition(":")[2])) as proxy,
    ):
        world = World(tmp_path, gcp, proxy)
        try:
            yield world
        finally:
            if world.front.pid:
                world.front.stop()


def test_what_lies_in_the_cloud(world: World) -> None:
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(
        Bucket="bucket",
        Key="a/poem",
        Body=b"a poem",
        ContentType="text/x-poem",
        CacheControl="no-cache",
        Metadata={"colour": "blue"},
    )
    resource = world.lying()[f"{PREFIX}bucket/a/poem"]
    assert resource["contentType"] == "text/x-poem"
    assert resource["cacheControl"] == "no-cache"
    assert resource["metadata"]["colour"] == "blue"
    upload = s3.create_multipart_upload(Bucket="bucket", Key="big")
    named = {"Bucket": "bucket", "Key": "big", "UploadId": upload["UploadId"]}
    parts = []
    for number in range(1, 4):
        part = s3.upload_part(**named, PartNumber=number, Body=bytes([number]) * 5 * MIB)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    assert len([name for name in world.lying() if name.startswith(HIDDEN)]) == 3
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    resource = world.lying()[f"{PREFIX}bucket/big"]
    assert (resource["size"], resource["componentCount"]) == (str(15 * MIB), 3)
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/big")
    data = s3.get_object(Bucket="bucket", Key="copy", Range=f"bytes={5 * MIB - 1}-{5 * MIB}")
    assert data["Body"].read() == b"\1\2"
    s3.delete_object(Bucket="bucket", Key="big")
    s3.delete_object(Bucket="bucket", Key="a/poem")
    assert f"{PREFIX}bucket/big" not in world.lying()
    assert f"{PREFIX}bucket/copy" in world.lying()


def test_many_large_transfers_take_little_memory(world: World) -> None:
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")
    require_little_memory(s3, world.front)


def test_no_acknowledged_write_is_lost_in_a_network_that_fails(world: World) -> None:
    require_nothing_lost_in_a_failing_network(world, seed=11, writes=20)


def test_no_acknowledged_write_is_lost_in_a_crash(world: World) -> None:
    require_nothing_lost_in_crashes(world, seed=3, least=30)


def test_what_a_deletion_leaves_in_the_cloud_goes_after_a_crash(world: World) -> None:
    """It is committed first; killed before the cloud has done it, the gateway does it later."""
    s3 = world.client()
    s3.create_bucket(Bucket="bucket")
    writers = Writers()
    s3.put_object(Bucket="bucket", Key="gone", Body=b"bytes")
    refused = threading.Event()

    def refuse_deletions(method: str, target: str) -> Fault:
        if method == "DELETE":
            refused.set()
            return Fault("refuse")
        return PASS

    world.proxy.plan = refuse_deletions
    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(s3.delete_object, Bucket="bucket", Key="gone")
        assert refused.wait(60)
        world.front.kill()
        assert deletion.exception(60), "nobody was told"
    assert f"{PREFIX}bucket/gone" in world.lying()
    world.proxy.plan = Script(())
    s3.close()
    world.front.start()
    require_what_is_indexed(world.client(), writers, world.shown)
