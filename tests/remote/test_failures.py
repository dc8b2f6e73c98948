"""What providers say of errors, and what that is in S3's words."""

from __future__ import annotations

import pytest

from bleepstore import errors
from bleepstore.remote.failures import (
    CredentialsUnavailable,
    Fault,
    ProviderError,
    Refusal,
    RemoteFailure,
    Unreachable,
    store_error,
)
from bleepstore.remote.refusals import (
    LONGEST_MESSAGE,
    read_aws_refusal,
    read_azure_refusal,
    read_google_refusal,
    read_token_refusal,
)
from bleepstore.remote.retries import Policy, parse_retry_after, wait_before


def refused(status: int, code: str = "Secret") -> Refusal:
    return Refusal(ProviderError(status=status, code=code, message="account 123"))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (refused(400), errors.InternalError),
        (refused(400, "RequestTimeout"), errors.RequestTimeout),
        (refused(400, "ThrottlingException"), errors.SlowDown),
        (refused(401), errors.AccessDenied),
        (refused(403), errors.AccessDenied),
        (refused(404), errors.NoSuchKey),
        (refused(408), errors.RequestTimeout),
        (refused(409), errors.InternalError),
        (refused(412), errors.PreconditionFailed),
        (refused(429), errors.SlowDown),
        (refused(500), errors.InternalError),
        (refused(502), errors.ServiceUnavailable),
        (refused(503), errors.SlowDown),
        (refused(504), errors.RequestTimeout),
        (refused(507), errors.ServiceUnavailable),
        (Unreachable(Fault.CONNECT), errors.ServiceUnavailable),
        (Unreachable(Fault.TLS), errors.ServiceUnavailable),
        (Unreachable(Fault.BROKEN), errors.ServiceUnavailable),
        (Unreachable(Fault.CONNECT_TIMEOUT), errors.RequestTimeout),
        (Unreachable(Fault.HEAD_TIMEOUT), errors.RequestTimeout),
        (Unreachable(Fault.STALLED), errors.RequestTimeout),
        (Unreachable(Fault.BUSY), errors.SlowDown),
        (CredentialsUnavailable("none"), errors.ServiceUnavailable),
    ],
    ids=str,
)
def test_every_failure_is_an_error_of_s3(
    failure: RemoteFailure, expected: type[errors.StoreError]
) -> None:
    error = store_error(failure)
    assert type(error) is expected
    assert "account" not in str(error)
    assert "Secret" not in str(error)


@pytest.mark.parametrize("status", [400, 409, 500])
def test_a_refusal_that_s3_has_no_word_for_says_who_refused(status: int) -> None:
    assert str(store_error(refused(status))).startswith("The storage behind this server refused")


@pytest.mark.parametrize(
    "code", ["NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"]
)
def test_a_bucket_that_is_not_there_is_no_absence(code: str) -> None:
    """An operator reads why in the reason of a health check."""
    failure = Refusal(ProviderError(status=404, code=code, message="bucket 123"))
    error = store_error(failure, errors.NoSuchUpload)
    assert type(error) is errors.InternalError
    assert str(error) == "The bucket or container behind this server is not there."


@pytest.mark.parametrize("is_logged", [True, False])
def test_an_internal_error_knows_whether_the_log_has_been_told(is_logged: bool) -> None:
    failure = refused(400)
    failure.is_logged = is_logged
    error = store_error(failure)
    assert isinstance(error, errors.InternalError)
    assert error.is_logged == is_logged


def test_what_is_missing_is_the_callers_choice() -> None:
    assert type(store_error(refused(404), errors.NoSuchBucket)) is errors.NoSuchBucket


def test_an_error_of_s3() -> None:
    body = (
        b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>It&apos;s &lt;gone&gt; '
        b"&amp;lt;</Message><RequestId>R1</RequestId></Error>"
    )
    assert read_aws_refusal(404, {}, body) == ProviderError(
        status=404, code="NoSuchKey", message="It's <gone> &lt;", request_id="R1"
    )
    assert read_aws_refusal(404, {b"x-amz-request-id": b"R2"}, b"").request_id == "R2"


