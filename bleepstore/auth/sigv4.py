"""AWS Signature Version 4: reading a request's claim, and verifying it.

Two steps, so that the secret can be looked up between them::

    claim = parse_claim(method, target, headers, now, region)
    if claim is None: ...                        # anonymous
    secret = await secret_of(claim.access_key)   # or InvalidAccessKeyId
    verified = verify(claim, secret, keys)

Knows no accounts and no clock, and nothing of what the request asks for.  Source:
"Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from bleepstore.auth.canonical import (
    Pair,
    Signable,
    canonical_request,
    header_map,
    respelled,
    split_query,
    split_target,
    string_to_sign,
    without_port,
)
from bleepstore.auth.chunks import ChunkSignatures
from bleepstore.auth.claims import Claim, shown
from bleepstore.auth.keys import SigningKeys, signature_of
from bleepstore.auth.payload import Payload, PayloadMode
from bleepstore.auth.sigv2_query import LegacyClaim, parse_legacy_claim
from bleepstore.auth.sigv4_header import parse_header_claim
from bleepstore.auth.sigv4_query import parse_query_claim
from bleepstore.errors import InvalidArgument, SignatureDoesNotMatch

__all__ = [
    "Claim",
    "Payload",
    "PayloadMode",
    "SigningKeys",
    "Verified",
    "parse_claim",
    "verify",
]

_VERSION_4 = frozenset((b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature"))
_VERSION_2 = frozenset((b"AWSAccessKeyId", b"Signature"))


class Verified(Struct, frozen=True):
    """A request that the holder of the secret signed.

    :ivar payload: what was signed of the body; checking the body against it is up to the reader.
    :ivar chunks: follows the signatures of the body's chunks, where they are signed.
    """

    access_key: str
    payload: Payload
    chunks: ChunkSignatures | None


def parse_claim(
    method: bytes,
    target: bytes,
    headers: Sequence[Pair] | dict[bytes, bytes],
    now: int,
    region: str,
) -> Claim | LegacyClaim | None:
    """Who the request claims to be from; None if it is anonymous.

    Everything that can be refused without the secret is refused here.

    :param target: the raw request target, path and query as sent.
    :param headers: (lower-case name, value) in order, repeated names kept; or the same by name,
        repeated ones joined as :func:`canonical.header_map` does.
    :param now: milliseconds since the epoch.
    :param region: the region of this server.
    :raises InvalidArgument: two mechanisms at once, an unknown one, a bad x-amz-content-sha256.
    :raises InvalidRequest: a header of Signature Version 2, or no x-amz-content-sha256 beside the
        header.
    :raises NotImplemented: Signature Version 4A.
    :raises InvalidToken: a session token.
    :raises AuthorizationHeaderMalformed: the header, or its scope, is wrong.
    :raises AuthorizationQueryParametersError: the same of a presigned request.
    :raises AccessDenied: no valid date, expired or not valid yet, or headers that must be signed
        and are not.
    :raises RequestTimeTooSkewed: the header's date is more than 15 minutes off.
    """
    path, raw_query = split_target(target)
    query = tuple(split_query(raw_query)) if raw_query else ()
    found = headers if isinstance(headers, dict) else header_map(headers)
    mechanism = _query_mechanism(raw_query, query) if query else None
    if b"authorization" in found:
        if mechanism is not None:
            raise InvalidArgument(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
                ArgumentValue=shown(found[b"authorization"]),
            )
        return parse_header_claim(method, path, query, found, now, region.encode())
    if mechanism is None:
        return None
    if mechanism is _VERSION_2:
        return parse_legacy_claim(method, path, query, found, now)
    return parse_query_claim(method, path, query, found, now, region.encode())


def verify(claim: Claim, secret: str, keys: SigningKeys) -> Verified:
    """Check a claim's signature with the secret of its access key.

    The request is tried as it was spelled, if that fails as S3 would spell it, and at last without
    the port of its host; comparisons take the same time wherever the signatures differ.

    :raises SignatureDoesNotMatch: with what was signed here, for the client to compare.
    """
    key = keys.get(secret, claim.date, claim.region)
    if not _signs(claim, key, claim.request):
        meant = respelled(claim.request)
        if not (_signs(claim, key, meant) or _signs(claim, key, without_port(meant))):
            request = canonical_request(meant)
            text = string_to_sign(claim.amz_date, claim.scope, request)
            raise SignatureDoesNotMatch(
                None,
                AWSAccessKeyId=claim.access_key,
                StringToSign=shown(text),
                SignatureProvided=shown(claim.signature),
                StringToSignBytes=text.hex(" "),
                CanonicalRequest=shown(request),
                CanonicalRequestBytes=request.hex(" "),
            )
    chunks = None
    if claim.payload.mode.signed_chunks:
        chunks = ChunkSignatures(key, claim.amz_date, claim.scope, claim.signature)
    return Verified(claim.access_key, claim.payload, chunks)


def _signs(claim: Claim, key: bytes, request: Signable) -> bool:
    text = string_to_sign(claim.amz_date, claim.scope, canonical_request(request))
    return compare_digest(signature_of(key, text), claim.signature)


def _query_mechanism(raw: bytes, query: tuple[Pair, ...]) -> frozenset[bytes] | None:
    """The version whose parameters the query has, if any, however their names are spelled: a
    presigned query under another spelling must not be a part of what a header signs."""
    escaped = b"%" in raw
    if escaped or b"X-Amz-" in raw:
        for name, _ in query:
            if (unquote_to_bytes(name) if escaped else name) in _VERSION_4:
                return _VERSION_4
    if escaped or b"Signature" in raw or b"AWSAccessKeyId" in raw:
        for name, _ in query:
            if (unquote_to_bytes(name) if escaped else name) in _VERSION_2:
                return _VERSION_2
    return None
