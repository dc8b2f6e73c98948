"""Azure's shared access signatures; that Azurite takes them, ``tests/blobs`` shows."""

from __future__ import annotations

from urllib.parse import parse_qs

from bleepstore.auth.azure_sas import container_sas, string_to_sign


def test_sixteen_fields_are_signed() -> None:
    assert string_to_sign("account", "container", "r", "2026-11-25T00:00:00Z") == (
        "r\n\n2026-11-25T00:00:00Z\n/blob/account/container\n\n\n\n2021-12-02\nc\n\n\n\n\n\n\n"
    )


def test_a_signature_says_what_it_opens() -> None:
    said = parse_qs(container_sas("account", b"key", "container", "r", "2026-11-25T00:00:00Z"))
    assert {name: value for name, (value,) in said.items() if name != "sig"} == {
        "sv": "2021-12-02",
        "se": "2026-11-25T00:00:00Z",
        "sr": "c",
        "sp": "r",
    }
    other = parse_qs(container_sas("account", b"key", "other", "r", "2026-11-25T00:00:00Z"))
    assert other["sig"] != said["sig"]
