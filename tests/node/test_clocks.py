"""The reactor's clock is one that nobody sets."""

from __future__ import annotations

import time

from twisted.internet.task import Clock

from bleepstore.node.clocks import measure_steadily


def test_a_reactor_measures_by_the_steady_clock() -> None:
    reactor = Clock()
    measure_steadily(reactor)
    assert reactor.seconds is time.monotonic


def test_what_others_have_planned_keeps_its_clock() -> None:
    reactor = Clock()
    reactor.callLater(1, lambda: None)
    measure_steadily(reactor)
    assert reactor.seconds() == 0
