"""Preconditions: RFC 9110 section 13.2.2, row by row."""

import pytest

from bleepstore.errors import NoSuchKey, NotModified, PreconditionFailed, StoreError
from bleepstore.model.conditions import (
    ReadConditions,
    WriteConditions,
    check_copy_source,
    check_read,
    check_write,
)

T = 1_000_000_000_000


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        (ReadConditions(), None),
        (ReadConditions(if_match=("e",)), None),
        (ReadConditions(if_match=("*",)), None),
        (ReadConditions(if_match=("x", "e")), None),
        (ReadConditions(if_match=("x",)), PreconditionFailed),
        (ReadConditions(if_none_match=("x",)), None),
        (ReadConditions(if_none_match=("e",)), NotModified),
        (ReadConditions(if_none_match=("*",)), NotModified),
        (ReadConditions(if_modified_since=T - 1000), None),
        (ReadConditions(if_modified_since=T), NotModified),
        (ReadConditions(if_modified_since=T + 1000), NotModified),
        (ReadConditions(if_unmodified_since=T), None),
        (ReadConditions(if_unmodified_since=T - 1000), PreconditionFailed),
        # If-Match decides alone where both were sent, and so does If-None-Match.
        (ReadConditions(if_match=("e",), if_unmodified_since=T - 1000), None),
        (ReadConditions(if_none_match=("x",), if_modified_since=T), None),
        (ReadConditions(if_none_match=("e",), if_modified_since=T - 1000), NotModified),
        (ReadConditions(if_match=("x",), if_none_match=("e",)), PreconditionFailed),
    ],
)
@pytest.mark.parametrize("fraction", [0, 1, 999])
def test_read_conditions(
    conditions: ReadConditions, outcome: type[StoreError] | None, fraction: int
) -> None:
    if outcome is None:
        check_read(conditions, "e", T + fraction)
        check_copy_source(conditions, "e", T + fraction)
        return
    with pytest.raises(outcome):
        check_read(conditions, "e", T + fraction)
    with pytest.raises(PreconditionFailed) as refused:
        check_copy_source(conditions, "e", T + fraction)
    # It is told from a condition on what is copied to.
    assert refused.value.details["Condition"].startswith("x-amz-copy-source-If-")


@pytest.mark.parametrize(
    ("conditions", "current", "outcome"),
    [
        (WriteConditions(), "e", None),
        (WriteConditions(if_none_match=True), None, None),
        (WriteConditions(if_none_match=True), "e", PreconditionFailed),
        (WriteConditions(if_match="e"), "e", None),
        (WriteConditions(if_match="*"), "e", None),
        (WriteConditions(if_match="x"), "e", PreconditionFailed),
        (WriteConditions(if_match="e"), None, NoSuchKey),
        (WriteConditions(if_match="*"), None, NoSuchKey),
    ],
)
def test_write_conditions(
    conditions: WriteConditions, current: str | None, outcome: type[StoreError] | None
) -> None:
    if outcome is None:
        check_write(conditions, current, "key")
    else:
        with pytest.raises(outcome) as refused:
            check_write(conditions, current, "key")
        if outcome is NoSuchKey:
            assert refused.value.details == {"Key": "key"}
