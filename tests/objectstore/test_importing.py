"""An import that is broken off goes on, and takes nothing twice."""

from __future__ import annotations

import pytest

from bleepstore.errors import ServiceUnavailable
from bleepstore.objectstore.foreign import Foreign
from bleepstore.objectstore.importing import ImportCount, Importing
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE


def importing(world: CloudWorld) -> Importing:
    foreign = Foreign(
        world.metadata,  # type: ignore[arg-type]
        world.native,
        world.store.ids,
        lambda: world.time,
        adopt=True,
        quiet=True,
    )
    return Importing(
        world.metadata,  # type: ignore[arg-type]
        world.native,
        foreign,
        lambda: world.time,
        ALICE.id,
        "us-east-1",
    )


def test_it_goes_on_where_it_was_broken_off() -> None:
    world = CloudWorld()
    for number in range(10):
        world.cloud.put(f"new-bucket/{number}", b"data")
    seen: list[str] = []

    def progress(count: ImportCount) -> None:
        seen.append(count.after)
        if len(seen) == 4:
            world.cloud.lose_request("look", ServiceUnavailable("away"))

    with pytest.raises(ServiceUnavailable):
        run(importing(world).run(progress=progress))
    assert seen[-1] == "new-bucket/3"
    world.requests()
    count = run(importing(world).run(after=seen[-1]))
    assert (count.seen, count.taken, count.bytes) == (6, 6, 24)
    assert world.requests() == ["look"] * 6
    again = run(importing(world).run())
    assert (again.seen, again.taken) == (10, 0)
    page = run(world.metadata.list_objects("new-bucket"))
    assert [entry.key for entry in page.objects] == [str(number) for number in range(10)]


def test_what_has_changed_is_taken_anew_and_keeps_its_owner() -> None:
    world = CloudWorld()
    world.put("key", b"ours")
    world.cloud.put("bucket/key", b"theirs now")
    count = run(importing(world).run("bucket/"))
    assert (count.seen, count.taken, count.passed) == (1, 1, 0)
    assert world.get("key") == b"theirs now"
    world.require_agreement()


def test_names_that_cannot_be_ours_are_passed_over() -> None:
    world = CloudWorld()
    for name in ("alone", "B/key", "bucket/", ".hidden/key", f"bucket/{'x' * 1025}", "/key"):
        world.cloud.put(name, b"data")
    count = run(importing(world).run())
    assert (count.seen, count.taken, count.passed) == (6, 0, 6)
