"""AMP's framing: as Twisted writes and reads it, at any split, and never without bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp

from bleepstore.cluster.peer_boxes import BadBox, Box, BoxReader, write_box

KEYS = st.binary(min_size=1, max_size=255)
BOXES = st.dictionaries(KEYS, st.binary(max_size=600), min_size=1, max_size=5)
LARGE = {b"body": bytes(65535), b"body.1": b"x" * 40_000, b"_ask": b"1"}


def read(raw: bytes, cuts: list[int], most: int = 1 << 20) -> list[Box]:
    boxes: list[Box] = []
    reader = BoxReader(boxes.append, most)
    start = 0
    for cut in [*sorted(min(cut, len(raw)) for cut in cuts), len(raw)]:
        reader.feed(raw[start:cut])
        start = cut
    return boxes


@given(st.lists(BOXES, max_size=4), st.lists(st.integers(0, 5000), max_size=20))
def test_boxes_survive_every_split(boxes: list[Box], cuts: list[int]) -> None:
    assert read(b"".join(write_box(box) for box in boxes), cuts) == boxes


@given(BOXES)
def test_bytes_are_those_of_twisted(box: Box) -> None:
    assert write_box(box) == amp.Box(box).serialize()
    assert amp.parseString(write_box(box)) == [box]


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 65535, 65536, 65537, 200_000])
def test_large_boxes_arrive_in_segments(size: int) -> None:
    raw = write_box(LARGE) * 2
    assert read(raw, list(range(size, len(raw), size))) == [LARGE, LARGE]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_garbage_gives_boxes_or_an_end_and_the_same_at_every_split(
    raw: bytes, cuts: list[int]
) -> None:
    def outcome(cuts: list[int]) -> tuple[list[Box], bool]:
        boxes: list[Box] = []
        reader = BoxReader(boxes.append, 300, 3)
        start = 0
        try:
            for cut in [*sorted(min(cut, len(raw)) for cut in cuts), len(raw)]:
                reader.feed(raw[start:cut])
                assert reader.held <= 300 + len(raw)
                start = cut
        except BadBox:
            return boxes, True
        return boxes, False

    assert outcome(cuts) == outcome([])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\0\0", "empty box"),
        (b"\x01\x00" + bytes(256), "key of 256 bytes"),
        (b"\0\1a\0\0\0\1a", "key twice"),
        (b"\0\1a\xff\xff", "more than 1000 bytes"),
        (b"".join(b"\0\1%c\0\0" % n for n in range(1, 6)), "too many"),
    ],
)
def test_what_nobody_writes_ends_it(raw: bytes, why: str) -> None:
    boxes: list[Box] = []
    reader = BoxReader(boxes.append, 1000, 4)
    with pytest.raises(BadBox, match=why):
        reader.feed(raw)
    reader.feed(write_box({b"a": b"b"}))
    assert boxes == []
    assert reader.held == 0 or reader.held < 1000


def test_no_more_is_held_than_the_bound_and_one_segment() -> None:
    reader = BoxReader(lambda box: None, 100_000)

    def flood() -> None:
        for number in range(1, 100):
            reader.feed(b"\0\1%c\xff\xff" % number)
            for _ in range(65535 // 1000):
                reader.feed(bytes(1000))
                assert reader.held <= 100_000
            reader.feed(bytes(65535 % 1000))

    with pytest.raises(BadBox):
        flood()


def test_who_ends_it_amid_a_segment_gets_nothing_more() -> None:
    boxes: list[Box] = []

    def take(box: Box) -> None:
        boxes.append(box)
        reader.end()

    reader = BoxReader(take, 1000)
    reader.feed(write_box({b"a": b"1"}) + write_box({b"b": b"2"}) + b"\0")
    reader.feed(b"\1")
    assert boxes == [{b"a": b"1"}]


@pytest.mark.parametrize("box", [{}, {b"": b"x"}, {b"k" * 256: b""}, {b"k": bytes(65536)}])
def test_what_amp_cannot_say_is_not_written(box: Box) -> None:
    with pytest.raises(ValueError, match=r"bytes|empty"):
        write_box(box)
