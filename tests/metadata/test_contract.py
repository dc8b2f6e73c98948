"""Every metadata engine keeps the contract, and none escapes the suite."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bleepstore.metadata
from bleepstore.interfaces.metadata import IMetadataStore
from tests.contract.metadata import MetadataContract
from tests.contract.metadata_engines import ENGINES, Turns, end


@pytest.mark.parametrize("engine", ENGINES, scope="class")
class TestContract(MetadataContract):
    @pytest.fixture
    def turns(self) -> Turns:
        return Turns()

    @pytest.fixture
    def store(self, engine: str, turns: Turns, tmp_path: Path) -> Iterator[Any]:
        _, make = ENGINES[engine]
        store = make(tmp_path, turns.clock)
        turns.run(store.start())
        yield store
        end(store, turns)


def test_no_engine_escapes_the_suite() -> None:
    found = set()
    for module in pkgutil.walk_packages(bleepstore.metadata.__path__, "bleepstore.metadata."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and IMetadataStore.implementedBy(value):
                found.add(value)
    assert found == {made for made, _ in ENGINES.values()}
