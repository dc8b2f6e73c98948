"""What a scrape shows, read back by Prometheus' own parser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from bleepstore.interfaces.metadata import Totals
from bleepstore.observability.families import Distribution, Family, Sample, counter, gauge
from bleepstore.observability.metrics import SIZE_BUCKETS, Metrics


async def _totals() -> Totals:
    return Totals(buckets=2, objects=7)


def _now(awaitable: Coroutine[Any, Any, bytes]) -> bytes:
    results: list[bytes] = []
    Deferred.fromCoroutine(awaitable).addCallback(results.append)
    return results[0]


def _scrape(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text = _now(metrics.exposition(_totals)).decode()
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def _busy() -> Metrics:
    metrics = Metrics()
    metrics.request_finished("GET", "/{bucket}/{key}", "GetObject", 200, False, 0, 1024, 0.004)
    metrics.request_finished("GET", "/{bucket}/{key}", "GetObject", 404, True, 0, 300, 0.3)
    metrics.request_finished("PUT", "/{bucket}/{key}", "PutObject", 200, False, 256, 0, 11.0)
    metrics.request_finished("GET", "/health", "", 200, False, 0, 15, 0.001)
    return metrics


def test_requests_are_counted_by_method_template_and_status() -> None:
    requests = _scrape(_busy())["bleepstore_http_requests_total"]
    key = (("method", "GET"), ("path", "/{bucket}/{key}"))
    assert requests[(*key, ("status", "200"))] == 1
    assert requests[(*key, ("status", "404"))] == 1
    assert sum(requests.values()) == 4


def test_operations_are_counted_by_success_and_system_pages_are_none() -> None:
    operations = _scrape(_busy())["bleepstore_s3_operations_total"]
    assert operations == {
        (("operation", "GetObject"), ("status", "success")): 1,
        (("operation", "GetObject"), ("status", "error")): 1,
        (("operation", "PutObject"), ("status", "success")): 1,
    }


def test_bytes_and_totals() -> None:
    samples = _scrape(_busy())
    assert samples["bleepstore_bytes_received_total"] == {(): 256}
    assert samples["bleepstore_bytes_sent_total"] == {(): 1024 + 300 + 15}
    assert samples["bleepstore_objects_total"] == {(): 7}
    assert samples["bleepstore_buckets_total"] == {(): 2}


def test_histograms_cumulate_and_a_bound_belongs_to_its_own_bucket() -> None:
    samples = _scrape(_busy())
    get = (("method", "GET"), ("path", "/{bucket}/{key}"))
    durations = samples["bleepstore_http_request_duration_seconds_bucket"]
    assert durations[(("le", "0.005"), *get)] == 1
    assert durations[(("le", "0.25"), *get)] == 1
    assert durations[(("le", "0.5"), *get)] == 2
    assert durations[(("le", "+Inf"), *get)] == 2
    put = (("method", "PUT"), ("path", "/{bucket}/{key}"))
    assert durations[(("le", "10.0"), *put)] == 0
    assert durations[(("le", "+Inf"), *put)] == 1
    received = samples["bleepstore_http_request_size_bytes_bucket"]
    assert received[(("le", "256.0"), *put)] == 1
    sent = samples["bleepstore_http_response_size_bytes_sum"]
    assert sent[get] == 1324


def test_size_buckets_go_from_256_bytes_to_64_mebibytes() -> None:
    assert SIZE_BUCKETS[0] == 256
    assert SIZE_BUCKETS[-1] == 64 * 1024 * 1024
    assert {after // before for before, after in pairwise(SIZE_BUCKETS)} == {4}


def test_the_process_and_the_garbage_collector_are_shown_too() -> None:
    samples = _scrape(Metrics())
    assert "process_resident_memory_bytes" in samples
    assert "python_gc_collections_total" in samples


def test_a_client_cannot_grow_the_tables_by_inventing_methods() -> None:
    metrics = Metrics()
    for serial in range(50):
        metrics.request_finished(f"M{serial}", "/", "", 405, True, 0, 0, 0.0)
    assert _scrape(metrics)["bleepstore_http_requests_total"] == {
        (("method", "other"), ("path", "/"), ("status", "405")): 50
    }


def test_counters_of_other_parts_join() -> None:
    metrics = Metrics()
    metrics.add_counters("bleepstore_metadata", lambda: {"commits": 3, "commands": 40})
    samples = _scrape(metrics)
    assert samples["bleepstore_metadata_commits_total"] == {(): 3}
    assert samples["bleepstore_metadata_commands_total"] == {(): 40}


def test_families_of_other_parts_join() -> None:
    metrics = Metrics()
    waits = Distribution("bleepstore_raft_append_seconds", "Waits.", (0.1, 1.0))
    for seconds in (0.1, 0.5, 7.0):
        waits.add(seconds)
    lag = Family(
        "gauge", "bleepstore_raft_lag", "Lag.", (Sample(3, ("b",)), Sample(0, ("c",))), ("peer",)
    )
    metrics.add_families(
        lambda: (
            counter("bleepstore_raft_elections", "Count.", 2),
            gauge("a_b", "Now.", 9),
            lag,
            waits,
        )
    )
    samples = _scrape(metrics)
    assert samples["bleepstore_raft_elections_total"] == {(): 2}
    assert samples["a_b"] == {(): 9}
    assert samples["bleepstore_raft_lag"] == {(("peer", "b"),): 3, (("peer", "c"),): 0}
    assert samples["bleepstore_raft_append_seconds_bucket"] == {
        (("le", "0.1"),): 1,
        (("le", "1.0"),): 2,
        (("le", "+Inf"),): 3,
    }
    assert samples["bleepstore_raft_append_seconds_sum"] == {(): pytest.approx(7.6)}
    assert samples["bleepstore_raft_append_seconds_count"] == {(): 3}


def test_switched_off_nothing_is_counted() -> None:
    metrics = Metrics(enabled=False)
    metrics.request_finished("GET", "/", "ListBuckets", 200, False, 0, 10, 0.1)
    assert not _scrape(metrics).get("bleepstore_http_requests_total")


def test_prometheus_client_is_imported_by_the_first_scrape_alone() -> None:
    script = (
        "import sys; from bleepstore.observability.metrics import Metrics; "
        "Metrics().request_finished('GET', '/', 'ListBuckets', 200, False, 0, 0, 0.1); "
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_only_the_names_that_the_contract_fixes() -> None:
    text = _now(_busy().exposition(_totals))
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert checked.returncode in (0, 3), checked.stderr  # 3: lint
    complaints = [line for line in (checked.stdout + checked.stderr).decode().splitlines() if line]
    assert all(
        line.startswith(("bleepstore_objects_total ", "bleepstore_buckets_total "))
        for line in complaints
    ), complaints