def test_a_bucket_in_another_region_is_said_to_be_there() -> None:
    there = {b"x-amz-bucket-region": b"eu-west-1"}
    assert read_aws_refusal(301, there, b"").message == "The bucket is in the region eu-west-1."
    assert read_aws_refusal(400, there, b"").message == "The bucket is in the region eu-west-1."
    body = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>Wrong.</Message>"
        b"<Region>eu-west-1</Region></Error>"
    )
    assert read_aws_refusal(400, {}, body).message == (
        "Wrong. The bucket is in the region eu-west-1."
    )
    assert read_aws_refusal(403, there, b"").message == ""
    said = b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>eu-west-1, not us.</Message>"
    assert read_aws_refusal(400, there, said).message == "eu-west-1, not us."


def test_an_error_of_azure_without_what_was_signed() -> None:
    body = (
        b"\xef\xbb\xbf<Error><Code>AuthenticationFailed</Code><Message>Failed.\nRequestId:R\n"
        b"Time:T</Message><AuthenticationErrorDetail>sig=SECRET</AuthenticationErrorDetail></Error>"
    )
    error = read_azure_refusal(403, {b"x-ms-request-id": b"R"}, body)
    assert error == ProviderError(
        status=403, code="AuthenticationFailed", message="Failed.", request_id="R"
    )
    body = (
        b"<Error><Code>AuthenticationFailed</Code><Message>Server failed.\nTime:T</Message>"
        b"<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [A] - "
        b"Expiry [B] - Current [C]</AuthenticationErrorDetail></Error>"
    )
    assert read_azure_refusal(403, {}, body).message == (
        "Signature not valid in the specified time frame: Start [A] - Expiry [B] - Current [C]"
    )
    headers = {b"x-ms-error-code": b"BlobNotFound"}
    assert read_azure_refusal(404, headers, b"").code == "BlobNotFound"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error":{"code":404,"message":"m","errors":[{"reason":"notFound"}]}}', "notFound", "m"),
        (b'{"error":{"message":"m","status":"UNAVAILABLE"}}', "UNAVAILABLE", "m"),
        (b'{"error":{"errors":[]}}', "", ""),
        (b'{"error":{"errors":[5],"message":7}}', "", ""),
        (b'{"error":"text"}', "", ""),
        (b"[1]", "", ""),
        (b"Service Unavailable", "", ""),
        (b"\xff\xfe", "", ""),
        (b"", "", ""),
    ],
)
def test_an_error_of_google(body: bytes, code: str, message: str) -> None:
    error = read_google_refusal(503, {}, body)
    assert (error.code, error.message) == (code, message)


def test_an_error_of_a_token_endpoint() -> None:
    body = b'{"error":"invalid_grant","error_description":"AADSTS7: no\\r\\nTrace ID: x"}'
    error = read_token_refusal(400, {}, body)
    assert (error.code, error.message) == ("invalid_grant", "AADSTS7: no")
    body = b'{"Code":"AssumeRoleUnauthorizedAccess","Message":"no"}'
    assert read_token_refusal(404, {}, body).code == "AssumeRoleUnauthorizedAccess"


def test_a_long_sentence_is_shortened() -> None:
    body = b"<Error><Message>" + b"x" * 10_000 + b"</Message></Error>"
    assert len(read_aws_refusal(400, {}, body).message) == LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"120", 120.0),
        (b" 5 ", 5.0),
        (b"Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (b"", None),
        (b"-1", None),
        (b"soon", None),
        (b"9" * 50, None),
    ],
)
def test_retry_after(value: bytes, seconds: float | None) -> None:
    assert parse_retry_after(value, 10_000) == seconds


def test_a_wait_is_anything_up_to_a_bound_that_doubles() -> None:
    policy = Policy(attempts=9, base=0.1, cap=2.0, total=100)
    failure = Unreachable(Fault.BROKEN)
    bounds = [wait_before(attempt, failure, 0, 1.0, policy) for attempt in range(1, 10)]
    assert bounds == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, None])
    assert wait_before(3, failure, 0, 0.0, policy) == 0
    assert wait_before(3, failure, 99.9, 0.5, policy) is None
