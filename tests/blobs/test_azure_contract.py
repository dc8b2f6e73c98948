"""The store in Azure Blob Storage, against Microsoft's emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted

from tests.blobs.azure_world import make_store, new_prefix
from tests.contract.in_place import InPlaceContract
from tests.integration.azurite import azurite


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with azurite() as url:
        yield url


class TestOnAzurite(InPlaceContract):
    @pytest_twisted.async_yield_fixture
    async def stores(self, server: str) -> AsyncIterator[Any]:
        prefix = new_prefix()
        stores = make_store(server, prefix), make_store(server, prefix)
        for store in stores:
            await store.start()
        yield stores
        for store in stores:
            await store.stop()
