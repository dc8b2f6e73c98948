"""Presigned requests, and every way they are refused."""

from __future__ import annotations

import pytest

from bleepstore.auth.canonical import (
    Signable,
    canonical_request,
    split_query,
    split_target,
    string_to_sign,
)
from bleepstore.auth.keys import derive_key, signature_of
from bleepstore.auth.sigv4 import PayloadMode, parse_claim
from tests.auth.requests import HOST, MINUTE, NOW, SIGNER, claim_of, refusal, verified


def presigned(
    target: bytes = b"/bucket/key",
    headers: tuple[tuple[bytes, bytes], ...] = (HOST,),
    time: int = NOW,
    expires: int = 3600,
) -> bytes:
    return SIGNER.presign(b"GET", target, headers, time, expires)


def with_parameter(name: bytes, value: bytes | None) -> bytes:
    path, _, query = presigned().partition(b"?")
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    assert name in [pair[0] for pair in pairs]
    kept = [
        (found, value if found == name else old)
        for found, _, old in pairs
        if found != name or value is not None
    ]
    return path + b"?" + b"&".join(b"%b=%b" % (found, new or b"") for found, new in kept)


def test_the_claim_holds_what_was_signed() -> None:
    claim = claim_of([HOST], presigned())
    assert claim.access_key == SIGNER.access_key
    assert (claim.time, claim.expires) == (NOW, 3600)
    assert claim.signed_headers == (b"host",)
    assert claim.payload.mode is PayloadMode.UNSIGNED


def test_a_presigned_request_is_verified_with_its_own_query() -> None:
    target = presigned(b"/bucket/key?versions&prefix=a%2Fb&response-content-type=text%2Fplain")
    assert verified([HOST], target).access_key == SIGNER.access_key


@pytest.mark.parametrize("signed_by", [b"acl", b"prefix=a"])
def test_no_parameter_can_be_added_or_taken_away(signed_by: bytes) -> None:
    target = presigned(b"/bucket/key?" + signed_by)
    assert refusal([HOST], target + b"&uploads").code == "SignatureDoesNotMatch"
    without = target.replace(signed_by + b"&", b"")
    assert refusal([HOST], without).code == "SignatureDoesNotMatch"


def test_a_longer_validity_than_was_signed_does_not_match() -> None:
    assert refusal([HOST], with_parameter(b"X-Amz-Expires", b"3601")).code == (
        "SignatureDoesNotMatch"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"X%2DAmz-Algorithm",
        b"%58-Amz-Credential",
        b"X-Amz-Signature",
        b"Signatur%65",
        b"Signature",
        b"AWSAccessKeyId",
    ],
)
def test_a_presigned_query_is_one_however_its_names_are_spelled(name: bytes) -> None:
    """Or what was presigned for a second could be sent with the same signature in a header, where
    it is good for a quarter of an hour."""
    target = b"/bucket/key?" + name + b"=x"
    authorization = (b"authorization", b"AWS4-HMAC-SHA256 Credential=x")
    assert refusal([HOST, authorization], target).code == "InvalidArgument"
    assert refusal([HOST], target).code in ("AuthorizationQueryParametersError", "AccessDenied")


def test_it_is_valid_to_the_last_second_and_no_longer() -> None:
    target = presigned(time=NOW, expires=60)
    verified([HOST], target, now=NOW + MINUTE)
    error = refusal([HOST], target, now=NOW + MINUTE + 1)
    assert error.code == "AccessDenied"
    assert error.message == "Request has expired"
    assert error.details == {
        "X-Amz-Expires": "60",
        "Expires": "2025-11-21T04:41:00Z",
        "ServerTime": "2025-11-21T04:41:00Z",
    }


def test_it_may_be_a_week_old() -> None:
    target = presigned(time=NOW, expires=604_800)
    verified([HOST], target, now=NOW + 604_800_000)


def test_a_request_of_the_future_is_not_yet_valid() -> None:
    target = presigned(time=NOW + 16 * MINUTE)
    verified([HOST], target, now=NOW + MINUTE)
    error = refusal([HOST], target)
    assert error.code == "AccessDenied"
    assert error.message == "Request is not yet valid"
    assert error.details == {
        "X-Amz-Date": str(NOW + 16 * MINUTE),
        "Expires": "2025-11-21T05:56:00Z",
        "ServerTime": "2025-11-21T04:40:00Z",
    }


