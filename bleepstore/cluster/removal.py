"""Whether this node was removed while it was away, as far as another one tells.

Leaders speak to members alone, and whoever has a leader ignores one that stands for election.  So
a node that stands in vain asks those whom it takes for its peers to make it a voter, which it takes
itself for: a step that changes nothing (``changes.Steps``).  One that leads, and does not know it
as a member, refuses that.

Knows who stands; neither peers nor how a question gets to them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from bleepstore.raft.core import Raft
from bleepstore.raft.effects import Role
from bleepstore.raft.messages import ChangeStep, StepKind, StepOutcome

Answer = tuple[StepOutcome, str]

TOLD = (
    "it leads, and says that this node is no member: it was removed. Stop it, or add it again "
    "(bleepstore cluster add)"
)


class Removal:
    """:ivar known: one that leads has said so, and no leader was heard of since."""

    def __init__(
        self,
        raft: Raft,
        node_id: str,
        every: int,
        ask: Callable[[str, ChangeStep], Deferred[Answer]],
        say: Callable[[str, str, str], None],
    ) -> None:
        """
        :param every: ticks between two questions.
        :param ask: asks a node for a step.
        :param say: tells the log: about whom, which reason, and in what words.
        """
        self._raft = raft
        self._node_id = node_id
        self._every = every
        self._ask = ask
        self._say = say
        self._stood = 0
        self.known = False

    def tick(self) -> None:
        """Some time has passed."""
        raft = self._raft
        if raft.leader:
            self.known = False
        if raft.role is not Role.PRE_CANDIDATE:
            self._stood = 0
            return
        self._stood += 1
        if self._stood % self._every == 0:
            for member in raft.members.nodes:
                if member.id != self._node_id:
                    step = ChangeStep(0, StepKind.PROMOTE, self._node_id)
                    self._ask(member.id, step).addCallback(self._answered, member.id)

    def _answered(self, answer: Answer, by: str) -> None:
        outcome, _ = answer
        if outcome is StepOutcome.WRONG and self._raft.role is Role.PRE_CANDIDATE:
            self.known = True
            self._say(by, "removed", TOLD)
