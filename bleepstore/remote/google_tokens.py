"""Access tokens of Google, from what a credentials file or the machine holds.

Sources: "Using OAuth 2.0 for Server to Server Applications" (service accounts), "Using OAuth 2.0
for Web Server Applications, Refreshing an access token" (authorized users), "View and query VM
metadata" (metadata server), "Create short-lived credentials for a service account"
(impersonation).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bleepstore.interfaces.threads import Now
from bleepstore.remote.bearer import BearerToken, token_lease
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import Header
from bleepstore.remote.surroundings import JSON, Surroundings, request_to, with_secrets
from bleepstore.wire.dates import parse_iso_date

TOKEN_URI = "https://oauth2.googleapis.com/token"
STORAGE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
PLATFORM_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

_METADATA_HOST = "metadata.google.internal"
_METADATA_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
_FLAVOR: Header = (b"metadata-flavor", b"Google")

_ASSERTION_SECONDS = 3600

Settings = dict[str, Any]
"""The content of a credentials file."""


def text_of(settings: Settings, name: str, otherwise: str | None = None) -> str:
    """A field of a credentials file.

    :raises CredentialsUnavailable: it is missing, and nothing stands in for it.
    """
    value = settings.get(name, otherwise)
    if not isinstance(value, str) or not value:
        raise CredentialsUnavailable(f"Google's credentials file has no {name}")
    return value


async def service_account_token(
    near: Surroundings, settings: Settings, scope: str
) -> Lease[BearerToken]:
    """That of a service account whose key we have, for an assertion signed with it (RFC 7523).

    :raises CredentialsUnavailable: the key is none.
    :raises RemoteFailure: Google refuses it, or is not there.
    """
    url = text_of(settings, "token_uri", TOKEN_URI)
    assertion = signed_assertion(
        text_of(settings, "private_key"),
        settings.get("private_key_id"),
        issuer=text_of(settings, "client_email"),
        audience=url,
        scope=scope,
        now=near.now,
    )
    said = await near.post_form(
        url,
        {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion},
    )
    return token_lease(said, near.now, "Google")


def signed_assertion(
    private_key: str, key_id: object, *, issuer: str, audience: str, scope: str, now: Now
) -> str:
    """A JWT signed with RS256 (RFC 7515, 7518 section 3.3).

    :param private_key: in PEM.
    :raises CredentialsUnavailable: it is no RSA key.
    """
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise CredentialsUnavailable("the private_key of Google's credentials file is no RSA key")
    header = {"alg": "RS256", "typ": "JWT"}
    if isinstance(key_id, str):
        header["kid"] = key_id
    issued = now() // 1000
    claims = {
        "iss": issuer,
        "scope": scope,
        "aud": audience,
        "iat": issued,
        "exp": issued + _ASSERTION_SECONDS,
    }
    signed = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
    signature = key.sign(signed, PKCS1v15(), SHA256())
    return (signed + b"." + _base64url(signature)).decode()


async def authorized_user_token(near: Surroundings, settings: Settings) -> Lease[BearerToken]:
    """That of a user who has logged in with gcloud; its scope is what they agreed to.

    :raises RemoteFailure: Google refuses, or is not there.
    """
    said = await near.post_form(
        text_of(settings, "token_uri", TOKEN_URI),
        {
            "grant_type": "refresh_token",
            "client_id": text_of(settings, "client_id"),
            "client_secret": text_of(settings, "client_secret"),
            "refresh_token": text_of(settings, "refresh_token"),
        },
    )
    return token_lease(said, near.now, "Google")


async def metadata_token(near: Surroundings) -> Lease[BearerToken]:
    """That of the machine's default service account.

    :raises CredentialsUnavailable: what answers is not Google's metadata server.
    :raises RemoteFailure: there is none.
    """
    host = near.environ.get("GCE_METADATA_HOST") or _METADATA_HOST
    request = request_to("GET", f"http://{host}{_METADATA_TOKEN}", (_FLAVOR,))
    answer, text = await near.metadata.fetch(request)
    if answer.header(b"metadata-flavor") != "Google":
        raise CredentialsUnavailable(f"{host} is not Google's metadata server")
    return token_lease(json_object(text), near.now, "Google's metadata server")


async def impersonated_token(
    near: Surroundings, url: str, source: BearerToken, scope: str, lifetime: int
) -> Lease[BearerToken]:
    """That of a service account which the holder of another token may act as.

    :param url: of ``generateAccessToken`` of that account.
    :param lifetime: seconds.
    :raises RemoteFailure: Google refuses, or is not there.
    """
    body = msgspec.json.encode({"scope": [scope], "lifetime": f"{lifetime}s"})
    authorization: Header = (b"authorization", b"Bearer " + source.token.encode())
    _, answer = await near.tokens.fetch(
        with_secrets(request_to("POST", url, (JSON, authorization), body))
    )
    said = json_object(answer)
    token, expires = said.get("accessToken"), said.get("expireTime")
    time = parse_iso_date(expires) if isinstance(expires, str) else None
    if not isinstance(token, str) or not token or time is None:
        raise CredentialsUnavailable("Google gave an answer without a token")
    return Lease(BearerToken(token), time)


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
