"""The log as the core sees it: what is durable, what is on its way there, and where it begins.

Entries above ``durable`` are held in memory; those below are read from the store, unless they are
recent enough to be held still.  Terms never decrease along a log, so a term is found by bisection.

Knows the four reading methods of a log store; nothing of peers, roles or commitment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bleepstore.raft.messages import Entry, SnapshotMark

OVERHEAD = 64
"""Bytes that an entry costs in memory beside its data, about."""


class LogReader(Protocol):
    """The durable part of the log; see ``interfaces.replication.ILogReader``."""

    def first_index(self) -> int: ...

    def last_index(self) -> int: ...

    def term(self, index: int) -> int: ...

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]: ...


class LogView:
    """One log, of what is stored and what is about to be.

    :ivar first_index: of the first entry there is, or would be.
    :ivar last_index: of the last entry.
    :ivar last_term: of that.
    :ivar durable: every entry up to it is on disk, as it is here.
    :ivar handed: every entry up to it is on disk or has been given out to be persisted.
    :ivar restore: a snapshot the log begins behind, which has not been given out yet.
    :ivar unpersisted: bytes of the entries that are not durable.
    """

    __slots__ = (
        "_base", "_base_term", "_bytes", "_cache_bytes", "_flight", "_recent", "_source",
        "_start", "durable", "first_index", "handed", "last_index", "last_term", "restore",
        "unpersisted",
    )  # fmt: skip

    def __init__(self, source: LogReader, snapshot: SnapshotMark, cache_bytes: int) -> None:
        self._source = source
        self._cache_bytes = cache_bytes
        self._recent: list[Entry] = []
        self._bytes = 0
        self.unpersisted = 0
        self.restore: SnapshotMark | None = None
        self.first_index = source.first_index()
        self.last_index = source.last_index()
        self._base = self.first_index - 1
        if self._base == snapshot.index:
            self._base_term = snapshot.term
        else:
            self._base_term = source.term(self._base) if self._base else 0
        self.durable = self.handed = self._flight = self.last_index
        self._start = self.last_index + 1
        self.last_term = self.term(self.last_index)

    def term(self, index: int) -> int:
        """The term of an entry, or of what the log begins behind.

        :raises IndexError: there is none.
        """
        if index >= self._start:
            return self._recent[index - self._start].term
        if index == self._base:
            return self._base_term
        if index < self._base:
            raise IndexError(f"entry {index} is not in the log any more")
        return self._source.term(index)

    def matches(self, index: int, term: int) -> bool:
        """Whether the entry at an index is of a term: then both logs are the same up to it (paper,
        section 5.3, the Log Matching Property).  What was compacted away was committed, and matches
        every leader's."""
        if index > self.last_index:
            return False
        return index < self._base or self.term(index) == term

    def last_at_most(self, index: int, term: int) -> int:
        """The last index up to one given whose term is no greater than one given; the index
        before the first entry if there is none.  Reads some 2 log2(n) terms at most."""
        low, high = self._base, min(index, self.last_index)
        while low < high:
            middle = (low + high + 1) // 2
            if self.term(middle) <= term:
                low = middle
            else:
                high = middle - 1
        return low

    def entries(self, low: int, high: int, max_bytes: int) -> Sequence[Entry]:
        """Entries ``low`` to ``high`` - 1: at least one, then as many as ``max_bytes`` of data
        allow, or as few as are in one place.

        :raises IndexError: the first of them is not there.
        """
        start = self._start
        if low < start:
            if low <= self._base:
                raise IndexError(f"entry {low} is not in the log any more")
            return self._source.entries(low, min(high, start), max_bytes)
        found = self._recent[low - start : high - start]
        if not found:
            raise IndexError(f"entry {low} is not in the log yet")
        if len(found) == 1 or sum([len(entry.data) for entry in found]) <= max_bytes:
            return found
        size = 0
        for count, entry in enumerate(found):
            size += len(entry.data)
            if size > max_bytes:
                return found[: max(count, 1)]
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow the last one."""
        self._recent += entries
        last = entries[-1]
        self.last_index = last.index
        self.last_term = last.term
        size = OVERHEAD * len(entries)
        for entry in entries:
            size += len(entry.data)
        self._bytes += size
        self.unpersisted += size

    def new_among(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of a leader's entries that are not here: all from the first that is missing, or
        of another term (paper, figure 2, AppendEntries steps 3 and 4).  Empty: none."""
        last = self.last_index
        for count, entry in enumerate(entries):
            index = entry.index
            if index > last or (index > self._base and self.term(index) != entry.term):
                return entries[count:] if count else entries
        return ()

    def truncate(self, first: int) -> None:
        """Cut off the entries from an index on."""
        start = self._start
        if first <= start:
            self._recent.clear()
            self._start = first
        else:
            del self._recent[first - start :]
        before = first - 1
        self.last_index = before
        self.last_term = self.term(before)
        self.durable = min(self.durable, before)
        self.handed = min(self.handed, before)
        self._flight = min(self._flight, before)
        self._measure()

    def begin_behind(self, mark: SnapshotMark) -> None:
        """Forget all entries and begin behind a snapshot, which is to be persisted first."""
        self._recent.clear()
        self.restore = mark
        self._base, self._base_term = mark.index, mark.term
        self.first_index = self._start = mark.index + 1
        self.last_index = self.handed = mark.index
        self.last_term = mark.term
        self.durable = self._flight = 0
        self._measure()

    def hand_out(self) -> tuple[Entry, ...]:
        """The entries to be persisted now, with ``restore`` before them."""
        handed = self.handed + 1 - self._start
        self.restore = None
        self.handed = self._flight = self.last_index
        return tuple(self._recent[handed:] if handed else self._recent)

    def confirm(self) -> None:
        """What was handed out last is durable, but for what was cut off since."""
        before, now = self.durable, self._flight
        if now <= before:
            return
        self.durable = now
        if now == self.last_index:
            self.unpersisted = 0
        else:
            start = self._start
            for entry in self._recent[max(before + 1 - start, 0) : now + 1 - start]:
                self.unpersisted -= len(entry.data) + OVERHEAD
        if self._bytes > self._cache_bytes:
            self._trim()

    def compacted(self) -> None:
        """The store has dropped entries at its front."""
        first = self._source.first_index()
        if first <= self.first_index or self.durable < self._base:
            return  # nothing new; or a snapshot is on its way there, and the store is behind
        self._base, self._base_term = first - 1, self.term(first - 1)
        self.first_index = first
        if first > self._start:
            del self._recent[: first - self._start]
            self._start = first
            self._measure()

    def _trim(self) -> None:
        """Forget the oldest, half of those that are durable at a time; never the others."""
        while self._bytes > self._cache_bytes and self._start <= self.durable:
            count = (self.durable - self._start) // 2 + 1
            gone = self._recent[:count]
            self._bytes -= sum([len(entry.data) for entry in gone]) + OVERHEAD * count
            del self._recent[:count]
            self._start += count

    def _measure(self) -> None:
        sizes = [len(entry.data) + OVERHEAD for entry in self._recent]
        self._bytes = sum(sizes)
        self.unpersisted = sum(sizes[max(self.durable + 1 - self._start, 0) :])
        if self._bytes > self._cache_bytes:
            self._trim()
