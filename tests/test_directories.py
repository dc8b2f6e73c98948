"""Directories that are there after a power cut, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bleepstore.directories import make_directories, sync_directory


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
