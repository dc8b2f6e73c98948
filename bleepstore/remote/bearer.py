"""Requests with a bearer token (RFC 6750), as Google and Microsoft take them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from bleepstore.interfaces.threads import Now
from bleepstore.remote.failures import CredentialsUnavailable, Refusal
from bleepstore.remote.refreshing import Lease, Refreshing
from bleepstore.remote.requests import RemoteRequest
from bleepstore.remote.surroundings import with_secrets


class BearerToken(Struct, frozen=True):
    """An access token."""

    token: str

    def __repr__(self) -> str:  # the token never reaches a log
        return "BearerToken()"


class BearerAuthorizer:
    """Sends the token along; never in the clear to another machine."""

    def __init__(self, tokens: Refreshing[BearerToken]) -> None:
        self._tokens = tokens

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See ``service.Authorizer``.

        :raises CredentialsUnavailable: also if the server is another machine's, without TLS.
        """
        with_secrets(request)
        token = (await self._tokens.get()).token
        authorization = (b"authorization", b"Bearer " + token.encode())
        return msgspec.structs.replace(request, headers=(*request.headers, authorization))

    def rejected(self, refusal: Refusal) -> bool:
        """See ``service.Authorizer``: 401 is an expired or revoked token (RFC 6750, 3.1)."""
        if refusal.status == 401:
            self._tokens.forget()
            return True
        return False


def token_lease(said: dict[str, Any], now: Now, whose: str) -> Lease[BearerToken]:
    """The token of a successful token response (RFC 6749, 5.1).

    :param whose: who gave it, for the message.
    :raises CredentialsUnavailable: there is none.
    """
    token = said.get("access_token")
    seconds = _seconds(said.get("expires_in"))
    if not isinstance(token, str) or not _sendable(token):
        raise CredentialsUnavailable(f"{whose} gave an answer without a token")
    return Lease(BearerToken(token), None if seconds is None else now() + seconds * 1000)


def _seconds(value: object) -> int | None:
    """A number of seconds, which some services write as text."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sendable(token: str) -> bool:
    """Whether it can stand in a header."""
    return bool(token) and token.isascii() and token.isprintable()
