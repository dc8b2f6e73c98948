"""Where Google's credentials come from: the usual chain.

Settings, ``GOOGLE_APPLICATION_CREDENTIALS``, gcloud's file, the metadata server.  The first that is
there is the one.  Source: "How Application Default Credentials works", Google Cloud.
"""

from __future__ import annotations

import posixpath

from bleepstore.remote.bearer import BearerAuthorizer, BearerToken
from bleepstore.remote.failures import CredentialsUnavailable, Unreachable
from bleepstore.remote.google_federation import federated_token
from bleepstore.remote.google_tokens import (
    PLATFORM_SCOPE,
    STORAGE_SCOPE,
    Settings,
    authorized_user_token,
    impersonated_token,
    metadata_token,
    service_account_token,
    text_of,
)
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.refusals import json_object
from bleepstore.remote.surroundings import Surroundings

_ADC = "application_default_credentials.json"

_UNIVERSE = "googleapis.com"
"""The domain of Google's own cloud; others have other endpoints, and tokens of another kind."""

_LIFETIME = 3600
"""Seconds of an impersonated token."""


class GoogleChain:
    """Finds a token anew each time it is asked.

    :param credentials_file: of the settings; ``""`` for what follows in the chain.
    """

    def __init__(
        self, near: Surroundings, credentials_file: str = "", scope: str = STORAGE_SCOPE
    ) -> None:
        self._near = near
        self._file = credentials_file
        self._scope = scope

    async def find(self) -> Lease[BearerToken]:
        """A token, from the first place that has any credentials.

        :raises CredentialsUnavailable: no place has, or a file cannot be used.
        :raises RemoteFailure: the place that is configured does not give one.
        """
        near = self._near
        named = self._file or near.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if named:
            return await self._of_file(named, await near.text(named))
        directory = near.environ.get("CLOUDSDK_CONFIG") or near.home(".config", "gcloud")
        usual = posixpath.join(directory, _ADC)
        if (text := await near.text_if_any(usual)) is not None:
            return await self._of_file(usual, text)
        try:
            return await metadata_token(near)
        except Unreachable as failure:
            raise CredentialsUnavailable(
                f"neither the settings nor GOOGLE_APPLICATION_CREDENTIALS nor {usual} name any of "
                f"Google, and no metadata server of this machine answers ({failure})"
            ) from failure

    async def _of_file(self, path: str, text: str) -> Lease[BearerToken]:
        settings = json_object(text.encode())
        if not settings:
            raise CredentialsUnavailable(f"{path} holds no JSON object")
        return await self._of_settings(settings, self._scope)

    async def _of_settings(self, settings: Settings, scope: str) -> Lease[BearerToken]:
        universe = settings.get("universe_domain", _UNIVERSE)
        if universe != _UNIVERSE:
            raise CredentialsUnavailable(f"the universe domain {universe!r} is not supported")
        kind = settings.get("type")
        if kind == "service_account":
            return await service_account_token(self._near, settings, scope)
        if kind == "authorized_user":
            return await authorized_user_token(self._near, settings)
        if kind == "external_account":
            return await federated_token(self._near, settings, scope)
        if kind == "impersonated_service_account":
            source = settings.get("source_credentials")
            if not isinstance(source, dict) or source.get("type") == kind:
                raise CredentialsUnavailable("source_credentials are missing")
            lease = await self._of_settings(source, PLATFORM_SCOPE)
            url = text_of(settings, "service_account_impersonation_url")
            return await impersonated_token(self._near, url, lease.value, scope, _LIFETIME)
        raise CredentialsUnavailable(f"credentials of type {kind!r} are not supported")


def google_authorizer(near: Surroundings, credentials_file: str = "") -> BearerAuthorizer:
    """Sends tokens for Cloud Storage by the usual chain."""
    return BearerAuthorizer(near.held("Google", GoogleChain(near, credentials_file).find))
