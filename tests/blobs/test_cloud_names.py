"""Where objects lie in a cloud."""

from __future__ import annotations

import pytest

from bleepstore.blobs.cloud_names import CloudNames, fits_in_utf8

NAMES = CloudNames("pre/fix-", fits_in_utf8(100))


@pytest.mark.parametrize("key", ["key", "a/b//c", "/x", "ü ✓", ".bleepstore/x", "k" * 50])
def test_a_key_is_found_in_its_name_again(key: str) -> None:
    name = NAMES.name_of("bucket", key)
    assert name == f"pre/fix-bucket/{key}"
    assert NAMES.key_of(name) == ("bucket", key)


def test_a_name_that_the_cloud_cannot_have_lies_under_the_reserved_prefix() -> None:
    for key in ("k" * 86, "ü" * 43):
        name = NAMES.name_of("bucket", key)
        assert name.startswith("pre/fix-.bleepstore/keys/bucket/")
        assert NAMES.key_of(name) is None
        assert NAMES.key_of(f"pre/fix-bucket/{key}") is None, "another program's"
    assert NAMES.name_of("bucket", "k" * 86) != NAMES.name_of("bucket", "k" * 87)
    assert NAMES.name_of("bucket", "k" * 85) == "pre/fix-bucket/" + "k" * 85
    assert NAMES.name_of("bucket", "ü" * 42) == "pre/fix-bucket/" + "ü" * 42


@pytest.mark.parametrize(
    "name", ["other/bucket/key", "pre/fix-bucket", "pre/fix-bucket/", "pre/fix-/key",
             "pre/fix-.bleepstore/keys/bucket/x"]
)  # fmt: skip
def test_other_names_are_no_objects_of_ours(name: str) -> None:
    assert NAMES.key_of(name) is None
