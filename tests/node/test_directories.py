"""Data directories: made for the owner alone, and used by one process at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bleepstore.config.load import load
from bleepstore.config.sections import Config
from bleepstore.node.directories import DataLock, make_directory
from bleepstore.node.problems import StartError
from bleepstore.node.stores import lock_data


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_missing_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    make_directory(str(tmp_path / "a" / "b"), "x")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_directory(str(tmp_path), "x")
    assert mode(tmp_path) == 0o755


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(StartError, match=r"^storage\.local\.root_dir: .*/a is not a directory$"):
        make_directory(str(tmp_path / "a"), "storage.local.root_dir")
    with pytest.raises(StartError, match=r"^x: cannot make .*/a/b: Not a directory$"):
        make_directory(str(tmp_path / "a" / "b"), "x")


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(StartError, match="cannot be written by this user"):
        make_directory(str(tmp_path), "x")


def test_a_read_only_file_system_is_told_from_a_directory_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(StartError, match="cannot be written on a read-only file system"):
        make_directory(str(tmp_path), "x")


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(StartError, match=r"^x: cannot make /proc/nowhere: No such file"):
        make_directory("/proc/nowhere", "x")


def test_the_lock_is_one_process_at_a_time(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    lock = DataLock(data, "storage.local.root_dir")
    with pytest.raises(StartError) as caught:
        DataLock(data, "storage.local.root_dir")
    assert str(caught.value) == (
        f"storage.local.root_dir: {data} is in use by another BleepStore (process {os.getpid()})"
    )
    lock.release()
    lock.release()
    DataLock(data, "x").release()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    code = (
        "import sys; from bleepstore.node.directories import DataLock; "
        f"lock = DataLock({data!r}, 'x'); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StartError, match=f"process {process.pid}"):
            DataLock(data, "x")
        process.kill()
        process.wait()
    DataLock(data, "x").release()


def test_every_store_that_keeps_data_is_locked(tmp_path: Path) -> None:
    config = load(
        environ={
            "BLEEPSTORE__METADATA__SQLITE__PATH": f"{tmp_path}/m/metadata.db",
            "BLEEPSTORE__STORAGE__LOCAL__ROOT_DIR": f"{tmp_path}/o/objects",
        },
        directory=str(tmp_path),
    )
    locks = lock_data(config)
    assert (tmp_path / "m" / "metadata.db.lock").exists()
    assert (tmp_path / "o" / "objects.lock").exists()
    assert mode(tmp_path / "o" / "objects") == 0o700
    with pytest.raises(StartError, match=r"metadata\.sqlite\.path"):
        lock_data(config)
    for lock in locks:
        lock.release()


def test_locks_already_taken_are_given_back_when_another_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = load(
        environ={
            "BLEEPSTORE__METADATA__SQLITE__PATH": f"{tmp_path}/metadata.db",
            "BLEEPSTORE__STORAGE__LOCAL__ROOT_DIR": f"{tmp_path}/file",
        },
        directory=str(tmp_path),
    )
    for _ in range(2):
        with pytest.raises(StartError, match=r"storage\.local\.root_dir: .* is not a directory"):
            lock_data(config)


def test_memory_needs_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"BLEEPSTORE__METADATA__ENGINE": "memory", "BLEEPSTORE__STORAGE__BACKEND": "memory"}
    assert lock_data(load(environ=environ)) == ()
    assert list(tmp_path.iterdir()) == []
    assert isinstance(Config(), Config)
