"""Expiry: uploads that nobody completed in time are aborted, and only those."""

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from bleepstore.background import expiry as module
from bleepstore.background.expiry import UploadExpiry
from bleepstore.background.periodic import When, always
from bleepstore.errors import InsufficientStorage
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import (
    Claims,
    UploadName,
    UploadRequest,
    UploadsPageRequest,
)
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, LARGE, Payload, World, content

DAY = 86_400


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def create(world: World, key: str) -> UploadName:
    request = UploadRequest("bucket", key, Description())
    upload = run(world.store.uploads.create(world.caller(ALICE), request))
    return UploadName("bucket", key, upload.upload_id)


def expiry_of(world: World, clock: Clock | None = None, when: When = always) -> UploadExpiry:
    return UploadExpiry(
        clock or world.clock,
        lambda: world.time,
        world.metadata,  # type: ignore[arg-type]
        world._on_release,
        interval=3600,
        max_age=7 * DAY,
        when=when,
    )


def in_progress(world: World) -> list[str]:
    listed = run(world.store.listings.uploads(world.caller(ALICE), UploadsPageRequest("bucket")))
    return [upload.key for upload in listed.page.uploads]


def test_it_is_a_part(world: World) -> None:
    assert verifyObject(IPart, expiry_of(world))


def test_who_does_not_lead_leaves_it_to_who_does(world: World) -> None:
    create(world, "old")
    world.time += 8 * DAY * 1000
    leads = False
    expiry = expiry_of(world, when=lambda: leads)
    assert run(expiry.expire()) is None
    assert in_progress(world) == ["old"]
    leads = True
    run(expiry.expire())
    assert in_progress(world) == []


def test_only_uploads_past_their_age_are_aborted_and_their_blobs_released(world: World) -> None:
    old = create(world, "old")
    payload = Payload(content(LARGE))
    run(world.store.uploads.put_part(world.caller(ALICE), old, 1, payload, Claims()))
    world.time += 6 * DAY * 1000
    create(world, "young")
    world.time += DAY * 1000
    woken = world.released
    assert run(expiry_of(world).expire()) is None
    assert in_progress(world) == ["young"]
    assert len(run(world.metadata.released_blobs(10))) == 1
    assert world.released == woken + 1


def test_with_nothing_to_expire_nothing_is_written(world: World) -> None:
    create(world, "young")
    submits = world.metadata.calls.count("submit")
    run(expiry_of(world).expire())
    assert world.metadata.calls.count("submit") == submits


def test_an_upload_that_ends_meanwhile_is_passed_over(world: World) -> None:
    first = create(world, "first")
    create(world, "second")
    world.time += 8 * DAY * 1000
    world.metadata.after(
        "stale_uploads", lambda: run(world.store.uploads.abort(world.caller(ALICE), first)) or None
    )
    run(expiry_of(world).expire())
    assert in_progress(world) == []


def test_many_go_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for number in range(3):
        create(world, f"{number}")
    world.time += 8 * DAY * 1000
    expiry = expiry_of(world)
    assert run(expiry.expire()) == module.PAUSE
    assert in_progress(world) == ["2"]
    assert run(expiry.expire()) is None
    assert in_progress(world) == []


def test_it_looks_after_the_start_and_tries_again_what_failed(world: World) -> None:
    create(world, "old")
    world.time += 8 * DAY * 1000
    clock = Clock()
    expiry = expiry_of(world, clock)
    world.metadata.fail("submit", InsufficientStorage())
    run(expiry.start())
    clock.advance(module.FIRST)
    assert in_progress(world) == ["old"]
    clock.advance(3600)
    assert in_progress(world) == []
    run(expiry.stop())
    assert not clock.getDelayedCalls()


def test_a_shorter_interval_is_kept_from_the_start(world: World) -> None:
    create(world, "old")
    world.time += 8 * DAY * 1000
    clock = Clock()
    expiry = module.UploadExpiry(
        clock, lambda: world.time, world.metadata, lambda: None, interval=0.1, max_age=7 * DAY
    )
    run(expiry.start())
    clock.advance(0.1)
    assert in_progress(world) == []
    run(expiry.stop())
