"""Is there an order of single steps that explains what concurrent clients saw?

A history is a set of operations, each with the time of its call, the time of its return and its
outcome.  It is linearizable if every operation can be given one instant between its call and its
return so that, taken in the order of those instants, each has the outcome that a single-threaded
store would have given (M. Herlihy and J. Wing, "Linearizability: A Correctness Condition for
Concurrent Objects", 1990).  Objects can be checked one by one (the same paper, theorem 1:
linearizability is local), so keys are.

An operation without an outcome (its client saw a time-out, a 503, a broken connection) may have
taken effect at any time after its call, or may yet, or never will.

The search is Wing and Gong's, with Lowe's memoisation and just-in-time linearization (J. Wing and
C. Gong, "Testing and Verifying Concurrent Objects", 1993; G. Lowe, "Testing for Linearizability",
2017).  It goes through the calls and returns in the order of time and carries along all
*configurations* that are possible: a state, and which of the operations under way have had their
effect already.  Effects are placed as late as possible: only when an operation returns are those
under way put before it, in all orders.  Three observations keep the set small:

- An operation under way that changes nothing (a read, or a refused write) may have its instant
  as soon as its outcome is right: nobody can tell, and there is one obligation less.
- One without an outcome is never needed unless it changes the state.
- Those without an outcome that do the same (two deletes of a key) stand for each other: the
  earlier one is used up first.
- Of two configurations that differ only in which operations without an outcome were used up, one
  that used fewer can do all that the other can.

Even so there can be very many ways to use up operations without an outcome.  So of those that are
otherwise alike only a few are carried along, those first that spare what later operations will
have seen.  A history that is explained so is linearizable.  One that is not is gone through again
with more of them, until none was left out, or there are too many.

Knows nothing of how a history came about: times are any numbers, of a simulation or of a clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from threading import Lock
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

S = TypeVar("S")

Outcome = str | tuple[tuple[str, str], ...]
"""``done``, an ETag (what a get found), an S3 error code, or a listing's (key, ETag) pairs."""

DONE = "done"
NO_KEY = "NoSuchKey"
NO_BUCKET = "NoSuchBucket"
FAILED = "PreconditionFailed"
NOT_EMPTY = "BucketNotEmpty"

MOST_CONFIGURATIONS = 20_000

FIRST_CHOICE = 4
"""Ways to use up operations without an outcome that are carried along at first."""


class Operation(Struct, frozen=True, kw_only=True):
    """What a client asked and what came of it.

    :ivar action: ``put``, ``get``, ``delete``, ``list``, ``create_bucket`` or ``delete_bucket``.
    :ivar value: the ETag of what is put; no two puts of a history have the same.
    :ivar if_match: the ETag that the object must have, ``*`` for any object, or empty.
    :ivar if_none_match: there must be no object.
    :ivar called: when; a return at the very time of a call counts as after it.
    :ivar returned: when; infinite without an outcome.
    :ivar outcome: None: unknown.
    """

    client: str
    action: str
    bucket: str
    key: str = ""
    value: str = ""
    if_match: str = ""
    if_none_match: bool = False
    called: float
    returned: float = inf
    outcome: Outcome | None = None

    @property
    def reads(self) -> bool:
        """Whether it can never change anything."""
        return self.action in ("get", "list")

    @property
    def idle(self) -> bool:
        """Whether it is known to have changed nothing, whenever it took effect."""
        return self.outcome is not None and (self.reads or self.outcome != DONE)

    def __str__(self) -> str:
        what = self.bucket + (f"/{self.key}" if self.key else "")
        conditions = f", if-match {self.if_match}" if self.if_match else ""
        conditions += ", if-none-match *" if self.if_none_match else ""
        until = "…" if self.outcome is None else f"{self.returned:.3f}"
        outcome = "unknown" if self.outcome is None else _outcome(self.outcome)
        value = f" = {self.value}" if self.value else ""
        return (
            f"{self.called:9.3f} to {until:>9}  {self.client}: "
            f"{self.action} {what}{value}{conditions} → {outcome}"
        )


