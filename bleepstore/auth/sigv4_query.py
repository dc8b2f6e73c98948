"""The claim of a presigned request: its signature is in the query string.

Source: "Authenticating Requests: Using Query Parameters", Amazon S3 API Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from bleepstore.auth.canonical import ALGORITHM, Pair, Signable, signed_headers
from bleepstore.auth.claims import (
    MAX_SKEW,
    Claim,
    check_signed_headers,
    parse_credential,
    refuse_token,
    unsupported_ecdsa,
)
from bleepstore.auth.payload import UNSIGNED, Payload, parse_payload
from bleepstore.auth.timestamps import iso_date, parse_amz_date
from bleepstore.errors import (
    AccessDenied,
    AuthorizationQueryParametersError,
    StoreError,
)

MAX_EXPIRES = 604_800
"""The longest validity of a presigned request, seconds: a week."""

_SIGNATURE = b"X-Amz-Signature"
_REQUIRED = (
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    _SIGNATURE,
    b"X-Amz-Date",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Expires",
)
_READ = frozenset((*_REQUIRED, b"X-Amz-Security-Token", b"X-Amz-Content-Sha256"))


def parse_query_claim(
    method: bytes,
    path: bytes,
    query: tuple[Pair, ...],
    headers: Mapping[bytes, bytes],
    now: int,
    region: bytes,
) -> Claim:
    """The claim of a request whose query has X-Amz-Algorithm, -Credential or -Signature.

    :raises StoreError: see :func:`bleepstore.auth.sigv4.parse_claim`.
    """
    found = _parameters(query)
    refuse_token(found.get(b"X-Amz-Security-Token", headers.get(b"x-amz-security-token")))
    date = found[b"X-Amz-Date"]
    time = parse_amz_date(date)
    if time is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    access_key, scope = parse_credential(
        found[b"X-Amz-Credential"], date[:8], region, _bad_credential
    )
    expires = _expires(found[b"X-Amz-Expires"])
    _check_validity(time, expires, now)
    signed = found[b"X-Amz-SignedHeaders"].lower()
    listed = signed_headers(signed)
    check_signed_headers(headers, listed, _bad_signed_headers)
    payload = _payload(found, headers)
    return Claim(
        access_key=access_key,
        date=date[:8],
        region=region,
        scope=scope,
        amz_date=date,
        time=time,
        expires=expires,
        signature=found[_SIGNATURE],
        payload=payload,
        request=Signable(
            method,
            path,
            tuple([pair for pair in query if pair[0] != _SIGNATURE]),
            listed.lines(headers),
            signed,
            payload.value,
        ),
    )


def _parameters(query: tuple[Pair, ...]) -> dict[bytes, bytes]:
    """The parameters of the signature, decoded; each once, and all that are required."""
    found: dict[bytes, bytes] = {}
    for name, value in query:
        if name in _READ:
            if name in found:
                raise AuthorizationQueryParametersError(
                    f"The {name.decode()} parameter must be given only once."
                )
            found[name] = unquote_to_bytes(value) if b"%" in value else value
    algorithm = found.get(b"X-Amz-Algorithm")
    if algorithm == b"AWS4-ECDSA-P256-SHA256":
        raise unsupported_ecdsa()
    if algorithm is not None and algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    for name in _REQUIRED:
        if name not in found:
            raise AuthorizationQueryParametersError(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, "
                "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, "
                "and X-Amz-Expires parameters."
            )
    return found


def _expires(value: bytes) -> int:
    digits = value.removeprefix(b"-")
    if not digits.isdigit():
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if len(digits) != len(value):
        raise AuthorizationQueryParametersError("X-Amz-Expires must be non-negative")
    seconds = int(value) if len(value) <= 16 else MAX_EXPIRES + 1
    if seconds > MAX_EXPIRES:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            "X-Amz-Expires must be less than 604800 seconds"
        )
    if seconds == 0:
        raise AuthorizationQueryParametersError("X-Amz-Expires must be at least 1 second")
    return seconds


def _check_validity(time: int, expires: int, now: int) -> None:
    """Refuse a request whose time has passed, or is yet to come."""
    end = time + expires * 1000
    if now > end:
        raise AccessDenied(
            "Request has expired",
            **{
                "X-Amz-Expires": str(expires),
                "Expires": iso_date(end),
                "ServerTime": iso_date(now),
            },
        )
    if time - now > MAX_SKEW:
        raise AccessDenied(
            "Request is not yet valid",
            **{
                "X-Amz-Date": str(time),  # S3 gives it in milliseconds here
                "Expires": iso_date(end),
                "ServerTime": iso_date(now),
            },
        )


def _payload(found: Mapping[bytes, bytes], headers: Mapping[bytes, bytes]) -> Payload:
    """What is said of the body: by the (signed) header, by the query, else that it is unsigned.

    "You don't include a payload hash in the canonical request, because when you create a
    presigned URL you don't know the payload" is the rule; SDKs that know it say it in one of
    these two places.
    """
    value = headers.get(b"x-amz-content-sha256", found.get(b"X-Amz-Content-Sha256"))
    return UNSIGNED if value is None else parse_payload(value)


def _bad_credential(why: str, details: dict[str, str]) -> StoreError:
    return AuthorizationQueryParametersError(
        f"Error parsing the X-Amz-Credential parameter; {why}", **details
    )


def _bad_signed_headers(why: str, details: dict[str, str]) -> StoreError:
    return AuthorizationQueryParametersError(
        f"Error parsing the X-Amz-SignedHeaders parameter; {why}", **details
    )
