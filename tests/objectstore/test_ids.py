"""Names are given once, and carry their epoch."""

import pytest

from bleepstore.objectstore.ids import Ids, epoch_of
from bleepstore.wire.parameters import is_upload_id


def test_blob_ids_carry_epoch_and_serial_in_hex() -> None:
    ids = Ids(bytes)
    ids.open(0x2A)
    assert [ids.blob_id() for _ in range(17)][-1] == "0000002a-00000010"


def test_without_an_epoch_no_blob_is_named() -> None:
    with pytest.raises(RuntimeError):
        Ids(bytes).blob_id()


def test_an_epoch_is_opened_once() -> None:
    ids = Ids(bytes)
    ids.open(1)
    with pytest.raises(ValueError, match="epoch 1"):
        ids.open(2)


def test_upload_ids_are_all_the_dice_gave_and_safe_in_a_url() -> None:
    ids = Ids(lambda size: bytes([251, 255]) * (size // 2))
    assert len(ids.upload_id()) == 64
    assert not set(ids.upload_id()) & set("+/=")
    assert is_upload_id(ids.upload_id())


def test_no_upload_id_looks_like_an_option() -> None:
    assert "-" not in Ids(lambda size: bytes([251, 239, 190]) * (size // 3)).upload_id()


def test_native_ids_have_dice_of_their_own() -> None:
    thrown = iter(range(1, 10_000))
    ids = Ids(lambda size: b"".join(next(thrown).to_bytes(8, "big") for _ in range(size // 8)))
    ids.open(1)
    given = [ids.native_id() for _ in range(200)]
    assert [each[:17] for each in given] == [f"00000001-{n:08x}" for n in range(200)]
    assert len({each[17:] for each in given}) == 200
    assert {len(each) for each in given} == {33}


@pytest.mark.parametrize(
    ("blob_id", "epoch"),
    [
        ("0000002a-00000010", 0x2A),
        ("123456789-123456789", 0x123456789),
        ("0000002a", None),
        ("2a-10", None),
        ("lost+found", None),
        ("0000002z-00000010", None),
        ("0000002a-0000001z", None),
        ("", None),
    ],
)
def test_the_epoch_of_a_name(blob_id: str, epoch: int | None) -> None:
    assert epoch_of(blob_id) == epoch
