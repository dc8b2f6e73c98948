"""Files and directories that are there after a power cut, too, on systems of several kinds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from bleepstore import files
from bleepstore.files import (
    let_go,
    make_directories,
    read_at_hand,
    sync_data,
    sync_directory,
    sync_file,
)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, in order."""
    found: list[str] = []

    def fsync(file: int) -> None:
        found.append(os.readlink(f"/proc/self/fd/{file}"))

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_each_that_is_made_has_its_name_synced(tmp_path: Path, synced: list[str]) -> None:
    make_directories(tmp_path / "a" / "b")
    assert synced == [str(tmp_path), str(tmp_path / "a")]
    for made in (tmp_path / "a", tmp_path / "a" / "b"):
        assert made.stat().st_mode & 0o777 == 0o700
    make_directories(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_somebody_else_may_make_it_first(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def late(path: str, mode: int) -> None:
        real(path, mode)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", late)
    make_directories(tmp_path / "a")
    assert synced == [str(tmp_path)]  # that they have synced it is not known


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            make_directories(path)
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "nowhere")


def test_where_the_drive_must_be_asked_it_is(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def control(file: int, command: int) -> None:
        asked.append((os.readlink(f"/proc/self/fd/{file}"), command))

    monkeypatch.setattr(files, "_FULL_SYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.delattr(os, "fdatasync")
    with open(tmp_path / "file", "wb") as file:
        sync_file(file.fileno())
        sync_data(file.fileno())
    sync_directory(tmp_path)
    assert asked == [(str(tmp_path / "file"), 51)] * 2 + [(str(tmp_path), 51)]
    assert synced == []


def test_elsewhere_the_bytes_alone_can_be_synced(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data: list[int] = []
    monkeypatch.setattr(os, "fdatasync", data.append)
    with open(tmp_path / "file", "wb") as file:
        sync_data(file.fileno())
        assert (data, synced) == ([file.fileno()], [])
        sync_file(file.fileno())
    assert synced == [str(tmp_path / "file")]


def test_what_the_page_cache_has_is_read_at_once_where_it_can_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        head, body = bytearray(2), bytearray(20)
        if hasattr(os, "RWF_NOWAIT"):  # not if Python was built for an old C library
            assert read_at_hand(file.fileno(), (head, body), 1) == 9
            assert (head, body[:7]) == (b"12", b"3456789")
        assert read_at_hand(file.fileno(), (head,), 10) == 0
        monkeypatch.setattr(files, "_NO_WAIT", None)
        assert read_at_hand(file.fileno(), (head,), 0) == 0


def test_the_page_cache_is_told_only_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: advice.append(given))
    let_go(7, 0, 100)
    assert advice == [(7, 0, 100, os.POSIX_FADV_DONTNEED)]
    monkeypatch.delattr(os, "posix_fadvise")
    let_go(7, 0, 100)
    assert len(advice) == 1
