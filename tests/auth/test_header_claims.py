"""Requests signed by the Authorization header, and every way they are refused."""

from __future__ import annotations

import pytest

from bleepstore.auth.canonical import Signable, canonical_request, header_lines, string_to_sign
from bleepstore.auth.keys import derive_key, signature_of
from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.auth.signing import Signer
from bleepstore.auth.sigv4 import PayloadMode, SigningKeys, parse_claim, verify
from bleepstore.errors import StoreError
from tests.auth.requests import (
    HOST,
    MINUTE,
    NOW,
    SIGNER,
    authorization,
    changed,
    claim_of,
    refusal,
    signed,
    verified,
)

CHUNKED = (
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
)


def with_authorization(old: bytes, new: bytes) -> list[tuple[bytes, bytes]]:
    headers = signed()
    value = authorization(headers)
    assert old in value
    return changed(headers, b"authorization", value.replace(old, new))


def test_a_request_without_any_signature_is_anonymous() -> None:
    assert parse_claim(b"GET", b"/bucket/key?list-type=2", [HOST], NOW, "us-east-1") is None


def test_the_claim_holds_what_was_signed() -> None:
    claim = claim_of(signed())
    assert claim.access_key == SIGNER.access_key
    assert claim.scope == b"20251121/us-east-1/s3/aws4_request"
    assert (claim.date, claim.region, claim.amz_date) == (
        b"20251121",
        b"us-east-1",
        b"20251121T044000Z",
    )
    assert claim.time == NOW
    assert claim.expires is None
    assert claim.signed_headers == (b"host", b"x-amz-content-sha256", b"x-amz-date")
    assert claim.payload.mode is PayloadMode.SHA256
    assert claim.payload.sha256 == EMPTY_SHA256.decode()


def test_the_components_may_come_in_any_order_with_or_without_blanks() -> None:
    headers = signed()
    scheme, _, rest = authorization(headers).partition(b" ")
    parts = rest.split(b", ")
    for value in (b",".join(parts), b"  ,  ".join(reversed(parts)), b",".join(parts[::-1])):
        verified(changed(headers, b"authorization", scheme + b" " + value))


@pytest.mark.parametrize(
    "written",
    [
        b"Signature=%(signature)b, Credential=%(credential)b, SignedHeaders=%(names)bSignature=ab",
        b"Credential=%(credential)b, SignedHeaders=%(names)b, XSignature=%(signature)b",
        b"Credential=%(credential)b, SignedHeaders=%(names)b Signature=%(signature)b",
        b"Credential=%(credential)b, SignedHeaders=%(names)b, Signature=%(signature)b,",
        b"Credential=%(credential)b, Signature=%(signature)b, Signature=%(signature)b",
        b"Credential=%(credential)b, SignedHeaders=%(names)b, Signature= %(signature)b",
    ],
)
def test_a_signature_is_found_only_where_it_is_a_component(written: bytes) -> None:
    headers = signed()
    scheme, _, rest = authorization(headers).partition(b" ")
    parts = dict(part.split(b"=", 1) for part in rest.split(b", "))
    value = written % {
        b"credential": parts[b"Credential"],
        b"names": parts[b"SignedHeaders"],
        b"signature": parts[b"Signature"],
    }
    for _ in range(2):  # the second time out of memory, if it were kept
        with pytest.raises(StoreError):
            verified(changed(headers, b"authorization", scheme + b" " + value))
    verified(headers)


def test_an_access_key_may_hold_slashes_and_other_letters() -> None:
    signer = Signer("team/Jörg", "secret", "us-east-1")
    claim = claim_of(signed(signer=signer))
    assert claim.access_key == "team/Jörg"
    assert verify(claim, "secret", SigningKeys()).access_key == "team/Jörg"


@pytest.mark.parametrize("payload", CHUNKED)
def test_signed_chunks_are_followed_from_the_signature_of_the_request(payload: bytes) -> None:
    assert verified(signed(payload=payload)).chunks is not None


