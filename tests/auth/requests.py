"""Requests to verify, and the world they are verified in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bleepstore.auth.canonical import Pair
from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.auth.signing import Signer
from bleepstore.auth.sigv4 import Claim, SigningKeys, Verified, parse_claim, verify
from bleepstore.errors import StoreError

NOW = 1_763_700_000_000  # 2025-11-21T04:40:00Z
MINUTE = 60_000
SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = (b"host", b"localhost:9000")


def signed(
    target: bytes = b"/bucket/key",
    headers: Sequence[Pair] = (HOST,),
    payload: bytes = EMPTY_SHA256,
    time: int = NOW,
    signer: Signer = SIGNER,
    method: bytes = b"GET",
) -> list[Pair]:
    """The headers of a request signed by the Authorization header."""
    return list(signer.sign(method, target, headers, payload, time).headers)


def changed(headers: Sequence[Pair], name: bytes, value: bytes | None) -> list[Pair]:
    """The headers with one set to another value, or left out."""
    kept = [header for header in headers if header[0] != name]
    return kept if value is None else [*kept, (name, value)]


def authorization(headers: Sequence[Pair]) -> bytes:
    return dict(headers)[b"authorization"]


def claim_of(
    headers: Sequence[Pair],
    target: bytes = b"/bucket/key",
    method: bytes = b"GET",
    now: int = NOW,
) -> Claim:
    claim = parse_claim(method, target, headers, now, "us-east-1")
    assert claim is not None
    return claim


def verified(
    headers: Sequence[Pair],
    target: bytes = b"/bucket/key",
    method: bytes = b"GET",
    now: int = NOW,
    secret: str = SIGNER.secret_key,
) -> Verified:
    return verify(claim_of(headers, target, method, now), secret, SigningKeys())


def refusal(
    headers: Sequence[Pair],
    target: bytes = b"/bucket/key",
    method: bytes = b"GET",
    now: int = NOW,
    secret: str = SIGNER.secret_key,
) -> StoreError:
    """The error that a request is refused with."""
    with pytest.raises(StoreError) as caught:
        verified(headers, target, method, now, secret)
    return caught.value
