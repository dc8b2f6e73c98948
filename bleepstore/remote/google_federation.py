"""Workload identity federation: a token of another identity provider for one of Google's.

Source: "Workload Identity Federation" and "Obtain short-lived tokens", Google Cloud IAM; AIP-4117
(external account credentials); RFC 8693 (token exchange).
"""

from __future__ import annotations

from base64 import b64encode

from bleepstore.remote.bearer import BearerToken, token_lease
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.google_tokens import (
    PLATFORM_SCOPE,
    Settings,
    impersonated_token,
    text_of,
)
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import Header
from bleepstore.remote.surroundings import Surroundings, request_to

_LIFETIME = 3600
"""Seconds of an impersonated token, where the file does not say."""


async def federated_token(near: Surroundings, settings: Settings, scope: str) -> Lease[BearerToken]:
    """A token for the subject that a file or a URL speaks for, or for the service account that it
    may act as.

    :raises CredentialsUnavailable: the file is incomplete, or of a kind that is not supported:
        subjects by an executable or by AWS's signature.
    :raises RemoteFailure: Google refuses, or is not there.
    """
    subject = await _subject_token(near, settings)
    impersonation = settings.get("service_account_impersonation_url")
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": text_of(settings, "audience"),
        "scope": PLATFORM_SCOPE if impersonation else scope,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": text_of(settings, "subject_token_type"),
        "subject_token": subject,
    }
    headers: tuple[Header, ...] = ()
    if "client_id" in settings:  # RFC 6749, 2.3.1
        client = f"{text_of(settings, 'client_id')}:{text_of(settings, 'client_secret')}"
        headers = ((b"authorization", b"Basic " + b64encode(client.encode())),)
    said = await near.post_form(text_of(settings, "token_url"), fields, headers)
    lease = token_lease(said, near.now, "Google's token exchange")
    if not impersonation:
        return lease
    options = settings.get("service_account_impersonation")
    lifetime = options.get("token_lifetime_seconds") if isinstance(options, dict) else None
    return await impersonated_token(
        near,
        text_of(settings, "service_account_impersonation_url"),
        lease.value,
        scope,
        lifetime if isinstance(lifetime, int) else _LIFETIME,
    )


async def _subject_token(near: Surroundings, settings: Settings) -> str:
    source = settings.get("credential_source")
    if not isinstance(source, dict):
        raise CredentialsUnavailable("Google's credentials file has no credential_source")
    if "file" in source:
        text = await near.text(text_of(source, "file"))
    elif "url" in source:
        given = source.get("headers", {})
        headers = tuple(
            (str(name).lower().encode(), str(value).encode())
            for name, value in (given.items() if isinstance(given, dict) else ())
        )
        request = request_to("GET", text_of(source, "url"), headers)
        place = near.tokens if request.origin.scheme == "https" else near.metadata
        _, answer = await place.fetch(request)
        text = answer.decode("utf-8", "replace").strip()
    else:
        raise CredentialsUnavailable("only a file or a URL is supported as credential_source")
    form = source.get("format")
    if isinstance(form, dict) and form.get("type") == "json":
        text = text_of(json_object(text.encode()), text_of(form, "subject_token_field_name"))
    if not text:
        raise CredentialsUnavailable("the subject's token is empty")
    return text
