"""Ticks that fit what is configured."""

from __future__ import annotations

import pytest

from bleepstore.cluster.consensus_settings import measured


@pytest.mark.parametrize(
    ("election", "heartbeat"), [(1000, 150), (300, 50), (5000, 500), (100, 20), (150, 30), (20, 10)]
)
def test_ticks_come_close_to_the_times_that_are_configured(election: int, heartbeat: int) -> None:
    settings = measured(election, heartbeat)
    assert settings.core.heartbeat_ticks * settings.tick * 1000 == pytest.approx(heartbeat)
    assert settings.election * 1000 == pytest.approx(election, rel=0.1)
    assert settings.decision == max(5.0, election / 200)


def test_more_is_taken_as_it_is() -> None:
    settings = measured(1000, 150, max_entries=7, lease_reads=True, snapshot_entries=5, decision=9)
    assert (settings.core.max_entries, settings.core.lease_reads) == (7, True)
    assert (settings.snapshot_entries, settings.decision) == (5, 9)


def test_a_heartbeat_that_comes_too_seldom_is_refused() -> None:
    with pytest.raises(ValueError, match="half of the election timeout"):
        measured(1000, 600)
