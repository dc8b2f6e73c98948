"""Coroutines started by hand: what a Deferred made later must not miss."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from bleepstore.streams.coroutines import Pending, pending, resumed, run_on


def begun(coroutine: Coroutine[Deferred[Any], Any, str]) -> Deferred[str]:
    return resumed(coroutine, coroutine.send(None))


def outcome(deferred: Deferred[str]) -> str | Failure | None:
    seen: list[str | Failure] = []
    deferred.addBoth(seen.append)
    return seen[0] if seen else None


def test_it_goes_on_when_what_it_waits_for_fires() -> None:
    first: Deferred[str] = Deferred()
    second: Deferred[str] = Deferred()

    async def work() -> str:
        return await first + await second

    doing = begun(work())
    assert not doing.called
    first.callback("a")
    assert not doing.called
    second.callback("b")
    assert outcome(doing) == "ab"


def test_it_may_wait_for_what_has_fired_and_waits_itself() -> None:
    inner: Deferred[str] = Deferred()
    first: Deferred[str] = Deferred()
    first.callback("ignored")
    first.addCallback(lambda _: inner)

    async def work() -> str:
        return await first

    doing = begun(work())
    assert not doing.called
    inner.callback("inner")
    assert outcome(doing) == "inner"


def test_a_failure_is_raised_inside_and_may_be_caught() -> None:
    first: Deferred[str] = Deferred()
    second: Deferred[str] = Deferred()

    async def work() -> str:
        try:
            return await first
        except KeyError as error:
            return f"caught {error!r}, " + await second

    doing = begun(work())
    first.errback(KeyError("x"))
    second.callback("went on")
    assert outcome(doing) == "caught KeyError('x'), went on"


def test_what_is_raised_fails_the_deferred() -> None:
    first: Deferred[str] = Deferred()

    async def work() -> str:
        await first
        raise ValueError("late")

    doing = begun(work())
    first.callback("")
    failure = outcome(doing)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, ValueError)


def test_a_failure_that_nobody_catches_comes_out() -> None:
    first: Deferred[str] = Deferred()

    async def work() -> str:
        return await first

    doing = begun(work())
    first.errback(KeyError("x"))
    failure = outcome(doing)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, KeyError)


def test_cancelling_cancels_what_it_waits_for() -> None:
    cancelled: list[object] = []
    first: Deferred[str] = Deferred(cancelled.append)
    ended: list[str] = []

    async def work() -> str:
        try:
            return await first
        finally:
            ended.append("cleaned up")

    doing = begun(work())
    doing.cancel()
    assert cancelled == [first]
    assert ended == ["cleaned up"]
    failure = outcome(doing)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, CancelledError)


def test_one_that_is_given_up_is_closed() -> None:
    ended: list[str] = []

    async def work() -> str:
        try:
            return await Deferred()
        finally:
            ended.append("closed")

    doing = begun(work())
    del doing
    gc.collect()
    assert ended == ["closed"]


def test_one_whose_result_nobody_wants_goes_on_to_its_end() -> None:
    inner: Deferred[str] = Deferred()
    steps: list[Deferred[str]] = [Deferred(), Deferred(), Deferred()]
    steps[2].addCallback(lambda _: inner)
    seen: list[str] = []

    async def work() -> None:
        for step in steps:
            try:
                seen.append(await step)
            except KeyError as error:
                seen.append(repr(error))

    coroutine = work()
    run_on(coroutine, coroutine.send(None))
    steps[0].callback("a")
    steps[1].errback(KeyError("b"))
    steps[2].callback("not this")
    assert seen == ["a", "KeyError('b')"]
    inner.callback("c")
    assert seen == ["a", "KeyError('b')", "c"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


def test_a_defect_of_one_that_runs_on_is_not_lost() -> None:
    step: Deferred[str] = Deferred()

    async def work() -> None:
        raise ValueError(await step)

    coroutine = work()
    run_on(coroutine, coroutine.send(None))
    step.callback("late")
    failure = outcome(step)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, ValueError)


class Greeter:
    greeting = "hello "

    @pending
    async def greet(self, name: str) -> str:
        return self.greeting + name


def test_a_pending_method_is_run_by_whoever_awaits_it() -> None:
    answer = Greeter().greet("you")
    assert isinstance(answer, Pending)

    async def work() -> str:
        return await answer

    with pytest.raises(StopIteration) as end:
        work().send(None)
    assert end.value.value == "hello you"
