"""What a cloud has left open is settled at the start, and again until it is."""

from __future__ import annotations

import pytest

from bleepstore.background.settler import PATIENCE, RETRY, Settler
from bleepstore.errors import ServiceUnavailable
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import Running, run


def test_it_settles_at_the_start_and_tries_again_while_the_cloud_is_away() -> None:
    world = CloudWorld()
    away = ServiceUnavailable("the cloud is away")
    world.cloud.lose_answer("put", away)
    for _ in range(3):
        world.cloud.lose_request("look", away)
    with pytest.raises(ServiceUnavailable):
        world.put("key", b"data")
    world.store = world.process()
    assert world.store.settling is not None
    settler = Settler(world.clock, world.store.settling)
    starting = Running(settler.start())
    assert not starting.done
    world.clock.advance(0)
    starting.result()
    assert world.store.settling.pending
    world.clock.advance(RETRY)
    assert world.store.settling.pending
    world.clock.advance(RETRY)
    assert not world.store.settling.pending
    assert world.get("key") == b"data"
    world.require_agreement()
    run(settler.stop())


def test_a_start_waits_for_the_cloud_but_not_for_ever() -> None:
    world = CloudWorld()
    away = ServiceUnavailable("the cloud is away")
    world.cloud.lose_answer("put", away)
    world.cloud.lose_request("look", away)
    with pytest.raises(ServiceUnavailable):
        world.put("key", b"data")
    world.store = world.process()
    assert world.store.settling is not None
    gate = world.cloud.hold("look")
    settler = Settler(world.clock, world.store.settling)
    starting = Running(settler.start())
    world.clock.advance(PATIENCE - 0.1)
    assert not starting.done
    world.clock.advance(0.1)
    starting.result()
    stopping = Running(settler.stop())
    assert not stopping.done
    gate.callback(None)
    stopping.result()
    assert world.get("key") == b"data"


def test_a_start_with_nothing_left_does_not_wait() -> None:
    world = CloudWorld()
    assert world.store.settling is not None
    settler = Settler(world.clock, world.store.settling)
    run(settler.start())
    run(settler.stop())
