"""Snapshots on the wire: whole, verified, durable, resumed, and never in the way of others."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from bleepstore.cluster import snapshot_receipt
from bleepstore.cluster.peer_boxes import write_box
from bleepstore.cluster.peer_commands import SnapshotBroken, SnapshotRefused
from bleepstore.cluster.peer_hello import SNAPSHOT
from bleepstore.cluster.peer_settings import PeerSettings
from bleepstore.cluster.snapshot_receipt import IncomingFile
from bleepstore.interfaces.threads import ILane, IThreads
from bleepstore.raft import messages
from bleepstore.raft.messages import Member, Members, ReadIndex, SnapshotMark
from tests.cluster.network import Network, outcome, pass_time, settle
from tests.cluster.nodes import Node, Nodes
from tests.cluster.test_hostile_peers import Rude, call_in, hello

MARK = SnapshotMark(1000, 7, Members((Member("a", "h-a:9002"), Member("b", "h-b:9002"))))
SMALL = PeerSettings(chunk=1000, chunks=3)


@implementer(IThreads, ILane)
class HeldThreads:
    """Calls that happen when they are let, in order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self.held = False

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((result, function, args))
        if not self.held:
            self.let()
        return result

    def lane(self) -> HeldThreads:
        return self

    def let(self, most: int = 1_000_000) -> None:
        while self.waiting and most:
            most -= 1
            result, function, args = self.waiting.pop(0)
            try:
                value = function(*args)
            except Exception as error:
                result.errback(error)
            else:
                result.callback(value)


def snapshot(directory: Path, size: int, seed: bytes = b"s") -> str:
    path = directory / f"snapshot-{size}-{seed.hex()}"
    path.write_bytes((hashlib.sha256(seed).digest() * (size // 32 + 1))[:size])
    return str(path)


def send(
    nodes: Nodes, path: str, term: int = 9, sender: str = "a", to: str = "b"
) -> Deferred[None]:
    made: Any = nodes[sender].transport.send_snapshot(to, term, MARK, path)
    assert isinstance(made, Deferred)
    return made


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3000, 100_000])
def test_a_snapshot_arrives_whole(tmp_path: Path, size: int) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, size)
    outcome(nodes.clock, send(nodes, path))
    ((sender, term, mark, arrived),) = nodes["b"].ears.snapshots
    assert (sender, term, mark) == ("a", 9, MARK)
    assert Path(arrived).read_bytes() == Path(path).read_bytes()
    assert Path(arrived).parent == nodes["b"].incoming
    assert Path(arrived).stat().st_mode & 0o777 == 0o600, "it holds secret keys"
    assert nodes["a"].transport.statistics()["snapshot_bytes_sent"] == size
    assert nodes["b"].transport.statistics()["snapshot_bytes_received"] == size
    assert len(nodes.network.connections("h-a", "h-b")) == 2, "its connection is closed"
    nodes.stop()


def begun(nodes: Nodes, path: str, term: int = 9) -> Deferred[None]:
    """A sending of a that is under way, and has not come far."""
    nodes.network.latency = 0.001
    sending = send(nodes, path, term)
    for _ in range(20):
        nodes.clock.advance(0.001)
    nodes.network.latency = 0
    assert not sending.called
    assert nodes["b"].transport.statistics()["snapshot_bytes_received"] > 0
    return sending


def interrupted(nodes: Nodes, path: str, after: int) -> None:
    """Send, and break the connection once this many bytes have arrived."""
    nodes.network.latency = 0.001
    sending = send(nodes, path)
    failed: list[Any] = []
    sending.addErrback(failed.append)
    while nodes["b"].transport.statistics()["snapshot_bytes_received"] < after:
        nodes.clock.advance(0.001)
    nodes.network.latency = 0
    nodes.network.connections("h-a", "h-b")[-1].abortConnection()
    pass_time(nodes.clock, 0.1)
    assert failed
    assert nodes["b"].ears.snapshots == []


def test_a_broken_stream_goes_on_where_it_broke(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, 50_000)
    interrupted(nodes, path, 20_000)
    before = nodes["a"].transport.statistics()["snapshot_bytes_sent"]
    outcome(nodes.clock, send(nodes, path))
    assert nodes["a"].transport.statistics()["snapshot_bytes_sent"] - before <= 30_000
    assert Path(nodes["b"].ears.snapshots[0][3]).read_bytes() == Path(path).read_bytes()
    nodes.stop()


