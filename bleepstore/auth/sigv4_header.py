"""The claim of an ``Authorization`` header.

Source: "Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from bleepstore.auth.canonical import ALGORITHM, USUAL, USUAL_LENGTH, Pair, Signable, signed_headers
from bleepstore.auth.claims import (
    MAX_SKEW,
    Claim,
    check_signed_headers,
    parse_credential,
    refuse_token,
    shown,
    unsupported_ecdsa,
    unsupported_mechanism,
)
from bleepstore.auth.payload import parse_payload
from bleepstore.auth.timestamps import amz_date, iso_date, parse_amz_date, parse_date_header
from bleepstore.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    StoreError,
)


def parse_header_claim(
    method: bytes,
    path: bytes,
    query: tuple[Pair, ...],
    headers: Mapping[bytes, bytes],
    now: int,
    region: bytes,
) -> Claim:
    """The claim of a request that has an Authorization header.

    :raises StoreError: see :func:`bleepstore.auth.sigv4.parse_claim`.
    """
    credential, signed, signature = _components(headers[b"authorization"])
    refuse_token(headers.get(b"x-amz-security-token"))
    sent, date, time = _request_time(headers)
    access_key, scope = parse_credential(credential, date[:8], region, _malformed)
    if abs(now - time) > MAX_SKEW:
        raise RequestTimeTooSkewed(
            None,
            RequestTime=shown(sent),
            ServerTime=iso_date(now),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW),
        )
    content_sha256 = headers.get(b"x-amz-content-sha256")
    if content_sha256 is None:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    payload = parse_payload(content_sha256)
    listed = signed_headers(signed)
    check_signed_headers(headers, listed, _malformed)
    return Claim(
        access_key=access_key,
        date=date[:8],
        region=region,
        scope=scope,
        amz_date=date,
        time=time,
        expires=None,
        signature=signature,
        payload=payload,
        request=Signable(method, path, query, listed.lines(headers), signed, payload.value),
    )


def _components(value: bytes) -> tuple[bytes, bytes, bytes]:
    """Credential, SignedHeaders (in lower case) and Signature of ``AWS4-HMAC-SHA256 Credential=…``.

    Their order is free, and so are blanks around the commas.
    """
    start, _, signature = value.rpartition(b"Signature=")
    if signature.isalnum() and len(start) <= USUAL_LENGTH:
        before = _before_signature(start)
        if before is not None:
            return *before, signature
    return _parsed(value)


@lru_cache(maxsize=USUAL)
def _before_signature(start: bytes) -> tuple[bytes, bytes] | None:
    """Credential and SignedHeaders of a header in which the signature stands last.

    All that stands before it is the same in every request that a client sends on one day.

    :return: None for anything unusual.
    """
    if not start.rstrip(b" \t").endswith(b","):
        return None
    try:
        credential, signed, _ = _parsed(start + b"Signature=0")
    except StoreError:
        return None
    return credential, signed


def _parsed(value: bytes) -> tuple[bytes, bytes, bytes]:
    scheme, _, rest = value.partition(b" ")
    if scheme != ALGORITHM:
        raise _other_scheme(scheme, value)
    found: dict[bytes, bytes] = {}
    parts = rest.split(b",", 3)
    for part in parts:
        name, _, text = part.strip().partition(b"=")
        found[name] = text
    credential = found.get(b"Credential")
    signed = found.get(b"SignedHeaders")
    signature = found.get(b"Signature")
    if not credential or signed is None or signature is None or len(parts) != 3:
        raise _malformed(
            "the authorization header requires three components: "
            "Credential, SignedHeaders, and Signature.",
            {},
        )
    return credential, signed.lower(), signature


def _request_time(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes, int]:
    """The time as sent, as signed, and in milliseconds.

    "If you specify both, the value specified for the x-amz-date header takes precedence" (API
    Reference, Common Request Headers).
    """
    sent = headers.get(b"x-amz-date")
    if sent is not None:
        time = parse_amz_date(sent)
        if time is not None:
            return sent, sent, time
    else:
        sent = headers.get(b"date")
        time = parse_date_header(sent) if sent is not None else None
        if sent is not None and time is not None:
            return sent, amz_date(time), time
    raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")


def _other_scheme(scheme: bytes, value: bytes) -> StoreError:
    if scheme == b"AWS":
        return unsupported_mechanism()
    if scheme == b"AWS4-ECDSA-P256-SHA256":
        return unsupported_ecdsa()
    return InvalidArgument(
        "Unsupported Authorization Type",
        ArgumentName="Authorization",
        ArgumentValue=shown(value),
    )


def _malformed(why: str, details: dict[str, str]) -> StoreError:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {why}", **details)
