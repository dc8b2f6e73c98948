"""Bucket names and keys."""

import pytest

from bleepstore.errors import InvalidBucketName, InvalidURI, KeyTooLongError
from bleepstore.model.names import (
    RESERVED_BUCKET_NAMES,
    is_valid_bucket_name,
    require_bucket_name,
    require_key,
)


@pytest.mark.parametrize("name", ["abc", "a-b", "a.b", "123", "a" * 63, "my-bucket.v2", "1.2.3"])
def test_valid_bucket_names(name: str) -> None:
    assert is_valid_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "ab", "a" * 64, "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4",
        "xn--abc", "sthree-x", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3",
        "abc--table-s3", "abc-123456789012-us-east-1-an", "ä-bucket", "abc\n", "a b",
    ],
)  # fmt: skip
def test_invalid_bucket_names(name: str) -> None:
    with pytest.raises(InvalidBucketName) as caught:
        require_bucket_name(name)
    assert caught.value.details == {"BucketName": name}


@pytest.mark.parametrize("name", sorted(RESERVED_BUCKET_NAMES))
def test_no_bucket_shadows_a_system_path(name: str) -> None:
    assert not is_valid_bucket_name(name)


@pytest.mark.parametrize("raw", [b"a", b"..", b"//", b"/a", "ü😀".encode(), b"\x01", b"x" * 1024])
def test_keys_are_any_utf8(raw: bytes) -> None:
    assert require_key(raw).encode() == raw


def test_a_key_of_1025_bytes_is_too_long() -> None:
    with pytest.raises(KeyTooLongError) as caught:
        require_key(b"x" * 1025)
    assert caught.value.details == {"Size": "1025", "MaxSizeAllowed": "1024"}


def test_a_key_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidURI):
        require_key(b"\xff")