def test_it_goes_on_after_a_restart_of_the_receiver(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, 50_000)
    interrupted(nodes, path, 20_000)
    nodes["b"].stop()
    (part,) = nodes["b"].incoming.iterdir()
    assert part.stat().st_size >= 20_000
    nodes.nodes["b"] = Node(nodes.network, "b", tmp_path, settings=SMALL)
    nodes["b"].transport.connect(nodes.members)
    nodes["b"].start()
    settle(nodes.clock)
    outcome(nodes.clock, send(nodes, path))
    assert nodes["b"].transport.statistics()["snapshot_bytes_received"] <= 30_000
    assert Path(nodes["b"].ears.snapshots[0][3]).read_bytes() == Path(path).read_bytes()
    nodes.stop()


def test_what_was_spoilt_on_the_way_is_found_and_sent_anew(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, 50_000)
    interrupted(nodes, path, 20_000)
    (part,) = nodes["b"].incoming.iterdir()
    spoilt = bytearray(part.read_bytes())
    spoilt[17] ^= 1
    part.write_bytes(spoilt)
    with pytest.raises(SnapshotBroken, match="digest"):
        outcome(nodes.clock, send(nodes, path))
    assert nodes["b"].ears.snapshots == []
    assert list(nodes["b"].incoming.iterdir()) == []
    outcome(nodes.clock, send(nodes, path))
    assert Path(nodes["b"].ears.snapshots[0][3]).read_bytes() == Path(path).read_bytes()
    nodes.stop()


def test_another_file_takes_the_place_of_one_that_is_not_whole(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    whole = nodes["b"].incoming / "whole.received"
    whole.touch()
    interrupted(nodes, snapshot(tmp_path, 50_000), 20_000)
    other = snapshot(tmp_path, 10_000, b"other")
    outcome(nodes.clock, send(nodes, other))
    assert whole.exists()
    whole.unlink()
    assert [path.suffix for path in nodes["b"].incoming.iterdir()] == [".received"]
    nodes.stop()


def test_no_more_chunks_are_under_way_than_were_granted(tmp_path: Path) -> None:
    threads = HeldThreads()
    clock = Clock()
    network = Network(clock)
    nodes = Nodes(tmp_path, "a", network=network, settings=SMALL)
    b = Node(network, "b", tmp_path, settings=SMALL, threads=threads)
    b.start()
    nodes["a"].transport.connect(Members((*nodes.members.nodes, Member("b", b.address))))
    settle(clock)
    nodes.nodes["b"] = b
    sending = send(nodes, snapshot(tmp_path, 20_000))
    settle(clock)
    threads.held = True
    assert len(b.ears.snapshots) == 1
    sending = send(nodes, snapshot(tmp_path, 20_000, b"second"))
    settle(clock)
    assert [function.__name__ for _, function, _ in threads.waiting][-1] == "open"
    before = nodes["a"].transport.statistics()["snapshot_bytes_sent"]
    for expected in (0, 3000, 4000, 5000):
        settle(clock)
        sent = nodes["a"].transport.statistics()["snapshot_bytes_sent"] - before
        assert sent == expected
        threads.let(1 if expected else len(threads.waiting))
    while not sending.called:
        settle(clock)
        threads.let(1)
        finishing = [function.__name__ for _, function, _ in threads.waiting] == ["finish"]
        assert not (finishing and sending.called), "it is answered once it is durable"
    outcome(clock, sending)
    threads.held = False
    nodes.stop()


def test_the_file_is_synced_and_named_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    order: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def note(*args: Any, name: str = name, real: Any = real) -> Any:
            order.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, note)
    nodes["b"].ears.snapshot_received = lambda *a: order.append("told")
    sending = send(nodes, snapshot(tmp_path, 5000))
    sending.addCallback(lambda _: order.append("answered"))
    settle(nodes.clock)
    assert order == ["fsync", "rename", "fsync", "told", "answered"]
    nodes.stop()


