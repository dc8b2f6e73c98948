"""What every implementation of ILogStore does, whatever it keeps its entries in.

A test class derives from :class:`LogStoreContract` and gives ``turns`` and ``open_log`` fixtures:
``open_log(node_id)`` opens the log of one and the same disk again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from bleepstore.cluster.unusable import UnusableLog
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import Identity, ILogStore, LogState
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Entry, EntryKind, Member, Members, SnapshotMark
from tests.contract.metadata_engines import Turns

MEMBERS = Members((Member("a", "localhost:1"), Member("b", "localhost:2", voter=False)))
ALL = 1 << 40

Opener = Callable[..., Any]


def entries(low: int, high: int, term: int = 1, size: int = 10) -> tuple[Entry, ...]:
    """Entries ``low`` to ``high`` - 1, whose data differ by index and term."""
    return tuple(
        Entry(index, term, EntryKind.COMMAND, f"{index}.{term}.".encode().ljust(size, b"x"))
        for index in range(low, high)
    )


class LogStoreContract:
    @pytest.fixture
    def log(self, open_log: Opener) -> Any:
        return open_log("a")

    def test_it_provides_its_interfaces(self, log: Any) -> None:
        assert verifyObject(ILogStore, log)
        assert verifyObject(IPart, log)

    def test_a_new_log_is_empty_and_begins_at_1(self, log: Any) -> None:
        assert log.state() == LogState(HardState(), SnapshotMark(), 0, 1, 0, 1)
        assert log.identity == Identity("", "a", log.identity.log_id)
        assert (log.first_index(), log.last_index(), log.term(0)) == (1, 0, 0)
        for index in (-1, 1):
            with pytest.raises(IndexError):
                log.term(index)
        with pytest.raises(IndexError):
            log.entries(1, 2, ALL)

    def test_what_was_saved_is_there_and_there_again(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        saved = (
            *entries(1, 4),
            Entry(4, 2, EntryKind.NOOP),
            Entry(5, 2, EntryKind.MEMBERS, b"members"),
        )
        turns.run(log.save(Persist(1, HardState(2, "b"), saved, commit=3)))
        assert tuple(log.entries(1, 6, ALL)) == saved
        turns.run(log.stop())
        log = open_log("a")
        assert log.state() == LogState(HardState(2, "b"), SnapshotMark(), 3, 1, 5, 2)
        assert tuple(log.entries(1, 6, ALL)) == saved
        assert tuple(log.entries(2, 4, ALL)) == saved[1:3]
        assert tuple(log.entries(5, 100, ALL)) == saved[4:]
        assert [log.term(index) for index in range(6)] == [0, 1, 1, 1, 2, 2]
        for outside in (0, 6):
            with pytest.raises(IndexError):
                log.entries(outside, 10, ALL)

    def test_a_hard_state_is_kept_until_there_is_another(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.save(Persist(1, HardState(1, "a"))))
        turns.run(log.save(Persist(2, None, entries(1, 2))))
        assert log.state().hard_state == HardState(1, "a")
        turns.run(log.save(Persist(3, HardState(2, ""))))
        turns.run(log.stop())
        assert open_log("a").state().hard_state == HardState(2, "")

    def test_a_commit_index_never_goes_back(self, log: Any, turns: Turns) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 9), commit=4)))
        turns.run(log.save(Persist(2, commit=6)))
        assert log.state().commit == 6
        turns.run(log.save(Persist(3, None, entries(9, 10), commit=5)))
        assert log.state().commit == 6

    def test_entries_replace_those_from_their_index_on(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 10))))
        turns.run(log.save(Persist(2, None, entries(4, 6, term=2))))
        expected = entries(1, 4) + entries(4, 6, term=2)
        assert log.last_index() == 5
        assert tuple(log.entries(1, 20, ALL)) == expected
        with pytest.raises(IndexError):
            log.term(6)
        turns.run(log.stop())
        log = open_log("a")
        assert tuple(log.entries(1, 20, ALL)) == expected
        assert log.term(5) == 2

    def test_a_gap_is_refused_and_changes_nothing(self, log: Any, turns: Turns) -> None:
        turns.run(log.save(Persist(1, HardState(1), entries(1, 4))))
        before = log.state()
        for wrong in (entries(5, 6), entries(4, 5) + entries(6, 7), entries(0, 2)):
            with pytest.raises(ValueError, match=r"log|gap"):
                turns.run(log.save(Persist(2, HardState(2), wrong)))
        assert log.state() == before
        turns.run(log.save(Persist(3, None, entries(4, 5))))
        assert tuple(log.entries(1, 9, ALL)) == entries(1, 5)

    def test_reading_is_bounded_in_bytes_but_gives_one_at_least(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 9, size=100))))
        for _ in range(2):
            assert len(log.entries(1, 9, 0)) == 1
            assert len(log.entries(1, 9, 299)) == 2
            assert len(log.entries(1, 9, 300)) == 3
            assert len(log.entries(1, 4, ALL)) == 3
            turns.run(log.stop())
            log = open_log("a")

    def test_a_snapshot_empties_the_log_which_begins_behind_it(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 10))))
        mark = SnapshotMark(5, 3, MEMBERS)
        turns.run(log.save(Persist(2, HardState(3), restore=mark, commit=5)))
        for _ in range(2):
            assert (log.first_index(), log.last_index(), log.term(5)) == (6, 5, 3)
            assert log.state().snapshot == mark
            for index in (4, 6):
                with pytest.raises(IndexError):
                    log.term(index)
            turns.run(log.stop())
            log = open_log("a")
        mark = SnapshotMark(50, 4)
        turns.run(log.save(Persist(3, HardState(4), entries(51, 53, term=4), mark, 50)))
        for _ in range(2):
            assert tuple(log.entries(51, 90, ALL)) == entries(51, 53, term=4)
            assert log.first_index() == 51
            turns.run(log.stop())
            log = open_log("a")

    def test_compaction_forgets_entries_but_not_the_term_of_the_last(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 301))))
        mark = SnapshotMark(200, 1, MEMBERS)
        turns.run(log.compact(mark))
        turns.run(log.compact(SnapshotMark(150, 1)))  # older than what was compacted: nothing
        for _ in range(2):
            assert (log.first_index(), log.last_index()) == (201, 300)
            assert log.state().snapshot == mark
            assert (log.term(200), log.term(201)) == (1, 1)
            assert tuple(log.entries(201, 999, ALL)) == entries(201, 301)
            with pytest.raises(IndexError):
                log.term(199)
            with pytest.raises(IndexError):
                log.entries(200, 999, ALL)
            turns.run(log.stop())
            log = open_log("a")
        turns.run(log.compact(SnapshotMark(300, 1)))
        assert (log.first_index(), log.last_index(), log.term(300)) == (301, 300, 1)
        turns.run(log.save(Persist(2, None, entries(301, 302))))
        assert tuple(log.entries(301, 302, ALL)) == entries(301, 302)

    def test_what_is_not_in_the_log_cannot_be_compacted(self, log: Any, turns: Turns) -> None:
        turns.run(log.save(Persist(1, None, entries(1, 5))))
        with pytest.raises(IndexError):
            turns.run(log.compact(SnapshotMark(5, 1)))
        with pytest.raises(ValueError, match="term 1"):
            turns.run(log.compact(SnapshotMark(3, 2)))
        assert log.first_index() == 1

    def test_it_joins_one_cluster_for_ever(self, log: Any, open_log: Opener, turns: Turns) -> None:
        turns.run(log.join("c1"))
        turns.run(log.join("c1"))
        with pytest.raises(ValueError, match="c1"):
            turns.run(log.join("c2"))
        turns.run(log.join("c1", {"a": "log of a", "b": "log of b"}))
        turns.run(log.join("c1"))
        log_id = log.identity.log_id
        assert log_id
        turns.run(log.stop())
        founders = {"a": "log of a", "b": "log of b"}
        assert open_log("a").identity == Identity("c1", "a", log_id, founders)

    def test_the_log_of_another_node_is_refused(
        self, log: Any, open_log: Opener, turns: Turns
    ) -> None:
        turns.run(log.stop())
        with pytest.raises(UnusableLog, match="log of node 'a'"):
            open_log("b")
        assert open_log("a").state().incarnation == 2

    def test_nothing_is_saved_after_the_stop(self, log: Any, turns: Turns) -> None:
        turns.run(log.stop())
        turns.run(log.stop())
        with pytest.raises(RuntimeError):
            turns.run(log.save(Persist(1, HardState(1))))

    @pytest.mark.parametrize("seed", range(4))
    def test_a_random_history_leaves_what_a_list_would(
        self, open_log: Opener, turns: Turns, seed: int
    ) -> None:
        dice = random.Random(seed)
        log = open_log("a")
        mark, known, hard = SnapshotMark(), list[Entry](), HardState()
        for number in range(1, 120):
            first = mark.index + 1
            match dice.choices(("append", "vote", "compact", "restore", "again"), (12, 2, 4, 1, 2)):
                case ["append"]:
                    low = dice.randrange(max(first, first + len(known) - 3), first + len(known) + 1)
                    del known[low - first :]
                    hard = HardState(hard.term + dice.randrange(2), hard.vote)
                    new = entries(
                        low, low + dice.randrange(1, 40), hard.term, dice.choice((9, 999))
                    )
                    known.extend(new)
                    turns.run(log.save(Persist(number, hard, new)))
                case ["vote"]:
                    hard = HardState(hard.term + 1, "b")
                    turns.run(log.save(Persist(number, hard)))
                case ["compact"] if known:
                    entry = dice.choice(known)
                    del known[: entry.index - mark.index]
                    mark = SnapshotMark(entry.index, entry.term)
                    turns.run(log.compact(mark))
                case ["restore"]:
                    mark = SnapshotMark(first + dice.randrange(200), hard.term)
                    known = []
                    turns.run(log.save(Persist(number, restore=mark)))
                case ["again"]:
                    turns.run(log.stop())
                    log = open_log("a")
            first = mark.index + 1
            assert (log.first_index(), log.last_index()) == (first, mark.index + len(known))
            assert log.state().hard_state == hard
            assert log.term(mark.index) == mark.term
            if known:
                assert list(log.entries(first, first + len(known), ALL)) == known
                some = dice.choice(known)
                assert log.term(some.index) == some.term
                assert log.entries(some.index, some.index + 1, 0) == [some]
