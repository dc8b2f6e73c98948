"""The store in Azure Blob Storage, against Microsoft's emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from tests.blobs.azure_world import make_store, new_prefix
from tests.contract.in_place import InPlaceContract


@pytest.fixture
def server(azure_account: str) -> str:
    return azure_account


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
