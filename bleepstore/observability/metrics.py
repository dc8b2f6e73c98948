"""The metrics: counted cheaply, shown to Prometheus when it asks.

Requests are counted some hundreds at a time, on the reactor's thread, in plain dicts and lists:
no lock, no label object, no string formatting.  prometheus_client is imported by the first
scrape alone; until then it costs neither time nor memory.

Knows nothing of S3: the caller names the operation and the path's template.  Nothing that a
client chooses freely may become a label, or a client could grow the tables without bound;
so an unusual method is counted as ``other``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from bleepstore.interfaces.metadata import Totals
from bleepstore.observability.families import Distribution, Family
from bleepstore.observability.scrapes import Scrapes

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

DURATION_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""Upper bounds in seconds: the defaults of Prometheus' Python client."""

SIZE_BUCKETS = tuple(256 * 4**step for step in range(10))
"""Upper bounds in bytes: 256 B to 64 MiB by powers of four."""

GATHERED = 256
"""Requests that are counted together at most: many in a row cost less than each between other
work."""

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
"""The text exposition format that every Prometheus reads."""

_DURATION_BOUNDS = tuple(map(str, DURATION_BUCKETS))
_SIZE_BOUNDS = tuple(str(float(bound)) for bound in SIZE_BUCKETS)


class _Series:
    """What is known of one (method, path template): counts a status, and three histograms."""

    __slots__ = (
        "durations",
        "received",
        "received_sum",
        "seconds_sum",
        "sent",
        "sent_sum",
        "statuses",
    )

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = [0] * (len(DURATION_BUCKETS) + 1)
        self.received = [0] * (len(SIZE_BUCKETS) + 1)
        self.sent = [0] * (len(SIZE_BUCKETS) + 1)
        self.seconds_sum = 0.0
        self.received_sum = 0
        self.sent_sum = 0


_Finished = tuple[str, str, str, int, bool, int, int, float]
"""The arguments of :meth:`Metrics.request_finished`."""


