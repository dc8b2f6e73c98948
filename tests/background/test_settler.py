"""What a cloud has left open is settled at the start, and again until it is."""

from __future__ import annotations

import pytest

from bleepstore.background.settler import RETRY, Settler
from bleepstore.errors import ServiceUnavailable
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import run


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
    run(settler.start())
    world.clock.advance(0)
    assert world.store.settling.pending
    world.clock.advance(RETRY)
    assert world.store.settling.pending
    world.clock.advance(RETRY)
    assert not world.store.settling.pending
    assert world.get("key") == b"data"
    world.require_agreement()
    run(settler.stop())
