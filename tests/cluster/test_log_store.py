"""Every log store keeps the contract; the one on disk also survives what disks do."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bleepstore.cluster
from bleepstore.cluster.log_store import SqliteLog
from bleepstore.interfaces.replication import ILogStore
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.log_stores import LogStoreContract
from tests.contract.metadata_engines import Turns
from tests.sim.memory_log import LogDisk, MemoryLog


def sqlite(directory: Path, turns: Turns) -> Callable[..., Any]:
    def opened(node_id: str) -> SqliteLog:
        return SqliteLog(str(directory / "raft"), node_id, turns.clock, ImmediateThreads())

    return opened


def memory(directory: Path, turns: Turns) -> Callable[..., Any]:
    disk = LogDisk()
    return lambda node_id: MemoryLog(disk, node_id)


STORES: dict[type[Any], Callable[[Path, Turns], Callable[..., Any]]] = {
    SqliteLog: sqlite,
    MemoryLog: memory,
}


@pytest.mark.parametrize("kind", STORES, ids=lambda kind: kind.__name__, scope="class")
class TestContract(LogStoreContract):
    @pytest.fixture
    def turns(self) -> Turns:
        return Turns()

    @pytest.fixture
    def open_log(
        self, kind: type[Any], turns: Turns, tmp_path: Path
    ) -> Iterator[Callable[[str], Any]]:
        opened: list[Any] = []
        opener = STORES[kind](tmp_path, turns)

        def open_log(node_id: str) -> Any:
            opened.append(opener(node_id))
            turns.run(opened[-1].start())
            return opened[-1]

        yield open_log
        for each in opened:
            turns.run(each.stop())


def test_no_store_escapes_the_suite() -> None:
    found = set()
    for module in pkgutil.walk_packages(bleepstore.cluster.__path__, "bleepstore.cluster."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and ILogStore.implementedBy(value):
                found.add(value)
    assert found == set(STORES) - {MemoryLog}
