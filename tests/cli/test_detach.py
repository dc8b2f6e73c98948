"""A node that is taken out of its cluster, with the data that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from twisted.internet.task import Clock

from bleepstore.cli import cluster
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model import commands, proposals
from bleepstore.model.acl import Acl
from bleepstore.model.commands import CreateBucket
from bleepstore.model.proposals import Proposal
from bleepstore.node.directories import DataLock
from bleepstore.raft.messages import Entry
from bleepstore.streams.threads import ImmediateThreads
from tests.objectstore.driving import run


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node that has applied one entry and has a log, and does not run."""
    config = {
        "metadata": {"engine": "raft", "sqlite": {"path": str(tmp_path / "metadata.db")}},
        "storage": {"local": {"root_dir": str(tmp_path / "objects")}},
        "cluster": {"data_dir": str(tmp_path / "raft")},
    }
    (tmp_path / "bleepstore.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "raft").mkdir()
    (tmp_path / "raft" / "raft.db").write_text("the log")
    replica = MetadataReplica(ReplicaFile(tmp_path / "metadata.db"), Clock(), ImmediateThreads())
    create = CreateBucket(at=1, bucket="kept", owner_id="o", region="r", acl=Acl("o"))
    data = proposals.encode(Proposal("node-1/x", 1, 1, 1, commands.encode(create)))
    run(replica.apply((Entry(1, 1, data=data),)))
    run(replica.stop())
    return tmp_path


def detach(node: Path) -> int:
    return cluster.main(["detach", "--config", str(node / "bleepstore.yaml")], {})


def test_its_data_is_an_embedded_stores_and_its_log_put_aside(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detach(node) == 0
    assert "metadata.db is an embedded store's now, as of index 1" in capsys.readouterr().out
    assert not (node / "raft").exists()
    assert (node / "raft.detached" / "raft.db").read_text() == "the log"
    store = SqliteMetadata(node / "metadata.db", Clock(), ImmediateThreads())
    assert run(store.get_bucket("kept")).name == "kept"
    assert store.machine.mark() == 0
    run(store.stop())
    replica = MetadataReplica(ReplicaFile(node / "metadata.db"), Clock(), ImmediateThreads())
    assert replica.applied_index() == 0
    run(replica.adopt(1))
    create = CreateBucket(at=1, bucket="new", owner_id="o", region="r", acl=Acl("o"))
    data = proposals.encode(Proposal("node-1/x", 1, 1, 1, commands.encode(create)))
    (verdict,) = run(replica.apply((Entry(2, 1, data=data),)))
    assert verdict.applied  # a proposal of that name had been met, in the cluster that was
    run(replica.stop())


def test_a_node_that_runs_is_left_alone(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = DataLock(str(node / "metadata.db"), "x")
    assert detach(node) == 1
    assert "is in use by another BleepStore" in capsys.readouterr().err
    lock.release()
    assert (node / "raft").exists()


def test_nothing_is_overwritten(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (node / "raft.detached").mkdir()
    assert detach(node) == 1
    assert "raft.detached is there already" in capsys.readouterr().err
    assert (node / "raft").exists()


def test_where_there_is_no_data_nothing_is_made(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (node / "metadata.db").unlink()
    assert detach(node) == 1
    assert "there is no" in capsys.readouterr().err
    assert not (node / "metadata.db").exists()


def test_a_database_that_cannot_be_used_is_named(
    node: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    (node / "metadata.db").write_bytes(b"no database at all" * 100)
    assert detach(node) == 1
    assert "metadata.db" in capsys.readouterr().err
