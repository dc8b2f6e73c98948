"""Requests to Azure Storage that an account's key signs, or a shared access signature opens."""

from __future__ import annotations

import msgspec

from bleepstore.auth.azure_sas import container_sas
from bleepstore.auth.sharedkey import shared_key_signature
from bleepstore.interfaces.threads import Now
from bleepstore.remote.failures import Refusal
from bleepstore.remote.requests import RemoteRequest, Upload
from bleepstore.wire.dates import http_date, iso_date

SOURCE_SECONDS = 3600
"""Seconds for which the source of a copy is open; one request copies far less long."""


class SharedKeyAuthorizer:
    """Signs with an account's key.  A body that streams must have a known length."""

    def __init__(self, account: str, key: bytes, now: Now) -> None:
        self._account = account
        self._key = key
        self._now = now

    def __repr__(self) -> str:  # the key never reaches a log
        return f"SharedKeyAuthorizer({self._account!r})"

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See ``service.Authorizer``.

        :raises ValueError: the body has no known length: a defect of the caller.
        """
        headers = (*request.headers, (b"x-ms-date", http_date(self._now())))
        signature = shared_key_signature(
            self._account,
            self._key,
            request.method.encode(),
            request.target,
            headers,
            _length(request),
        )
        return msgspec.structs.replace(request, headers=(*headers, (b"authorization", signature)))

    def rejected(self, refusal: Refusal) -> bool:
        """See ``service.Authorizer``: there is no other key."""
        return False


class SasAuthorizer:
    """Adds a shared access signature to the query.

    :param sas: without its question mark.
    """

    def __init__(self, sas: str) -> None:
        self._sas = sas.lstrip("?").encode("ascii")

    def __repr__(self) -> str:  # the signature never reaches a log
        return "SasAuthorizer()"

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See ``service.Authorizer``."""
        separator = b"&" if b"?" in request.target else b"?"
        return msgspec.structs.replace(request, target=request.target + separator + self._sas)

    def rejected(self, refusal: Refusal) -> bool:
        """See ``service.Authorizer``: there is no other signature."""
        return False


class CopySourceAuthorizer:
    """Opens a blob of a container to be read by Azure itself, while it copies: an account's key
    signs no such source, a shared access signature does ("Put Block From URL").

    :param account: whose key it is, as its endpoint has it.
    """

    def __init__(self, account: str, key: bytes, container: str, now: Now) -> None:
        self._account = account
        self._key = key
        self._container = container
        self._now = now

    def __repr__(self) -> str:  # the key never reaches a log
        return f"CopySourceAuthorizer({self._account!r})"

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See ``service.Authorizer``; the signature is good for :data:`SOURCE_SECONDS`."""
        expires = iso_date(self._now() + SOURCE_SECONDS * 1000)[:19] + "Z"  # without a fraction
        sas = container_sas(self._account, self._key, self._container, "r", expires)
        return await SasAuthorizer(sas).authorize(request)

    def rejected(self, refusal: Refusal) -> bool:
        """See ``service.Authorizer``: there is no other key."""
        return False


def _length(request: RemoteRequest) -> int:
    body = request.body
    if isinstance(body, Upload):
        if body.length is None:
            raise ValueError("a body that SharedKey signs must have a known length")
        return body.length
    return len(body) if body else 0
