"""Whatever is said to a node, it does not break, and gives up nothing that was committed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bleepstore.raft.messages import (
    Appended,
    AppendEntries,
    Entry,
    EntryKind,
    InstallSnapshot,
    Member,
    Members,
    Message,
    Propose,
    ReadIndex,
    ReadIndexAnswer,
    RequestVote,
    SnapshotMark,
    TimeoutNow,
    Vote,
    encode_members,
)
from tests.raft.cluster import Cluster

_small = st.integers(0, 12)
_number = _small | st.integers(-(1 << 63), (1 << 64) - 1)
_member = st.builds(Member, st.sampled_from("abcde"), st.just("x:1"), st.booleans())
_members = st.builds(Members, st.lists(_member, max_size=4).map(tuple))
_data = st.binary(max_size=8) | _members.map(encode_members)
_entry = st.builds(Entry, _number, _number, st.sampled_from(EntryKind), _data)
_wild = st.lists(_entry, max_size=4).map(tuple)


@st.composite
def _contiguous(draw: st.DrawFn) -> AppendEntries:
    """Entries as a leader might send them, so that something comes of it."""
    term, previous = draw(st.integers(1, 5)), draw(_small)
    last = draw(st.integers(0, term)) if previous else 0
    entries = []
    for index in range(previous + 1, previous + 1 + draw(st.integers(0, 3))):
        last = draw(st.integers(last, term))
        entries.append(Entry(index, last, draw(st.sampled_from(EntryKind)), draw(_data)))
    before = entries[0].term if entries else last
    previous_term = draw(st.integers(0, before)) if previous else 0
    return AppendEntries(term, previous, previous_term, tuple(entries), draw(_small), draw(_small))


_message: st.SearchStrategy[Message] = st.one_of(
    _contiguous(),
    st.builds(AppendEntries, _number, _number, _number, _wild, _number, _number),
    st.builds(Appended, _number, st.booleans(), _number, _number, _number, _number),
    st.builds(RequestVote, _number, _number, _number, st.booleans(), st.booleans()),
    st.builds(Vote, _number, st.booleans(), st.booleans()),
    st.builds(TimeoutNow, _number),
    st.builds(ReadIndex, _number, _number),
    st.builds(ReadIndexAnswer, _number, _number, _number),
    st.builds(InstallSnapshot, _number, st.builds(SnapshotMark, _number, _number, _members)),
    st.builds(Propose, _number, st.just(())),
)
_sender = st.sampled_from(["a", "b", "c", "stranger", ""])
_said = st.lists(st.tuples(st.sampled_from("abc"), _sender, _message, st.booleans()), max_size=25)


@settings(max_examples=150)
@given(_said)
def test_whatever_is_said_harms_nothing(said: list[tuple[str, str, Message, bool]]) -> None:
    cluster = Cluster()
    cluster.snapshot_of = lambda mark: [Entry(n, 1) for n in range(1, mark.index + 1)][:100]  # type: ignore[method-assign]  # a snapshot out of nothing
    cluster.elect("a")
    cluster.propose("a", b"x", b"y")
    cluster.settle()
    before = {node_id: list(node.state) for node_id, node in cluster.nodes.items()}
    for to, sender, message, late in said:
        if isinstance(message, InstallSnapshot) and message.mark.index > 100:
            continue  # its own driver would have to hold such a snapshot
        raft = cluster[to]
        term, commit = raft.term, raft.commit
        cluster.bring(sender, to, message)
        assert raft.term >= term
        assert commit <= raft.commit <= raft.last_index
        assert raft.term < 1 << 62
        if late:
            cluster.tick(to)
            del cluster.wire[:]
    for node_id, node in cluster.nodes.items():
        if node.disk.mark.index == 0:
            assert node.state[: len(before[node_id])] == before[node_id]
