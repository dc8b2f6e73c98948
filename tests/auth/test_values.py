"""The small values that signatures are made of: dates, payload values, keys, queries, headers."""

from __future__ import annotations

import hmac

import pytest

from bleepstore.auth.canonical import (
    canonical_request,
    encode_component,
    encode_path,
    header_lines,
    header_map,
    respelled,
    signed_headers,
    split_query,
    split_target,
)
from bleepstore.auth.keys import SigningKeys, derive_key, signature_of
from bleepstore.auth.payload import (
    EMPTY_SHA256,
    PayloadMode,
    parse_anonymous_payload,
    parse_payload,
)
from bleepstore.auth.signing import Signer
from bleepstore.auth.timestamps import amz_date, iso_date, parse_amz_date, parse_date_header
from bleepstore.errors import InvalidArgument, InvalidRequest, StoreError
from tests.auth.requests import NOW, claim_of, signed

NEW_YEAR = 1_704_067_199_000  # 2023-12-31T23:59:59Z


def test_dates_are_read_and_written_alike() -> None:
    assert parse_amz_date(b"20231231T235959Z") == NEW_YEAR
    assert amz_date(NEW_YEAR + 999) == b"20231231T235959Z"
    assert iso_date(NEW_YEAR + 999) == "2023-12-31T23:59:59Z"
    assert amz_date(parse_amz_date(b"00010203T040506Z") or 0) == b"00010203T040506Z"


@pytest.mark.parametrize(
    "value",
    [b"20230229T000000Z", b"20231231t235959z", b"20231231T2359 9Z", b"+0231231T235959Z", b""],
)
def test_what_is_no_date_is_none(value: bytes) -> None:
    assert parse_amz_date(value) is None
    assert parse_date_header(value) is None


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (b"Sun, 31 Dec 2023 23:59:59 GMT", NEW_YEAR),
        (b"Sunday, 31-Dec-23 23:59:59 GMT", NEW_YEAR),
        (b"Sun Dec 31 23:59:59 2023", NEW_YEAR),
        (b"Sun, 31 Dec 2023 23:59:59 -0000", NEW_YEAR),
        (b"Mon, 01 Jan 2024 00:59:59 +0100", NEW_YEAR),
        (b"20231231T235959Z", NEW_YEAR),
        (b"Sun, 31 Dec 2023 25:59:59 GMT", None),
        (b"Sun, 31 Dec 99999 23:59:59 GMT", None),
        (b"Sun, 31 Dec 2023 23:59:59 GMT" + b" " * 60, None),
        (b"\xff", None),
    ],
)
def test_a_date_header_may_have_any_of_the_forms_of_http(value: bytes, time: int | None) -> None:
    assert parse_date_header(value) == time


def test_the_modes_say_how_a_body_is_framed_and_signed() -> None:
    facts = {
        mode: (mode.chunked, mode.signed_chunks, mode.trailer)
        for mode in PayloadMode
        if mode.literal and parse_payload(mode.literal.encode()).mode is mode
    }
    assert facts == {
        PayloadMode.UNSIGNED: (False, False, False),
        PayloadMode.SIGNED_CHUNKS: (True, True, False),
        PayloadMode.SIGNED_CHUNKS_TRAILER: (True, True, True),
        PayloadMode.UNSIGNED_CHUNKS_TRAILER: (True, False, True),
    }


def test_a_hash_is_compared_in_lower_case_and_signed_as_sent() -> None:
    payload = parse_payload(EMPTY_SHA256.upper())
    assert payload.mode is PayloadMode.SHA256
    assert payload.sha256 == EMPTY_SHA256.decode()
    assert payload.value == EMPTY_SHA256.upper()


