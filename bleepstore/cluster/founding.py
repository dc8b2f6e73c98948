"""The beginning of a cluster: its first members agree on whose logs it begins with.

A member whose disk was lost comes back with nothing, and its configuration says that it begins a
cluster with the others.  If it did, under its old name, it would have a vote again and none of its
promises: with one that had been away it would be a majority that does not know what was
acknowledged.  So each log has an id, a cluster begins with the ids of all its first members'
logs, and nobody asks anything of a member that has another log than it had.

A first member begins

* once each of the others has told it the id of its log, and that it has not begun either; or
* once one that has begun tells it with whom, and that has this member's log among them.

Why that is enough.  Say a write was acknowledged, and one of those that had it is wiped later.
Its acknowledgement came after another one of that majority had begun (the leader, or a voter for
it), with the old log's id among the founders'.  The new log must hear from all the others, that one
among them, and is refused.  What each has heard is kept in memory alone, by whoever has not begun:
a process that begins anew has acknowledged nothing, and asks again.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bleepstore.cluster.backoff import Backoff, Dice
from bleepstore.cluster.complaints import Complaints, words_of
from bleepstore.cluster.pauses import Pauses
from bleepstore.interfaces.replication import Identity, Introduction, ITransport, LostLog
from bleepstore.raft.messages import Member, Members

FIRST, MOST = 0.1, 1.0
"""Seconds between two questions to the same node, at first and at most."""

QUIET = 5.0
"""Seconds for which it goes without saying that not all have been started yet."""

_log = Logger()


class Founding:
    """What a first member does before it begins.

    :param identity: of its log.
    :param cluster_id: that the cluster is going to have.
    :param members: the first members, this node among them.
    """

    def __init__(
        self,
        identity: Identity,
        cluster_id: str,
        members: Members,
        transport: ITransport,
        clock: IReactorTime,
        dice: Dice,
    ) -> None:
        self._own = identity
        self._cluster_id = cluster_id
        self._others = [member for member in members.nodes if member.id != identity.node_id]
        self._transport = transport
        self._clock = clock
        self._dice = dice
        self._pauses = Pauses(clock)
        self._complaints = Complaints(clock.seconds)
        self._heard: dict[str, str] = {}
        self._asking: list[Deferred[None]] = []
        self._agreed: Deferred[Mapping[str, str]] = Deferred()

    async def agree(self) -> Mapping[str, str]:
        """Ask until it may begin; gives the ids of all first members' logs.

        :raises LostLog: it must not begin: the cluster has, with another log of this node.
        """
        _log.info(
            "{node} waits for {others}: a cluster begins once all its first members have met",
            node=self._own.node_id,
            others=", ".join(member.id for member in self._others),
        )
        self._asking = [
            Deferred.fromCoroutine(self._ask(member)).addErrback(self._broken)
            for member in self._others
        ]
        try:
            logs = await self._agreed
        except Exception:
            await self._end()
            raise
        await self._end()
        return logs

    def stop(self) -> None:
        """Give it up: :meth:`agree` raises CancelledError."""
        if not self._agreed.called:
            self._agreed.cancel()

    async def _end(self) -> None:
        self._pauses.end()
        for asking in self._asking:
            asking.cancel()
            await asking

    def _broken(self, failure: Failure) -> None:
        if not self._agreed.called:
            self._agreed.errback(failure)

    async def _ask(self, member: Member) -> None:
        backoff = Backoff(FIRST, MOST, self._dice)
        begun = self._clock.seconds()
        while True:
            try:
                met = await self._transport.meet(member.id, member.address)
            except LostLog as error:
                self._decide(error)
            except Exception as error:
                if self._agreed.called:
                    return
                if self._clock.seconds() - begun >= QUIET:
                    self._complaints.say(
                        member.id, "founding", f"not met at {member.address}: {words_of(error)}"
                    )
            else:
                self._met(member, met)
            if self._agreed.called:
                return
            await self._pauses.pause(backoff.next())

    def _met(self, member: Member, met: Introduction) -> None:
        own = self._own
        if met.founders and met.cluster == self._cluster_id:
            if met.founders.get(own.node_id) == own.log_id:
                self._decide(met.founders)
            else:
                self._decide(LostLog(f"{member.id} knows another log of {own.node_id}"))
        elif met.cluster:
            self._complaints.say(
                member.id,
                "founding",
                f"is a member of cluster {met.cluster!r} already: to have this node join it, set "
                "cluster.join, without cluster.peers, and add it",
            )
        else:
            self._heard[member.id] = met.log
            if len(self._heard) == len(self._others):
                self._decide({own.node_id: own.log_id, **self._heard})

    def _decide(self, outcome: Mapping[str, str] | LostLog) -> None:
        # In a turn of its own: whoever waits for it ends the question that led to it.
        self._clock.callLater(0, self._give, outcome)

    def _give(self, outcome: Mapping[str, str] | LostLog) -> None:
        if self._agreed.called:
            return
        if isinstance(outcome, LostLog):
            self._agreed.errback(outcome)
        else:
            self._agreed.callback(outcome)
