"""Signing requests: the client's side of Signature Version 4, by header, by query and by chunk.

Used to speak to other clouds, and by tests to speak to this server.  It shares the canonical
request with the verifying side; the vectors of the API Reference keep both honest.  Paths and
queries are given encoded, as they will be sent, and are signed as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from bleepstore.auth.canonical import (
    Pair,
    Signable,
    SignedHeaders,
    canonical_request,
    encode_component,
    header_map,
    scope_of,
    split_query,
    split_target,
    string_to_sign,
)
from bleepstore.auth.chunks import RunningSignature
from bleepstore.auth.keys import derive_key, signature_of
from bleepstore.auth.timestamps import amz_date

_UNSIGNED_HEADERS = frozenset(
    (
        b"accept-encoding",
        b"authorization",
        b"connection",
        b"expect",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
    )
)
"""Headers that proxies and HTTP libraries change on the way."""


class SignedRequest(Struct, frozen=True):
    """What signing a request gave.

    :ivar headers: all headers to send: those given, and the signature's own.
    :ivar chunks: signs the chunks of the body, where it is streamed in signed chunks.
    """

    headers: tuple[Pair, ...]
    chunks: RunningSignature


class Signer(Struct, frozen=True):
    """Signs with one access key, for one region of one service."""

    access_key: str
    secret_key: str
    region: str
    service: str = "s3"

    def __repr__(self) -> str:  # the secret never reaches a log
        return f"Signer(access_key={self.access_key!r}, region={self.region!r})"

    def sign(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[Pair],
        payload: bytes,
        time: int,
    ) -> SignedRequest:
        """Sign by the Authorization header.

        :param target: path and query, encoded as they will be sent.
        :param headers: (lower-case name, value), ``host`` among them; all are signed but those
            that change on the way.
        :param payload: hex SHA-256 of the body, or a literal of ``auth.payload``.
        :param time: milliseconds since the epoch.
        """
        date = amz_date(time)
        scope, key = self._scope(date), self._key(date)
        sent = (*headers, (b"x-amz-content-sha256", payload), (b"x-amz-date", date))
        path, query = split_target(target)
        request = _signable(method, path, split_query(query), sent, payload)
        signature = _signature(key, date, scope, request)
        authorization = b"AWS4-HMAC-SHA256 Credential=%b/%b, SignedHeaders=%b, Signature=%b" % (
            self.access_key.encode(),
            scope,
            request.signed_headers,
            signature,
        )
        return SignedRequest(
            (*sent, (b"authorization", authorization)),
            RunningSignature(key, date, scope, signature),
        )

    def presign(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[Pair],
        time: int,
        expires: int,
        payload: bytes = b"UNSIGNED-PAYLOAD",
    ) -> bytes:
        """The target with a signature in its query.

        :param headers: those that must be sent with it, ``host`` among them.
        :param expires: seconds from ``time`` that it is valid, 1 to 604,800.
        """
        date = amz_date(time)
        scope = self._scope(date)
        names = b";".join(_signed(tuple([name for name, _ in headers])).names)
        path, query = split_target(target)
        parameters = b"&".join(
            (
                *((query,) if query else ()),
                b"X-Amz-Algorithm=AWS4-HMAC-SHA256",
                b"X-Amz-Credential="
                + encode_component(b"%b/%b" % (self.access_key.encode(), scope)),
                b"X-Amz-Date=" + date,
                b"X-Amz-Expires=%d" % expires,
                b"X-Amz-SignedHeaders=" + encode_component(names),
            )
        )
        request = _signable(method, path, split_query(parameters), headers, payload)
        signature = _signature(self._key(date), date, scope, request)
        return b"%b?%b&X-Amz-Signature=%b" % (path, parameters, signature)

    def _scope(self, date: bytes) -> bytes:
        return scope_of(date[:8], self.region.encode(), self.service.encode())

    def _key(self, date: bytes) -> bytes:
        return _usual_key(self.secret_key, date[:8], self.region.encode(), self.service.encode())


_usual_key = lru_cache(maxsize=16)(derive_key)
"""The keys of a day and of the one before it, of the few identities that this process has."""


def _signature(key: bytes, date: bytes, scope: bytes, request: Signable) -> bytes:
    return signature_of(key, string_to_sign(date, scope, canonical_request(request)))


@lru_cache(maxsize=64)
def _signed(names: tuple[bytes, ...]) -> SignedHeaders:
    """Those of some headers that are signed; requests of one kind have the same."""
    return SignedHeaders(b";".join(sorted(set(names) - _UNSIGNED_HEADERS)))


def _signable(
    method: bytes, path: bytes, query: Sequence[Pair], headers: Sequence[Pair], payload: bytes
) -> Signable:
    signed = _signed(tuple([name for name, _ in headers]))
    return Signable(
        method,
        path,
        tuple(query),
        signed.lines(header_map(headers)),
        b";".join(signed.names),
        payload,
    )
