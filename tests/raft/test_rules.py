"""Each rule that safety rests on can be taken away, and a transcript shows that it was.

So the transcripts cannot pass by accident, and each of these functions is the one place of its
rule (the simulation replaces the same ones).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from tests.raft.transcript import perform

TRANSCRIPTS = Path(__file__).parent / "transcripts"


def nothing(*arguments: object) -> None:
    return None


def yes(*arguments: object) -> bool:
    return True


def no(*arguments: object) -> bool:
    return False


@pytest.mark.parametrize(
    ("rule", "instead", "transcript"),
    [
        ("outbox.must_wait", no, "elections-slow-disk"),
        ("outbox.must_wait", no, "replication"),
        ("voting.free_to_vote", yes, "elections-one-vote"),
        ("voting.up_to_date", yes, "elections-log"),
        ("candidacy.Candidacy.concerns", yes, "elections-late-vote"),
        ("voting.bound_to_leader", no, "elections-return"),
        ("voting.bound_to_leader", no, "leases"),
        ("quorum.majority", lambda voters: max(voters // 2, 1), "elections"),
        ("quorum.majority", lambda voters: max(voters // 2, 1), "checkquorum"),
        ("leading.may_commit", yes, "conflicts-figure-8"),
        ("following.entry_matches", yes, "conflicts-hints"),
        ("reads.confirms", yes, "reads-deposed"),
        ("reads.lease_lasts", yes, "leases"),
        ("reads.LeaderReads.give_up_lease", nothing, "leases-transfer"),
        ("reads.LeaderReads.restart_lease", nothing, "leases-members"),
        ("leading.Leadership._settled", True, "reads-early"),
        ("leading.check_in_progress", nothing, "membership-rules"),
        ("membership.voters_touched", lambda old, new: set(), "membership-rules"),
        ("replica.Replica.may_stand", False, "membership-needed"),
        ("core.plausible", yes, "impossible"),
    ],
)
def test_a_rule_that_is_taken_away_is_missed(
    rule: str, instead: Callable[..., object], transcript: str
) -> None:
    written = (TRANSCRIPTS / f"{transcript}.txt").read_text(encoding="utf-8")
    with mock.patch(f"bleepstore.raft.{rule}", instead):
        try:
            happened = perform(written)
        except (AssertionError, LookupError) as error:
            happened = repr(error)
    assert happened != written
