"""A mutation goes on to its end, whoever stops waiting for it."""

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, globalLogPublisher

from bleepstore.errors import IncompleteBody, NoSuchKey
from bleepstore.objectstore.shield import shield
from bleepstore.streams.coroutines import Uncancellable
from tests.objectstore.driving import Running, run


async def answer(value: str) -> str:
    return value


def test_what_does_not_suspend_is_answered_at_once() -> None:
    assert run(shield(answer("x"))) == "x"


def test_what_is_raised_comes_through_at_once_and_late() -> None:
    async def refuse(step: "Deferred[None] | None") -> None:
        if step is not None:
            await step
        raise NoSuchKey

    with pytest.raises(NoSuchKey):
        run(shield(refuse(None)))
    step: Deferred[None] = Deferred()
    running = Running(shield(refuse(step)))
    step.callback(None)
    with pytest.raises(NoSuchKey):
        running.result()


def test_what_the_work_waits_for_may_fail_or_be_cancelled_and_the_work_goes_on() -> None:
    steps: list[Deferred[None]] = [Deferred(), Deferred(), Deferred()]

    async def work() -> str:
        seen = []
        for step in steps:
            try:
                await step
            except (CancelledError, KeyError) as error:
                seen.append(type(error).__name__)
        return " ".join(seen)

    running = Running(shield(work()))
    steps[0].cancel()
    steps[1].errback(KeyError("x"))
    steps[2].callback(None)
    assert running.result() == "CancelledError KeyError"


def test_a_cancelled_wait_ends_but_the_work_does_not() -> None:
    step: Deferred[None] = Deferred()
    reached: list[str] = []

    async def work() -> None:
        await step
        reached.append("end")

    running = Running(shield(work()))
    running.cancel()
    with pytest.raises(CancelledError):
        running.result()
    assert reached == []
    step.callback(None)
    assert reached == ["end"]


def test_a_wait_for_what_cannot_be_cancelled_goes_on_to_the_result() -> None:
    step: Deferred[str] = Uncancellable()

    async def work() -> str:
        return await step

    running = Running(shield(work()))
    running.cancel()
    step.callback("done")
    assert running.result() == "done"


@pytest.mark.parametrize(("error", "logged"), [(IncompleteBody(), 0), (ValueError("broken"), 1)])
def test_after_a_cancelled_wait_defects_are_logged_and_refusals_are_not(
    error: Exception, logged: int
) -> None:
    step: Deferred[None] = Deferred()

    async def work() -> None:
        await step
        raise error

    events: list[object] = []

    def observe(event: "dict[str, object]") -> None:
        if event["log_level"] is LogLevel.critical:
            events.append(event)

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    try:
        running = Running(shield(work()))
        running.cancel()
        with pytest.raises(CancelledError):
            running.result()
        step.callback(None)
    finally:
        globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]
    assert len(events) == logged
