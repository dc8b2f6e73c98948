"""The collector: what is released goes, whatever crashes; what is read stays."""

import pytest
from constantly import NamedConstant
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from zope.interface.verify import verifyObject

from bleepstore.background import collector as module
from bleepstore.background.collector import Collector
from bleepstore.background.periodic import When, always
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.objectstore.requests import ReadRequest
from tests.objectstore.driving import Running, run
from tests.objectstore.world import ALICE, LARGE, World, content

INTERVAL = 3600.0


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def collector_of(world: World, clock: Clock | None = None, when: When = always) -> Collector:
    return Collector(
        clock or world.clock,
        lambda: world.time,
        world.metadata,  # type: ignore[arg-type]
        world.blobs,  # type: ignore[arg-type]
        world.pins,
        interval=INTERVAL,
        when=when,
    )


def release(world: World, count: int) -> None:
    for number in range(count):
        world.put(f"{number}", content(LARGE))
    for number in range(count):
        world.put(f"{number}", b"")


def released(world: World) -> list[str]:
    return list(run(world.metadata.released_blobs(10_000)))


def test_it_is_a_part(world: World) -> None:
    assert verifyObject(IPart, collector_of(world))


def test_what_is_released_is_deleted_and_forgotten(world: World) -> None:
    world.put("kept", content(LARGE))
    release(world, 3)
    assert len(world.stored()) == 4
    assert run(collector_of(world).collect()) is None
    assert released(world) == []
    assert len(world.stored()) == 1
    assert world.get("kept") == content(LARGE)


def test_who_has_no_blobs_forgets_none(world: World) -> None:
    release(world, 2)
    assert run(collector_of(world, when=lambda: False).collect()) is None
    assert len(released(world)) == len(world.stored()) == 2


def test_with_nothing_released_nothing_is_written(world: World) -> None:
    world.put("kept", content(LARGE))
    submits = world.metadata.calls.count("submit")
    assert run(collector_of(world).collect()) is None
    assert world.metadata.calls.count("submit") == submits


class Crash(BaseException):
    """The process ends here: nothing catches it."""


@pytest.mark.parametrize(
    ("store", "when", "step"),
    [
        ("metadata", "before", "released_blobs"),
        ("metadata", "after", "released_blobs"),
        ("blobs", "before", "delete"),
        ("blobs", "after", "delete"),
        ("metadata", "before", "submit"),
        ("metadata", "after", "submit"),
    ],
)
def test_a_crash_between_any_two_steps_is_made_up_for(
    world: World, store: str, when: str, step: str
) -> None:
    world.put("kept", content(LARGE))
    release(world, 2)

    def crash() -> None:
        raise Crash

    getattr(getattr(world, store), when)(step, crash)
    with pytest.raises(Crash):
        run(collector_of(world).collect())
    assert world.leaked() == set()
    assert run(collector_of(world).collect()) is None
    assert released(world) == []
    assert len(world.stored()) == 1
    assert world.get("kept") == content(LARGE)


def test_a_blob_that_is_being_read_stays_until_it_was(world: World) -> None:
    body = content(3_000_000)
    world.put("k", body)
    reading = run(world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "k")))
    world.put("k", b"")
    release(world, 1)
    collector = collector_of(world)
    assert run(collector.collect()) == module.PINNED
    assert released(world) == ["00000001-00000000"]

    async def rest() -> bytes:
        pieces = []
        while piece := await reading.read():
            pieces.append(piece)
        return b"".join(pieces)

    assert run(rest()) == body
    reading.close()
    assert run(collector.collect()) is None
    assert world.stored() == set()


def test_who_looked_an_object_up_before_it_was_released_may_still_read_it(world: World) -> None:
    """The look-up is done, and its answer still on the way, when the object goes."""
    body = content(LARGE)
    world.put("k", body)
    answer: Deferred[None] = Deferred()
    world.metadata.after("get_object", lambda: answer)
    reading = Running(world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "k")))
    world.put("k", b"")
    collecting = Running(collector_of(world).collect())
    assert not collecting.done
    answer.callback(None)
    assert collecting.result() == module.PINNED
    read = reading.result()
    assert run(read.read()) + run(read.read()) == body
    read.close()
    assert run(collector_of(world).collect()) is None
    assert world.stored() == set()


@pytest.mark.parametrize(
    ("error", "level"),
    [(OSError("I/O error"), LogLevel.critical), (ServiceUnavailable(), LogLevel.warn)],
)
def test_a_blob_that_cannot_be_deleted_does_not_keep_the_others(
    world: World, error: Exception, level: NamedConstant
) -> None:
    levels: list[NamedConstant] = []

    def observe(event: LogEvent) -> None:
        levels.append(event["log_level"])

    release(world, 3)
    world.blobs.fail("delete", error)
    globalLogPublisher.addObserver(observe)
    try:
        assert run(collector_of(world).collect()) is None
    finally:
        globalLogPublisher.removeObserver(observe)
    assert released(world) == ["00000001-00000000"]
    assert len(world.stored()) == 1
    assert levels == [level]


def test_many_are_collected_in_batches_and_pinned_ones_do_not_block_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    release(world, 7)
    world.pins.pin(["00000001-00000000", "00000001-00000001", "00000001-00000002"])
    collector = collector_of(world)
    assert run(collector.collect()) == module.PAUSE
    assert len(released(world)) == 5
    assert run(collector.collect()) == module.PAUSE
    assert run(collector.collect()) == module.PINNED
    assert len(released(world)) == 3


def test_it_runs_soon_after_a_start_and_after_each_wake(world: World) -> None:
    clock = Clock()
    collector = collector_of(world, clock)
    release(world, 1)
    run(collector.start())
    clock.advance(module.GATHER)
    assert world.stored() == set()
    release(world, 1)
    collector.wake()
    clock.advance(module.GATHER)
    assert world.stored() == set()
    release(world, 1)
    clock.advance(INTERVAL)
    assert world.stored() == set()
    run(collector.stop())
    release(world, 1)
    collector.wake()
    clock.advance(INTERVAL)
    assert len(world.stored()) == 1
