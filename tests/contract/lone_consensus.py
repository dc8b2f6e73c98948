"""A consensus of one node and no log: it proposes to its replica and has the outcome at once."""

from __future__ import annotations

from itertools import count

from twisted.internet.defer import Deferred, DeferredLock

from bleepstore.interfaces.replication import IStateMachine
from bleepstore.model import proposals
from bleepstore.model.proposals import Proposal
from bleepstore.raft.messages import Entry


class LoneConsensus:
    """As much of IConsensus as a metadata store calls.

    :ivar barriers: how often a read was confirmed.
    """

    def __init__(self, replica: IStateMachine) -> None:
        self.barriers = 0
        self._replica = replica
        self._serials = count(1)
        self._lock: DeferredLock = DeferredLock()

    async def propose(self, command: bytes) -> object:
        serial = next(self._serials)
        data = proposals.encode(Proposal("n1", 1, serial, serial, command))
        await self._lock.acquire()
        try:
            entry = Entry(self._replica.applied_index() + 1, 1, data=data)
            # Whoever stops waiting takes nothing back.
            applying = Deferred.fromCoroutine(self._replica.apply([entry]))
            (verdict,) = await applying
        finally:
            self._lock.release()
        return verdict.outcome

    async def barrier(self) -> None:
        self.barriers += 1
