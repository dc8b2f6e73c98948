"""Defects to put into the core: each breaks one rule that safety rests on.

A mutant replaces named functions or methods for a while.  The simulation has to notice each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from bleepstore.cluster import changes, founding
from bleepstore.metadata import sessions
from bleepstore.raft import following, leading, quorum, reads, replica
from bleepstore.raft.messages import Members, Message, Vote
from bleepstore.raft.problems import ChangeInProgress


def _vote_at_once(self: replica.Replica, to: str, message: Message) -> None:
    if isinstance(message, Vote) and to != self.id:
        self.send(to, message)
    else:
        _promise(self, to, message)


_promise = replica.Replica.promise


def _same_length(node: replica.Replica, index: int, term: int) -> bool:
    return index <= node.log.last_index


def _half(voters: int) -> int:
    return max(voters // 2, 1)


def _all_at_once(self: reads.LeaderReads, now: int) -> list[reads.Waiting]:
    due, self._waiting = self._waiting, []
    return due


def _last_again(self: replica.Replica) -> tuple[Any, ...]:
    batch = _next_apply(self)
    if self.applied >= self.log.first_index:
        return (*self.log.entries(self.applied, self.applied + 1, 1), *batch)
    return batch


_next_apply = replica.Replica.next_apply


def _only_pending(pending: int, commit: int, term_start: int) -> None:
    if pending > commit:
        raise ChangeInProgress("not committed yet")


async def _alone(self: founding.Founding) -> dict[str, str]:
    return {self._own.node_id: "", **{member.id: "" for member in self._others}}


async def _no_log(self: changes.Changes, node: str, address: str, deadline: float) -> str:
    return ""


def _by_name(self: replica.Replica, members: Members) -> bool:
    return self.id in members.voters


class Mutant(NamedTuple):
    """A defect.

    :ivar kind: of the seeds that are likely to notice it, which are tried first.
    """

    kind: str
    replaced: tuple[tuple[Any, str, Any], ...]


MUTANTS: dict[str, Mutant] = {
    "a vote is sent before it is durable": Mutant(
        "disks", ((replica.Replica, "promise", _vote_at_once),)
    ),
    "an entry of an older term is committed by counting": Mutant(
        "contested entries", ((leading, "may_commit", lambda entry_term, term: True),)
    ),
    "a follower does not compare the term before": Mutant(
        "elections", ((following, "entry_matches", _same_length),)
    ),
    "half of the voters are a majority": Mutant("of everything", ((quorum, "majority", _half),)),
    "a read needs no confirmation": Mutant(
        "reads", ((reads.LeaderReads, "under_lease", _all_at_once),)
    ),
    "an entry is applied twice": Mutant(
        "of everything", ((replica.Replica, "next_apply", _last_again),)
    ),
    "a proposal that is met twice is applied twice": Mutant(
        "contested entries", ((sessions.Sessions, "admits", lambda self, proposal: True),)
    ),
    "members change before the term has committed anything": Mutant(
        "rival changes", ((leading, "check_in_progress", _only_pending),)
    ),
    "a first member begins without having met the others": Mutant(
        "lost disks", ((founding.Founding, "agree", _alone),)
    ),
    "a node votes as what it was before it lost its log": Mutant(
        "lost disks", ((replica.Replica, "votes_among", _by_name),)
    ),
    "a node is added without the id of its log": Mutant(
        "lost disks", ((changes.Changes, "_log_of", _no_log),)
    ),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """With this defect."""
    replaced = MUTANTS[name].replaced
    sound = [getattr(owner, what) for owner, what, _ in replaced]
    for owner, what, defect in replaced:
        setattr(owner, what, defect)
    try:
        yield
    finally:
        for (owner, what, _), original in zip(replaced, sound, strict=True):
            setattr(owner, what, original)
