"""The terms of the entries of a log, in memory: one pair for each term, not for each entry.

Terms never decrease along a log, and change only when a leader does, so that this stays small
however long the log is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Terms:
    """From which index on which term holds.

    :ivar base: index of the snapshot that the log begins behind.
    :ivar last: index of the last entry; ``base`` when there is none.
    """

    __slots__ = ("_starts", "_terms", "base", "last")

    def __init__(self, base: int, term: int) -> None:
        """:param term: of the entry at ``base``."""
        self.base = self.last = base
        self._starts = [base]
        self._terms = [term]

    def append(self, index: int, term: int) -> None:
        """One more entry.

        :raises ValueError: it leaves a gap, or its term is less than that of the one before.
        """
        if index != self.last + 1:
            raise ValueError(f"entry {index} follows entry {self.last}")
        if term != self._terms[-1]:
            if term < self._terms[-1]:
                raise ValueError(f"entry {index} has term {term} behind term {self._terms[-1]}")
            self._starts.append(index)
            self._terms.append(term)
        self.last = index

    def cut(self, index: int) -> None:
        """Forget the entries from ``index`` on.

        :raises ValueError: the log begins behind it.
        """
        if index <= self.base:
            raise ValueError(f"entry {index} is part of the snapshot at {self.base}")
        if index <= self.last:
            keep = bisect_left(self._starts, index)
            del self._starts[keep:], self._terms[keep:]
            self.last = index - 1

    def begin_behind(self, index: int) -> None:
        """Forget the entries up to and including ``index``, but not its term.

        :raises IndexError: it is not there.
        """
        term = self.term(index)
        gone = bisect_right(self._starts, index)
        self._starts[:gone] = [index]
        self._terms[:gone] = [term]
        self.base = index

    def term(self, index: int) -> int:
        """The term of an entry, or of the snapshot.

        :raises IndexError: there is neither.
        """
        if not self.base <= index <= self.last:
            raise IndexError(f"entry {index} is not in the log ({self.base + 1} to {self.last})")
        return self._terms[bisect_right(self._starts, index) - 1]
