"""The proposals of this node: named, handed to whoever leads, and answered once.

A proposal is *due* until it has been handed to a leader, and again when that may have come to
nothing: the leader refused it, was lost, another one leads, or it said nothing for an election
timeout.  A repetition does no harm, since the state machine applies each name once.  The outcome
is known when this node applies the entry.  What is not decided in time is given up: the answer is
that nobody knows, and its name is never used again (``model.proposals``, floor).

Knows names, times and bounds; neither Raft nor peers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred

from bleepstore.cluster.consensus_settings import ConsensusSettings
from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.replication import Verdict
from bleepstore.model import proposals
from bleepstore.model.proposals import Proposal
from bleepstore.streams.coroutines import Uncancellable

UNDECIDED = "It was not decided in time whether this is done."
UNKNOWN = "Whether this was done is not known: the state was replaced by a snapshot meanwhile."
TOO_MANY = "Too many changes wait to be decided."
STOPPING = "The node is stopping."


class Pending:
    """One proposal without an outcome.

    :ivar raw: its binary form, the data of an entry.
    :ivar since: when it was made, in seconds of the clock.
    :ivar to: the leader that it was handed to; empty: none, or in vain.
    :ivar handed: whether it was ever handed to one.
    :ivar retry_at: when to hand it over again, unless that leader has accepted it.
    """

    __slots__ = ("answer", "handed", "raw", "retry_at", "serial", "since", "to")

    def __init__(self, serial: int, raw: bytes, since: float) -> None:
        self.serial = serial
        self.raw = raw
        self.since = since
        self.to = ""
        self.handed = False
        self.retry_at: float | None = None
        self.answer: Deferred[object] = Uncancellable()


class Proposals:
    """Those of one incarnation of a node.

    :ivar results: how many ended, by how: ``decided``, ``undecided``, ``unknown``, ``refused``
        (too many), ``stopped``.
    """

    def __init__(
        self,
        origin: str,
        incarnation: int,
        settings: ConsensusSettings,
        now: Callable[[], float],
        decided: Callable[[float], None],
    ) -> None:
        """
        :param decided: told how many seconds each decision took.
        """
        self._origin = origin
        self._incarnation = incarnation
        self._settings = settings
        self._now = now
        self._decided = decided
        self._serial = 0
        self._pending: dict[int, Pending] = {}
        self._due: dict[int, Pending] = {}
        self._later: list[Pending] = []
        self._messages: dict[int, list[Pending]] = {}
        self._bytes = 0
        self._stopped = False
        self.results = dict.fromkeys(("decided", "undecided", "unknown", "refused", "stopped"), 0)

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def due(self) -> bool:
        """Whether some are to be handed to a leader."""
        return bool(self._due)

    def submit(self, command: bytes) -> Deferred[object]:
        """Name a command, and have it handed over; fires with its outcome, and is not cancelled.

        :raises ServiceUnavailable: too many wait, or the node is stopping.
        """
        settings = self._settings
        if self._stopped:
            raise ServiceUnavailable(STOPPING)
        if len(self._pending) >= settings.most_pending or (
            self._pending and self._bytes + len(command) > settings.most_pending_bytes
        ):
            self.results["refused"] += 1
            raise ServiceUnavailable(TOO_MANY)
        self._serial += 1
        serial = self._serial
        floor = next(iter(self._pending), serial)
        named = Proposal(self._origin, self._incarnation, serial, floor, command)
        pending = Pending(serial, proposals.encode(named), self._now())
        self._pending[serial] = self._due[serial] = pending
        self._bytes += len(pending.raw)
        return pending.answer

    # Handing over

    def batch(self) -> list[Pending]:
        """Those that are due, as many as go into one message, the oldest first; they stay due."""
        found: list[Pending] = []
        size = 0
        for pending in self._due.values():
            size += len(pending.raw)
            if found and size > self._settings.batch_bytes:
                break
            found.append(pending)
            if len(found) == self._settings.batch_entries:
                break
        return found

    def taken(self, batch: Iterable[Pending], leader: str) -> None:
        """A leader has them in its log: this node itself."""
        for pending in batch:
            self._due.pop(pending.serial, None)
            pending.to, pending.retry_at, pending.handed = leader, None, True

    def sent(self, batch: list[Pending], leader: str, context: int) -> None:
        """They are on their way to a leader."""
        retry_at = self._now() + self._settings.election
        for pending in batch:
            del self._due[pending.serial]
            pending.to, pending.retry_at, pending.handed = leader, retry_at, True
        self._messages[context] = batch

    def answered(self, sender: str, context: int, accepted: bool) -> None:
        """A leader says whether it took a message; if it did not, its proposals are due again at
        the next tick, not at once: it would refuse them again."""
        for pending in self._messages.pop(context, ()):
            if pending.to == sender and pending.retry_at is not None:
                if accepted:
                    pending.retry_at = None
                else:
                    self._later.append(pending)

    def lost(self, leader: str) -> None:
        """What was handed to a leader may have come to nothing."""
        self._again(pending for pending in self._pending.values() if pending.to == leader)

    def leader_changed(self) -> None:
        """Another one leads, or the same one again: all may have come to nothing."""
        self._messages.clear()
        self._again(pending for pending in self._pending.values() if pending.to)

    def tick(self) -> None:
        """Some time has passed."""
        now = self._now()
        deadline = now - self._settings.decision
        expired = []
        for pending in self._pending.values():  # in the order in which they were made
            if pending.since > deadline:
                break
            expired.append(pending)
        for pending in expired:
            self._fail(pending, "undecided", UNDECIDED)
        later, self._later = self._later, []
        self._again(pending for pending in later if pending.serial in self._pending)
        self._again(
            pending
            for pending in self._pending.values()
            if pending.retry_at is not None and pending.retry_at <= now
        )
        for context, batch in list(self._messages.items()):
            if batch[0].serial in self._pending:
                break  # what was sent later is not older
            del self._messages[context]

    def _again(self, those: Iterable[Pending]) -> None:
        for pending in those:
            pending.to, pending.retry_at = "", None
            self._due[pending.serial] = pending

    # Outcomes

    def settle(self, verdicts: Iterable[Verdict]) -> None:
        """Entries were applied here; those that are this node's have their outcomes."""
        for verdict in verdicts:
            if verdict.origin != self._origin or verdict.incarnation != self._incarnation:
                continue
            pending = self._pending.get(verdict.serial)
            if pending is None:
                continue
            if not verdict.applied:
                # The first one took effect where this node did not see it.
                self._fail(pending, "unknown", UNKNOWN)
                continue
            self._remove(pending)
            self.results["decided"] += 1
            self._decided(self._now() - pending.since)
            pending.answer.callback(verdict.outcome)

    def overtaken(self) -> None:
        """The state was replaced: whatever had been handed to a leader may be in it."""
        for pending in [each for each in self._pending.values() if each.handed]:
            self._fail(pending, "unknown", UNKNOWN)

    def stop(self) -> None:
        """Take no more, and give up all."""
        self._stopped = True
        for pending in list(self._pending.values()):
            self._fail(pending, "stopped", STOPPING)

    def _fail(self, pending: Pending, result: str, message: str) -> None:
        self._remove(pending)
        self.results[result] += 1
        pending.answer.errback(ServiceUnavailable(message))

    def _remove(self, pending: Pending) -> None:
        del self._pending[pending.serial]
        self._due.pop(pending.serial, None)
        self._bytes -= len(pending.raw)
