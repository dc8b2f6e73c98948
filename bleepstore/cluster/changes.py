"""Changes of the members, and of who leads: procedures of several steps, at any node.

The node that is asked takes one step after another by asking the leader, whoever that is at the
moment (:class:`ChangeStep`).  Each step can be asked for again without harm, and counts as taken
only once it is committed; so a lost message or another leader only costs time.

:class:`Steps` is the leader's side, :class:`Changes` the other one.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from bleepstore.cluster.complaints import words_of
from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.cluster.pauses import Pauses
from bleepstore.cluster.peer_commands import WrongCluster, WrongNode
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.replication import ITransport, LostLog
from bleepstore.raft.core import Raft
from bleepstore.raft.messages import (
    ChangeStep,
    Member,
    Members,
    StepAnswer,
    StepKind,
    StepOutcome,
)
from bleepstore.raft.problems import ChangeInProgress, NotLeader
from bleepstore.raft.progress import ProgressState
from bleepstore.raft.quorum import majority

TAKEN, LATER, WRONG = StepOutcome

STOPPING = "The node is stopping."

Answer = tuple[StepOutcome, str]


class Steps:
    """What a leader does with a step."""

    def __init__(self, raft: Raft, node_id: str, settings: ConsensusSettings) -> None:
        self._raft = raft
        self._node_id = node_id
        self._promote_within = settings.promote_within
        self._silent_after = settings.core.election_ticks

    def take(self, step: ChangeStep) -> Answer:
        """Take it if it can be taken now; say what came of it, and why."""
        raft = self._raft
        if not raft.is_leader:
            return LATER, "this node does not lead"
        try:
            match step.kind:
                case StepKind.ADD:
                    return self._add(step)
                case StepKind.PROMOTE:
                    return self._promote(step.node)
                case StepKind.REMOVE:
                    return self._remove(step.node)
                case StepKind.TRANSFER:
                    return self._transfer(step.node)
        except (NotLeader, ChangeInProgress) as error:
            return LATER, str(error)
        except ValueError as error:
            return WRONG, str(error)

    def _add(self, step: ChangeStep) -> Answer:
        member = self._raft.members.get(step.node)
        if member is None:
            learner = Member(step.node, step.address, voter=False, log=step.log)
            return self._change(self._raft.members.having(learner))
        if member.address != step.address:
            return WRONG, f"{step.node} is a member already, at {member.address}"
        if member.log and step.log and member.log != step.log:
            return WRONG, f"{step.node} is a member with another log: remove it first"
        return self._committed()

    def _promote(self, node: str) -> Answer:
        raft = self._raft
        member = raft.members.get(node)
        if member is None:
            return WRONG, f"{node} is no member"
        if member.voter:
            return self._committed()
        progress = raft.progress(node)
        lacks = raft.last_index - (0 if progress is None else progress.match)
        if progress is None or progress.state is not ProgressState.REPLICATE:
            return LATER, f"{node} takes no entries yet; its log, or the leader's, may say why"
        if lacks > self._promote_within:
            return LATER, f"{node} lacks {lacks} entries still"
        members = raft.members.having(replace(member, voter=True))
        if too_few := self._too_few(members):
            return LATER, too_few
        return self._change(members)

    def _answers(self, node: str) -> bool:
        """Whether a member has answered this leader, and not long ago; the leader itself does."""
        progress = self._raft.progress(node)
        if progress is None:
            return node == self._node_id
        return progress.round > 0 and self._raft.silence(node) < self._silent_after

    def _too_few(self, members: Members) -> str:
        """Why these could decide nothing, not even that they are the members: no majority of them
        answers.  Empty: one does.

        Such a change would be in force, and could neither be committed nor be undone.
        """
        voters = members.voters
        silent = [each for each in sorted(voters) if not self._answers(each)]
        if len(voters) - len(silent) >= majority(len(voters)):
            return ""
        unheard = ", ".join(silent)
        return f"too few would be left to decide anything while nothing is heard of {unheard}"

    def _remove(self, node: str) -> Answer:
        raft = self._raft
        members = raft.members
        if members.get(node) is None:
            return self._committed()
        if members.voters == {node}:
            return WRONG, f"{node} is the last voter"
        if too_few := self._too_few(members.without(node)):
            return LATER, too_few
        if node == self._node_id:
            # It hands over first (thesis section 4.2.2): the next leader takes the step.
            self._hand_over(self._furthest())
            return LATER, f"{node} hands over first"
        return self._change(members.without(node))

    def _transfer(self, node: str) -> Answer:
        raft = self._raft
        if not node:
            node = self._furthest()
        if node not in raft.members.voters:
            return WRONG, f"{node} is no voter" if node else "there is no other voter"
        if node == self._node_id:
            return TAKEN, ""
        if not self._answers(node):
            return LATER, f"nothing is heard of {node}"  # to try would only hold up who writes
        self._hand_over(node)
        return LATER, f"{node} is to take over"

    def hand_over(self) -> bool:
        """Have the best other voter lead; whether there is one."""
        to = self._furthest()
        if to:
            self._hand_over(to)
        return bool(to)

    def _hand_over(self, to: str) -> None:
        if not self._raft.transferring:
            self._raft.transfer(to)

    def _furthest(self) -> str:
        """The other voter that has most of the log, among those that answer; of all of them if
        none does.  Empty if there is none.

        One that is silent may have all of it where nothing has been written since.
        """
        raft = self._raft
        found = [(raft.progress(each), each) for each in raft.members.voters]
        known = [
            (self._answers(each), progress.match, each)
            for progress, each in found
            if progress is not None
        ]
        return max(known, default=(False, 0, ""))[2]

    def _change(self, members: Members) -> Answer:
        self._raft.change(members)
        return self._committed()

    def _committed(self) -> Answer:
        if self._raft.members_index <= self._raft.commit:
            return TAKEN, ""
        return LATER, "it is not committed yet"


class Changes:
    """The procedures, on the node that was asked for one."""

    def __init__(
        self,
        raft: Raft,
        node_id: str,
        steps: Steps,
        transport: ITransport,
        clock: IReactorTime,
        settings: ConsensusSettings,
        wake: Callable[[], None],
    ) -> None:
        """:param wake: has the core's effects carried out."""
        self._raft = raft
        self._node_id = node_id
        self._steps = steps
        self._transport = transport
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._context = 0
        self._answers: dict[int, Deferred[Answer]] = {}
        self._pauses = Pauses(clock)
        self._stopped = False

    async def add(self, node: str, address: str) -> None:
        """See ``IConsensus.add_member``; after a barrier, if it is known elsewhere."""
        if elsewhere := self.known_elsewhere(node, address):
            raise ValueError(f"{node} is a member already, at {elsewhere}")
        deadline = self._clock.seconds() + self._settings.change
        log = await self._log_of(node, address, deadline)
        await self._until_taken(ChangeStep(0, StepKind.ADD, node, address, log), deadline)
        await self._until_taken(ChangeStep(0, StepKind.PROMOTE, node), deadline)

    def known_elsewhere(self, node: str, address: str) -> str:
        """The address of a member, as far as is known here, if it is another one than this."""
        member = self._raft.members.get(node)
        return "" if member is None or member.address == address else member.address

    async def remove(self, node: str) -> None:
        """See ``IConsensus.remove_member``; after a barrier, so that who is a member is known."""
        if self._raft.members.get(node) is None:
            raise ValueError(f"{node} is no member")
        deadline = self._clock.seconds() + self._settings.decision
        await self._until_taken(ChangeStep(0, StepKind.REMOVE, node), deadline)

    async def transfer(self, node: str) -> None:
        """See ``IConsensus.transfer_leadership``."""
        deadline = self._clock.seconds() + self._settings.decision
        await self._until_taken(ChangeStep(0, StepKind.TRANSFER, node), deadline)

    def asked(self, sender: str, step: ChangeStep) -> None:
        """A peer asks for a step."""
        outcome, reason = self._steps.take(step)
        self._transport.send(sender, StepAnswer(step.context, outcome, reason))

    def answered(self, answer: StepAnswer) -> None:
        """The leader has answered."""
        waiting = self._answers.pop(answer.context, None)
        if waiting is not None:
            waiting.callback((answer.outcome, answer.reason))

    def stop(self) -> None:
        """Give up all."""
        self._stopped = True
        answers, self._answers = self._answers, {}
        for waiting in answers.values():
            waiting.callback((LATER, STOPPING))
        self._pauses.end()

    async def _log_of(self, node: str, address: str, deadline: float) -> str:
        """The id of the log of a node that is to be added.

        :raises ValueError: it is a member, with another log, or of another cluster; or another
            node answers there.
        :raises ServiceUnavailable: it was not met in time.
        """
        while True:
            try:
                met = await self._transport.meet(node, address)
            except LostLog as error:
                raise ValueError(str(error)) from None
            except (WrongCluster, WrongNode) as error:  # it would say the same again and again
                raise ValueError(f"{node} was not met at {address}: {error}") from None
            except Exception as error:
                reason = f"{node} was not met at {address}: {words_of(error)}"
            else:
                return met.log
            if self._stopped:
                raise ServiceUnavailable(STOPPING)
            if self._clock.seconds() >= deadline:
                raise ServiceUnavailable(f"Not done in time: {reason.rstrip('.')}.")
            await self._pauses.pause(self._settings.tick)

    async def _until_taken(self, step: ChangeStep, deadline: float) -> None:
        """Ask for a step until it is taken.

        :raises ValueError: it can never be.
        :raises ServiceUnavailable: it was not taken in time.
        """
        raft = self._raft
        first = raft.leader
        while True:
            outcome, reason = await self._ask(step)
            if outcome is TAKEN:
                return
            if outcome is WRONG:
                raise ValueError(reason)
            if self._stopped:
                raise ServiceUnavailable(STOPPING)
            if self._clock.seconds() >= deadline:
                raise ServiceUnavailable(f"Not done in time: {reason.rstrip('.')}.")
            await self._pauses.pause(self._settings.tick)
            if step.kind is StepKind.TRANSFER and not step.node:
                # Whoever leads now is the one; asked again, that one would hand over in its turn.
                first = first or raft.leader
                if raft.leader not in ("", first):
                    return

    async def _ask(self, step: ChangeStep) -> Answer:
        leader = self._raft.leader
        if self._stopped:
            return LATER, STOPPING
        if leader == self._node_id:
            answer = self._steps.take(step)
            self._wake()
            return answer
        if not leader:
            return LATER, "no leader is known"
        return await self.ask_of(leader, step)

    def ask_of(self, node: str, step: ChangeStep) -> Deferred[Answer]:
        """Ask a node for a step; one that is silent for an election timeout says LATER."""
        self._context += 1
        context = self._context
        waiting: Deferred[Answer] = Deferred()
        self._answers[context] = waiting
        self._transport.send(node, replace(step, context=context))
        patience = self._clock.callLater(
            self._settings.election,
            self.answered,
            StepAnswer(context, LATER, f"{node} is silent"),
        )

        def ended(answer: Answer) -> Answer:
            self._answers.pop(context, None)
            if patience.active():
                patience.cancel()
            return answer

        return waiting.addBoth(ended)