def _outcome(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return outcome
    return "{" + ", ".join(f"{key} = {etag}" for key, etag in outcome) + "}"


class History:
    """Records operations as clients make them; may be used from several threads."""

    def __init__(self, now: Callable[[], float]) -> None:
        """:param now: gives the time, never going back."""
        self._now = now
        self._lock = Lock()
        self._operations: list[Operation] = []
        self._forgotten: set[int] = set()

    def call(self, client: str, action: str, bucket: str, **what: object) -> int:
        """Note a call just before it is made; gives a number for :meth:`returned`."""
        fields = {"client": client, "action": action, "bucket": bucket, **what}
        with self._lock:
            number = len(self._operations)
            self._operations.append(msgspec.convert({**fields, "called": self._now()}, Operation))
        return number

    def returned(self, number: int, outcome: Outcome) -> None:
        """Note an outcome as soon as it is known.  Without this call it stays unknown."""
        now = self._now()
        operation = self._operations[number]
        self._operations[number] = msgspec.structs.replace(operation, returned=now, outcome=outcome)

    def amend(self, number: int, **what: object) -> None:
        """Note what could not be known at the call."""
        self._operations[number] = msgspec.structs.replace(self._operations[number], **what)

    def forget(self, number: int) -> None:
        """Note that an operation was refused for what is no matter of a key: it did nothing."""
        self._forgotten.add(number)

    @property
    def operations(self) -> list[Operation]:
        """All of them but those forgotten, in the order of their calls."""
        return [
            each for number, each in enumerate(self._operations) if number not in self._forgotten
        ]

    def dump(self) -> bytes:
        """One line of JSON for each operation (an infinite return becomes null)."""
        return b"".join(msgspec.json.encode(each) + b"\n" for each in self._operations)


# What a single-threaded store would do


def on_key(state: str, operation: Operation) -> tuple[str, Outcome]:
    """One key of a bucket that is always there.  The state is the object's ETag, empty if there
    is no object."""
    if operation.action in ("get", "list"):
        return state, state or NO_KEY
    if operation.if_none_match and state:
        return state, FAILED
    if operation.if_match:
        if not state:
            return state, NO_KEY
        if operation.if_match not in ("*", state):
            return state, FAILED
    return operation.value, DONE  # a delete has no value


Contents = tuple[tuple[str, str], ...] | None
"""A bucket's keys and ETags in order; None: there is no bucket."""


def on_bucket(state: Contents, operation: Operation) -> tuple[Contents, Outcome]:
    """A bucket with all its keys, made and deleted by one owner."""
    if operation.action == "create_bucket":
        return state or (), DONE
    if state is None:
        return None, NO_BUCKET
    if operation.action == "delete_bucket":
        return (state, NOT_EMPTY) if state else (None, DONE)
    if operation.action == "list":
        return state, state
    objects = dict(state)
    before = objects.get(operation.key, "")
    after, outcome = on_key(before, operation)
    if after == before:
        return state, outcome
    objects[operation.key] = after
    return tuple(sorted(pair for pair in objects.items() if pair[1])), outcome


# The search


class Violation(Struct, frozen=True):
    """Why a history is not linearizable, for a person to read."""

    subject: str
    explanation: str

    def __str__(self) -> str:
        return f"{self.subject} is not linearizable:\n{self.explanation}"


class TooHard(Exception):
    """More configurations are possible than can be looked at: neither yes nor no."""


def check_keys(operations: Iterable[Operation]) -> list[Violation]:
    """Check every key of every bucket on its own; a listing reads each key.

    :param operations: of buckets that are empty at the beginning, and there all the time.
    :raises TooHard: undecided.
    """
    by_key: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    listings: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.action == "list":
            listings[operation.bucket].append(operation)
        elif operation.key:
            by_key[operation.bucket, operation.key].append(operation)
    violations = []
    for (bucket, key), found in sorted(by_key.items()):
        seen = [_seen_by(listing, key) for listing in listings[bucket]]
        violations += _check(f"{bucket}/{key}", [*found, *seen], on_key, "")
    for bucket, found in sorted(listings.items()):
        known = {key for of, key in by_key if of == bucket}
        for listing in found:
            listed = listing.outcome if isinstance(listing.outcome, tuple) else ()
            strange = [key for key, _ in listed if key not in known]
            if strange:
                why = f"{listing}\nlists {strange[0]}, which nobody ever wrote"
                violations.append(Violation(bucket, why))
    return violations


def check_buckets(operations: Iterable[Operation]) -> list[Violation]:
    """Check every bucket as a whole, with its coming and going.  Costs more than keys do.

    :param operations: of buckets that do not exist at the beginning.
    :raises TooHard: undecided.
    """
    by_bucket: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_bucket[operation.bucket].append(operation)
    violations = []
    for bucket, found in sorted(by_bucket.items()):
        violations += _check(bucket, found, on_bucket, None)
    return violations


def _seen_by(listing: Operation, key: str) -> Operation:
    """A listing, as far as one key is concerned."""
    if not isinstance(listing.outcome, tuple):
        return listing
    return msgspec.structs.replace(listing, outcome=dict(listing.outcome).get(key, NO_KEY))


def _check(
    subject: str,
    operations: Sequence[Operation],
    apply: Callable[[S, Operation], tuple[S, Outcome]],
    initial: S,
) -> list[Violation]:
    kept = [each for each in operations if each.outcome is not None or not each.reads]
    failure = search(kept, apply, initial)
    if failure is None:
        return []
    return [Violation(subject, _explain(kept, failure, apply, initial))]


class Failure(Struct, Generic[S], frozen=True):
    """Where a search ended: an operation whose outcome nothing explains.

    :ivar states: what the state could have been when it returned, before anything under way.
    """

    operation: Operation
    states: tuple[S, ...]


def search(
    operations: Sequence[Operation],
    apply: Callable[[S, Operation], tuple[S, Outcome]],
    initial: S,
) -> Failure[S] | None:
    """None: the history of one object is linearizable.

    :raises TooHard: undecided.
    """
    choice = FIRST_CHOICE
    while True:
        attempt = Search(operations, apply, initial, choice)
        failure = attempt.run()
        if failure is None or not attempt.left_out:
            return failure
        choice *= 8


class Search(Generic[S]):
    """Goes through one object's calls and returns.

    :ivar left_out: whether something that was possible has been left out.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        apply: Callable[[S, Operation], tuple[S, Outcome]],
        initial: S,
        choice: int,
    ) -> None:
        """
        :param apply: the state and the outcome that a single-threaded store would have.
        :param choice: how many ways to use up operations without an outcome are carried along.
        """
        self._operations = operations
        self._apply = apply
        self._open: dict[int, Operation] = {}
        self._idle: dict[int, Operation] = {}  # those of them that change nothing
        self.left_out = False
        self._choice = choice
        self._unknown = sum(1 << n for n, each in enumerate(operations) if each.outcome is None)
        seen: set[object] = {each.outcome for each in operations}
        seen |= {each.if_match for each in operations}
        for each in operations:
            if isinstance(each.outcome, tuple):
                seen.update(etag for _, etag in each.outcome)
        self._wanted = sum(1 << n for n, each in enumerate(operations) if each.value in seen)
        self._likes: dict[int, int] = {}  # of an operation without an outcome, the one before
        latest: dict[tuple[object, ...], int] = {}
        for number in sorted(range(len(operations)), key=lambda n: operations[n].called):
            each = operations[number]
            if each.outcome is None:
                what = (each.action, each.key, each.value, each.if_match, each.if_none_match)
                if what in latest:
                    self._likes[number] = 1 << latest[what]
                latest[what] = number
        self._configurations = self._none()
        self._configurations.add(initial, 0)

    def _none(self) -> _Configurations[S]:
        return _Configurations(self._unknown, self._wanted, self._choice)

    def run(self) -> Failure[S] | None:
        """None: the history is linearizable."""
        for number, returns in self._events():
            operation = self._operations[number]
            if not returns:
                self._open[number] = operation
                if operation.idle:
                    self._idle[number] = operation
                    self._renew(number, operation)
                continue
            states = [state for state, _ in self._configurations]
            self._return(number)
            del self._open[number]
            self._idle.pop(number, None)
            if not len(self._configurations):
                return Failure(operation, tuple(dict.fromkeys(states)))
        return None

    def _events(self) -> Iterator[tuple[int, bool]]:
        events = [(each.called, False, number) for number, each in enumerate(self._operations)]
        events += [
            (each.returned, True, number)
            for number, each in enumerate(self._operations)
            if each.outcome is not None
        ]
        return ((number, returns) for _, returns, number in sorted(events))

    def _renew(self, number: int, operation: Operation) -> None:
        """Give an operation that changes nothing its instant wherever the outcome is right."""
        renewed = self._none()
        for state, done in self._configurations:
            settled = self._apply(state, operation) == (state, operation.outcome)
            renewed.add(state, done | settled << number)
        self._configurations = renewed

    def _settle(self, state: S, done: int) -> int:
        """Give all that change nothing their instant, if the outcome is right."""
        for number, operation in self._idle.items():
            if not done >> number & 1 and (
                self._apply(state, operation) == (state, operation.outcome)
            ):
                done |= 1 << number
        return done

    def _return(self, returning: int) -> None:
        """Keep the configurations in which it has had its effect, with what it takes before it."""
        bit = 1 << returning
        found, tried = self._none(), self._none()
        layer = []
        for state, done in self._configurations:
            if done & bit:
                found.add(state, done & ~bit)
            else:
                layer.append((state, done))
        while layer:  # each layer has one effect more than the one before
            following = []
            for state, done in layer:
                for number, operation in self._open.items():
                    if done >> number & 1 or self._likes.get(number, 0) & ~done:
                        continue
                    after, outcome = self._apply(state, operation)
                    if operation.outcome is None:
                        if after == state:
                            continue
                    elif outcome != operation.outcome:
                        continue
                    now = self._settle(after, done | 1 << number)
                    if now & bit:
                        found.add(after, now & ~bit)
                    elif tried.add(after, now):
                        following.append((after, now))
            if len(tried) + len(found) > MOST_CONFIGURATIONS:
                raise TooHard(f"more than {MOST_CONFIGURATIONS} ways to explain a history")
            layer = following
        self.left_out |= tried.left_out or found.left_out
        self._configurations = found


class _Configurations(Generic[S]):
    """States with the operations that had their effect, less those that others make useless.

    :ivar left_out: whether there were more than may be kept.
    """

    def __init__(self, unknown: int, wanted: int, choice: int) -> None:
        self._unknown = unknown
        self._wanted = wanted
        self._choice = choice
        self.left_out = False
        self._spent: dict[tuple[S, int], list[int]] = {}
        self._count = 0

    def add(self, state: S, done: int) -> bool:
        """False if it is useless."""
        spent = done & self._unknown
        others = self._spent.setdefault((state, done & ~self._unknown), [])
        for other in others:
            if other & ~spent == 0:
                return False
        kept = [other for other in others if spent & ~other]
        kept.append(spent)
        if len(kept) > self._choice:
            self.left_out = True
            kept.sort(key=self._cost)
            kept.pop()
        self._count += len(kept) - len(others)
        others[:] = kept
        return spent in kept

    def _cost(self, spent: int) -> tuple[int, int]:
        return (spent & self._wanted).bit_count(), spent.bit_count()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[S, int]]:
        for (state, done), all_spent in self._spent.items():
            for spent in all_spent:
                yield state, done | spent


# The explanation


def _explain(
    operations: Sequence[Operation],
    failure: Failure[S],
    apply: Callable[[S, Operation], tuple[S, Outcome]],
    initial: S,
) -> str:
    """The part of a history that already contradicts itself, and where it does."""
    wrong = failure.operation
    relevant = [each for each in operations if each.called <= wrong.returned]
    for each in list(relevant):  # what saw or changed nothing that matters
        fewer = [other for other in relevant if other is not each]
        if each is not wrong and each.idle:
            again = search(fewer, apply, initial)
            if again is not None and again.operation is wrong:
                relevant, failure = fewer, again
    lines = [str(each) for each in sorted(relevant, key=lambda each: each.called)]
    if len(lines) > 40:
        lines[:-40] = [f"… {len(lines) - 40} earlier operations"]
    could_be = ", ".join(_state(state) for state in failure.states)
    return "\n".join(
        [
            *lines,
            f"No order explains the outcome of\n{wrong}",
            f"When it returned, and before what was under way then, there could have been: "
            f"{could_be}",
        ]
    )


def _state(state: object) -> str:
    if state is None:
        return "no bucket"
    if isinstance(state, tuple):
        return _outcome(state)
    return str(state) or "no object"
