"""What must hold after every step, whatever happens (paper, figure 3).

Watches from outside: what nodes write to their logs, what they apply, and what each says of its
role, term and commit index.  Each check looks only at what is new, so that it can be made after
every step; by induction the whole holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bleepstore.interfaces.replication import ILogReader
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Appended, Entry, EntryKind, Message, RequestVote, Vote


class Broken(AssertionError):
    """An invariant does not hold."""


class Log(Protocol):
    """The log as a node believes it to be, durable or not."""

    first_index: int
    last_index: int

    def term(self, index: int) -> int:
        """The term of an entry, or of what the log begins behind."""


class Invariants:
    """All of a run.

    :ivar committed: the term of every entry that is known to be committed, by index.
    :ivar elected: told of each new leader.
    """

    def __init__(self) -> None:
        self.committed: dict[int, int] = {}
        self._committed_in: dict[int, int] = {}
        self._leaders: dict[int, str] = {}
        self._entries: dict[tuple[int, int], tuple[int, EntryKind, bytes]] = {}
        self._promises: dict[str, HardState] = {}
        self._commits: dict[str, int] = {}
        self._applied: dict[int, tuple[int, bytes]] = {}
        self.elected: Callable[[str], None] = lambda node_id: None

    def born(self, node_id: str) -> None:
        """A process of a node begins."""
        self._commits.pop(node_id, None)

    def wiped(self, node_id: str) -> None:
        """A node lost its disk: it is bound by nothing, and must not be asked for anything."""
        self._promises.pop(node_id, None)

    # -- what is written

    def saves(self, node_id: str, previous_term: int, persist: Persist) -> None:
        """A node is about to write: terms and votes, and Log Matching.

        :param previous_term: of the entry in its log before the first one that is written.
        """
        state = persist.hard_state
        if state is not None:
            before = self._promises.get(node_id, HardState())
            if state.term < before.term:
                raise Broken(f"{node_id} goes back from term {before.term} to {state.term}")
            if state.term == before.term and before.vote not in ("", state.vote):
                raise Broken(
                    f"{node_id} votes twice in term {state.term}: "
                    f"for {before.vote}, then for {state.vote}"
                )
        for entry in persist.entries:
            self._matches(node_id, previous_term, entry)
            previous_term = entry.term

    def saved(self, node_id: str, state: HardState) -> None:
        """What a node's disk holds now, after a write or a crash."""
        self._promises[node_id] = state

    def _matches(self, node_id: str, previous_term: int, entry: Entry) -> None:
        """Log Matching: an index and a term stand for one entry, and for one predecessor."""
        found = (previous_term, entry.kind, entry.data)
        known = self._entries.setdefault((entry.index, entry.term), found)
        if known != found:
            what = "holds something else" if known[0] == found[0] else "follows another entry"
            raise Broken(
                f"log matching: entry {entry.index} of term {entry.term} in the log of {node_id} "
                f"{what} than in another log"
            )
        committed = self.committed.get(entry.index, entry.term)
        if committed != entry.term > self._committed_in[entry.index]:
            raise Broken(
                f"{node_id} writes entry {entry.index} of term {entry.term}, but that of term "
                f"{committed} was committed in term {self._committed_in[entry.index]}"
            )

    # -- what is said

    def says(self, node_id: str, to: str, message: Message, log: ILogReader) -> None:
        """Promises are durable before they are given (paper, figure 2).

        :param log: what the disk of the node holds.
        """
        durable = self._promises.get(node_id, HardState())
        if isinstance(message, Vote) and message.granted and not message.pre:
            if (durable.term, durable.vote) != (message.term, to):
                raise Broken(f"{node_id} votes for {to} in term {message.term}, but not on disk")
        elif isinstance(message, RequestVote) and not message.pre:
            if durable.term != message.term:
                raise Broken(f"{node_id} stands in term {message.term}, but not on disk")
        elif isinstance(message, Appended):
            if durable.term < message.term:
                raise Broken(f"{node_id} answers in term {message.term}, which is not on its disk")
            if message.success and log.last_index() < message.index:
                raise Broken(f"{node_id} has entry {message.index}, it says, but not on its disk")

    # -- what a node is

    def observe(self, node_id: str, term: int, leads: bool, commit: int, log: Log) -> None:
        """A node has taken a step."""
        if leads and self._leaders.get(term) != node_id:
            self._elected(node_id, term, log)
        known = self._commits.get(node_id)
        if known is None:
            known = log.first_index - 1
        if commit < known and node_id in self._commits:
            raise Broken(f"the commit index of {node_id} goes back from {known} to {commit}")
        self._commits[node_id] = commit
        for index in range(max(known + 1, log.first_index), commit + 1):
            if index > log.last_index:
                raise Broken(f"{node_id} takes entry {index} for committed, but does not have it")
            self._commit(node_id, term, index, log.term(index))

    def _elected(self, node_id: str, term: int, log: Log) -> None:
        """Election Safety and Leader Completeness."""
        other = self._leaders.setdefault(term, node_id)
        if other != node_id:
            raise Broken(f"election safety: {node_id} and {other} both lead in term {term}")
        for index, its_term in self.committed.items():
            if index < log.first_index or self._committed_in[index] >= term:
                continue
            if index > log.last_index or log.term(index) != its_term:
                raise Broken(
                    f"leader completeness: {node_id} leads in term {term} without entry {index} "
                    f"of term {its_term}, which is committed"
                )
        self.elected(node_id)

    def _commit(self, node_id: str, term: int, index: int, its_term: int) -> None:
        """State Machine Safety, as early as it can be seen."""
        known = self.committed.get(index)
        if known is None:
            self.committed[index] = its_term
            self._committed_in[index] = term
        elif known != its_term:
            raise Broken(
                f"state machine safety: {node_id} takes entry {index} of term {its_term} for "
                f"committed, but that of term {known} is"
            )

    # -- what is applied

    def applies(self, node_id: str, applied: int, entries: tuple[Entry, ...]) -> None:
        """State Machine Safety: the same entry at the same index everywhere, each once.

        :param applied: where the state machine stands.
        """
        for entry in entries:
            applied += 1
            if entry.index != applied:
                raise Broken(f"{node_id} applies entry {entry.index} where {applied} is next")
            found = (entry.term, entry.data)
            known = self._applied.setdefault(entry.index, found)
            if known != found:
                raise Broken(
                    f"state machine safety: {node_id} applies entry {entry.index} of term "
                    f"{entry.term}, where another node applied that of term {known[0]}"
                )
            if self.committed.get(entry.index) not in (None, entry.term):
                raise Broken(
                    f"state machine safety: {node_id} applies entry {entry.index} of term "
                    f"{entry.term}, but that of term {self.committed[entry.index]} is committed"
                )
