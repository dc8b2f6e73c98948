"""What a decision costs: three nodes as processes of their own, over AMP and real disks, beside
the embedded store with the same clients.

Run: python -m tests.bench.bench_consensus [--clients 32] [--seconds 5] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from bleepstore.cluster.consensus import Consensus
from bleepstore.cluster.consensus_settings import measured
from bleepstore.cluster.log_store import SqliteLog
from bleepstore.cluster.peer_hello import Self
from bleepstore.cluster.snapshots import SnapshotFiles
from bleepstore.cluster.transport import AmpTransport
from bleepstore.interfaces.replication import Identity
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.model import commands
from bleepstore.raft.messages import Member, Members
from bleepstore.streams.threads import ReactorThreads
from tests.metadata.values import bucket, crc64, put

reactor: Any = _reactor
CRC = crc64("AAAAAAAAAAA=")
KIB_4 = b"x" * 4096

Submit = Callable[[Any], Awaitable[object]]


async def load(
    submit: Submit, clients: int, seconds: float, name: str, work: float
) -> dict[str, Any]:
    """Each client submits the next command when its last one is answered.

    :param work: seconds that the reactor is busy with each request beside that, as with HTTP.
    """
    times: list[float] = []
    await submit(bucket())
    end = time.perf_counter() + seconds
    used = time.process_time()

    async def client(number: int) -> None:
        serial = 0
        while time.perf_counter() < end:
            await pause(0)
            started = time.perf_counter()
            while time.perf_counter() < started + work:
                pass
            await submit(put(f"{name}-{number}-{serial}", KIB_4, checksum=CRC))
            times.append(time.perf_counter() - started)
            serial += 1

    await gatherResults([Deferred.fromCoroutine(client(n)) for n in range(clients)])
    used = time.process_time() - used
    times.sort()
    return {
        "rate": len(times) / seconds,
        "p50": times[len(times) // 2] * 1e3,
        "p99": times[len(times) * 99 // 100] * 1e3,
        "cpu": used / len(times) * 1e6,
    }


async def barriers(wait: Callable[[], Awaitable[None]], clients: int, seconds: float) -> float:
    passed = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal passed
        while time.perf_counter() < end:
            await wait()
            passed += 1

    await gatherResults([Deferred.fromCoroutine(client()) for _ in range(clients)])
    return passed / seconds


async def embedded(options: Any) -> dict[str, Any]:
    threads, committing = ReactorThreads(reactor, 4), ReactorThreads(reactor, 1)
    await threads.start()
    await committing.start()
    store = SqliteMetadata(options.at / "m.db", reactor, threads, commit_threads=committing)
    result = await load(store.submit, options.clients, options.seconds, "e", options.work * 1e-6)
    await store.stop()
    await threads.stop()
    await committing.stop()
    return result


async def node(directory: Path, node_id: str, ports: dict[str, int], options: Any) -> None:
    """One node; the first one puts itself in front, and loads itself and then a follower."""
    threads, committing = ReactorThreads(reactor, 4), ReactorThreads(reactor, 1)
    saving = ReactorThreads(reactor, 1)
    for each in (threads, committing, saving):
        await each.start()
    members = Members(tuple(Member(i, f"127.0.0.1:{p}") for i, p in sorted(ports.items())))
    log = SqliteLog(str(directory / "raft"), node_id, reactor, saving)
    await log.start()
    replica = MetadataReplica(
        ReplicaFile(directory / "m.db"), reactor, threads, commit_threads=committing
    )
    me = Self(node=node_id, address=f"127.0.0.1:{ports[node_id]}")
    dice = random.Random(node_id)
    transport = AmpTransport(
        me,
        reactor,
        threads,
        TCP4ServerEndpoint(reactor, ports[node_id], interface="127.0.0.1"),
        lambda host, port: TCP4ClientEndpoint(reactor, host, port),
        str(directory / "incoming"),
        dice.random,
        adopt=lambda cluster_id: consensus.adopt(cluster_id),
    )

    def introduce(identity: Identity) -> None:
        me.cluster, me.log, me.founders = identity.cluster_id, identity.log_id, identity.founders

    consensus = Consensus(
        node_id,
        measured(1000, 150),
        log,
        SnapshotFiles(str(directory / "snapshots"), threads),
        replica,
        transport,
        reactor,
        dice.randrange,
        on_fatal=lambda reason: sys.exit(reason),
        members=members,
        introduce=introduce,
    )
    await consensus.start()

    async def submit(command: Any) -> object:
        return await consensus.propose(commands.encode(command))

    if node_id != "a":
        await command_of_parent("load")
    else:
        while consensus.status().leader != "a":
            if consensus.status().leader:
                await consensus.transfer_leadership("a")
            await pause(0.1)
    say(ready=True)
    if node_id == "a":
        await command_of_parent("load")
    profile = cProfile.Profile() if options.profile else None
    before = dict(transport.statistics())
    saves = consensus.counters.saves
    if profile:
        profile.enable()
    result = await load(submit, options.clients, options.seconds, node_id, options.work * 1e-6)
    if profile:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    decided = max(result["rate"] * options.seconds, 1)
    after = transport.statistics()
    result["sent"] = (after["messages_sent"] - before["messages_sent"]) / decided
    result["saves"] = (consensus.counters.saves - saves) / decided
    result["barriers"] = await barriers(consensus.barrier, options.clients, 1.0)
    say(**result)
    await command_of_parent("end")
    await consensus.stop()
    await replica.stop()
    await log.stop()
    for each in (threads, committing, saving):
        await each.stop()


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def command_of_parent(wanted: str) -> None:
    """Wait for a line on the standard input."""
    from twisted.internet.threads import deferToThread

    line = await deferToThread(sys.stdin.readline)
    assert line.strip() == wanted, line


def pause(seconds: float) -> Deferred[None]:
    over: Deferred[None] = Deferred()
    reactor.callLater(seconds, over.callback, None)
    return over


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(coroutine: Any) -> Any:
    results: list[Any] = []

    def done(result: Any) -> None:
        results.append(result)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(coroutine).addBoth(done))
    reactor.run()
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def shown(name: str, result: dict[str, Any]) -> str:
    more = "".join(f", {result[key]:.2f} {key}" for key in ("sent", "saves") if key in result)
    return (
        f"{name}: {result['rate']:,.0f}/s, p50 {result['p50']:.1f} ms, p99 {result['p99']:.1f} ms, "
        f"{result['cpu']:.0f} µs of processor a command{more}"
    )


def cluster(directory: Path, options: Any, subject: str) -> dict[str, Any]:
    """Three processes, of which one is loaded."""
    ports = {each: free_port() for each in "abc"}
    processes = {}
    for each in "abc":
        (directory / each).mkdir()
        arguments = ["--node", each, "--ports", json.dumps(ports), "--at", str(directory / each)]
        arguments += ["--clients", str(options.clients), "--seconds", str(options.seconds)]
        arguments += ["--work", str(options.work)]
        if options.profile:
            arguments.append("--profile")
        processes[each] = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bench_consensus", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    process = processes[subject]
    leader = processes["a"]
    assert leader.stdout
    assert process.stdout
    assert process.stdin
    leader.stdout.readline()
    if subject != "a":
        process.stdin.write("load\n")
        process.stdin.flush()
        process.stdout.readline()
    else:
        process.stdin.write("load\n")
        process.stdin.flush()
    result = json.loads(process.stdout.readline())
    for each in processes.values():
        each.kill()
        each.wait()
    return dict(result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--work", type=float, default=0, help="µs of other work a request")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--node", default="")
    parser.add_argument("--ports", type=json.loads)
    parser.add_argument("--at", type=Path)
    options = parser.parse_args()
    if options.node == "embedded":
        say(**run(embedded(options)))
        return
    if options.node:
        run(node(options.at, options.node, options.ports, options))
        return
    with tempfile.TemporaryDirectory(prefix="bleepstore-bench-", dir=options.directory) as name:
        arguments = ["--node", "embedded", "--at", name]
        arguments += ["--clients", str(options.clients), "--seconds", str(options.seconds)]
        arguments += ["--work", str(options.work)]
        alone = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_consensus", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        reference = json.loads(alone.stdout)
        print(shown("embedded", reference), flush=True)
        for subject, what in (("a", "through the leader"), ("b", "through a follower")):
            directory = Path(name) / subject
            directory.mkdir()
            result = cluster(directory, options, subject)
            print(shown(what, result), f": {result['rate'] / reference['rate']:.2f} ×", flush=True)
            print(f"  barriers {what}: {result['barriers']:,.0f}/s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