def test_other_messages_pass_a_snapshot(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    sending = begun(nodes, snapshot(tmp_path, 100_000))
    nodes["a"].transport.send("b", ReadIndex(1, 1))
    nodes.network.latency = 0.001
    for _ in range(3):
        nodes.clock.advance(0.001)
    nodes.network.latency = 0
    assert not sending.called
    assert nodes["b"].ears.heard == [("a", ReadIndex(1, 1))]
    outcome(nodes.clock, sending)
    nodes.stop()


def test_a_full_disk_is_said_and_what_is_there_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, 20_000)
    real = os.pwrite

    def full(descriptor: int, data: Any, offset: int) -> int:
        if offset >= 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SnapshotRefused, match="disk is full"):
        outcome(nodes.clock, send(nodes, path))
    monkeypatch.setattr(os, "pwrite", real)
    outcome(nodes.clock, send(nodes, path))
    assert nodes["b"].transport.statistics()["snapshot_bytes_received"] == 20_000
    assert Path(nodes["b"].ears.snapshots[0][3]).read_bytes() == Path(path).read_bytes()
    nodes.stop()


def test_a_snapshot_without_room_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)

    class Room:
        f_bavail, f_frsize = 1, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Room)
    with pytest.raises(SnapshotRefused, match="disk is full"):
        outcome(nodes.clock, send(nodes, snapshot(tmp_path, 20_000)))
    assert nodes["a"].transport.statistics()["snapshot_bytes_sent"] == 0
    nodes.stop()


