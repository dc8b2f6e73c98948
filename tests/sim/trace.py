"""What happened in a run, in order, for a person to read and for a test to compare."""

from __future__ import annotations

from hashlib import blake2b

from bleepstore.raft.messages import Appended, AppendEntries, Entry, Message
from tests.sim.clocks import Time

LAST = 150
"""Lines of messages and small events that are printed; what matters is printed from all the run."""


class Trace:
    """Notes of who did what when."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._notes: list[tuple[float, str, object, bool]] = []

    def matters(self, who: str, what: str) -> None:
        """Note something that a reader wants to see from the whole run."""
        self._notes.append((self._time.now, who, what, True))

    def detail(self, who: str, what: str) -> None:
        """Note something that is of interest shortly before the end."""
        self._notes.append((self._time.now, who, what, False))

    def sent(self, sender: str, receiver: str, message: Message, lost: bool) -> None:
        """Note a message."""
        self._notes.append((self._time.now, sender, (receiver, message, lost), False))

    def digest(self) -> str:
        """Equal for equal runs."""
        total = blake2b(digest_size=16)
        for note in self._notes:
            total.update(_line(note).encode())
        return total.hexdigest()

    def text(self, last: int = LAST) -> str:
        """The run: what matters of all of it, everything of its end but plain heartbeats."""
        busy = [note for note in self._notes if not _dull(note)]
        shown = [note for note in busy[:-last] if note[3]] + busy[-last:]
        return "\n".join(map(_line, shown))


def _dull(note: tuple[float, str, object, bool]) -> bool:
    what = note[2]
    if not isinstance(what, tuple):
        return False
    message = what[1]
    return (isinstance(message, AppendEntries) and not message.entries) or (
        isinstance(message, Appended) and message.success
    )


def _line(note: tuple[float, str, object, bool]) -> str:
    when, who, what, _ = note
    if isinstance(what, tuple):
        receiver, message, lost = what
        what = f"  → {receiver}{' (lost)' if lost else ''}: {describe(message)}"
    return f"{when:9.3f} {who:>9} {what}"


def describe(message: Message) -> str:
    """A message, without the bytes of its entries."""
    if isinstance(message, AppendEntries):
        entries = ", ".join(map(_entry, message.entries)) or "no entries"
        return (
            f"AppendEntries(term {message.term}, after {message.prev_index}@{message.prev_term}, "
            f"{entries}, commit {message.commit}, round {message.round})"
        )
    fields = (f"{name}={_short(getattr(message, name))}" for name in message.__struct_fields__)
    return f"{type(message).__name__}({', '.join(fields)})"


def _entry(entry: Entry) -> str:
    return f"{entry.index}@{entry.term} {entry.kind.name}"


def _short(value: object) -> str:
    text = f"{len(value)} payloads" if isinstance(value, tuple) else str(value)
    return text if len(text) < 60 else text[:57] + "…"
