"""A file of an earlier version is brought up to date where it lies, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bleepstore.metadata import schema
from bleepstore.metadata.copies import OBJECTS
from bleepstore.metadata.database import Database, open_in_memory
from bleepstore.metadata.digest import digest
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.replica import ReplicaFile
from bleepstore.metadata.schema import SCHEMA_VERSION, UnusableDatabase
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.commands import OpenEpoch, PutCredential
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.values import OTHER, OWNER, bucket, complete, copy, crc64, part, put, upload

OLD = Path(__file__).parents[1] / "vectors" / "metadata_version_1.sql"
HISTORY = (
    bucket(),
    bucket("second", owner=OTHER),
    OpenEpoch(at=1, node_id="n1"),
    put("a", b"inline", checksum=crc64("AAAAAAAAAAA=")),
    put("b", b"blob", blob="00000001-00000000"),
    put("b", b"newer", blob="00000001-00000001"),
    copy("a", "c", 1),
    upload(),
    part(1),
    part(2),
    upload("u2", "other"),
    part(1, upload_id="u2", key="other"),
    complete((1,), upload_id="u2", key="other"),
    PutCredential(at=1, credential=Credential("AK1", "s1", Account(OWNER, "one"))),
)
"""What the old file was made by."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "m.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        return int(version)
    finally:
        connection.close()


def test_an_embedded_store_opens_its_old_file_and_goes_on(old: Path) -> None:
    assert version_of(old) == 1
    turns = Turns()
    for _ in range(2):
        store = SqliteMetadata(old, turns.clock, ImmediateThreads())
        found = turns.run(store.get_object("bucket", "a", with_manifest=True))
        assert found.manifest is not None
        assert found.manifest.extents[0].data == b"inline"
        turns.run(store.stop())
    assert version_of(old) == SCHEMA_VERSION
    store = SqliteMetadata(old, turns.clock, ImmediateThreads())
    turns.run(store.submit(put("new")))
    assert store._database.writer.execute("SELECT * FROM sessions").fetchall() == []
    turns.run(store.stop())


@pytest.mark.parametrize("open_file", [Database, ReplicaFile])
def test_an_upgraded_file_is_as_one_that_was_new_to_this_version(
    old: Path, open_file: Callable[[Path], Database]
) -> None:
    new = open_in_memory()
    StateMachine(lambda: new).apply_group(HISTORY)
    database = open_file(old)
    assert digest(Reader(database.writer)) == digest(Reader(new))
    assert database.writer.execute(OBJECTS).fetchall() == new.execute(OBJECTS).fetchall()
    database.close()


def test_an_upgrade_that_fails_leaves_the_old_file(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*schema.UPGRADES[1], "CREATE TABLE buckets (x)")
    monkeypatch.setitem(schema.UPGRADES, 1, broken)
    with pytest.raises(UnusableDatabase, match="already exists"):
        Database(old)
    monkeypatch.undo()
    assert version_of(old) == 1
    Database(old).close()
    assert version_of(old) == SCHEMA_VERSION
