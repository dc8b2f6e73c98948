"""Group syncs of directories, and atomic replacement."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from bleepstore.blobs import disk
from bleepstore.blobs.disk import DirectorySync, replace_file
from tests.streams.turns import PATIENCE


class HeldSync:
    """Takes the place of sync_directory: each call waits until it is let."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.entered = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.error: OSError | None = None

    def __call__(self, path: str) -> None:
        self.started.append(path)
        self.entered.release()
        assert self.let.acquire(timeout=PATIENCE)
        if self.error is not None:
            raise self.error


class Joining(dict[str, object]):
    """The rounds to come, telling when somebody looked for one."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Semaphore(0)

    def get(self, key: str, default: object = None) -> object:
        try:
            return super().get(key, default)
        finally:
            self.looked.release()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldSync:
    held = HeldSync()
    monkeypatch.setattr(disk, "sync_directory", held)
    return held


def in_threads(
    syncs: DirectorySync, count: int, errors: list[BaseException]
) -> list[threading.Thread]:
    def call() -> None:
        try:
            syncs.sync("d")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("fails", [False, True])
def test_who_asks_during_a_sync_shares_the_next_one(held: HeldSync, fails: bool) -> None:
    syncs = DirectorySync()
    syncs._next = joining = Joining()  # type: ignore[assignment]
    errors: list[BaseException] = []
    threads = in_threads(syncs, 1, errors)
    assert held.entered.acquire(timeout=PATIENCE)
    threads += in_threads(syncs, 5, errors)
    for _ in range(6):
        assert joining.looked.acquire(timeout=PATIENCE)
    assert held.started == ["d"]
    held.let.release()
    assert held.entered.acquire(timeout=PATIENCE)
    if fails:
        held.error = OSError("broken")
    held.let.release()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert held.started == ["d", "d"]
    assert len(errors) == (5 if fails else 0)


def test_a_sync_that_failed_is_tried_anew_for_later_entries_alone(held: HeldSync) -> None:
    """The kernel gives up what it could not write, and calls it clean: the next one succeeds."""
    syncs = DirectorySync()
    held.let.release(4)
    before = syncs.failures("d")
    held.error = OSError(errno.EIO, "broken")
    with pytest.raises(OSError, match="broken"):
        syncs.sync("d", before)
    held.error = None
    after = syncs.failures("d")
    syncs.sync("d", after)
    with pytest.raises(OSError, match="broken"):
        syncs.sync("d", before)
    syncs.sync("e", syncs.failures("e"))
    assert held.started == ["d", "d", "d", "e"]


def test_a_sync_that_was_not_even_tried_spoils_nothing(held: HeldSync) -> None:
    syncs = DirectorySync()
    held.let.release(2)
    before = syncs.failures("d")
    held.error = OSError(errno.EMFILE, "too many open files")
    with pytest.raises(OSError, match="too many"):
        syncs.sync("d", before)
    held.error = None
    syncs.sync("d", before)


def test_a_replaced_file_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(str(path), [b"old ", b"one"])
    assert path.read_bytes() == b"old one"
    assert path.stat().st_mode & 0o777 == 0o600
    order: list[str] = []
    sizes: list[int] = []
    real_rename, real_fsync = os.rename, os.fsync

    def rename(source: str, target: str) -> None:
        order.append("rename")
        real_rename(source, target)

    def fsync(descriptor: int) -> None:
        order.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sizes.append(os.fstat(descriptor).st_size)
        real_fsync(descriptor)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(str(path), [b"new one"])
    assert path.read_bytes() == b"new one"
    assert order == ["file.new", "rename", tmp_path.name]
    assert sizes[0] == len(b"new one"), "all of it was synced"


def test_pieces_that_fail_to_come_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(str(path), [b"old one"])

    def pieces() -> object:
        yield b"new"
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        replace_file(str(path), pieces())  # type: ignore[arg-type]
    assert path.read_bytes() == b"old one"
    assert os.listdir(tmp_path) == ["file"]
