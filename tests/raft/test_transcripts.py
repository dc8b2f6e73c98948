"""What the core does, told as prose in ``transcripts/``; rewritten by --rewrite-transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raft.transcript import perform

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_what_happens_is_what_was_written_down(path: Path, pytestconfig: pytest.Config) -> None:
    written = path.read_text(encoding="utf-8")
    happened = perform(written)
    if pytestconfig.getoption("--rewrite-transcripts"):
        path.write_text(happened, encoding="utf-8")
    else:
        assert happened == written


def test_every_subject_has_a_transcript() -> None:
    subjects = {path.stem.split("-")[0] for path in TRANSCRIPTS}
    assert subjects >= {
        "checkquorum", "conflicts", "elections", "leases", "membership", "reads", "replication",
        "snapshots", "transfer",
    }  # fmt: skip