def test_one_snapshot_at_a_time(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", "c", settings=SMALL)
    path = snapshot(tmp_path, 100_000)
    first = begun(nodes, path)
    nodes.network.freeze("h-a", "h-b")
    with pytest.raises(ConnectionError, match="on its way"):
        outcome(nodes.clock, send(nodes, path, 9))
    with pytest.raises(SnapshotRefused, match="another snapshot"):
        outcome(nodes.clock, send(nodes, path, 9, sender="c"))
    assert nodes["b"].ears.snapshots == []
    nodes.network.thaw()
    outcome(nodes.clock, first)
    assert [(sender, term) for sender, term, _, _ in nodes["b"].ears.snapshots] == [("a", 9)]
    nodes.stop()


def test_a_later_term_takes_the_place(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", "c", settings=SMALL)
    failed: list[Any] = []
    begun(nodes, snapshot(tmp_path, 100_000)).addErrback(failed.append)
    outcome(nodes.clock, send(nodes, snapshot(tmp_path, 5000, b"new"), 10, sender="c"))
    assert failed
    assert [(sender, term) for sender, term, _, _ in nodes["b"].ears.snapshots] == [("c", 10)]
    nodes.stop()


def test_a_receiver_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    sending = begun(nodes, snapshot(tmp_path, 100_000))
    nodes.network.freeze("h-a", "h-b")
    with pytest.raises(Exception, match="onnection"):
        outcome(nodes.clock, sending, 20)
    nodes.network.thaw()
    nodes.stop()


def test_it_can_be_cancelled_and_is_ended_by_the_end(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    before = len(os.listdir("/proc/self/fd"))
    for end in (lambda sending: sending.cancel(), lambda sending: nodes["a"].stop()):
        seed = b"%d" % len(nodes.network.dialed)
        sending = begun(nodes, snapshot(tmp_path, 100_000, seed))
        failed: list[Any] = []
        sending.addErrback(failed.append)
        end(sending)
        pass_time(nodes.clock, 0.1)
        assert failed[0].check(CancelledError, ConnectionError)
    nodes.stop()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_sent_fails(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    with pytest.raises(ConnectionError, match="no peer"):
        outcome(nodes.clock, send(nodes, snapshot(tmp_path, 10), to="z"))
    with pytest.raises(FileNotFoundError):
        outcome(nodes.clock, send(nodes, str(tmp_path / "none")))
    nodes["b"].stop()
    with pytest.raises(Exception, match="efused"):
        outcome(nodes.clock, send(nodes, snapshot(tmp_path, 10)))
    nodes.stop()


def test_a_file_that_is_cut_while_it_is_sent_fails(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    path = snapshot(tmp_path, 100_000)
    sending = begun(nodes, path)
    os.truncate(path, 10)
    with pytest.raises(OSError, match="shorter"):
        outcome(nodes.clock, sending)
    nodes.stop()


def test_what_was_received_and_told_to_nobody_goes_at_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "incoming-a"
    directory.mkdir()
    (directory / "old.received").write_bytes(b"x")
    nodes = Nodes(tmp_path, "a")
    assert list(directory.iterdir()) == []
    nodes.stop()


def test_a_part_that_could_not_be_synced_is_sent_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the page cache has its digest still, and the next sync would succeed."""
    data = b"whole"
    digest = hashlib.sha256(data).digest()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = IncomingFile(str(tmp_path), len(data), digest)
    file.open()
    file.write(0, data)
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_receipt, "sync_file", fail)
        with pytest.raises(OSError, match="error"):
            file.finish()
    file.close()
    again = IncomingFile(str(tmp_path), len(data), digest)
    assert again.open() == 0
    again.close()


def test_a_part_that_is_longer_than_the_whole_is_begun_anew(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"abc").digest()
    (tmp_path / f"{digest.hex()}-3.part").write_bytes(b"abcdef")
    file = IncomingFile(str(tmp_path), 3, digest)
    assert file.open() == 0
    file.write(0, b"abc")
    assert Path(file.finish()).read_bytes() == b"abc"
    file.close()
    file.close()


def begin(size: int = 5000, mark: bytes | None = None, digest: bytes = bytes(32)) -> bytes:
    return write_box(
        {
            b"_ask": b"2",
            b"_command": b"SnapshotBegin",
            b"term": b"9",
            b"mark": messages.encode_mark(MARK) if mark is None else mark,
            b"size": b"%d" % size,
            b"digest": digest,
        }
    )


def chunk(offset: int, data: bytes, tag: bytes = b"3") -> bytes:
    return write_box(
        {
            b"_ask": tag,
            b"_command": b"SnapshotChunk",
            b"offset": b"%d" % offset,
            b"data": data,
        }
    )


FINISH = write_box({b"_ask": b"4", b"_command": b"SnapshotFinish"})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (chunk(0, b"x"), b""),
        (FINISH, b""),
        (begin() + begin(), b""),
        (begin(mark=b"\xc1"), b""),
        (begin(digest=b"short"), b""),
        (begin() + chunk(1, b"x"), b"SNAPSHOT_BROKEN"),
        (begin() + chunk(0, b"x" * 5001), b"SNAPSHOT_BROKEN"),
        (begin() + FINISH, b"SNAPSHOT_BROKEN"),
        (begin(0) + FINISH + FINISH, b""),
        (begin(1 << 62), b"SNAPSHOT_REFUSED"),
        (begin() + write_box({b"_ask": b"9", b"_command": b"AppendEntries", b"body": b""}), b""),
    ],
)
def test_who_sends_a_snapshot_wrongly_is_cut_off(tmp_path: Path, raw: bytes, said: bytes) -> None:
    nodes = Nodes(tmp_path, "a", "b", settings=SMALL)
    rude = call_in(nodes, Rude())
    rude.transport.write(hello(purpose=SNAPSHOT))
    settle(nodes.clock)
    rude.transport.write(raw)
    settle(nodes.clock)
    assert rude.cut
    assert said in rude.got
    assert nodes["a"].ears.snapshots == []
    outcome(nodes.clock, send(nodes, snapshot(tmp_path, 5000), sender="b", to="a"))
    nodes.stop()


def test_more_chunks_than_were_granted_end_it(tmp_path: Path) -> None:
    threads = HeldThreads()
    nodes = Nodes(tmp_path, "a", settings=SMALL, threads=threads)
    rude = call_in(nodes, Rude())
    rude.transport.write(hello(purpose=SNAPSHOT))
    settle(nodes.clock)
    rude.transport.write(begin())
    settle(nodes.clock)
    threads.held = True
    for number in range(3):
        rude.transport.write(chunk(number, b"x", b"%d" % (number + 3)))
    settle(nodes.clock)
    assert not rude.cut
    rude.transport.write(chunk(3, b"x", b"9"))
    settle(nodes.clock)
    assert rude.cut
    threads.held = False
    threads.let()
    nodes.stop()
