"""Real nodes, real clients, real faults: what every client saw is linearizable, nothing that was
acknowledged is lost, and all nodes end with the same state.

Each round is a cluster of three or five processes, in network namespaces where root allows and
behind relays elsewhere (and in the first round, anyway); faults happen one after the other while
boto3 clients go on at all nodes.  Which faults, in which order, to whom, and what clients do, one
seed decides; how their threads fall into step, it does not.  A deck of all faults is dealt, so that
each comes up once in a few rounds.

    pytest tests/integration/test_cluster_faults.py --cluster-rounds 50 --cluster-seed 7
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.integration import cluster_faults, disks
from tests.integration.cluster import Cluster, eventually
from tests.integration.cluster_faults import Fault, Scene
from tests.integration.cluster_load import Load
from tests.integration.networks import Namespaces, Relayed, isolate, namespaces_allowed
from tests.sim.linearizability import check_buckets, check_keys

FAULTS = 7
"""Of a round."""

FEW = 5
"""Writes of unknown outcome with which a bucket can still be checked as a whole: that a listing is
of one moment.  With many more the ways to explain a history are too many; keys are always checked.
"""


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    chosen: int = request.config.getoption("--cluster-seed")
    return chosen


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_number" in metafunc.fixturenames:
        rounds = metafunc.config.getoption("--cluster-rounds")
        metafunc.parametrize("round_number", range(rounds))


def hands(seed: int) -> Iterator[tuple[bool, list[Fault]]]:
    """For each round: whether it is in namespaces, and its faults."""
    dice = random.Random(seed)
    deck: list[Fault] = []
    number = 0
    while True:
        in_namespaces = namespaces_allowed() and number % 3 > 0
        hand: list[Fault] = []
        while len(hand) < FAULTS:
            fitting = [each for each in deck if cluster_faults.possible(each, in_namespaces)]
            if fitting:
                deck.remove(fitting[0])
                hand.append(fitting[0])
            else:
                deck += dice.sample(cluster_faults.ALL, len(cluster_faults.ALL))
        yield in_namespaces, hand
        number += 1


def hand_of(seed: int, round_number: int) -> tuple[bool, list[Fault]]:
    dealt = hands(seed)
    for _ in range(round_number):
        next(dealt)
    return next(dealt)


def test_nothing_is_lost_and_nothing_stale_is_told(
    tmp_path: Path, seed: int, round_number: int
) -> None:
    in_namespaces, faults = hand_of(seed, round_number)
    print(f"seed {seed}, round {round_number}:", ", ".join(fault.__name__ for fault in faults))
    size = 5 if round_number % 3 == 2 else 3
    dice = random.Random(f"{seed} {round_number}")
    with ExitStack() as stack:
        network = Namespaces() if in_namespaces else Relayed()
        stack.callback(network.close)
        if small := cluster_faults.disk_full in faults:
            stack.enter_context(disks.small(tmp_path / "node-1", 64))
        # Few entries between snapshots, so that who was away needs one now and then.
        settings = {"snapshot_interval": 60}
        sections = {"storage": {"min_free_bytes": 0}}  # to be filled to the last byte
        cluster = Cluster(tmp_path, size, settings, sections, network)
        stack.enter_context(cluster)
        load = Load(cluster, f"{seed} {round_number}")
        buckets = [f"step-{number}" for number in range(len(faults))]
        scene = Scene(cluster, load, dice, cluster["node-1"] if small else None)
        try:
            load.start(buckets[0])
            for bucket, fault in zip(buckets, faults, strict=True):
                print(f"{bucket}: {fault.__name__}")
                if bucket != buckets[0]:
                    load.go_to(bucket)
                load.more(cluster_faults.SOME)
                fault(scene)
                scene.mend()
        finally:
            load.stop()
            lines = map(msgspec.json.encode, load.operations)
            (tmp_path / "history.jsonl").write_bytes(b"\n".join(lines))
        for node in cluster:
            load.read_all(node, buckets)
        for node in cluster:
            assert node.stop() in (0, -15)
        digests = cluster.digests()
        assert len(digests) == len(cluster.nodes)
        assert len(set(digests.values())) == 1, digests
    violations = check_keys(load.operations)
    for bucket in buckets:
        made = [each for each in load.operations if each.bucket == bucket]
        if sum(each.outcome is None and not each.reads for each in made) <= FEW:
            violations += check_buckets(made)
    assert not violations, "\n".join(map(str, violations))


def test_a_stale_answer_would_be_found(tmp_path: Path) -> None:
    """With eventual reads, at a node that is cut off: what strong reads never tell."""
    network = Relayed()
    with Cluster(tmp_path, settings={"read_consistency": "eventual"}, network=network) as cluster:
        leader, follower = cluster.leader(), cluster.followers()[0]
        load = Load(cluster, "stale")
        cluster.client(leader.node_id).create_bucket(Bucket="bucket")
        cluster.caught_up()
        eventually(lambda: follower.request("GET", "/bucket").status == 200)
        isolate(network, [follower.node_id], [node.node_id for node in cluster])
        assert load.put("writer", leader, "bucket", "a", b"new")
        assert load.get("reader", follower, "bucket", "a")
    (violation,) = check_keys(load.operations)
    assert "reader: get bucket/a → NoSuchKey" in violation.explanation
