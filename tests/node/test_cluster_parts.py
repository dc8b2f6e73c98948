"""What a node of a cluster says of itself, and the measures that its configuration gives."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from bleepstore.config.sections import ClusterConfig
from bleepstore.interfaces.replication import ConsensusStatus
from bleepstore.node.cluster import ClusterParts, consensus_settings
from bleepstore.node.services import STOP_SECONDS
from bleepstore.observability.health import Unusable
from tests.cluster.test_control import STATUS
from tests.objectstore.driving import run


class Consensus:
    def __init__(self, status: ConsensusStatus, keeping_up: bool) -> None:
        self._status = status
        self._keeping_up = keeping_up

    async def keeps_up(self) -> bool:
        return self._keeping_up

    def status(self) -> ConsensusStatus:
        return self._status


def parts(keeping_up: bool = True, **changes: Any) -> ClusterParts:
    consensus = cast(Any, Consensus(replace(STATUS, **changes), keeping_up))
    return ClusterParts(cast(Any, None), consensus, (), ())


def test_a_node_with_a_leader_is_well_and_says_who_it_is() -> None:
    assert run(parts().check()) == {"role": "leader", "leader": "node-1", "term": "7"}
    assert run(parts(role="learner", leader="b").check())["role"] == "learner"


@pytest.mark.parametrize("changes", [{"leader": "", "role": "follower"}, {"role": "joining"}])
def test_without_a_leader_or_a_cluster_it_is_not(changes: dict[str, str]) -> None:
    with pytest.raises(Unusable) as caught:
        run(parts(**changes).check())
    assert caught.value.details["role"] == changes["role"]


def test_one_that_has_not_caught_up_is_not() -> None:
    with pytest.raises(Unusable) as caught:
        run(parts(keeping_up=False, role="follower").check())
    assert caught.value.details["leader"] == "node-1"
    assert caught.value.details["caught_up"] == "no"


def test_only_the_leader_leads() -> None:
    assert parts().leads()
    assert not parts(role="follower").leads()


def test_times_are_those_of_the_configuration() -> None:
    settings = consensus_settings(
        ClusterConfig(
            election_timeout_ms=2000,
            heartbeat_interval_ms=300,
            request_timeout_ms=7000,
            snapshot_interval=5,
            snapshot_log_bytes=70_000,
            max_append_entries=9,
        )
    )
    assert settings.election == pytest.approx(2, rel=0.1)
    assert settings.core.heartbeat_ticks * settings.tick == pytest.approx(0.3)
    assert settings.decision == 7
    assert settings.handover == 4
    assert (settings.snapshot_entries, settings.snapshot_bytes) == (5, 70_000)
    assert settings.core.max_entries == 9


def test_the_log_behind_a_snapshot_is_short_where_snapshots_are_frequent() -> None:
    often = consensus_settings(ClusterConfig(snapshot_interval=90, snapshot_log_bytes=90_000))
    assert (often.tail_entries, often.tail_bytes) == (30, 30_000)
    usual = consensus_settings(ClusterConfig())
    assert (usual.tail_entries, usual.tail_bytes) == (1000, 8 * 1024 * 1024)


def test_a_leader_hands_over_within_the_time_of_a_stop() -> None:
    slow = ClusterConfig(election_timeout_ms=60_000, request_timeout_ms=90_000)
    assert consensus_settings(slow).handover < STOP_SECONDS
