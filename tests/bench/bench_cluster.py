"""What a cluster costs: three real processes on this machine beside one alone, in the same run.

Everything shares the cores: the nodes, the reference and the clients.  So the ratios say what a
cluster costs in processor time as much as in waiting, and three machines of their own do better.
"""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import load, processes, signed
from tests.integration.cluster import Cluster, Node, eventually
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

Pairs = list[tuple[float, float]]

BODY = b"y" * 4096
KEYS = 20_000
CONNECTIONS = 32
ELECTION_MS = 1000
USUAL = {"election_timeout_ms": ELECTION_MS, "heartbeat_interval_ms": 150}
"""The defaults, where the tests' clusters are faster."""
LOG_MIB = 192
"""A log is emptied up to its tail at every snapshot: by the defaults after 64 MiB of entries, or
10,000; and its file keeps the place that it took."""
QUIET = {"server": {"log_level": "warn"}}
"""On all servers alike: their logs end in this process, which is also the client."""


def puts(port: int) -> list[bytes]:
    """PUTs of 4 KiB to many keys, signed for a server."""
    return [signed.put(port, f"/bench/put/{n}", BODY) for n in range(KEYS)]


def gets(port: int) -> list[bytes]:
    """GETs of 1 KiB."""
    return [signed.head(port, "GET", f"/bench/small/{n}") for n in range(64)]


def fill(daemon: Daemon) -> None:
    """The bucket, and what is read of it."""
    s3 = client_of(daemon)
    s3.create_bucket(Bucket="bench")
    for n in range(64):
        s3.put_object(Bucket="bench", Key=f"small/{n}", Body=b"x" * 1024)


def writes(directory: Path, seconds: float, pairs: int) -> Pairs:
    """PUTs a second through the leader, beside a single node's."""
    with processes.bleepstore(directory / "one", QUIET) as one, _cluster(directory) as cluster:
        leader = cluster.leader()
        for daemon in (one, leader):
            fill(daemon)
        return _alternate(leader.port, puts(leader.port), one.port, puts(one.port), seconds, pairs)


def reads(directory: Path, consistency: str, seconds: float, pairs: int) -> Pairs:
    """GETs a second through a follower, beside a single node's."""
    with (
        processes.bleepstore(directory / "one", QUIET) as one,
        _cluster(directory, read_consistency=consistency) as cluster,
    ):
        follower = cluster.followers()[0]
        fill(one)
        fill(cluster.leader())
        cluster.caught_up()
        eventually(lambda: "small/63" in follower.request("GET", "/bench").body.decode())
        return _alternate(
            follower.port, gets(follower.port), one.port, gets(one.port), seconds, pairs
        )


def eventual_reads(directory: Path, seconds: float, pairs: int) -> Pairs:
    """GETs that a follower answers by itself."""
    return reads(directory, "eventual", seconds, pairs)


def strong_reads(directory: Path, seconds: float, pairs: int) -> Pairs:
    """GETs that a follower has confirmed by the leader."""
    return reads(directory, "strong", seconds, pairs)


def failover(directory: Path, times: int) -> list[float]:
    """Seconds from the death of a leader to the next acknowledged write at another node, each
    time with a new leader."""
    found = []
    with _cluster(directory) as cluster:
        fill(cluster.leader())
        for n in range(times):
            leader = cluster.leader()
            cluster.caught_up()
            other = next(node for node in cluster.running if node is not leader)
            began = time.perf_counter()
            leader.kill()
            while other.request("PUT", f"/bench/after/{n}", b"x").status != 200:
                pass
            found.append(time.perf_counter() - began)
            leader.start()
    return found


@dataclass
class CatchUp:
    """A node far behind, brought up to date while the cluster serves.

    :ivar rates: PUTs a second while it catches up, beside those before.
    :ivar snapshots: how many it was sent.
    :ivar seconds: until it had everything.
    :ivar log_bytes: of the leader's log at the end.
    """

    rates: Pairs = field(default_factory=list)
    snapshots: int = 0
    seconds: float = 0
    log_bytes: int = 0


def catch_up(directory: Path, behind: int) -> CatchUp:
    """Stop a follower, write ``behind`` entries, start it again.

    The rate before is that of the two others, with nobody to bring up.
    """
    result = CatchUp()
    with _cluster(directory) as cluster:
        leader = cluster.leader()
        fill(leader)
        requests = puts(leader.port)
        follower = cluster.followers()[0]
        follower.stop()
        start = leader.status()["applied_index"]
        before = load.closed_loop(leader.port, requests, CONNECTIONS, 2)
        while leader.status()["applied_index"] - start < behind:
            before = load.closed_loop(leader.port, requests, CONNECTIONS, 2)
        goal = leader.status()["applied_index"]
        began = time.perf_counter()
        watcher = _Watcher(follower, goal)
        follower.start()
        watcher.start()
        while watcher.is_alive():
            during = load.closed_loop(leader.port, requests, CONNECTIONS, 1)
            result.rates.append((during, before))
        watcher.join()
        result.seconds = watcher.reached - began
        result.snapshots = _counted(follower, "bleepstore_raft_snapshots_received_total")
        result.log_bytes = sum(
            path.stat().st_size for path in (leader.directory / "data" / "raft").glob("raft.db*")
        )
    return result


class _Watcher(threading.Thread):
    """Ends when a node has applied an index."""

    def __init__(self, node: Node, goal: int) -> None:
        super().__init__(daemon=True)
        self._node = node
        self._goal = goal
        self.reached = 0.0

    def run(self) -> None:
        eventually(lambda: self._node.status()["applied_index"] >= self._goal)
        self.reached = time.perf_counter()


def _counted(node: Node, name: str) -> int:
    metrics = node.request("GET", "/metrics").body.decode()
    found = re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", metrics, re.MULTILINE)
    return int(float(found[1])) if found else 0


@contextlib.contextmanager
def _cluster(directory: Path, **settings: Any) -> Iterator[Cluster]:
    """Three nodes; what they have logged is shown only if something breaks."""
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            Cluster(directory / "cluster", 3, {**USUAL, **settings}, QUIET) as cluster,
        ):
            yield cluster
    except BaseException:
        print(said.getvalue())
        raise


def _alternate(
    subject: int,
    to_subject: list[bytes],
    reference: int,
    to_reference: list[bytes],
    seconds: float,
    pairs: int,
) -> Pairs:
    return [
        (
            load.closed_loop(subject, to_subject, CONNECTIONS, seconds),
            load.closed_loop(reference, to_reference, CONNECTIONS, seconds),
        )
        for _ in range(pairs)
    ]
