"""The fake cloud's store keeps the contract that real ones keep."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.in_place import InPlaceContract
from tests.fakes.cloud import Cloud, FakeInPlaceStore


class TestContract(InPlaceContract):
    @pytest.fixture
    def stores(self) -> Any:
        cloud = Cloud()
        return FakeInPlaceStore(cloud, "some/prefix-"), FakeInPlaceStore(cloud, "some/prefix-")
