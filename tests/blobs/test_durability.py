"""``finish`` means: on the disk.  A process is killed; the calls that make it so are seen."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bleepstore.blobs.local import LocalBlobStore
from bleepstore.blobs.local_layout import FORMAT
from bleepstore.blobs.sqlite import SqliteBlobStore
from bleepstore.errors import SlowDown
from tests.blobs.worlds import kill_after_first_line
from tests.contract.blob_stores import DURABLE, STORES
from tests.contract.blobs import World, blob_id, random_bytes

WRITER = """
import sys
from pathlib import Path
from tests.contract.blob_stores import STORES
from tests.contract.blobs import World, blob_id, random_bytes
(make,) = [make for store, make in STORES.items() if store.__name__ == sys.argv[1]]
world = World(make, Path(sys.argv[2]))
for serial in range(8):
    world.put(blob_id(serial), random_bytes(serial * 100_000, serial))
    print(serial, flush=True)
unfinished = world.create(blob_id(100))
world.run(unfinished.write(random_bytes(600_000)))
print("done", flush=True)
world.turns.turn()
"""


@pytest.mark.parametrize("store", DURABLE, ids=lambda store: store.__name__)
def test_a_killed_process_loses_no_finished_blob(store: type[Any], tmp_path: Path) -> None:
    acknowledged = [
        int(line) for line in kill_after_first_line(WRITER, store.__name__, str(tmp_path))
    ]
    assert acknowledged == list(range(8))
    world = World(STORES[store], tmp_path)
    for serial in acknowledged:
        size = serial * 100_000
        assert world.get(blob_id(serial), 0, size) == random_bytes(size, serial)
    finished = {blob_id(serial) for serial in acknowledged}
    assert finished <= world.ids() <= finished | {blob_id(100)}  # garbage to be swept, at most
    world.run(world.store.delete(blob_id(100)))
    assert world.ids() == finished
    world.close()


class Synced:
    """What was synced: the paths, in order; and what could not be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        self.sizes: list[int] = []
        self._failures: dict[int, OSError] = {}
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if (failure := self._failures.pop(len(self.paths), None)) is not None:
                raise failure
            self.paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.sizes.append(os.fstat(descriptor).st_size)
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    def fail(self, which: int, failure: OSError) -> None:
        """One of those to come, counted from 0."""
        self._failures[which] = failure


def test_the_file_and_then_its_directory_are_synced_before_finish_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(STORES[LocalBlobStore], tmp_path)
    world.put(blob_id(1), b"x")  # makes the directories
    synced = Synced(monkeypatch)
    writer = world.create(blob_id(2))
    world.run(writer.write(random_bytes(300_000)))
    assert synced.paths == []
    world.run(writer.finish())
    directory = tmp_path / "blobs" / "00000001" / "00000"
    assert synced.paths == [str(directory / blob_id(2)), str(directory)]
    assert synced.sizes[0] == 300_000
    world.close()


def test_new_directories_are_synced_into_theirs_before_a_blob_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(STORES[LocalBlobStore], tmp_path)
    synced = Synced(monkeypatch)
    writer = world.create(blob_id(1))
    world.run(writer.write(b"x"))
    root = tmp_path / "blobs"
    assert synced.paths == [str(root), str(root / "00000001")]
    world.run(writer.finish())
    world.close()


def _refuse(path: str) -> None:
    raise OSError(errno.ENOTEMPTY, "refused")


@pytest.mark.parametrize("removable", [True, False])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO])
def test_a_directory_that_could_not_be_synced_gets_no_blob_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int, error: int, removable: bool
) -> None:
    """It is there by then, and a power cut would take it with all that is in it."""
    world = World(STORES[LocalBlobStore], tmp_path)
    with monkeypatch.context() as patch:
        synced = Synced(patch)
        synced.fail(which, OSError(error, os.strerror(error)))
        if not removable:
            patch.setattr(os, "rmdir", _refuse)
        writer = world.create(blob_id(1))
        with pytest.raises((OSError, SlowDown)):
            world.run(writer.write(b"x"))
        world.run(writer.abort())
    root = tmp_path / "blobs"
    assert (root / "00000001").exists() is not removable, "what is made anew is synced anew"
    synced = Synced(monkeypatch)
    world.put(blob_id(2), b"y")
    assert synced.paths[:2] == [str(root), str(root / "00000001")]
    assert len(synced.paths) == 4
    world.close()


def test_a_blob_that_a_failed_sync_may_have_lost_is_not_called_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later sync of its directory succeeds, and need not write what that one did not."""
    world = World(STORES[LocalBlobStore], tmp_path)
    world.put(blob_id(1), b"w")  # makes the directories
    early = world.create(blob_id(2))
    world.run(early.write(b"x"))
    synced = Synced(monkeypatch)
    synced.fail(1, OSError(errno.EIO, "failed"))  # of the directory, after the file
    with pytest.raises(OSError, match="failed"):
        world.put(blob_id(3), b"y")
    with pytest.raises(OSError, match="failed"):
        world.run(early.finish())
    world.put(blob_id(4), b"z")
    world.close()


def test_a_new_store_is_marked_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = Synced(monkeypatch)
    World(STORES[LocalBlobStore], tmp_path).close()
    root = tmp_path / "blobs"
    made, *marked = synced.paths
    assert made == str(tmp_path)
    assert marked == [str(root / "bleepstore-blobs"), str(root), str(tmp_path)]
    assert synced.sizes[1] == len(FORMAT), "all of the marker"
    World(STORES[LocalBlobStore], tmp_path).close()
    assert len(synced.paths) == 4, "a marker that is there is not written again"


def test_sqlite_commits_a_finished_blob_with_a_sync_and_only_that(tmp_path: Path) -> None:
    world = World(STORES[SqliteBlobStore], tmp_path)
    said: list[str] = []
    world.store._database._writer.set_trace_callback(said.append)
    writer = world.create(blob_id(1))
    world.run(writer.write(random_bytes(300_000)))
    assert "PRAGMA synchronous = FULL" not in said
    world.run(writer.finish())
    last = said[-4:]
    assert last[0] == "PRAGMA synchronous = FULL"
    assert last[1] == "BEGIN IMMEDIATE"
    assert last[2].startswith("UPDATE blob SET size = 300000")
    assert last[3] == "COMMIT"
    world.close()


def test_sqlite_finishes_waiting_blobs_in_one_transaction(tmp_path: Path) -> None:
    world = World(STORES[SqliteBlobStore], tmp_path)
    writers = [world.create(blob_id(serial)) for serial in range(10)]
    for writer in writers:
        world.run(writer.write(b"x"))
    said: list[str] = []
    world.store._database._writer.set_trace_callback(said.append)
    from tests.streams.turns import start

    for finishing in [start(writer.finish()) for writer in writers]:
        world.turns.result(finishing)
    assert 1 <= said.count("PRAGMA synchronous = FULL") <= 2
    assert len(world.ids()) == 10
    world.close()