@pytest.mark.parametrize("value", [b"", b"0" * 63, b"0" * 65, b"g" * 64, b"unsigned-payload"])
def test_any_other_payload_value_is_invalid(value: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_payload(value)
    assert caught.value.message == (
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER "
        "or a valid sha256 value."
    )
    assert caught.value.details == {
        "ArgumentName": "x-amz-content-sha256",
        "ArgumentValue": value.decode(),
    }


@pytest.mark.parametrize("suffix", [b"", b"-TRAILER"])
def test_ecdsa_chunks_are_refused_with_the_alternative(suffix: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        parse_payload(b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" + suffix)
    assert caught.value.code == "NotImplemented"
    assert "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" in caught.value.message


def test_an_anonymous_body_may_be_anything_but_signed() -> None:
    assert parse_anonymous_payload(None).mode is PayloadMode.UNSIGNED
    assert parse_anonymous_payload(EMPTY_SHA256).mode is PayloadMode.SHA256
    trailer = parse_anonymous_payload(b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    assert trailer.mode is PayloadMode.UNSIGNED_CHUNKS_TRAILER
    with pytest.raises(InvalidRequest):
        parse_anonymous_payload(b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD")


def test_signing_keys_are_those_that_are_derived() -> None:
    keys = SigningKeys()
    for _ in range(2):
        for secret in ("one", "two"):
            for date in (b"20251121", b"20251122"):
                for region in (b"us-east-1", b"eu-west-1"):
                    found = keys.get(secret, date, region)
                    assert found == derive_key(secret, date, region)
    assert len(keys) == 8


def test_signing_keys_are_held_within_bounds() -> None:
    keys = SigningKeys(capacity=3)
    for day in range(10, 20):
        date = b"202511%d" % day
        assert keys.get("secret", date, b"us-east-1") == derive_key("secret", date, b"us-east-1")
    assert len(keys) == 3
    with pytest.raises(ValueError, match="capacity"):
        SigningKeys(capacity=0)


def test_a_target_is_split_at_the_first_question_mark() -> None:
    assert split_target(b"/a?b?c") == (b"/a", b"b?c")
    assert split_target(b"/a") == (b"/a", b"")
    assert split_target(b"?a") == (b"/", b"a")
    assert split_target(b"http://host/a?b") == (b"/a", b"b")
    assert split_target(b"https://host?b") == (b"/", b"b")
    assert split_target(b"*") == (b"*", b"")
    assert split_target(b"host") == (b"host", b"")
    assert split_target(b"h%74tp://host/a") == (b"h%74tp://host/a", b"")
    assert split_target(b"://host/a") == (b"://host/a", b"")


def test_a_query_is_split_into_raw_pairs() -> None:
    assert split_query(b"") == []
    assert split_query(b"a&b=&c=d=e&=f&&%41=%42") == [
        (b"a", b""),
        (b"b", b""),
        (b"c", b"d=e"),
        (b"", b"f"),
        (b"", b""),
        (b"%41", b"%42"),
    ]


def test_only_unreserved_letters_are_spelled_as_they_are() -> None:
    unreserved = b"ABCXYZabcxyz0189-._~"
    assert encode_path(b"/" + unreserved) == b"/" + unreserved
    everything = bytes(range(256))
    encoded = encode_component(everything)
    kept = [byte for byte in everything if b"%%%02X" % byte not in encoded]
    assert sorted(kept) == sorted(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    )


def test_respelling_the_canonical_spelling_changes_nothing() -> None:
    target = b"/b/a%20b/~%C3%A9?acl=&prefix=a%2Fb%2B"
    request = claim_of(signed(target), target).request
    assert canonical_request(respelled(request)) == canonical_request(request)


def test_header_values_are_trimmed_and_collapsed_and_joined() -> None:
    headers = header_map([(b"a", b" 1 "), (b"b", b"x \t  y"), (b"a", b"2 "), (b"c", b"q r")])
    assert header_lines(headers, [b"a", b"b", b"c", b"missing"]) == (
        b"a:1,2\nb:x y\nc:q r\nmissing:\n"
    )


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (b"plain", b"plain"),
        (b"a b", b"a b"),
        (b" a", b"a"),
        (b"a ", b"a"),
        (b"a\tb", b"a b"),
        (b"\ta", b"a"),
        (b"a   b", b"a b"),
        (b"", b""),
        (b"%b", b"%b"),
    ],
)
def test_a_list_of_signed_headers_gives_the_same_lines(value: bytes, canonical: bytes) -> None:
    headers = {b"host": b"h", b"x-%b": value, b"other": b"not signed"}
    listed = signed_headers(b"host;x-%b;missing")
    assert listed.names == (b"host", b"x-%b", b"missing")
    lines = b"host:h\nx-%%b:%b\nmissing:\n" % canonical
    assert listed.lines(headers) == header_lines(headers, listed.names) == lines
    assert signed_headers(b"host;x-%b;missing") is listed


def test_a_list_that_is_too_long_to_be_kept_is_read_all_the_same() -> None:
    names = b";".join(b"x-%d" % number for number in range(500))
    assert signed_headers(names) is not signed_headers(names)
    assert signed_headers(names).names == tuple(names.split(b";"))


def test_a_signature_is_an_hmac_of_sha256() -> None:
    for length in (0, 1, 32, 64):
        key = bytes(range(length))
        for text in (b"", b"text", bytes(1000)):
            assert signature_of(key, text) == hmac.digest(key, text, "sha256").hex().encode()


def test_the_secret_is_not_shown() -> None:
    assert "wJalr" not in repr(Signer("AKID", "wJalrXUtnFEMI", "us-east-1"))


def test_headers_that_change_on_the_way_are_not_signed() -> None:
    headers = signed(headers=[(b"host", b"h"), (b"user-agent", b"x"), (b"range", b"bytes=0-")])
    assert claim_of(headers, now=NOW).signed_headers == (
        b"host",
        b"range",
        b"x-amz-content-sha256",
        b"x-amz-date",
    )
