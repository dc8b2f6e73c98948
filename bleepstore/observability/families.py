"""Metrics of other parts, as plain values: what a part tells, and ``metrics`` shows.

Knows no Prometheus client; whoever keeps numbers need not either.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Sample(Struct, frozen=True):
    """:ivar labels: values, in the order of the family's label names."""

    value: float
    labels: tuple[str, ...] = ()


class Family(Struct, frozen=True):
    """A metric of one value a sample.

    :ivar name: whole, without the ``_total`` that a counter's name ends with in the text.
    """

    kind: Literal["counter", "gauge"]
    name: str
    doc: str
    samples: Sequence[Sample]
    labels: tuple[str, ...] = ()


def counter(name: str, doc: str, value: float) -> Family:
    """A count without labels, that only grows."""
    return Family("counter", name, doc, (Sample(value),))


def gauge(name: str, doc: str, value: float) -> Family:
    """A number without labels that goes up and down."""
    return Family("gauge", name, doc, (Sample(value),))


class Distribution:
    """How often a value fell below each of several bounds; to add one costs half a microsecond.

    :ivar counts: for each bound, and one more: values of at most that bound, and of more than
        the one before.
    :ivar total: the sum of all values.
    """

    __slots__ = ("bounds", "counts", "doc", "name", "total")

    def __init__(self, name: str, doc: str, bounds: Sequence[float]) -> None:
        """:param bounds: ascending."""
        self.name = name
        self.doc = doc
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
