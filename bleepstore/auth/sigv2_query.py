"""Presigned URLs of Signature Version 2: what boto3 and version 1 of the AWS CLI make by default.

Both choose the old form for presigned URLs (and for nothing else) unless they are told
``signature_version = s3v4``, so a store that refuses it refuses their users.  Only the query form
is served: nobody sends the old Authorization header any more.

Source: "Signing and authenticating REST requests (AWS signature version 2)", Amazon S3 User Guide.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hmac import compare_digest, digest
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from bleepstore.auth.canonical import Pair
from bleepstore.auth.claims import MAX_SKEW, refuse_token, shown
from bleepstore.auth.payload import UNSIGNED, Payload, parse_anonymous_payload
from bleepstore.auth.sigv4_query import MAX_EXPIRES
from bleepstore.auth.timestamps import iso_date
from bleepstore.errors import AccessDenied, SignatureDoesNotMatch

_REQUIRED = (b"AWSAccessKeyId", b"Signature", b"Expires")

SUBRESOURCES = frozenset(
    b"accelerate acl analytics cors delete inventory lifecycle location logging metrics "
    b"notification object-lock partNumber policy replication requestPayment restore select "
    b"select-type storageClass tagging torrent uploadId uploads versionId versioning versions "
    b"website response-cache-control response-content-disposition response-content-encoding "
    b"response-content-language response-content-type response-expires".split()
)
"""The query parameters that are part of the signed resource."""

_MAX_DIGITS = 12

_BUCKET = re.compile(rb"/[^/%]+")
"""The path of a bucket that is not named by the host."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class LegacyClaim(Struct, frozen=True, kw_only=True):
    """A presigned request of version 2, timely and yet to be verified.

    :ivar expires: seconds since the epoch.
    :ivar before_resource: the string to sign up to the resource.
    :ivar path: raw, as sent.
    :ivar parameters: the signed sub-resources, ``?acl`` and the like, or empty.
    """

    access_key: str
    expires: int
    signature: bytes
    before_resource: bytes
    path: bytes
    parameters: bytes
    payload: Payload = UNSIGNED


def parse_legacy_claim(
    method: bytes,
    path: bytes,
    query: tuple[Pair, ...],
    headers: Mapping[bytes, bytes],
    now: int,
) -> LegacyClaim:
    """The claim of a request whose query has AWSAccessKeyId or Signature.

    :param now: milliseconds since the epoch.
    :raises AccessDenied: a parameter is missing or malformed, or the time has passed; or what
        stands for a header could be none.
    :raises InvalidToken: a session token.
    :raises InvalidArgument: a bad x-amz-content-sha256.
    """
    values = {name: _decoded(value) for name, value in reversed(query)}
    if not all(values.get(name) for name in _REQUIRED):
        raise AccessDenied(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters"
        )
    refuse_token(values.get(b"x-amz-security-token", headers.get(b"x-amz-security-token")))
    expires = _expires(values[b"Expires"], now)
    signed = {**_moved(query), **headers}  # a header that was really sent wins
    lines = [
        method,
        signed.get(b"content-md5", b""),
        signed.get(b"content-type", b""),
        values[b"Expires"],
    ]
    lines += [
        b"%b:%b" % (name, b" ".join(value.split()))
        for name, value in sorted(signed.items())
        if name.startswith(b"x-amz-")
    ]
    return LegacyClaim(
        access_key=shown(values[b"AWSAccessKeyId"]),
        expires=expires,
        signature=values[b"Signature"],
        before_resource=b"\n".join(lines) + b"\n",
        path=path,
        parameters=_parameters(query),
        payload=parse_anonymous_payload(headers.get(b"x-amz-content-sha256")),
    )


def verify_legacy(claim: LegacyClaim, secret: str, host_bucket: str) -> None:
    """Check a claim's signature.

    :param host_bucket: the bucket that the host names, which is signed before the path; empty
        where the path names it.  To try both would let what was signed for ``/a/b/c`` be used for
        ``c`` in another bucket.
    :raises SignatureDoesNotMatch: with what was signed here, for the client to compare.
    """
    resource = b"/%b%b" % (host_bucket.encode(), claim.path) if host_bucket else claim.path
    text = claim.before_resource + resource + claim.parameters
    if _signs(claim, secret, text):
        return
    bucket_alone = not host_bucket and _BUCKET.fullmatch(claim.path) is not None
    with_slash = claim.before_resource + resource + b"/" + claim.parameters
    if bucket_alone and _signs(claim, secret, with_slash):  # boto3 signs it, and sends none
        return
    raise SignatureDoesNotMatch(
        None,
        AWSAccessKeyId=claim.access_key,
        StringToSign=shown(text),
        SignatureProvided=shown(claim.signature),
        StringToSignBytes=text.hex(" "),
    )


def _signs(claim: LegacyClaim, secret: str, text: bytes) -> bool:
    expected = b64encode(digest(secret.encode(), text, "sha1"))
    return compare_digest(expected, claim.signature)


def _moved(query: tuple[Pair, ...]) -> dict[bytes, bytes]:
    """The headers that SDKs move into the query, by lower-case name; of repeated ones the first.

    Whatever the request's reader may take for a header (``wire.presigned``) must be here, however
    its name is spelled, or it would not be signed.  Each is one line of what is signed: what is
    no name of a header, or has a line end, could pass for other lines.

    :raises AccessDenied: there is such a one.
    """
    moved: dict[bytes, bytes] = {}
    for name, value in query:
        name = _decoded(name).lower()
        if not (name.startswith(b"x-amz-") or name in (b"content-type", b"content-md5")):
            continue
        value = _decoded(value)
        if _TOKEN.fullmatch(name) is None or _CONTROL.search(value):
            raise AccessDenied("A parameter that stands for a header is malformed")
        moved.setdefault(name, value)
    return moved


def _decoded(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))


def _expires(value: bytes, now: int) -> int:
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise AccessDenied(f"Invalid date (should be seconds since epoch): {shown(value)}")
    seconds = int(value)
    if now > seconds * 1000:
        raise AccessDenied(
            "Request has expired", Expires=iso_date(seconds * 1000), ServerTime=iso_date(now)
        )
    if seconds * 1000 - now > MAX_EXPIRES * 1000 + MAX_SKEW:  # it was reckoned by another clock
        raise AccessDenied("Expires must be less than a week (in seconds) in the future")
    return seconds


def _parameters(query: tuple[Pair, ...]) -> bytes:
    """The signed sub-resources in order, names and values decoded: however a name is spelled, the
    request's reader knows it."""
    found = sorted(
        (known, _decoded(value))
        for name, value in query
        if (known := _decoded(name)) in SUBRESOURCES
    )
    if not found:
        return b""
    return b"?" + b"&".join(b"%b=%b" % pair if pair[1] else pair[0] for pair in found)
