"""What a signed request claims, and the checks that both ways of signing share.

A claim is complete: whoever holds it and the secret can verify it, so the secret may be looked
up in between, at leisure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from msgspec import Struct

from bleepstore import errors
from bleepstore.auth.canonical import USUAL, USUAL_LENGTH, Signable, SignedHeaders
from bleepstore.auth.payload import Payload
from bleepstore.errors import AccessDenied, InvalidRequest, InvalidToken, StoreError

MAX_SKEW = 15 * 60 * 1000
"""How far a request's time may be from the server's, milliseconds."""

Refuse = Callable[[str, dict[str, str]], StoreError]
"""Makes the error of one way of signing out of its last words and its details."""


class Claim(Struct, frozen=True, kw_only=True):
    """A signature that is well-formed, timely and of the right scope, and yet to be verified.

    :ivar date: the day of the scope, ``YYYYMMDD``.
    :ivar scope: ``date/region/s3/aws4_request``.
    :ivar amz_date: the time as it is signed, ``YYYYMMDD'T'HHMMSS'Z'``.
    :ivar time: the same in milliseconds.
    :ivar expires: seconds that a presigned request is valid from ``time``; None for a header.
    :ivar signature: as sent; hex if the client is right.
    """

    access_key: str
    date: bytes
    region: bytes
    scope: bytes
    amz_date: bytes
    time: int
    expires: int | None
    signature: bytes
    payload: Payload
    request: Signable

    @property
    def signed_headers(self) -> tuple[bytes, ...]:
        """The names of the headers that are signed, as the client lists them."""
        return tuple(self.request.signed_headers.split(b";"))


def shown(value: bytes) -> str:
    """Bytes of the client's in an error body."""
    return value.decode("utf-8", "replace")


def parse_credential(
    credential: bytes, day: bytes, region: bytes, refuse: Refuse
) -> tuple[str, bytes]:
    """Access key and scope of ``KEY/YYYYMMDD/REGION/s3/aws4_request``.

    An access key may itself contain slashes.

    :param day: of the request's time, ``YYYYMMDD``; the scope must be of it.
    :param region: the one and only region served.
    """
    parse = _usual_credential if len(credential) <= USUAL_LENGTH else _parse_credential
    return parse(credential, day, region, refuse)


def _parse_credential(
    credential: bytes, day: bytes, region: bytes, refuse: Refuse
) -> tuple[str, bytes]:
    parts = credential.rsplit(b"/", 4)
    if len(parts) != 5:
        raise refuse(
            "the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
            {},
        )
    key, date, found_region, service, terminator = parts
    if not key:
        raise refuse("a non-empty Access Key (AKID) must be provided in the credential.", {})
    if terminator != b"aws4_request":
        raise refuse(
            f'incorrect terminal "{shown(terminator)}". This endpoint uses "aws4_request".', {}
        )
    if service != b"s3":
        raise refuse(
            f'incorrect service "{shown(service)}". This endpoint belongs to "s3".',
            {},
        )
    if found_region != region:
        raise refuse(
            f"the region '{shown(found_region)}' is wrong; expecting '{shown(region)}'",
            {"Region": shown(region)},
        )
    if date != day:
        raise refuse(
            f'Invalid credential date "{shown(date)}". '
            f'This date is not the same as X-Amz-Date: "{shown(day)}".',
            {},
        )
    try:
        return key.decode(), credential[len(key) + 1 :]
    except UnicodeDecodeError:
        raise refuse("the access key is not UTF-8.", {}) from None


_usual_credential = lru_cache(maxsize=USUAL)(_parse_credential)
"""A client has one credential a day."""


def check_signed_headers(
    headers: Mapping[bytes, bytes], listed: SignedHeaders, refuse: Refuse
) -> None:
    """Refuse a list of signed headers that leaves out what must be signed.

    The host, and "any x-amz-* headers that you plan to include in your request must also be
    added" (API Reference, Task 1: Create a Canonical Request).  That page asks for Content-Type
    too, but S3 does not insist on it, and presigned uploads rely on that.
    """
    if len(listed.distinct) != len(listed.names):
        raise refuse("a header is listed twice in SignedHeaders.", {})
    missing = _missing(tuple(headers), listed)
    if not missing:
        return
    raise AccessDenied(
        "There were headers present in the request which were not signed",
        HeadersNotSigned=", ".join(shown(name) for name in missing),
    )


@lru_cache(maxsize=64)  # a client sends, and signs, the same names again and again
def _missing(names: tuple[bytes, ...], listed: SignedHeaders) -> tuple[bytes, ...]:
    """Which of a request's headers must be signed, and are not."""
    signed = listed.distinct
    missing = [name for name in names if name.startswith(b"x-amz-") and name not in signed]
    return (b"host", *missing) if b"host" not in signed else tuple(missing)


def refuse_token(token: bytes | None) -> None:
    """Refuse a session token, wherever it was sent: this server issues none."""
    if token is not None:
        raise InvalidToken(None, **{"Token-0": shown(token)})


def unsupported_mechanism() -> InvalidRequest:
    """The answer to Signature Version 2."""
    return InvalidRequest(
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )


def unsupported_ecdsa() -> errors.NotImplemented:
    """The answer to Signature Version 4A."""
    return errors.NotImplemented(
        "Signature Version 4A (AWS4-ECDSA-P256-SHA256) is not supported. "
        "Please use AWS4-HMAC-SHA256."
    )
