"""Room on the disks: what is little keeps new data out, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from bleepstore import files
from bleepstore.config.sections import ClusterConfig, Config, MetadataConfig, SqliteMetadataConfig
from bleepstore.config.storage_sections import LocalStorageConfig, StorageConfig
from bleepstore.errors import InsufficientStorage
from bleepstore.node.room import LOOK, Room, room_of

LEAST = 1000
SMALL = 16
SIZES = [0, SMALL, SMALL + 1, None]


class Disks:
    """What ``statvfs`` tells, by directory; an exception is raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free: dict[str, int | OSError] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(files.os, "statvfs", self._tell)

    def _tell(self, directory: str) -> SimpleNamespace:
        self.asked.append(directory)
        free = self.free[directory]
        if isinstance(free, OSError):
            raise free
        return SimpleNamespace(f_bavail=free // 10, f_bfree=10**9, f_frsize=10)


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Disks:
    return Disks(monkeypatch)


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


class Node:
    """A room of one disk for metadata, one for a log and one for files."""

    def __init__(self, disks: Disks, least: int = LEAST) -> None:
        self.reusable = 0
        self.clock = Clock()
        self.disks = disks
        disks.free = {"meta": LEAST, "log": LEAST, "files": LEAST}
        self.room = Room(
            ["meta"], ["log"], ["files"], least, SMALL, lambda: self.reusable, self.clock.seconds
        )

    def takes(self, size: int | None) -> bool:
        """Whether it does, looking anew."""
        self.clock.advance(LOOK)
        try:
            self.room.require(size)
        except InsufficientStorage:
            return False
        return True


@pytest.fixture
def node(disks: Disks) -> Node:
    return Node(disks)


def test_all_is_taken_while_there_is_room(node: Node) -> None:
    assert [node.takes(size) for size in SIZES] == [True] * 4


def test_too_little_for_metadata_is_too_little_for_all(node: Node) -> None:
    node.disks.free["meta"] = LEAST - 10
    assert [node.takes(size) for size in SIZES] == [False] * 4
    node.disks.free["meta"] = LEAST
    assert node.takes(None)


def test_what_was_deleted_from_metadata_is_room_in_it(node: Node) -> None:
    node.disks.free["meta"] = LEAST - 100
    node.reusable = 99
    assert not node.takes(0)
    node.reusable = 100
    assert [node.takes(size) for size in SIZES] == [True] * 4


def test_what_was_deleted_from_metadata_is_no_room_on_the_disk_of_the_log(node: Node) -> None:
    node.disks.free["log"] = LEAST - 10
    node.reusable = 10**9
    assert [node.takes(size) for size in SIZES] == [False] * 4
    node.disks.free["log"] = LEAST
    assert node.takes(None)


def test_too_little_for_files_leaves_room_for_what_is_kept_in_metadata(node: Node) -> None:
    node.disks.free["files"] = LEAST - 10
    node.reusable = 10**9
    assert [node.takes(size) for size in SIZES] == [True, True, False, False]
    node.disks.free["files"] = LEAST
    assert node.takes(SMALL + 1)


def test_it_is_said_once_and_so_is_its_end(node: Node, said: list[str]) -> None:
    node.disks.free["files"] = LEAST - 10
    for _ in range(3):
        assert not node.takes(None)
    node.disks.free["files"] = LEAST
    for _ in range(3):
        assert node.takes(None)
    first, last = said
    assert "Less than 1000 bytes are free at files (storage.min_free_bytes)" in first
    assert "room again at files" in last


def test_the_disks_are_not_asked_for_each_operation(node: Node) -> None:
    for _ in range(3):
        node.room.require(0)
    assert node.disks.asked == ["meta", "log", "files"]
    node.clock.advance(LOOK)
    node.room.require(0)
    assert node.disks.asked == ["meta", "log", "files"] * 2


def test_a_disk_that_cannot_be_asked_says_so_when_it_is_written_to(node: Node) -> None:
    node.disks.free["files"] = OSError(5, "Input/output error")
    assert node.takes(None)


def test_none_is_asked_where_none_is_to_stay_free(disks: Disks) -> None:
    assert Node(disks, least=0).takes(None)
    assert not disks.asked


@pytest.mark.parametrize(
    ("engine", "backend", "asked"),
    [
        ("sqlite", "local", ["meta", "objects"]),
        ("sqlite", "sqlite", []),
        ("sqlite", "aws", ["meta"]),
        ("raft", "local", ["meta", "raft", "objects"]),
        ("memory", "memory", []),
    ],
)
def test_all_is_asked_that_the_node_writes_to(
    disks: Disks, engine: Any, backend: Any, asked: list[str]
) -> None:
    config = Config(
        metadata=MetadataConfig(engine=engine, sqlite=SqliteMetadataConfig(path="meta/m.db")),
        cluster=ClusterConfig(data_dir="raft"),
        storage=StorageConfig(backend=backend, local=LocalStorageConfig(root_dir="objects")),
    )
    disks.free = dict.fromkeys(asked, 10**12)
    room_of(config, lambda: 0, Clock().seconds).require(None)
    assert disks.asked == asked


def test_a_log_on_the_disk_of_the_metadata_is_asked_for_with_it(
    disks: Disks, tmp_path: Path
) -> None:
    for name in ("meta", "raft", "objects"):
        (tmp_path / name).mkdir()
    config = Config(
        metadata=MetadataConfig(
            engine="raft", sqlite=SqliteMetadataConfig(path=f"{tmp_path}/meta/m.db")
        ),
        cluster=ClusterConfig(data_dir=f"{tmp_path}/raft"),
        storage=StorageConfig(local=LocalStorageConfig(root_dir=f"{tmp_path}/objects")),
    )
    disks.free = {f"{tmp_path}/meta": 0, f"{tmp_path}/objects": 10**12}
    room_of(config, lambda: 10**12, Clock().seconds).require(0)
    assert disks.asked == [f"{tmp_path}/meta"] * 2 + [f"{tmp_path}/objects"]


def test_a_real_disk_has_some(tmp_path: Path) -> None:
    def room_for(least: int) -> Room:
        return Room([str(tmp_path)], [], [], least, SMALL, lambda: 0, Clock().seconds)

    room_for(1).require(None)
    with pytest.raises(InsufficientStorage):
        room_for(1 << 62).require(None)
