"""Parts start one after another, stop in reverse, and nothing hangs for ever."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.errors import InsufficientStorage
from bleepstore.node.problems import StartError
from bleepstore.node.services import (
    START_SECONDS,
    OrderedService,
    Overdue,
    PartService,
    bounded,
)


class Script:
    """Parts that write down what happens to them, and wait or fail when they are told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.waits: dict[str, Deferred[None]] = {}
        self.fails: dict[str, Exception] = {}

    def part(self, name: str) -> Part:
        return Part(self, name)

    async def act(self, what: str) -> None:
        self.log.append(what)
        if what in self.waits:
            await self.waits[what]
        if what in self.fails:
            raise self.fails[what]


class Part:
    def __init__(self, script: Script, name: str) -> None:
        self._script = script
        self._name = name

    async def start(self) -> None:
        await self._script.act(f"start {self._name}")

    async def stop(self) -> None:
        await self._script.act(f"stop {self._name}")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tree(script: Script, clock: Clock) -> OrderedService:
    tree = OrderedService()
    for name in "abc":
        tree.add(PartService(name, [script.part(name)], clock))
    return tree


@pytest.fixture
def failures() -> Any:
    """Events with a traceback that were logged meanwhile."""
    found: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            found.append(event)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def outcome(deferred: Deferred[Any]) -> Any:
    """What a Deferred that has fired gave; its exception; or None if it has not."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    if not results:
        return None
    return getattr(results[0], "value", "done")


def test_children_start_in_order_and_stop_in_reverse(tree: OrderedService, script: Script) -> None:
    assert outcome(tree.startService()) == "done"
    assert outcome(tree.stopService()) == "done"
    assert script.log == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


def test_a_child_starts_only_when_the_one_before_is_ready(
    tree: OrderedService, script: Script
) -> None:
    script.waits["start b"] = Deferred()
    starting = tree.startService()
    assert script.log == ["start a", "start b"]
    script.waits["start b"].callback(None)
    assert outcome(starting) == "done"
    assert script.log[-1] == "start c"


def test_children_are_found_by_name(tree: OrderedService) -> None:
    assert [child.name for child in tree] == ["a", "b", "c"]
    assert tree.getServiceNamed("b").name == "b"


def test_a_failure_rolls_back_what_had_started(tree: OrderedService, script: Script) -> None:
    script.fails["start c"] = OSError("no disk")
    error = outcome(tree.startService())
    assert isinstance(error, StartError)
    assert str(error) == "c cannot start: no disk"
    assert script.log == ["start a", "start b", "start c", "stop b", "stop a"]
    assert outcome(tree.stopService()) == "done"
    assert script.log[-1] == "stop a"


def test_a_disk_without_room_for_a_start_is_no_defect(
    tree: OrderedService, script: Script, failures: list[LogEvent]
) -> None:
    script.fails["start a"] = InsufficientStorage()
    assert "a cannot start: the disk is full" in str(outcome(tree.startService()))
    assert failures == []


def test_a_defect_is_logged_with_its_trace(
    tree: OrderedService, script: Script, failures: list[LogEvent]
) -> None:
    script.fails["start a"] = KeyError("x")
    assert str(outcome(tree.startService())) == "a cannot start: 'x'"
    assert len(failures) == 1


def test_a_start_that_takes_too_long_fails_and_is_cleaned_up(
    tree: OrderedService, script: Script, clock: Clock
) -> None:
    script.waits["start b"] = Deferred()
    ended: list[Any] = []
    tree.startService().addBoth(ended.append)
    clock.advance(START_SECONDS - 1)
    assert not ended
    clock.advance(1)
    assert str(ended[0].value) == "b cannot start: it took longer than 120 seconds"
    assert script.log == ["start a", "start b", "stop b", "stop a"]
    assert not clock.getDelayedCalls()


def test_a_stop_that_takes_too_long_does_not_keep_the_others_from_stopping(
    script: Script, clock: Clock, failures: list[LogEvent]
) -> None:
    tree = OrderedService()
    for name in "ab":
        tree.add(PartService(name, [script.part(name)], clock, stop_seconds=3))
    tree.startService()
    script.waits["stop b"] = Deferred(lambda _: None)  # cannot even be cancelled
    stopping = tree.stopService()
    clock.advance(2.9)
    assert script.log[-1] == "stop b"
    clock.advance(0.2)
    assert script.log[-1] == "stop a"
    clock.advance(3)
    assert outcome(stopping) == "done"
    assert [event["name"] for event in failures] == ["b"]


def test_a_stop_that_fails_is_logged_and_the_others_stop(
    tree: OrderedService, script: Script, failures: list[LogEvent]
) -> None:
    tree.startService()
    script.fails["stop b"] = OSError("stuck")
    assert outcome(tree.stopService()) == "done"
    assert script.log[-3:] == ["stop c", "stop b", "stop a"]
    assert len(failures) == 1


def test_stopping_breaks_off_a_start_under_way(tree: OrderedService, script: Script) -> None:
    script.waits["start b"] = Deferred()
    starting = tree.startService()
    stopping = tree.stopService()
    assert isinstance(outcome(starting), StartError)
    assert outcome(stopping) == "done"
    assert script.log == ["start a", "start b", "stop b", "stop a"]


def test_stopping_twice_stops_once(tree: OrderedService, script: Script) -> None:
    tree.startService()
    tree.stopService()
    assert outcome(tree.stopService()) == "done"
    assert script.log.count("stop a") == 1


def test_parts_of_one_service_keep_their_order_and_roll_back(script: Script, clock: Clock) -> None:
    service = PartService("jobs", [script.part(name) for name in "abc"], clock)
    script.fails["start c"] = OSError("x")
    assert isinstance(outcome(service.startService()), OSError)
    assert script.log == ["start a", "start b", "start c", "stop b", "stop a"]


def test_a_bound_gives_the_result_and_leaves_no_timer(clock: Clock) -> None:
    async def seven() -> int:
        return 7

    results: list[int] = []
    bounded(seven(), 5, clock).addCallback(results.append)
    assert results == [7]
    assert not clock.getDelayedCalls()


def test_a_bound_ends_what_ignores_its_cancellation(clock: Clock) -> None:
    stubborn: Deferred[None] = Deferred(lambda _: None)

    async def wait() -> None:
        await stubborn

    waiting = bounded(wait(), 5, clock)
    results: list[Any] = []
    waiting.addBoth(results.append)
    clock.advance(5)
    assert results[0].check(Overdue)


def test_a_failure_after_the_bound_is_not_lost(clock: Clock, failures: list[LogEvent]) -> None:
    stubborn: Deferred[None] = Deferred(lambda _: None)

    async def wait() -> None:
        try:
            await stubborn
        except BaseException:
            raise OSError("too late") from None

    bounded(wait(), 5, clock).addErrback(lambda _: None)
    clock.advance(5)
    if not stubborn.called:
        stubborn.errback(OSError("too late"))
    assert len(failures) == 1
    assert failures[0]["log_failure"].check(OSError)