class Metrics:
    """The counters of one process.

    :param enabled: False counts nothing (``observability.metrics: false``).
    """

    __slots__ = (
        "_collectors",
        "_finished",
        "_operations",
        "_others",
        "_registry",
        "_series",
        "enabled",
    )

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._series: dict[tuple[str, str], _Series] = {}
        self._operations: dict[tuple[str, bool], int] = {}
        self._finished: list[_Finished] = []
        self._collectors: list[tuple[str, Callable[[], Mapping[str, int]]]] = []
        self._others: list[Callable[[], Iterable[Family | Distribution]]] = []
        self._registry: CollectorRegistry | None = None

    def add_families(self, read: Callable[[], Iterable[Family | Distribution]]) -> None:
        """Show the metrics of another part.

        :param read: called at every scrape.
        """
        self._others.append(read)

    def add_counters(self, prefix: str, read: Callable[[], Mapping[str, int]]) -> None:
        """Show the counters of another part, e.g. of the metadata writer's group commits.

        :param prefix: of every name, e.g. ``bleepstore_metadata``; the name in the text is
            ``{prefix}_{name}_total``.
        :param read: called at every scrape; name → a count that only grows.
        """
        self._collectors.append((prefix, read))

    def request_finished(
        self,
        method: str,
        path: str,
        operation: str,
        status: int,
        failed: bool,
        received: int,
        sent: int,
        seconds: float,
    ) -> None:
        """Count a request that has ended, soon, and before anybody asks.

        :param path: a template such as ``/{bucket}/{key}``, never a key.
        :param operation: the S3 operation's name; empty for what is none, such as ``/health``.
        :param status: as it was sent; 0 if the client went before there was one.
        :param failed: whether it is an error; an answer of 200 may yet turn into one.
        :param received: body bytes taken.
        :param sent: body bytes written.
        """
        if not self.enabled:
            return
        finished = self._finished
        finished.append((method, path, operation, status, failed, received, sent, seconds))
        if len(finished) >= GATHERED:
            self._count()

    def _count(self) -> None:
        """Count what has gathered."""
        for method, path, operation, status, failed, received, sent, seconds in self._finished:
            series = self._series.get((method, path))
            if series is None:
                usual = method if method in METHODS else "other"
                series = self._series.setdefault((usual, path), _Series())
            statuses = series.statuses
            statuses[status] = statuses.get(status, 0) + 1
            series.durations[bisect_left(DURATION_BUCKETS, seconds)] += 1
            series.received[bisect_left(SIZE_BUCKETS, received)] += 1
            series.sent[bisect_left(SIZE_BUCKETS, sent)] += 1
            series.seconds_sum += seconds
            series.received_sum += received
            series.sent_sum += sent
            if operation:
                outcome = (operation, not failed)
                self._operations[outcome] = self._operations.get(outcome, 0) + 1
        self._finished.clear()

    def scrapes(
        self, clock: IReactorTime, totals: Callable[[], Awaitable[Totals]]
    ) -> Scrapes | None:
        """For those who ask for the text; None if nothing is counted.

        :param totals: as :meth:`exposition`.
        """
        return Scrapes(clock, lambda: self.exposition(totals)) if self.enabled else None

    async def exposition(self, totals: Callable[[], Awaitable[Totals]]) -> bytes:
        """The text of all metrics.

        :param totals: how much the store holds, asked now (``IMetadataReader.totals``).
        :raises Exception: what ``totals`` raises; half a scrape would look like a reset.
        """
        from prometheus_client import generate_latest

        held = await totals()
        if self._registry is None:
            self._registry = _process_registry()
        snapshot = _Snapshot(list(self.collect(held)))
        return generate_latest(snapshot) + generate_latest(self._registry)

    def collect(self, held: Totals) -> Iterator[Metric]:
        """Every metric family of ours, as prometheus_client's values."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        self._count()
        requests = CounterMetricFamily(
            "bleepstore_http_requests",
            "HTTP requests that were answered.",
            labels=("method", "path", "status"),
        )
        for (method, path), series in self._series.items():
            for status, count in series.statuses.items():
                requests.add_metric((method, path, str(status)), count)
        yield requests

        operations = CounterMetricFamily(
            "bleepstore_s3_operations",
            "S3 operations that were answered.",
            labels=("operation", "status"),
        )
        for (operation, succeeded), count in self._operations.items():
            operations.add_metric((operation, "success" if succeeded else "error"), count)
        yield operations

        every = self._series.values()
        yield CounterMetricFamily(
            "bleepstore_bytes_received",
            "Bytes of request bodies taken.",
            value=sum(series.received_sum for series in every),
        )
        yield CounterMetricFamily(
            "bleepstore_bytes_sent",
            "Bytes of response bodies written.",
            value=sum(series.sent_sum for series in every),
        )
        yield GaugeMetricFamily(
            "bleepstore_objects_total", "Objects held, all buckets together.", value=held.objects
        )
        yield GaugeMetricFamily("bleepstore_buckets_total", "Buckets held.", value=held.buckets)
        yield from self._histograms()
        for prefix, read in self._collectors:
            for name, count in read().items():
                yield CounterMetricFamily(
                    f"{prefix}_{name}", f"Count of {name.replace('_', ' ')}.", value=count
                )
        for told in self._others:
            for family in told():
                yield _shown(family)

    def _histograms(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import HistogramMetricFamily

        labels = ("method", "path")
        durations = HistogramMetricFamily(
            "bleepstore_http_request_duration_seconds",
            "From the request's head to the end of its response.",
            labels=labels,
        )
        received = HistogramMetricFamily(
            "bleepstore_http_request_size_bytes", "Bytes of a request's body.", labels=labels
        )
        sent = HistogramMetricFamily(
            "bleepstore_http_response_size_bytes", "Bytes of a response's body.", labels=labels
        )
        for pair, series in self._series.items():
            durations.add_metric(
                pair, _cumulated(_DURATION_BOUNDS, series.durations), series.seconds_sum
            )
            received.add_metric(
                pair, _cumulated(_SIZE_BOUNDS, series.received), series.received_sum
            )
            sent.add_metric(pair, _cumulated(_SIZE_BOUNDS, series.sent), series.sent_sum)
        yield durations
        yield received
        yield sent


class _Snapshot:
    """Families collected already, in the form ``generate_latest`` takes: something to collect."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _shown(family: Family | Distribution) -> Metric:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if isinstance(family, Distribution):
        histogram = HistogramMetricFamily(family.name, family.doc)
        bounds = tuple(map(str, family.bounds))
        histogram.add_metric((), _cumulated(bounds, family.counts), family.total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    shown: CounterMetricFamily | GaugeMetricFamily = kind(
        family.name, family.doc, labels=family.labels
    )
    for sample in family.samples:
        shown.add_metric(sample.labels, sample.value)
    return shown


def _cumulated(bounds: tuple[str, ...], counts: list[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets: each counts everything up to its bound, the last everything."""
    running = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*bounds, "+Inf"), counts, strict=True):
        running += count
        buckets.append((bound, float(running)))
    return buckets


def _process_registry() -> CollectorRegistry:
    """The collectors of the process and of Python's memory, in a registry of their own, so that
    an application that embeds the store keeps its default registry to itself."""
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
