"""Majorities: the only arithmetic that safety rests on.

Any two majorities of the same voters share one (paper, section 5.2), and so do those of two sets
of voters that differ by one (thesis section 4.1).  Knows numbers and ids, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Set


def majority(voters: int) -> int:
    """How many of them are more than half."""
    return voters // 2 + 1


def committed_index(matches: Iterable[int]) -> int:
    """The largest value that a majority has reached (paper, figure 2, last rule for leaders).

    :param matches: one value for each voter: an index, a round, or a time.
    :returns: 0 when there are no voters.
    """
    ranked = sorted(matches)
    return ranked[-majority(len(ranked))] if ranked else 0


class Tally:
    """The votes of one election.

    Each voter counts once, whatever it repeats; others do not count.
    """

    __slots__ = ("_denied", "_granted", "_voters")

    def __init__(self, voters: Set[str]) -> None:
        self._voters = voters
        self._granted: set[str] = set()
        self._denied: set[str] = set()

    def record(self, voter: str, granted: bool) -> None:
        """Count an answer; the first of a voter is the one that counts."""
        if voter in self._voters and voter not in self._granted and voter not in self._denied:
            (self._granted if granted else self._denied).add(voter)

    @property
    def won(self) -> bool:
        """A majority has granted it."""
        return len(self._granted) >= majority(len(self._voters))

    @property
    def lost(self) -> bool:
        """So many have denied it that no majority is left."""
        left = len(self._voters) - len(self._denied)
        return left < majority(len(self._voters))
