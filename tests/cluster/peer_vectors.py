"""Every command and answer of the peer protocol, in bytes.

``python -m tests.cluster.peer_vectors`` rewrites tests/vectors/peer_protocol.json: do so for a new
version of the protocol, and never to make a test pass.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from bleepstore.cluster.peer_calls import AnsweredOnly, PeerConnection
from bleepstore.cluster.peer_commands import (
    CALLS,
    Hello,
    Ping,
    SnapshotBegin,
    SnapshotBroken,
    SnapshotChunk,
    SnapshotFinish,
    SnapshotRefused,
    Tell,
    WrongCluster,
    code_of,
)
from bleepstore.cluster.peer_hello import CONSENSUS, Common, Self, acceptance, introduction
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.raft import messages
from bleepstore.raft.messages import (
    ChangeStep,
    Entry,
    EntryKind,
    Member,
    Members,
    Message,
    ProposeAnswer,
    SnapshotMark,
    StepAnswer,
    StepKind,
    StepOutcome,
)

PATH = Path(__file__).parents[1] / "vectors" / "peer_protocol.json"

LOGS = {"node-1": "0f1e2d3c4b5a6978", "node-2": "8796a5b4c3d2e1f0"}
MEMBERS = Members(
    (
        Member("node-1", "10.0.0.1:9002", log=LOGS["node-1"]),
        Member("node-2", "10.0.0.2:9002", False),
    )
)
MARK = SnapshotMark(4096, 7, MEMBERS)
CALLER, CALLED = (
    Self(
        node=node,
        address=f"10.0.0.{number}:9002",
        cluster="bleepstore-5f2c",
        log=LOGS[node],
        founders=LOGS,
    )
    for number, node in enumerate(LOGS, 1)
)
LONG = bytes(range(256)) * 300

PAIRS: tuple[tuple[str, Message, Message | None], ...] = (
    ("a pre-vote", messages.RequestVote(8, 4100, 7, pre=True), messages.Vote(8, True, pre=True)),
    ("a vote", messages.RequestVote(8, 4100, 7, transfer=True), messages.Vote(9, False)),
    (
        "a heartbeat",
        messages.AppendEntries(8, 4100, 7, (), 4099, 17),
        messages.Appended(8, True, 4100, 17),
    ),
    (
        "entries of all kinds",
        messages.AppendEntries(
            8,
            4100,
            7,
            (
                Entry(4101, 8, EntryKind.NOOP),
                Entry(4102, 8, EntryKind.COMMAND, b"a command"),
                Entry(4103, 8, EntryKind.MEMBERS, messages.encode_members(MEMBERS)),
            ),
            4100,
            18,
        ),
        messages.Appended(8, False, 4100, 18, 4000, 6),
    ),
    (
        "entries in more than one piece",
        messages.AppendEntries(8, 4100, 7, (Entry(4101, 8, data=LONG),)),
        messages.Appended(8, True, 4101),
    ),
    ("a call to stand", messages.TimeoutNow(8), None),
    ("a read", messages.ReadIndex(8, 5), messages.ReadIndexAnswer(8, 5, 4100)),
    ("a read of a follower", messages.ReadIndex(8, 6), messages.ReadIndexAnswer(8, 6, -1)),
    ("proposals", messages.Propose(7, (b"one", b"two")), ProposeAnswer(7, True)),
    ("proposals to a follower", messages.Propose(8, (b"",)), ProposeAnswer(8, False, "node-3")),
    (
        "a new member",
        ChangeStep(9, StepKind.ADD, "node-4", "10.0.0.4:9002", "1122334455667788"),
        StepAnswer(9, StepOutcome.TAKEN),
    ),
    (
        "a step too early",
        ChangeStep(10, StepKind.PROMOTE, "node-4"),
        StepAnswer(10, StepOutcome.LATER, "it has not caught up"),
    ),
)


class Page:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def abortConnection(self) -> None: ...

    def take(self) -> str:
        written, self.written = self.written, b""
        return written.hex()


def side(calls: bool) -> tuple[PeerConnection, Page]:
    connection = PeerConnection(Clock(), PeerSettings(), Counters(), AnsweredOnly(), calls)
    page = Page()
    connection.makeConnection(page)
    return connection, page


def vectors() -> list[dict[str, str]]:
    """In the order of a conversation; the tags count on."""
    caller, said = side(True)
    called, answered = side(False)
    found: list[dict[str, str]] = []
    tag = 0

    def call(name: str, command: Any, /, **arguments: Any) -> bytes:
        nonlocal tag
        tag += 1
        caller.post(command, **arguments)
        found.append({"name": name, "call": said.take()})
        return b"%x" % tag

    def answer(command: Any, tag: bytes, /, **response: Any) -> None:
        called.answer(command, tag, **response)
        found[-1]["answer"] = answered.take()

    def refuse(command: Any, tag: bytes, error: Exception) -> None:
        called.refuse(tag, code_of(command, error) or b"", str(error))
        found[-1]["answer"] = answered.take()

    hello = introduction(CALLER, "node-2", CONSENSUS)
    answer(Hello, call("Hello", Hello, **hello), **acceptance(CALLED, Common(1, 1, 1)))
    refuse(
        Hello,
        call("Hello, refused", Hello, **{**hello, "cluster": "another"}),
        WrongCluster("this node belongs to 'bleepstore-5f2c', the caller to 'another'"),
    )
    answer(Ping, call("Ping", Ping))
    for name, request, reply in PAIRS:
        command = CALLS[type(request)].command
        number = call(name, command, body=messages.encode(request))
        answer(command, number, body=None if reply is None else messages.encode(reply))
    caller.tell(Tell, body=messages.encode(messages.Appended(8, True, 4103, 18)))
    found.append({"name": "Tell", "call": said.take()})
    begin: dict[str, Any] = {"term": 8, "mark": messages.encode_mark(MARK), "size": 300_000}
    number = call("SnapshotBegin", SnapshotBegin, **begin, digest=bytes(range(32)))
    answer(SnapshotBegin, number, offset=262_144, credit=4)
    number = call("SnapshotBegin, refused", SnapshotBegin, **begin, digest=bytes(32))
    refuse(SnapshotBegin, number, SnapshotRefused("another snapshot is arriving"))
    number = call("SnapshotChunk", SnapshotChunk, offset=262_144, data=b"the last bytes")
    answer(SnapshotChunk, number, credit=1)
    answer(SnapshotFinish, call("SnapshotFinish", SnapshotFinish))
    number = call("SnapshotFinish, refused", SnapshotFinish)
    refuse(SnapshotFinish, number, SnapshotBroken("what has arrived has another digest"))
    return found


def frozen() -> list[dict[str, str]]:
    """What the file holds: hexadecimal digits; what is long is packed as ``zlib:BASE64``."""
    held: list[dict[str, str]] = json.loads(PATH.read_text())
    for each in held:
        for key, value in each.items():
            if value.startswith("zlib:"):
                each[key] = zlib.decompress(base64.b64decode(value[5:])).hex()
    return held


def _packed(value: str) -> str:
    if len(value) < 4096:
        return value
    return "zlib:" + base64.b64encode(zlib.compress(bytes.fromhex(value))).decode()


if __name__ == "__main__":
    packed = [{key: _packed(value) for key, value in each.items()} for each in vectors()]
    PATH.write_text(json.dumps(packed, indent=1) + "\n")
