"""What is to be said: what may be said now, and what promises something that is not durable yet.

"Updated on stable storage before responding to RPCs" (paper, figure 2): a promise waits for the
Persist that makes durable everything this node believed when it was made.  What waits is bounded:
one message of a kind for each peer, since a later one says all that an earlier one did.

Knows messages; nothing of what they mean.
"""

from __future__ import annotations

from bleepstore.raft.effects import Effects, Envelope, Persist, ReadReady, RoleChange
from bleepstore.raft.messages import Appended, Entry, Message

NOTHING = Effects()

_Waiting = dict[tuple[str, type], Message]


def must_wait(dirty: bool, in_flight: bool) -> bool:
    """Whether a promise must be withheld: something that this node believes is not durable."""
    return dirty or in_flight


class Outbox:
    """What has gathered since the last :meth:`Raft.take`, and what is withheld.

    :ivar messages: to be sent now.
    """

    __slots__ = ("_awaiting", "_dirty", "messages", "reads", "roles", "snapshots")

    def __init__(self) -> None:
        self.messages: list[Envelope] = []
        self.reads: list[ReadReady] = []
        self.roles: list[RoleChange] = []
        self.snapshots: list[str] = []
        self._dirty: _Waiting = {}
        self._awaiting: _Waiting = {}

    @property
    def waiting(self) -> bool:
        """Whether there is anything to tell the driver beside messages."""
        return bool(self.reads or self.roles or self.snapshots)

    def send(self, to: str, message: Message) -> None:
        """Say it now."""
        self.messages.append(Envelope(to, message))

    def withhold(self, to: str, message: Message, dirty: bool) -> None:
        """Say it once what it promises is durable.

        :param dirty: True: that takes the next Persist; False: the one under way is enough.
        """
        waiting = self._dirty if dirty else self._awaiting
        key = (to, type(message))
        earlier = waiting.get(key)
        if (
            type(message) is Appended
            and type(earlier) is Appended
            and message.success
            and earlier.success
            and message.term == earlier.term
            and earlier.index > message.index
        ):
            message = Appended(message.term, True, earlier.index, max(earlier.round, message.round))
        waiting[key] = message

    def seal(self) -> None:
        """A Persist is given out that covers everything withheld so far."""
        self._awaiting, self._dirty = self._dirty, self._awaiting

    def release(self) -> None:
        """That Persist is durable: what it covered may be said."""
        if self._awaiting:
            self.messages += [Envelope(to, what) for (to, _), what in self._awaiting.items()]
            self._awaiting.clear()

    def forget(self) -> None:
        """The term has changed: nobody waits for these promises any more."""
        self._dirty.clear()
        self._awaiting.clear()

    def empty(self, persist: Persist | None, apply: tuple[Entry, ...]) -> Effects:
        """Hand over what has gathered."""
        messages: tuple[Envelope, ...] = ()
        if self.messages:
            messages = tuple(self.messages)
            self.messages.clear()
        if not (self.reads or self.roles or self.snapshots):
            return Effects(persist, messages, apply) if messages or persist or apply else NOTHING
        effects = Effects(
            persist, messages, apply, tuple(self.reads), tuple(self.snapshots), tuple(self.roles)
        )
        self.reads.clear()
        self.snapshots.clear()
        self.roles.clear()
        return effects
