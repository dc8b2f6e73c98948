"""The contract suite over every blob store, and that none escapes it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import bleepstore.blobs
from bleepstore.interfaces.blobs import IBlobStore
from tests.contract.blob_stores import IN_PLACE, STORES, Make
from tests.contract.blobs import BlobStoreContract


class TestContract(BlobStoreContract):
    @pytest.fixture(params=STORES, ids=lambda store: store.__name__)
    def make(self, request: pytest.FixtureRequest) -> Make:
        return STORES[request.param]


def test_every_blob_store_runs_the_contract_suite() -> None:
    found = {
        member
        for module in pkgutil.iter_modules(bleepstore.blobs.__path__, "bleepstore.blobs.")
        for member in vars(importlib.import_module(module.name)).values()
        if inspect.isclass(member) and IBlobStore.implementedBy(member)
    }
    assert found == {*STORES, *IN_PLACE}
