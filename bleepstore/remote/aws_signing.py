"""Requests to AWS, or to another S3, signed by Signature Version 4.

The body is signed where its bytes are at hand and few.  A body that streams is not
(``UNSIGNED-PAYLOAD``): its hash would have to be known before its first byte is sent.  TLS keeps
it whole on the way, and the gateway compares ETags and checksums.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from bleepstore.auth.payload import EMPTY_SHA256, UNSIGNED
from bleepstore.auth.signing import Signer
from bleepstore.interfaces.threads import Now
from bleepstore.remote.failures import Refusal
from bleepstore.remote.refreshing import Refreshing
from bleepstore.remote.requests import RemoteRequest, Upload

HASHED = 64 * 1024
"""Bytes of a body up to which it is hashed on the reactor's thread."""

_EXPIRED = frozenset(
    (
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "TokenRefreshRequired",
    )
)
"""Codes that say that the credentials have been good, perhaps, but are not any more."""


class AwsCredentials(Struct, frozen=True):
    """An access key.

    :ivar session_token: of temporary ones; else ``""``.
    """

    access_key: str
    secret_key: str
    session_token: str = ""

    def __repr__(self) -> str:  # the secret never reaches a log
        return f"AwsCredentials({self.access_key!r})"


class AwsAuthorizer:
    """Signs for one service in one region."""

    def __init__(
        self,
        credentials: Refreshing[AwsCredentials],
        region: str,
        now: Now,
        service: str = "s3",
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._now = now
        self._service = service
        self._signer: tuple[AwsCredentials, Signer] | None = None

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See ``service.Authorizer``."""
        keys = await self._credentials.get()
        headers = [(b"host", request.origin.host_header), *request.headers]
        if keys.session_token:
            headers.append((b"x-amz-security-token", keys.session_token.encode()))
        signed = self._signer_of(keys).sign(
            request.method.encode(), request.target, headers, _payload(request), self._now()
        )
        return RemoteRequest(
            method=request.method,
            origin=request.origin,
            target=request.target,
            headers=signed.headers,
            body=request.body,
            idempotent=request.idempotent,
        )

    def _signer_of(self, keys: AwsCredentials) -> Signer:
        if self._signer is None or self._signer[0] is not keys:
            signer = Signer(keys.access_key, keys.secret_key, self._region, self._service)
            self._signer = keys, signer
        return self._signer[1]

    def rejected(self, refusal: Refusal) -> bool:
        """See ``service.Authorizer``."""
        # The answer to HEAD has no code: 400 and 403 may mean any of those above.  A server that is
        # asked for its readiness alone would never learn of new credentials.
        if refusal.code in _EXPIRED or (not refusal.code and refusal.status in (400, 403)):
            self._credentials.forget()
            return True
        return False


def _payload(request: RemoteRequest) -> bytes:
    body = request.body
    if not body:
        return EMPTY_SHA256
    if isinstance(body, Upload) or len(body) > HASHED:
        return UNSIGNED.value
    return sha256(body).hexdigest().encode()
