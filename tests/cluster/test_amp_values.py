"""Arguments: bounded text and numbers, and bytes over several keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp

from bleepstore.cluster.amp_values import PIECE, Natural, Raw, Spread, Text


def back_and_forth(argument: amp.Argument, value: object) -> object:
    box: dict[bytes, bytes] = {}
    argument.toBox(b"x", box, {"x": value}, None)
    objects: dict[str, Any] = {}
    argument.fromBox(b"x", dict(box), objects, None)
    return objects["x"]


@given(st.integers(0, (1 << 63) - 1))
def test_numbers(number: int) -> None:
    assert back_and_forth(Natural(), number) == number


@pytest.mark.parametrize("raw", [b"", b"-1", b"+1", b"01", b"1_0", b" 1", b"9" * 19, b"9" * 5000])
def test_what_is_no_number(raw: bytes) -> None:
    with pytest.raises(ValueError, match="number"):
        Natural().fromString(raw)


@pytest.mark.parametrize("number", [-1, 1 << 63])
def test_a_number_that_cannot_be_sent(number: int) -> None:
    with pytest.raises(ValueError, match="range"):
        Natural().toString(number)


@given(st.text(max_size=60))
def test_text(text: str) -> None:
    assert back_and_forth(Text(), text) == text


def test_text_has_a_bound_in_bytes_and_is_utf_8() -> None:
    assert Text(4).fromString("ää".encode()) == "ää"
    for wrong in (lambda: Text(3).toString("ää"), lambda: Text(3).fromString(b"1234")):
        with pytest.raises(ValueError, match="at most 3"):
            wrong()
    with pytest.raises(ValueError, match="utf-8"):
        Text().fromString(b"\xff")


def test_raw_bytes_have_their_length() -> None:
    assert back_and_forth(Raw(3), b"abc") == b"abc"
    with pytest.raises(ValueError, match="not 3"):
        Raw(3).fromString(b"ab")
    with pytest.raises(ValueError, match="not 3"):
        Raw(3).toString(b"abcd")


@pytest.mark.parametrize(
    ("size", "keys"),
    [(0, 1), (1, 1), (PIECE, 1), (PIECE + 1, 2), (2 * PIECE, 2), (12 * PIECE + 7, 13)],
)
def test_bytes_take_as_many_keys_as_they_need(size: int, keys: int) -> None:
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    box: dict[bytes, bytes] = {}
    Spread().toBox(b"x", box, {"x": value}, None)
    assert len(box) == keys
    assert sorted(box, key=lambda key: (len(key), key))[:2] == [b"x", b"x.1"][:keys]
    assert back_and_forth(Spread(), value) == value


def test_nothing_is_no_key() -> None:
    assert back_and_forth(Spread(optional=True), None) is None
    with pytest.raises(KeyError):
        Spread().fromBox(b"x", {}, {}, None)


def test_only_the_last_piece_is_short() -> None:
    box = {b"x": b"short", b"x.1": b"y"}
    with pytest.raises(ValueError, match="not full"):
        Spread().fromBox(b"x", box, {}, None)


def test_pieces_after_a_gap_belong_to_nobody() -> None:
    box = {b"x": b"whole", b"x.2": b"y"}
    objects: dict[str, Any] = {}
    Spread().fromBox(b"x", box, objects, None)
    assert objects == {"x": b"whole"}
    assert box == {b"x.2": b"y"}