@pytest.mark.parametrize(
    "payload", [EMPTY_SHA256, b"UNSIGNED-PAYLOAD", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
)
def test_other_bodies_have_no_chunk_signatures(payload: bytes) -> None:
    assert verified(signed(payload=payload)).chunks is None


def test_another_secret_does_not_match_and_the_client_is_told_what_was_signed() -> None:
    headers = signed()
    error = refusal(headers, secret="another")
    assert error.code == "SignatureDoesNotMatch"
    assert list(error.details) == [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ]
    details = error.details
    assert details["AWSAccessKeyId"] == SIGNER.access_key
    assert details["SignatureProvided"] == authorization(headers)[-64:].decode()
    assert details["CanonicalRequest"].startswith("GET\n/bucket/key\n\nhost:localhost:9000\n")
    assert details["CanonicalRequestBytes"].startswith("47 45 54 0a 2f")
    assert bytes.fromhex(details["StringToSignBytes"]).decode() == details["StringToSign"]
    assert details["StringToSign"].startswith("AWS4-HMAC-SHA256\n20251121T044000Z\n20251121/us-")


def test_no_part_of_a_signed_request_can_be_changed() -> None:
    headers = signed(b"/bucket/key?prefix=a", (HOST, (b"x-amz-acl", b"private")))
    target = b"/bucket/key?prefix=a"
    verified(headers, target)
    for error in (
        refusal(headers, b"/bucket/kez?prefix=a"),
        refusal(headers, b"/bucket/key?prefix=b"),
        refusal(headers, b"/bucket/key?prefix=a&acl"),
        refusal(headers, b"/bucket/key"),
        refusal(headers, target, b"PUT"),
        refusal(changed(headers, b"x-amz-acl", b"public-read"), target),
        refusal(changed(headers, b"host", b"elsewhere"), target),
        refusal(changed(headers, b"x-amz-acl", None), target),
        refusal(changed(headers, b"x-amz-content-sha256", b"0" * 64), target),
        refusal(changed(headers, b"x-amz-date", b"20251121T044001Z"), target),
    ):
        assert error.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("old", [b"Credential=", b"SignedHeaders=", b"Signature="])
def test_a_missing_component_is_malformed(old: bytes) -> None:
    error = refusal(with_authorization(old, b"Other="))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message == (
        "The authorization header is malformed; the authorization header requires three "
        "components: Credential, SignedHeaders, and Signature."
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Signature=", b"Signature=0, Signature=", "the authorization header requires three"),
        (b"/us-east-1/s3/aws4_request", b"", "the Credential is mal-formed; expecting"),
        (SIGNER.access_key.encode(), b"", "a non-empty Access Key (AKID) must be provided"),
        (SIGNER.access_key.encode(), b"\xff", "the access key is not UTF-8"),
        (b"/s3/", b"/ec2/", 'incorrect service "ec2". This endpoint belongs to "s3".'),
        (b"aws4_request", b"aws3_request", 'incorrect terminal "aws3_request".'),
        (b"20251121/", b"20251120/", 'Invalid credential date "20251120".'),
        (b"host;", b"host;host;", "a header is listed twice in SignedHeaders."),
    ],
)
def test_a_malformed_header_is_refused_with_the_reason(old: bytes, new: bytes, reason: str) -> None:
    error = refusal(with_authorization(old, new))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message.startswith("The authorization header is malformed; " + reason)


def test_a_wrong_region_is_named_beside_the_right_one() -> None:
    error = refusal(with_authorization(b"us-east-1", b"eu-west-1"))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message == (
        "The authorization header is malformed; "
        "the region 'eu-west-1' is wrong; expecting 'us-east-1'"
    )
    assert error.details == {"Region": "us-east-1"}


@pytest.mark.parametrize("minutes", [-15, 15])
def test_a_clock_may_be_fifteen_minutes_off(minutes: int) -> None:
    verified(signed(time=NOW + minutes * MINUTE))


@pytest.mark.parametrize(
    ("seconds", "sent"), [(-901, "20251121T042459Z"), (901, "20251121T045501Z")]
)
def test_a_clock_further_off_is_skewed(seconds: int, sent: str) -> None:
    error = refusal(signed(time=NOW + seconds * 1000))
    assert error.code == "RequestTimeTooSkewed"
    assert error.details == {
        "RequestTime": sent,
        "ServerTime": "2025-11-21T04:40:00Z",
        "MaxAllowedSkewMilliseconds": "900000",
    }


@pytest.mark.parametrize("date", [b"Fri, 21 Nov 2025 04:40:00 GMT", b"20251121T044000Z"])
def test_the_date_header_stands_in_for_x_amz_date(date: bytes) -> None:
    verified(_dated_by_date_header(date))


def test_a_skewed_date_header_is_shown_as_it_was_sent() -> None:
    error = refusal(_dated_by_date_header(b"Fri, 21 Nov 2025 04:40:00 GMT"), now=NOW + 3600_000)
    assert error.code == "RequestTimeTooSkewed"
    assert error.details["RequestTime"] == "Fri, 21 Nov 2025 04:40:00 GMT"


