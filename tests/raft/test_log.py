"""The log as it is seen: durable and not yet durable entries, one after the other."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bleepstore.raft.effects import Persist
from bleepstore.raft.log import OVERHEAD, LogView
from bleepstore.raft.messages import Entry, Members, SnapshotMark
from tests.raft.cluster import Disk


def entries(first: int, *terms: int, size: int = 1) -> list[Entry]:
    return [Entry(first + n, term, data=b"x" * size) for n, term in enumerate(terms)]


def disk_of(*terms: int, mark: SnapshotMark | None = None) -> Disk:
    disk = Disk(Members())
    if mark is not None:
        disk.mark = mark
    disk.stored = entries(disk.first_index(), *terms)
    return disk


def view(disk: Disk, cache_bytes: int = 1 << 20) -> LogView:
    return LogView(disk, disk.mark, cache_bytes)


def persist(disk: Disk, log: LogView) -> None:
    restore, handed = log.restore, log.hand_out()
    disk.save(Persist(1, None, handed, restore))
    log.confirm()


def test_an_empty_log_begins_at_one() -> None:
    log = view(disk_of())
    assert (log.first_index, log.last_index, log.last_term, log.durable) == (1, 0, 0, 0)
    assert log.matches(0, 0)
    assert not log.matches(1, 1)
    with pytest.raises(IndexError):
        log.term(1)


def test_a_log_behind_a_snapshot_knows_its_term_and_nothing_before() -> None:
    log = view(disk_of(4, 4, mark=SnapshotMark(10, 3)))
    assert [log.term(index) for index in (10, 11, 12)] == [3, 4, 4]
    assert log.matches(10, 3)
    assert not log.matches(10, 4)
    assert log.matches(9, 1)  # it was committed, so every leader has it
    for low in (9, 10, 13):
        with pytest.raises(IndexError):
            log.entries(low, 20, 100)
    with pytest.raises(IndexError):
        log.term(9)


def test_entries_are_bounded_but_for_the_first() -> None:
    log = view(disk_of())
    log.append(entries(1, 1, 1, 1, 1, size=10))
    assert [e.index for e in log.entries(2, 5, 20)] == [2, 3]
    assert [e.index for e in log.entries(2, 5, 3)] == [2]
    assert [e.index for e in log.entries(2, 4, 1000)] == [2, 3]


def test_what_was_cut_off_while_it_was_written_is_not_durable() -> None:
    disk = disk_of(1, 1)
    log = view(disk)
    log.append(entries(3, 1, 1, 1))
    log.hand_out()
    log.truncate(4)
    log.append(entries(4, 2, 2))
    log.confirm()
    assert log.durable == 3
    assert [entry.term for entry in log.hand_out()] == [2, 2]
    log.confirm()
    assert log.durable == 5


def test_what_was_durable_is_not_when_it_is_replaced() -> None:
    log = view(disk_of(1, 1, 1))
    log.truncate(2)
    log.append(entries(2, 2))
    assert log.durable == 1
    assert log.term(2) == 2
    assert log.hand_out() == tuple(entries(2, 2))


def test_nothing_is_durable_until_a_snapshot_has_taken_its_place() -> None:
    disk = disk_of(1, 1)
    log = view(disk)
    log.append(entries(3, 1))
    log.hand_out()
    log.begin_behind(SnapshotMark(9, 2))
    log.append(entries(10, 2))
    log.confirm()  # of entry 3, which is gone
    assert log.durable == 0
    persist(disk, log)
    assert (log.durable, log.first_index, log.last_index) == (10, 10, 10)
    assert log.entries(10, 11, 100) == entries(10, 2)


def test_a_store_that_is_behind_a_snapshot_on_its_way_is_not_believed() -> None:
    disk = disk_of(1, 1, 1, 1)
    log = view(disk)
    log.begin_behind(SnapshotMark(9, 2))
    disk.compact(SnapshotMark(3, 1))
    log.compacted()
    assert log.first_index == 10


def test_new_entries_are_those_that_differ() -> None:
    log = view(disk_of(1, 1, 2))
    assert log.new_among(entries(2, 1, 2)) == ()
    assert log.new_among(entries(3, 2, 2, 2)) == entries(4, 2, 2)
    assert log.new_among(entries(2, 1, 3, 3)) == entries(3, 3, 3)
    assert log.new_among(entries(4, 2)) == entries(4, 2)


def test_a_term_is_found_without_reading_the_log() -> None:
    disk = disk_of(*[1] * 4000, *[5] * 4000, *[9] * 4000)
    log = view(disk)
    disk.reads = 0
    assert log.last_at_most(12_000, 8) == 8000
    assert log.last_at_most(3_000, 8) == 3000
    assert log.last_at_most(99_999, 9) == 12_000
    assert log.last_at_most(12_000, 0) == 0
    assert disk.reads < 100


def test_recent_entries_are_kept_up_to_a_bound_and_unpersisted_ones_always() -> None:
    disk = disk_of()
    log = view(disk, cache_bytes=10 * (100 + OVERHEAD))
    log.append(entries(1, *[1] * 30, size=100))
    assert log.unpersisted == 30 * (100 + OVERHEAD)
    disk.reads = 0
    assert log.entries(1, 2, 1)
    assert disk.reads == 0
    persist(disk, log)
    assert log.unpersisted == 0
    disk.reads = 0
    assert log.entries(1, 2, 1)
    assert disk.reads == 1
    assert log.entries(28, 31, 1000)
    assert disk.reads == 1


class LogMachine(RuleBasedStateMachine):
    """Any history of a log, beside a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = disk_of()
        self.log = view(self.disk, cache_bytes=200)
        self.first = 1
        self.base_term = 0
        self.model: list[Entry] = []
        self.flight: Persist | None = None
        self.term = 1

    @property
    def last(self) -> int:
        return self.first + len(self.model) - 1

    @rule(count=st.integers(1, 5), newer=st.integers(0, 2), size=st.integers(0, 50))
    def append(self, count: int, newer: int, size: int) -> None:
        self.term += newer
        new = entries(self.last + 1, *[self.term] * count, size=size)
        self.log.append(new)
        self.model += new

    @precondition(lambda self: self.model)
    @rule(back=st.integers(0, 8))
    def replace(self, back: int) -> None:
        first = max(self.first, self.last - back)
        self.log.truncate(first)
        del self.model[first - self.first :]
        self.append(1, 1, 3)

    @precondition(lambda self: self.flight is None)
    @rule()
    def write(self) -> None:
        restore, handed = self.log.restore, self.log.hand_out()
        self.flight = Persist(1, None, handed, restore)

    @precondition(lambda self: self.flight is not None)
    @rule()
    def written(self) -> None:
        assert self.flight is not None
        self.disk.save(self.flight)
        self.flight = None
        self.log.confirm()

    @rule(ahead=st.integers(1, 9))
    def snapshot(self, ahead: int) -> None:
        mark = SnapshotMark(self.last + ahead, self.term)
        self.log.begin_behind(mark)
        self.first, self.base_term, self.model = mark.index + 1, mark.term, []

    @precondition(lambda self: self.flight is None and self.log.durable >= self.first)
    @rule(keep=st.integers(0, 5))
    def compact(self, keep: int) -> None:
        index = max(self.first, self.log.durable - keep)
        term = self.model[index - self.first].term
        self.disk.compact(SnapshotMark(index, term))
        self.log.compacted()
        del self.model[: index + 1 - self.first]
        self.first, self.base_term = index + 1, term

    @invariant()
    def is_what_the_list_says(self) -> None:
        log = self.log
        assert (log.first_index, log.last_index) == (self.first, self.last)
        assert log.last_term == (self.model[-1].term if self.model else self.base_term)
        assert log.term(self.first - 1) == self.base_term
        for entry in self.model:
            assert log.term(entry.index) == entry.term
        found: list[Entry] = []
        while len(found) < len(self.model):
            found += log.entries(self.first + len(found), self.last + 1, 60)
        assert found == self.model

    @invariant()
    def what_is_durable_is_on_the_disk(self) -> None:
        for entry in self.model:
            if entry.index <= self.log.durable:
                assert self.disk.entries(entry.index, entry.index + 1, 1) == [entry]


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyHistoryOfALog = LogMachine.TestCase
