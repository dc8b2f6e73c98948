"""Numbers that a peer sends lie in a range that arithmetic and SQLite bear."""

import msgspec
import pytest

from bleepstore.raft import messages
from bleepstore.raft.messages import (
    AppendEntries,
    Entry,
    Member,
    Members,
    ReadIndexAnswer,
    SnapshotMark,
)


def test_what_is_encoded_is_decoded() -> None:
    message = AppendEntries(3, 7, 2, (Entry(8, 3, data=b"x" * 70_000),), 6, 1)
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize("field", range(1, 7))
@pytest.mark.parametrize("wrong", [-1, 1 << 62, 1 << 63])
def test_a_number_out_of_range_is_no_message(field: int, wrong: int) -> None:
    raw = ["AppendEntries", 1, 0, 0, [], 0, 0]
    raw[field] = [[wrong, 1, 0, b""]] if field == 4 else wrong
    with pytest.raises(ValueError, match="not a message"):
        messages.decode(msgspec.msgpack.encode(raw))


def test_minus_one_is_the_index_of_one_who_does_not_lead() -> None:
    answer = ReadIndexAnswer(1, 2, -1)
    assert messages.decode(messages.encode(answer)) == answer


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x90", b"\x93\x01\x02"])
def test_garbage_is_no_message(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        messages.decode(raw)


def test_a_mark_has_a_binary_form() -> None:
    mark = SnapshotMark(7, 3, Members((Member("a", "h:1"), Member("b", "h:2", False))))
    assert messages.decode_mark(messages.encode_mark(mark)) == mark
    with pytest.raises(ValueError, match="mark"):
        messages.decode_mark(b"\x91\xff")
