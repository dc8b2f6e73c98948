"""Health probes: what they report, that they end, and that they are shared."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.observability.health import CHECK_SECONDS, Health, HealthReport, Unusable

T = TypeVar("T")


class _Part:
    """A part whose check answers when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: list[Deferred[None]] = []
        self.cancelled = 0

    async def check(self) -> None:
        self.asked += 1
        answer: Deferred[None] = Deferred(self._cancel)
        self.answers.append(answer)
        await answer

    def _cancel(self, _answer: Deferred[None]) -> None:
        self.cancelled += 1


async def _fine() -> None:
    return


async def _broken() -> None:
    raise OSError("the disk is gone")


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged meanwhile."""
    found: list[LogEvent] = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def _started(probe: Coroutine[Any, Any, HealthReport]) -> list[HealthReport]:
    results: list[HealthReport] = []
    Deferred.fromCoroutine(probe).addCallback(results.append)
    return results


async def _telling() -> dict[str, str]:
    return {"role": "leader"}


async def _waiting() -> None:
    raise Unusable(role="follower", leader="")


def test_a_check_says_more_than_yes_or_no() -> None:
    [report] = _started(Health(Clock(), {"cluster": _telling}).probe())
    assert json.loads(report.json()) == {
        "status": "ok",
        "checks": {"cluster": {"status": "ok", "latency_ms": 0.0, "role": "leader"}},
    }


def test_what_is_known_to_be_unusable_is_told_and_not_logged(events: list[LogEvent]) -> None:
    [report] = _started(Health(Clock(), {"cluster": _waiting, "storage": _fine}).probe())
    assert json.loads(report.json()) == {
        "status": "degraded",
        "checks": {
            "cluster": {"status": "error", "latency_ms": 0.0, "role": "follower", "leader": ""},
            "storage": {"status": "ok", "latency_ms": 0.0},
        },
    }
    assert events == []


def test_all_checks_pass() -> None:
    [report] = _started(Health(Clock(), {"metadata": _fine, "storage": _fine}).probe())
    assert report.healthy
    assert json.loads(report.json()) == {
        "status": "ok",
        "checks": {
            "metadata": {"status": "ok", "latency_ms": 0.0},
            "storage": {"status": "ok", "latency_ms": 0.0},
        },
    }


def test_one_failing_check_degrades_the_whole_and_is_named() -> None:
    [report] = _started(Health(Clock(), {"metadata": _fine, "storage": _broken}).probe())
    assert not report.healthy
    decoded = json.loads(report.json())
    assert decoded["status"] == "degraded"
    assert decoded["checks"]["metadata"]["status"] == "ok"
    assert decoded["checks"]["storage"]["status"] == "error"
    assert "disk" not in report.json().decode()


def test_latency_is_measured_and_checks_run_side_by_side() -> None:
    clock, slow, slower = Clock(), _Part(), _Part()
    results = _started(Health(clock, {"metadata": slow.check, "storage": slower.check}).probe())
    assert (slow.asked, slower.asked) == (1, 1)
    clock.advance(0.25)
    slow.answers[0].callback(None)
    clock.advance(0.5)
    slower.answers[0].callback(None)
    checks = results[0].checks
    assert checks["metadata"].latency_ms == pytest.approx(250)
    assert checks["storage"].latency_ms == pytest.approx(750)


def test_a_check_that_never_answers_is_given_up_within_the_bound() -> None:
    clock, stuck = Clock(), _Part()
    results = _started(Health(clock, {"storage": stuck.check}).probe())
    clock.advance(CHECK_SECONDS - 0.01)
    assert results == []
    clock.advance(0.02)
    assert results[0].status == "degraded"
    assert stuck.cancelled == 1
    assert clock.getDelayedCalls() == []


def test_probes_at_the_same_time_share_one_check() -> None:
    clock, part = Clock(), _Part()
    health = Health(clock, {"storage": part.check})
    first, second = _started(health.probe()), _started(health.probe())
    assert part.asked == 1
    part.answers[0].callback(None)
    assert first == second
    assert first[0].healthy
    third = _started(health.probe())
    assert part.asked == 2
    part.answers[1].errback(OSError("now it fails"))
    assert not third[0].healthy


def test_a_prober_that_goes_away_leaves_the_probe_to_the_others() -> None:
    clock, part = Clock(), _Part()
    health = Health(clock, {"storage": part.check})
    going = Deferred.fromCoroutine(health.probe())
    staying = _started(health.probe())
    going.addErrback(lambda _failure: None)
    going.cancel()
    part.answers[0].callback(None)
    assert staying[0].healthy
