"""An index is put before the place that its objects lie in, and before no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleepstore.config.load import load
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.node.problems import StartError
from bleepstore.node.sites import require_moved, require_site
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import Turns
from tests.fakes.cloud import Cloud, FakeInPlaceStore
from tests.metadata.values import bucket, put

IN_CLOUD = "00000001-00000001 object tag gateway/bucket/key"
CONFIG = load(environ={}, directory="/nonexistent")


def cloud(site: str) -> FakeInPlaceStore:
    store = FakeInPlaceStore(Cloud())
    store.site = site
    return store


HERE = cloud("aws:backing/gateway/")
OTHER = cloud("aws:other/gateway/")
RENAMED = cloud("aws:backing/elsewhere/")
OWN = object()


class Index:
    """A database that is closed and opened again, as by one process after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.turns = Turns()

    def open(self) -> SqliteMetadata:
        return SqliteMetadata(self._path, self.turns.clock, ImmediateThreads())

    def put(self, blob_id: str) -> None:
        store = self.open()
        self.turns.run(store.submit(bucket()))
        self.turns.run(store.submit(put("key", blob=blob_id)))
        self.turns.run(store.stop())

    def require(self, blobs: object) -> None:
        store = self.open()
        try:
            require_site(CONFIG, store, blobs)
        finally:
            self.turns.run(store.stop())

    def moved(self, blobs: object) -> str:
        store = self.open()
        try:
            return require_moved(CONFIG, store, blobs)
        finally:
            self.turns.run(store.stop())


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "m.db")


def test_another_place_than_at_the_first_start_is_refused(index: Index) -> None:
    index.require(HERE)
    index.put(IN_CLOUD)
    index.require(HERE)
    with pytest.raises(StartError, match="index of objects in aws:backing/gateway/, and") as caught:
        index.require(OTHER)
    assert "has aws:other/gateway/" in str(caught.value)
    assert "bleepstore gateway moved" in str(caught.value)
    with pytest.raises(StartError) as caught:
        index.require(RENAMED)
    assert "moved" not in str(caught.value), "objects would have other names there"
    with pytest.raises(StartError, match=r"has storage\.backend: local"):
        index.require(OWN)
    index.require(HERE)


def test_an_index_of_nothing_goes_with_every_place(index: Index) -> None:
    index.require(HERE)
    index.require(OTHER)
    index.require(OWN)
    index.put(IN_CLOUD)
    with pytest.raises(StartError):
        index.require(HERE)
    index.require(OTHER)


def test_an_index_of_objects_that_are_in_no_cloud_is_put_before_none(index: Index) -> None:
    index.require(OWN)
    index.put("00000001-00000001")
    index.require(OWN)
    with pytest.raises(StartError, match="in no cloud; choose another one for aws:backing/"):
        index.require(HERE)


def test_an_index_that_remembers_nothing_yet_learns_its_place(index: Index) -> None:
    index.put(IN_CLOUD)
    index.require(HERE)
    with pytest.raises(StartError):
        index.require(OTHER)


def test_what_was_copied_under_the_same_names_can_be_said_to_have_moved(index: Index) -> None:
    with pytest.raises(StartError, match="no index of objects in a cloud yet"):
        index.moved(OTHER)
    index.require(HERE)
    index.put(IN_CLOUD)
    with pytest.raises(StartError, match="other names"):
        index.moved(RENAMED)
    assert index.moved(OTHER) == "aws:backing/gateway/"
    index.require(OTHER)
    with pytest.raises(StartError):
        index.require(HERE)


def test_an_index_in_memory_begins_anew_and_goes_with_every_place() -> None:
    require_site(CONFIG, MemoryMetadata(), HERE)