def test_a_request_of_the_last_second_that_dates_know_is_refused_like_any_of_the_future() -> None:
    target = (
        presigned()
        .replace(b"X-Amz-Date=20251121T044000Z", b"X-Amz-Date=99991231T235959Z")
        .replace(b"20251121", b"99991231")
    )
    error = refusal([HOST], target)
    assert error.message == "Request is not yet valid"
    assert error.details["Expires"] == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "X-Amz-Expires should be a number"),
        (b"abc", "X-Amz-Expires should be a number"),
        (b"1_0", "X-Amz-Expires should be a number"),
        (b"-1", "X-Amz-Expires must be non-negative"),
        (b"0", "X-Amz-Expires must be at least 1 second"),
        (b"604801", "X-Amz-Expires must be less than a week (in seconds); that is, the given "),
        (b"9" * 5000, "X-Amz-Expires must be less than a week (in seconds); that is, the given "),
    ],
)
def test_the_validity_is_one_second_to_a_week(value: bytes, message: str) -> None:
    error = refusal([HOST], with_parameter(b"X-Amz-Expires", value))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.message.startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        b"X-Amz-Algorithm",
        b"X-Amz-Credential",
        b"X-Amz-Date",
        b"X-Amz-Expires",
        b"X-Amz-SignedHeaders",
        b"X-Amz-Signature",
    ],
)
def test_every_parameter_is_needed_once(name: bytes) -> None:
    error = refusal([HOST], with_parameter(name, None))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.message.startswith("Query-string authentication version 4 requires the ")
    twice = refusal([HOST], presigned() + b"&" + name + b"=again")
    assert twice.code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"X-Amz-Algorithm", b"HMAC", 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"'),
        (b"X-Amz-Date", b"2025-11-21", "X-Amz-Date must be in the ISO8601 Long Format"),
        (
            b"X-Amz-SignedHeaders",
            b"host%3Bhost",
            "Error parsing the X-Amz-SignedHeaders parameter; a header is listed twice",
        ),
        (b"X-Amz-Date", b"", "X-Amz-Date must be in the ISO8601 Long Format"),
        (
            b"X-Amz-Credential",
            b"AKID",
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; ",
        ),
        (
            b"X-Amz-Credential",
            b"AKID%2F20251121%2Feu-west-1%2Fs3%2Faws4_request",
            "Error parsing the X-Amz-Credential parameter; "
            "the region 'eu-west-1' is wrong; expecting 'us-east-1'",
        ),
        (
            b"X-Amz-Credential",
            b"AKID%2F20251120%2Fus-east-1%2Fs3%2Faws4_request",
            'Error parsing the X-Amz-Credential parameter; Invalid credential date "20251120".',
        ),
    ],
)
def test_malformed_parameters_are_refused(name: bytes, value: bytes, message: str) -> None:
    error = refusal([HOST], with_parameter(name, value))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.message.startswith(message)


def test_a_wrong_region_is_named_beside_the_right_one() -> None:
    other = b"AKID%2F20251121%2Feu-west-1%2Fs3%2Faws4_request"
    error = refusal([HOST], with_parameter(b"X-Amz-Credential", other))
    assert error.details == {"Region": "us-east-1"}


def test_signed_headers_may_be_listed_in_upper_case() -> None:
    """The names are lower-case in what is signed, whatever they are in the query, which is signed
    as it is."""
    unsigned = with_parameter(b"X-Amz-SignedHeaders", b"HOST")
    unsigned = unsigned.partition(b"&X-Amz-Signature=")[0]
    path, query = split_target(unsigned)
    request = Signable(
        b"GET",
        path,
        tuple(split_query(query)),
        b"host:localhost:9000\n",
        b"host",
        b"UNSIGNED-PAYLOAD",
    )
    signature = signature_of(
        derive_key(SIGNER.secret_key, b"20251121", b"us-east-1"),
        string_to_sign(
            b"20251121T044000Z", b"20251121/us-east-1/s3/aws4_request", canonical_request(request)
        ),
    )
    verified([HOST], unsigned + b"&X-Amz-Signature=" + signature)


def test_signature_version_4a_is_not_implemented() -> None:
    error = refusal([HOST], with_parameter(b"X-Amz-Algorithm", b"AWS4-ECDSA-P256-SHA256"))
    assert error.code == "NotImplemented"


def test_a_session_token_is_invalid_as_none_is_issued() -> None:
    error = refusal([HOST], presigned(b"/bucket/key?X-Amz-Security-Token=FwoGZ%2F"))
    assert error.code == "InvalidToken"
    assert error.details == {"Token-0": "FwoGZ/"}
    token = (b"x-amz-security-token", b"FwoGZ/")
    assert refusal([HOST, token], presigned(headers=(HOST, token))).code == "InvalidToken"


def test_headers_sent_beside_it_must_be_signed() -> None:
    acl = (b"x-amz-acl", b"public-read")
    verified([HOST, acl], presigned(headers=(HOST, acl)))
    error = refusal([HOST, acl], presigned())
    assert error.code == "AccessDenied"
    assert error.details == {"HeadersNotSigned": "x-amz-acl"}


def test_the_payload_may_be_named_by_query_or_by_header() -> None:
    by_query = SIGNER.presign(
        b"GET", b"/k?X-Amz-Content-Sha256=" + b"0" * 64, [HOST], NOW, 60, payload=b"0" * 64
    )
    assert verified([HOST], by_query).payload.sha256 == "0" * 64
    header = (b"x-amz-content-sha256", b"1" * 64)
    by_header = SIGNER.presign(b"GET", b"/k", [HOST, header], NOW, 60, payload=b"1" * 64)
    assert verified([HOST, header], by_header).payload.sha256 == "1" * 64


def test_names_within_other_values_are_no_signature() -> None:
    target = b"/bucket?prefix=X-Amz-Signature&marker=Signature&x=AWSAccessKeyId"
    assert parse_claim(b"GET", target, [HOST], NOW, "us-east-1") is None
