"""What is said of a node that must end."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from bleepstore.cluster.unusable import DamagedLog, why_it_ends

FULL = "the disk of its log or its database is full"


def test_a_full_disk_is_said_to_need_room(tmp_path: Path) -> None:
    assert why_it_ends(OSError(errno.ENOSPC, "No space left on device")).startswith(FULL)
    database = sqlite3.connect(tmp_path / "db", isolation_level=None)
    try:
        database.execute("PRAGMA max_page_count = 3")
        database.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    finally:
        database.close()
    assert why_it_ends(full.value).startswith(FULL)


def test_other_ends_are_told_as_they_are() -> None:
    assert why_it_ends(DamagedLog("raft.db", "it is gone")).startswith("raft.db is damaged: it is")
    assert why_it_ends(OSError(errno.EIO, "Input/output error")) == (
        "OSError(5, 'Input/output error')"
    )
    assert why_it_ends(sqlite3.OperationalError("other")) == "OperationalError('other')"
