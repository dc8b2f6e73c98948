"""Whatever requests meet, and in whatever order: each is whole, and nothing is left behind.

``--histories 1000`` tries more seeds.
"""

from __future__ import annotations

import random

import pytest

from bleepstore.errors import InternalError, ServiceUnavailable
from bleepstore.objectstore.pins import Pins
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import run
from tests.objectstore.histories import Clients, GatedCloud, GatedMetadata, Gates
from tests.objectstore.world import World
from tests.sim.linearizability import check_keys

CLIENTS = 5
REQUESTS = 12


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("seed", range(metafunc.config.getoption("--histories")))


def require_explained(clients: Clients) -> None:
    violations = check_keys(clients.operations())
    assert not violations, "\n".join(map(str, violations))


@pytest.mark.parametrize("reads", [False, True])
def test_requests_meet_in_a_store_of_its_own(seed: int, reads: bool) -> None:
    dice = random.Random(seed)
    gates = Gates(dice)
    gates.open = True
    world = World(metadata=GatedMetadata(gates, reads))
    world.bucket()
    gates.open = False
    clients = Clients(world, gates, dice)
    assert all(each.done for each in clients.run(CLIENTS, REQUESTS))
    gates.open = True
    run(clients.read_all())
    require_explained(clients)
    run(world.collect())
    assert world.leaked() == set()
    assert not run(world.metadata.released_blobs())


@pytest.mark.parametrize("directories", [False, True])
def test_requests_meet_in_a_cloud(seed: int, directories: bool) -> None:
    dice = random.Random(seed)
    gates = Gates(dice)
    gates.open = True
    world = CloudWorld(metadata=GatedMetadata(gates), cloud=GatedCloud(gates))
    world.native.directories = directories
    gates.open = False
    clients = Clients(world, gates, dice)
    assert all(each.done for each in clients.run(CLIENTS, REQUESTS))
    gates.open = True
    run(clients.read_all())
    require_explained(clients)
    run(world.collect())
    world.require_agreement()


def test_requests_meet_in_a_cloud_that_fails(seed: int) -> None:
    dice = random.Random(seed)
    gates = Gates(dice)
    gates.open = True
    world = CloudWorld(metadata=GatedMetadata(gates), cloud=GatedCloud(gates, failures=0.15))
    gates.open = False
    # The cloud may have a part of which nothing was heard, and then not the one that is named.
    clients = Clients(world, gates, dice, (ServiceUnavailable, InternalError))
    assert all(each.done for each in clients.run(CLIENTS, REQUESTS))
    gates.open = True
    assert world.store.settling is not None
    assert run(world.store.settling.settle_all())
    run(clients.read_all())
    require_explained(clients)
    run(world.collect())
    world.require_agreement(uploads=False)


def test_a_crash_amid_requests_to_a_cloud(seed: int) -> None:
    """Those under way were carried out or not; whoever reads knows which by then."""
    dice = random.Random(seed)
    gates = Gates(dice)
    gates.open = True
    world = CloudWorld(metadata=GatedMetadata(gates), cloud=GatedCloud(gates))
    gates.open = False
    clients = Clients(world, gates, dice)
    clients.run(CLIENTS, REQUESTS, steps=dice.randrange(20, 300))
    gates.open = True
    world.pins = Pins()
    world.crash()
    run(clients.read_all())
    require_explained(clients)
    run(world.collect())
    world.require_agreement(uploads=False)
