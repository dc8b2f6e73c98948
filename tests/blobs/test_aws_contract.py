"""The store in AWS S3, against real servers that speak its protocol."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted

from tests.blobs.aws_world import make_store, new_prefix
from tests.contract.in_place import InPlaceContract
from tests.integration.backing import make_backing_bucket
from tests.integration.daemon import Daemon


@pytest.fixture(scope="module")
def bleepstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Daemon(tmp_path_factory.mktemp("backing")) as daemon:
        make_backing_bucket(daemon.url)
        yield daemon.url


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Moto's server, as another opinion of what S3 does."""
    pytest.importorskip("moto")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError("moto's server did not start")
        drained = threading.Thread(target=process.stderr.read)
        drained.start()
        make_backing_bucket(found[0])
        yield found[0]
    finally:
        process.terminate()
        process.wait()
    drained.join()
    process.stderr.close()


async def two_stores(url: str) -> AsyncIterator[Any]:
    prefix = new_prefix()
    stores = make_store(url, prefix), make_store(url, prefix)
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


class TestOnBleepStore(InPlaceContract):
    @pytest_twisted.async_yield_fixture
    async def stores(self, bleepstore: str) -> AsyncIterator[Any]:
        async for stores in two_stores(bleepstore):
            yield stores


class TestOnMoto(InPlaceContract):
    """Moto lets conditions pass that S3 decides: If-Match of CompleteMultipartUpload, and
    x-amz-copy-source-if-match.  What depends on them is left to the other server."""

    test_a_source_that_has_changed_is_not_copied = None  # type: ignore[assignment]

    @pytest.mark.parametrize("size", [10])
    @pytest_twisted.ensureDeferred
    async def test_what_lies_there_unexpectedly_stays(
        self, store: Any, other: Any, size: int
    ) -> None:
        await self.require_that_it_stays(store, other, size)

    @pytest_twisted.async_yield_fixture
    async def stores(self, moto: str) -> AsyncIterator[Any]:
        async for stores in two_stores(moto):
            yield stores
