"""The newest entries of a log, kept in memory after they were written.

What a node has just made durable it applies next, and a leader sends it to whoever is not up to
date: neither should have to read it back.
"""

from __future__ import annotations

from collections.abc import Iterable

from bleepstore.raft.messages import Entry

OVERHEAD = 200
"""Bytes that an entry is taken to cost beside its data."""


class RecentEntries:
    """The tail of a log, in so many bytes."""

    def __init__(self, limit: int) -> None:
        """:param limit: bytes of memory, by estimate; the newest entry is kept in any case."""
        self._limit = limit
        self._entries: dict[int, Entry] = {}
        self._first = self._next = 0
        self._bytes = 0

    def extend(self, entries: Iterable[Entry]) -> None:
        """Add contiguous entries; they replace what is there from the first one's index on."""
        for entry in entries:
            if entry.index != self._next:
                self.cut(entry.index)
                if entry.index != self._next:  # a gap: what is there does not lead to it
                    self.clear()
                    self._first = entry.index
            self._entries[entry.index] = entry
            self._next = entry.index + 1
            self._bytes += OVERHEAD + len(entry.data)
        while self._bytes > self._limit and self._first + 1 < self._next:
            self._drop(self._first)
            self._first += 1

    def cut(self, index: int) -> None:
        """Forget the entries from ``index`` on."""
        while self._next > max(index, self._first):
            self._next -= 1
            self._drop(self._next)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._first = self._next = 0
        self._bytes = 0

    def forget(self, index: int) -> None:
        """Forget the entries up to and including ``index``."""
        while self._first <= index and self._first < self._next:
            self._drop(self._first)
            self._first += 1

    def read(self, low: int, high: int, max_bytes: int) -> list[Entry]:
        """Entries ``low`` to ``high`` - 1, at least one, then as many as ``max_bytes`` of data
        allow; empty if the first of them is not here."""
        found: list[Entry] = []
        if not self._first <= low < self._next:
            return found
        size = 0
        for index in range(low, min(high, self._next)):
            entry = self._entries[index]
            size += len(entry.data)
            if found and size > max_bytes:
                break
            found.append(entry)
        return found

    def _drop(self, index: int) -> None:
        self._bytes -= OVERHEAD + len(self._entries.pop(index).data)
