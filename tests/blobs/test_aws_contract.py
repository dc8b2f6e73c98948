"""The store in AWS S3, against real servers that speak its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3
import pytest
import pytest_twisted
from botocore.config import Config

from tests.blobs.aws_world import BUCKET, make_store, new_prefix
from tests.contract.in_place import InPlaceContract
from tests.integration.daemon import Daemon


def make_bucket(url: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="bleepstore",
        aws_secret_access_key="bleepstore-secret",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture(scope="module")
def bleepstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemon(tmp_path_factory.mktemp("backing")) as daemon:
        make_bucket(daemon.url)
        yield daemon.url


class TestOnBleepStore(InPlaceContract):
    @pytest_twisted.async_yield_fixture
    async def stores(self, bleepstore: str) -> AsyncIterator[Any]:
        prefix = new_prefix()
        stores = make_store(bleepstore, prefix), make_store(bleepstore, prefix)
        for store in stores:
            await store.start()
        yield stores
        for store in stores:
            await store.stop()
