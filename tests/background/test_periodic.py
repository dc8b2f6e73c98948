"""Periodic work: paced, never overlapping, stopped between two units."""

from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from bleepstore.background.periodic import Periodic
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from tests.objectstore.driving import Running, run


class Work:
    """Counts its units; each answers with the next of ``answers``."""

    def __init__(self, clock: Clock, *answers: "float | Exception | Deferred[None] | None") -> None:
        self.clock = clock
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self) -> float | None:
        self.times.append(self.clock.seconds())
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Deferred):
            await answer
            return None
        return answer


def started(clock: Clock, work: Work) -> Periodic:
    periodic = Periodic(clock, "work", work, interval=100, first=1)
    run(periodic.start())
    return periodic


def test_it_is_a_part() -> None:
    clock = Clock()
    assert verifyObject(IPart, Periodic(clock, "work", Work(clock), interval=1, first=1))


def test_a_store_that_is_unavailable_is_tried_again_and_no_defect() -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        clock = Clock()
        work = Work(clock, ServiceUnavailable("no leader"))
        started(clock, work)
        clock.pump([1, 100])
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert work.times == [1, 101]
    assert [formatEvent(event) for event in events] == ["work waits: no leader"]
    assert "log_failure" not in events[0]


def test_the_first_unit_and_then_one_every_interval() -> None:
    clock = Clock()
    work = Work(clock)
    started(clock, work)
    clock.pump([1, 99, 1, 100])
    assert work.times == [1, 101, 201]


def test_a_unit_chooses_when_the_next_one_comes() -> None:
    clock = Clock()
    work = Work(clock, 2, 3)
    started(clock, work)
    clock.pump([1] * 10)
    assert work.times == [1, 3, 6]


def test_a_unit_that_wants_no_other_gets_none_unless_woken() -> None:
    clock = Clock()
    work = Work(clock, inf)
    periodic = started(clock, work)
    clock.pump([1, 1000, 1000])
    assert work.times == [1]
    assert not clock.getDelayedCalls()
    periodic.wake(5)
    clock.advance(5)
    assert work.times == [1, 2006]


def test_waking_brings_the_next_unit_forward_and_never_puts_it_off() -> None:
    clock = Clock()
    work = Work(clock)
    periodic = started(clock, work)
    clock.advance(1)
    periodic.wake(5)
    periodic.wake(50)
    clock.advance(5)
    assert work.times == [1, 6]


def test_units_do_not_overlap_and_a_wake_meanwhile_is_kept() -> None:
    clock = Clock()
    busy: Deferred[None] = Deferred()
    work = Work(clock, busy)
    periodic = started(clock, work)
    clock.advance(1)
    periodic.wake(3)
    clock.advance(500)
    assert work.times == [1]
    busy.callback(None)
    clock.advance(3)
    assert work.times == [1, 504]


def test_a_unit_that_fails_is_tried_again_after_the_interval() -> None:
    clock = Clock()
    work = Work(clock, ValueError("disk on fire"))
    started(clock, work)
    clock.pump([1, 100])
    assert work.times == [1, 101]


def test_stopping_waits_for_the_unit_under_way() -> None:
    clock = Clock()
    busy: Deferred[None] = Deferred()
    work = Work(clock, busy)
    periodic = started(clock, work)
    clock.advance(1)
    stopping = Running(periodic.stop())
    again = Running(periodic.stop())
    assert not stopping.done
    busy.callback(None)
    assert stopping.done
    assert again.done
    clock.advance(1000)
    assert work.times == [1]


def test_stopped_it_does_nothing_and_can_be_started_again() -> None:
    clock = Clock()
    work = Work(clock)
    periodic = started(clock, work)
    run(periodic.stop())
    run(periodic.stop())
    periodic.wake()
    assert not clock.getDelayedCalls()
    run(periodic.start())
    clock.advance(1)
    assert work.times == [1]
