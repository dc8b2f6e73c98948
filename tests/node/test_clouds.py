"""The store in a cloud, as a node builds it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor

from bleepstore.blobs.azure import AzureBlobStore
from bleepstore.blobs.disk import UnusableStore
from bleepstore.config.load import load
from bleepstore.node.clouds import build_cloud

AZURE = {
    "BLEEPSTORE__STORAGE__BACKEND": "azure",
    "BLEEPSTORE__STORAGE__AZURE__CONTAINER": "container",
}


def build(**more: str) -> Any:
    settings = {f"BLEEPSTORE__STORAGE__AZURE__{name}": value for name, value in more.items()}
    config = load(environ={**AZURE, **settings}, directory="/nonexistent")
    anything: Any = reactor
    return build_cloud(config, anything, anything)


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)


def test_what_the_environment_has_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=a2V5")
    assert isinstance(build(), AzureBlobStore)


def test_an_account_that_is_missing_or_malformed_is_said_at_the_start() -> None:
    with pytest.raises(UnusableStore, match=r"^storage\.azure: neither an account nor"):
        build()
    with pytest.raises(UnusableStore, match=r"^storage\.azure: the account's key is not") as caught:
        build(CONNECTION_STRING="AccountName=a;AccountKey=hunter2!")
    assert "hunter2" not in str(caught.value)
