"""The checker: what it accepts, what it refuses, and that it agrees with trying everything."""

from __future__ import annotations

import random
from itertools import permutations, product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.linearizability import (
    DONE,
    FAILED,
    NO_BUCKET,
    NO_KEY,
    NOT_EMPTY,
    Contents,
    History,
    Operation,
    Outcome,
    check_buckets,
    check_keys,
    on_bucket,
    on_key,
)


def op(
    called: float, returned: float | None, action: str, outcome: object, **what: object
) -> Operation:
    """An operation on ``b/k``; without a return its outcome is unknown."""
    fields: dict[str, object] = {"client": "c", "bucket": "b", "key": "k", **what}
    if action in ("list", "create_bucket", "delete_bucket"):
        fields["key"] = ""
    return Operation(
        **fields,  # type: ignore[arg-type]  # the names are checked by the call itself
        action=action,
        called=called,
        returned=inf if returned is None else returned,
        outcome=None if returned is None else outcome,  # type: ignore[arg-type]  # of the tests
    )


def put(
    called: float, returned: float | None, value: str, outcome: str = DONE, **what: object
) -> Operation:
    return op(called, returned, "put", outcome, value=value, **what)


def get(called: float, returned: float, value: str) -> Operation:
    return op(called, returned, "get", value)


def delete(called: float, returned: float | None, outcome: str = DONE, **what: object) -> Operation:
    return op(called, returned, "delete", outcome, **what)


LINEARIZABLE: dict[str, list[Operation]] = {
    "nothing": [],
    "one after the other": [put(1, 2, "a"), get(3, 4, "a"), delete(5, 6), get(7, 8, NO_KEY)],
    "a read beside a write sees the old": [put(1, 2, "a"), put(3, 6, "b"), get(4, 5, "a")],
    "a read beside a write sees the new": [put(1, 2, "a"), put(3, 6, "b"), get(4, 5, "b")],
    "two reads beside a write see first the old, then the new": [
        put(1, 10, "a"),
        get(2, 3, NO_KEY),
        get(4, 5, "a"),
    ],
    "writes side by side, in the order that a later read shows": [
        put(1, 5, "a"),
        put(2, 4, "b"),
        get(6, 7, "a"),
    ],
    "a write of unknown outcome that happened": [put(1, None, "a"), get(5, 6, "a")],
    "one that never happened": [put(1, None, "a"), get(5, 6, NO_KEY), get(50, 60, NO_KEY)],
    "one that happened late": [put(1, None, "a"), get(5, 6, NO_KEY), get(7, 8, "a")],
    "a delete of unknown outcome that happened late": [
        put(1, 2, "a"),
        delete(3, None),
        get(4, 5, "a"),
        get(6, 7, NO_KEY),
    ],
    "one of two creations wins": [
        put(1, 4, "a", if_none_match=True),
        put(2, 3, "b", FAILED, if_none_match=True),
        get(5, 6, "a"),
    ],
    "a creation of unknown outcome explains a refusal": [
        put(1, None, "a", if_none_match=True),
        put(2, 3, "b", FAILED, if_none_match=True),
    ],
    "compare and set, in a chain that only one order explains": [
        put(1, 2, "a"),
        put(3, 9, "c", if_match="b"),
        put(3, 9, "b", if_match="a"),
        get(10, 11, "c"),
    ],
    "compare and set on nothing": [put(1, 2, "a", NO_KEY, if_match="x")],
    "a conditional delete": [put(1, 2, "a"), delete(3, 4, if_match="a"), get(5, 6, NO_KEY)],
    "a delete of nothing waits until there is something": [
        delete(1, 6),
        put(2, None, "a", if_none_match=True),
        get(3, 5, "a"),
        get(7, 8, NO_KEY),
    ],
    "calls and returns at the same instant are side by side": [put(1, 2, "a"), get(2, 3, NO_KEY)],
}

