"""Transcripts: a cluster is told what happens, line by line, and says what comes of it.

A transcript is a text file.  Lines that begin with ``#`` are prose.  Lines at the margin are
commands (below); the indented lines after one are what it led to, and are compared.  A message
that is sent waits in the network until a command delivers it or loses it.

    cluster a b c [lease_reads=yes] begin, with these voters and settings; of the nodes, the first
                                    has the least patience, each other one tick more
    join d                          a machine that knows nobody
    tick a [n]                      time passes at a node (``tick all n``: at each, in turn)
    elect a                         a's clock runs until it leads, and everything is delivered
    pass a [n]                      the same, but n ticks; only roles and reads are told
    deliver [from a] [to b] [kind]  what is under way; all of it, and what that leads to, if
                                    nothing more is said
    lose [from a] [to b] [kind]     the same, but it never arrives
    repeat [from a] [to b] [kind]   the same, twice
    wire                            what is under way
    propose a x y                   two commands; or why not
    read a 7                        a read, by its number
    transfer a b                    a is to hand over to b
    change a +d +(e) -b             a voter more, a learner more, b no more
    hold a / release a              a's disk is slow / goes on
    crash a                         and starts again with what its disk has
    compact a [n]                   a snapshot, and the log up to it goes
    snapshots a [fail]              a sends what it is to send
    cut a / heal                    a and the others do not hear each other / do again
    lost a b                        a learns that its connection to b broke
    say b a Appended term=1 …       a message that nobody sent
    show a … / progress a b …       where nodes stand / where a thinks they do
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from bleepstore.raft import messages
from bleepstore.raft.core import Raft, Settings
from bleepstore.raft.effects import Effects, Role
from bleepstore.raft.messages import Member
from bleepstore.raft.problems import ChangeInProgress, NotLeader, Overloaded
from tests.raft import wording
from tests.raft.cluster import Cluster, Node


def _value(word: str) -> int | bool:
    return word == "yes" if word in ("yes", "no") else int(word)


class Stage:
    """One cluster, and the commands to it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._told: tuple[str, ...] = ("everything",)
        self.cluster = Cluster()

    def perform(self, command: str) -> list[str]:
        """Carry out one command; gives what came of it."""
        self._lines = []
        name, *words = command.split()
        getattr(self, f"_{name}")(*words)
        return self._lines

    def _watch(self, node: Node, effects: Effects) -> None:
        if "everything" not in self._told:
            roles = [role for role in effects.roles if role.role.value in self._told]
            effects = Effects(roles=tuple(roles), reads=effects.reads)
        self._lines += wording.effects(node.id, effects, node.held)
        self._lines += [
            self._spoken(node.id, envelope.to, envelope.message) for envelope in effects.messages
        ]

    @staticmethod
    def _spoken(sender: str, receiver: str, message: messages.Message) -> str:
        return f"{sender} → {receiver}: {wording.message(message)}"

    # -- who

    def _cluster(self, *words: str) -> None:
        ids = [word for word in words if "=" not in word]
        options: dict[str, Any] = {}
        for word in words:
            if "=" in word:
                key, value = word.split("=")
                options[key] = _value(value)
        self.cluster = Cluster(ids, Settings(**options))
        self.cluster.watch = self._watch
        for patience, node in enumerate(self.cluster.nodes.values()):
            node.jitter = partial(min, patience)
            node.start()

    def _join(self, node_id: str) -> None:
        self.cluster.join(node_id)

    def _raft(self, node_id: str) -> Raft:
        return self.cluster[node_id]

    def _run(self, node_id: str) -> None:
        self.cluster.run(node_id)

    # -- time and messages

    def _tick(self, node_id: str, count: str = "1") -> None:
        for _ in range(int(count)):
            self.cluster.tick(*(() if node_id == "all" else (node_id,)))

    def _elect(self, node_id: str) -> None:
        self._told = ("leader",)
        self.cluster.elect(node_id)
        self._told = ("everything",)

    def _pass(self, node_id: str, count: str = "1") -> None:
        self._told = tuple(role.value for role in Role)
        for _ in range(int(count)):
            self._tick(node_id)
            self.cluster.settle()
        self._told = ("everything",)

    def _chosen(self, words: Sequence[str]) -> list[int]:
        pairs, kind = (words[:-1], words[-1]) if len(words) % 2 else (words, "")
        wanted = dict(zip(pairs[::2], pairs[1::2], strict=True))
        return [
            position
            for position, (sender, receiver, message) in enumerate(self.cluster.wire)
            if wanted.get("from", sender) == sender
            and wanted.get("to", receiver) == receiver
            and kind in ("", type(message).__name__)
        ]

    def _deliver(self, *words: str) -> None:
        if not words:
            self.cluster.settle()
            return
        chosen = [self.cluster.wire[position] for position in self._chosen(words)]
        self.cluster.wire = [sent for sent in self.cluster.wire if sent not in chosen]
        for sender, receiver, message in chosen:
            refused = self.cluster.bring(sender, receiver, message)
            if refused:
                self._lines.append(f"{receiver} refuses it: {refused}")

    def _lose(self, *words: str) -> None:
        chosen = self._chosen(words)
        self._lines += [self._spoken(*self.cluster.wire[position]) for position in chosen]
        for position in reversed(chosen):
            del self.cluster.wire[position]

    def _repeat(self, *words: str) -> None:
        self.cluster.wire += [self.cluster.wire[position] for position in self._chosen(words)]

    def _wire(self) -> None:
        self._lines += [self._spoken(*sent) for sent in self.cluster.wire]

    def _say(self, sender: str, receiver: str, kind: str, *fields: str) -> None:
        given = {key: _value(value) for key, value in (field.split("=") for field in fields)}
        message = getattr(messages, kind)(**given)
        refused = self.cluster.bring(sender, receiver, message)
        if refused:
            self._lines.append(f"{receiver} refuses it: {refused}")

    # -- requests

    def _attempt(self, node_id: str, call: Any, *arguments: object) -> None:
        try:
            call(*arguments)
        except (NotLeader, Overloaded, ChangeInProgress, ValueError) as error:
            self._lines.append(f"{node_id} refuses: {str(error) or type(error).__name__}")
        self._run(node_id)

    def _propose(self, node_id: str, *payloads: str) -> None:
        data = [payload.encode() for payload in payloads]
        self._attempt(node_id, self._raft(node_id).propose, data)

    def _read(self, node_id: str, context: str) -> None:
        self._attempt(node_id, self._raft(node_id).read, int(context))

    def _transfer(self, node_id: str, to: str) -> None:
        self._attempt(node_id, self._raft(node_id).transfer, to)

    def _change(self, node_id: str, *words: str) -> None:
        members = self._raft(node_id).members
        for word in words:
            other = word[1:].strip("()")
            if word[0] == "-":
                members = members.without(other)
            else:
                members = members.having(Member(other, f"{other}:1", "(" not in word))
        self._attempt(node_id, self._raft(node_id).change, members)

    # -- trouble

    def _hold(self, node_id: str) -> None:
        self.cluster.nodes[node_id].held = True

    def _release(self, node_id: str) -> None:
        self.cluster.release(node_id)

    def _crash(self, node_id: str) -> None:
        self.cluster.restart(node_id)
        self._show(node_id)

    def _compact(self, node_id: str, *index: str) -> None:
        self.cluster.compact(node_id, *map(int, index))
        self._show(node_id)

    def _snapshots(self, node_id: str, *fail: str) -> None:
        self.cluster.send_snapshots(node_id, success=not fail)

    def _cut(self, *ids: str) -> None:
        self.cluster.partition(*ids)

    def _heal(self) -> None:
        self.cluster.heal()

    def _lost(self, node_id: str, peer: str) -> None:
        self._raft(node_id).peer_lost(peer)
        self._run(node_id)

    # -- looking

    def _show(self, *ids: str) -> None:
        for node_id in ids or tuple(self.cluster.nodes):
            self._lines.append(wording.state(node_id, self._raft(node_id)))

    def _progress(self, node_id: str, *peers: str) -> None:
        self._lines += [wording.progress(self._raft(node_id), peer) for peer in peers]


def perform(text: str) -> str:
    """A transcript with what its commands lead to now."""
    stage, lines = Stage(), []
    for line in text.splitlines():
        if line.startswith("    "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [f"    {came}" for came in stage.perform(line)]
    return "\n".join(lines) + "\n"