def _dated_by_date_header(date: bytes) -> list[tuple[bytes, bytes]]:
    """A request that has no x-amz-date, which SIGNER would always add."""
    headers = [HOST, (b"date", date), (b"x-amz-content-sha256", EMPTY_SHA256)]
    names = [b"date", b"host", b"x-amz-content-sha256"]
    scope = b"20251121/us-east-1/s3/aws4_request"
    request = Signable(
        b"GET",
        b"/bucket/key",
        (),
        header_lines(dict(headers), names),
        b";".join(names),
        EMPTY_SHA256,
    )
    signature = signature_of(
        derive_key(SIGNER.secret_key, b"20251121", b"us-east-1"),
        string_to_sign(b"20251121T044000Z", scope, canonical_request(request)),
    )
    value = b"AWS4-HMAC-SHA256 Credential=%b/%b, SignedHeaders=%b, Signature=%b" % (
        SIGNER.access_key.encode(),
        scope,
        b";".join(names),
        signature,
    )
    return [*headers, (b"authorization", value)]


def test_x_amz_date_counts_when_there_is_a_date_too() -> None:
    date = (b"date", b"Mon, 01 Jan 2001 00:00:00 GMT")
    verified(signed(headers=(HOST, date)))


@pytest.mark.parametrize(
    "date", [None, b"", b"yesterday", b"20251121T044000", b"20251321T044000Z", b"20251121T046000Z"]
)
def test_a_request_needs_a_valid_date(date: bytes | None) -> None:
    error = refusal(changed(signed(), b"x-amz-date", date))
    assert error.code == "AccessDenied"
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


def test_two_dates_are_no_date() -> None:
    headers = [*signed(), (b"x-amz-date", b"20251121T044000Z")]
    assert refusal(headers).code == "AccessDenied"


def test_the_host_and_all_x_amz_headers_must_be_signed() -> None:
    headers = [
        *with_authorization(b"host;", b""),
        (b"x-amz-acl", b"public-read"),
        (b"x-amz-meta-colour", b"red"),
        (b"x-other", b"may be unsigned"),
    ]
    error = refusal(headers)
    assert error.code == "AccessDenied"
    assert error.message == "There were headers present in the request which were not signed"
    assert error.details == {"HeadersNotSigned": "host, x-amz-acl, x-amz-meta-colour"}


def test_a_header_of_signature_version_2_is_not_supported() -> None:
    error = refusal([HOST, (b"authorization", b"AWS AKID:c2lnbmF0dXJl")], b"/b/k")
    assert error.code == "InvalidRequest"
    assert error.message == (
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )


def test_signature_version_4a_is_not_implemented() -> None:
    error = refusal(with_authorization(b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"))
    assert error.code == "NotImplemented"
    assert "AWS4-ECDSA-P256-SHA256" in error.message


@pytest.mark.parametrize("value", [b"", b"Basic dTpw", b"aws4-hmac-sha256 x", b"Bearer"])
def test_another_authorization_is_unsupported(value: bytes) -> None:
    error = refusal([HOST, (b"authorization", value)])
    assert error.code == "InvalidArgument"
    assert error.message == "Unsupported Authorization Type"
    assert error.details == {"ArgumentName": "Authorization", "ArgumentValue": value.decode()}


@pytest.mark.parametrize(
    "query", [b"X-Amz-Algorithm=AWS4-HMAC-SHA256", b"X-Amz-Signature=0", b"Signature=c2ln"]
)
def test_header_and_query_together_are_refused(query: bytes) -> None:
    error = refusal(signed(), b"/bucket/key?" + query)
    assert error.code == "InvalidArgument"
    assert error.message.startswith("Only one auth mechanism allowed; ")
    assert error.details == {
        "ArgumentName": "Authorization",
        "ArgumentValue": authorization(signed()).decode(),
    }


def test_a_request_signed_by_header_needs_a_payload_hash() -> None:
    error = refusal(changed(signed(), b"x-amz-content-sha256", None))
    assert error.code == "InvalidRequest"
    assert error.message == "Missing required header for this request: x-amz-content-sha256"


def test_a_session_token_is_invalid_as_none_is_issued() -> None:
    error = refusal(signed(headers=(HOST, (b"x-amz-security-token", b"FwoGZ"))))
    assert error.code == "InvalidToken"
    assert error.details == {"Token-0": "FwoGZ"}


def test_repeated_headers_are_joined_and_blanks_collapsed() -> None:
    once = (b"x-amz-meta-a", b"one  two\t three,four")
    headers = signed(headers=(HOST, once))
    sent = [
        *changed(headers, b"x-amz-meta-a", None),
        (b"x-amz-meta-a", b" one two   three "),
        (b"x-amz-meta-a", b"four"),
    ]
    verified(headers)
    verified(sent)


def test_the_absolute_form_of_a_target_is_its_path() -> None:
    verified(signed(b"/bucket/key?acl"), b"http://localhost:9000/bucket/key?acl")
    verified(signed(b"/"), b"http://localhost:9000")