NOT_LINEARIZABLE: dict[str, list[Operation]] = {
    "a lost write": [put(1, 2, "a"), get(3, 4, NO_KEY)],
    "a stale read": [put(1, 2, "a"), put(3, 4, "b"), get(5, 6, "a")],
    "a value from nowhere": [put(1, 2, "a"), get(3, 4, "z")],
    "a value from the future": [get(1, 2, "a"), put(3, 4, "a")],
    "back to the old value": [put(1, 2, "a"), put(3, 8, "b"), get(4, 5, "b"), get(6, 7, "a")],
    "two readers disagree on the order": [
        put(1, 10, "a"),
        put(1, 10, "b"),
        get(11, 12, "a"),
        get(13, 14, "b"),
    ],
    "a write of unknown outcome happened twice": [
        put(1, None, "a"),
        get(2, 3, "a"),
        put(4, 5, "b"),
        get(6, 7, "a"),
    ],
    "it came and went": [put(1, None, "a"), get(2, 3, "a"), get(4, 5, NO_KEY)],
    "a deleted object came back": [put(1, 2, "a"), delete(3, 4), get(5, 6, "a")],
    "both creations won": [
        put(1, 4, "a", if_none_match=True),
        put(2, 3, "b", if_none_match=True),
    ],
    "a creation was refused on an empty key": [put(1, 2, "a", FAILED, if_none_match=True)],
    "compare and set with another ETag succeeded": [put(1, 2, "a"), put(3, 4, "c", if_match="b")],
    "a conditional delete was refused without cause": [
        put(1, 2, "a"),
        delete(3, 4, FAILED, if_match="a"),
    ],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_an_explicable_history_is_accepted(name: str) -> None:
    assert check_keys(LINEARIZABLE[name]) == []


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_an_inexplicable_history_is_refused(name: str) -> None:
    (violation,) = check_keys(NOT_LINEARIZABLE[name])
    assert violation.subject == "b/k"


def test_keys_are_checked_one_by_one() -> None:
    wrong = [put(1, 2, "x", key="other"), op(3, 4, "get", NO_KEY, key="other")]
    (violation,) = check_keys([put(1, 2, "a"), get(3, 4, "a"), *wrong])
    assert violation.subject == "b/other"


def test_a_listing_reads_every_key() -> None:
    writes = [put(1, 2, "a"), put(1, 2, "x", key="other")]
    assert check_keys([*writes, op(3, 4, "list", (("k", "a"), ("other", "x")))]) == []
    (violation,) = check_keys([*writes, op(3, 4, "list", (("k", "a"),))])
    assert violation.subject == "b/other"
    (violation,) = check_keys(
        [*writes, op(3, 4, "list", (("k", "a"), ("no", "y"), ("other", "x")))]
    )
    assert "nobody ever wrote" in violation.explanation


def test_a_listing_is_one_moment_of_its_bucket() -> None:
    """Each key alone could have been seen so; both at once could not."""
    torn = [
        op(0, 1, "create_bucket", DONE),
        put(1, 2, "a"),
        put(3, 4, "x", key="other"),
        put(5, 9, "b"),
        put(5, 9, "y", key="other", if_match="x"),
        op(6, 7, "list", (("k", "b"), ("other", "x"))),
        op(6, 7, "list", (("k", "a"), ("other", "y"))),
    ]
    assert check_keys(torn) == []
    (violation,) = check_buckets(torn)
    assert violation.subject == "b"
    assert check_buckets(torn[:-1]) == []


def test_buckets_come_and_go() -> None:
    life = [
        put(0, 1, "z", NO_BUCKET),
        op(2, 3, "create_bucket", DONE),
        put(4, 5, "a"),
        op(6, 7, "delete_bucket", NOT_EMPTY),
        delete(8, 9),
        op(10, 15, "delete_bucket", DONE),
        put(11, 12, "b", NO_BUCKET),
        op(16, 17, "list", NO_BUCKET),
    ]
    assert check_buckets(life) == []
    (violation,) = check_buckets([*life, get(18, 19, NO_KEY)])
    assert "no bucket" in violation.explanation


def test_an_explanation_shows_what_matters_and_nothing_else() -> None:
    history = [
        put(1, 2, "a"),
        get(3, 4, "a"),
        put(5, 6, "c", FAILED, if_match="x"),
        put(5, 6, "b"),
        get(7, 8, "a"),
        put(9, 10, "d"),
    ]
    (violation,) = check_keys(history)
    assert str(violation).splitlines() == [
        "b/k is not linearizable:",
        "    1.000 to     2.000  c: put b/k = a → done",
        "    5.000 to     6.000  c: put b/k = b → done",
        "    7.000 to     8.000  c: get b/k → a",
        "No order explains the outcome of",
        "    7.000 to     8.000  c: get b/k → a",
        "When it returned, and before what was under way then, there could have been: b",
    ]


def test_many_writes_of_unknown_outcome_are_no_obstacle() -> None:
    unknown = [put(n / 10, None, f"u{n}") for n in range(40)]
    reads = [get(10 + n, 10.5 + n, f"u{n * 7 % 40}") for n in range(25)]
    assert check_keys([*unknown, *reads]) == []
    again = get(100, 101, "u7")
    assert len(check_keys([*unknown, *reads, again])) == 1


def test_many_refusals_that_unknown_writes_explain_are_no_obstacle() -> None:
    """Each refusal could be the doing of any of them; the ways to choose are too many to try."""
    history = [put(0, None, f"u{n}") for n in range(20)]
    for n in range(10):
        history.append(put(4 * n + 1, 4 * n + 2, f"w{n}", FAILED, if_none_match=True))
        history.append(delete(4 * n + 2.5, 4 * n + 3))
        history.append(delete(4 * n + 2.5, None))
    assert check_keys([*history, get(100, 101, "u3")]) == []


def test_a_long_history_of_many_clients_is_checked_in_a_moment() -> None:
    """Made by a register that really takes its steps at single instants."""
    dice = random.Random(1)
    history, state, free = [], "", dict.fromkeys(range(6), 0.0)
    for n in range(2000):
        client = min(free, key=lambda each: free[each])
        called = free[client] + dice.random()
        history.append((called + dice.random(), n, client, called))
        free[client] = called + 2 + dice.random()
    operations = []
    for instant, n, client, called in sorted(history):
        returned: float | None = instant + dice.random()
        if dice.random() < 0.5:
            operation = get(called, instant + dice.random(), "")
        else:
            if dice.random() < 0.05:
                returned = None
            operation = put(called, returned, f"v{n}", if_none_match=dice.random() < 0.2)
        after, outcome = on_key(state, operation)
        if operation.outcome is None:
            outcome = ""
        fields = {name: getattr(operation, name) for name in operation.__struct_fields__}
        known = operation.outcome is not None
        operations.append(
            Operation(**{**fields, "client": f"c{client}", "outcome": outcome if known else None})
        )
        state = after
    assert check_keys(operations) == []


# Against trying everything


def explained(operations: list[Operation], bucket: bool) -> bool:
    """The definition: some order, which respects time, of the known and some unknown ones."""
    known = [n for n, each in enumerate(operations) if each.outcome is not None]
    unknown = [n for n, each in enumerate(operations) if each.outcome is None]
    for chosen in product([False, True], repeat=len(unknown)):
        members = known + [n for n, take in zip(unknown, chosen, strict=True) if take]
        for order in permutations(members):
            at = {n: position for position, n in enumerate(order)}
            if any(
                operations[m].returned < operations[n].called and at[m] > at[n]
                for m in order
                for n in order
            ):
                continue
            if _runs([operations[n] for n in order], bucket):
                return True
    return False


def _runs(order: list[Operation], bucket: bool) -> bool:
    key: str = ""
    contents: Contents = None
    for operation in order:
        outcome: Outcome
        if bucket:
            contents, outcome = on_bucket(contents, operation)
        else:
            key, outcome = on_key(key, operation)
        if operation.outcome is not None and outcome != operation.outcome:
            return False
    return True


times = st.integers(0, 8)
conditions = st.sampled_from([("", False), ("v0", False), ("*", False), ("", True)])


@st.composite
def key_histories(draw: st.DrawFn) -> list[Operation]:
    operations = []
    for n in range(draw(st.integers(1, 5))):
        called = draw(times)
        returned = draw(st.one_of(st.none(), st.integers(0, 4).map(lambda d, c=called: c + d)))
        if draw(st.booleans()):
            operations.append(get(called, called + draw(times), draw(ETAGS)))
            continue
        if_match, if_none_match = draw(conditions)
        outcome = draw(st.sampled_from([DONE, DONE, FAILED, NO_KEY]))
        what = {"if_match": if_match, "if_none_match": if_none_match}
        if draw(st.integers(0, 3)):
            operations.append(put(called, returned, f"v{n}", outcome, **what))
        else:
            operations.append(delete(called, returned, outcome, if_match=if_match))
    return operations


ETAGS = st.sampled_from(["v0", "v1", "v2", NO_KEY])


@given(key_histories())
@settings(max_examples=200)
def test_it_agrees_with_trying_every_order_of_a_key(operations: list[Operation]) -> None:
    assert (check_keys(operations) == []) == explained(operations, bucket=False)


@st.composite
def bucket_histories(draw: st.DrawFn) -> list[Operation]:
    operations = []
    for n in range(draw(st.integers(1, 5))):
        called = draw(times)
        returned = draw(st.one_of(st.none(), st.integers(0, 4).map(lambda d, c=called: c + d)))
        key = draw(st.sampled_from("kl"))
        match draw(st.integers(0, 5)):
            case 0 | 1:
                operations.append(op(called, returned, "create_bucket", DONE))
            case 2:
                outcome = draw(st.sampled_from([DONE, NOT_EMPTY, NO_BUCKET]))
                operations.append(op(called, returned, "delete_bucket", outcome))
            case 3:
                listed = draw(
                    st.sampled_from([(), (("k", "v1"),), (("k", "v1"), ("l", "v2")), NO_BUCKET])
                )
                operations.append(op(called, called + draw(times), "list", listed))
            case _:
                outcome = draw(st.sampled_from([DONE, DONE, NO_BUCKET]))
                operations.append(put(called, returned, f"v{n}", outcome, key=key))
    return operations


@given(bucket_histories())
@settings(max_examples=200)
def test_it_agrees_with_trying_every_order_of_a_bucket(operations: list[Operation]) -> None:
    assert (check_buckets(operations) == []) == explained(operations, bucket=True)


def test_a_recorder_keeps_what_was_called_and_what_returned() -> None:
    ticks = iter(range(100))
    history = History(lambda: float(next(ticks)))
    first = history.call("c1", "put", "b", key="k", value="a")
    second = history.call("c2", "get", "b", key="k")
    history.returned(second, NO_KEY)
    put_, get_ = history.operations
    assert (put_.called, put_.returned, put_.outcome) == (0.0, inf, None)
    assert (get_.called, get_.returned, get_.outcome) == (1.0, 2.0, NO_KEY)
    history.returned(first, DONE)
    assert history.operations[0].returned == 3.0
    assert len(history.dump().splitlines()) == 2
