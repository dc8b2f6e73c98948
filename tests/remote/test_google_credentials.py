"""Google's usual chain, against endpoints that check each request strictly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted

from bleepstore.remote.bearer import BearerToken
from bleepstore.remote.failures import CredentialsUnavailable, ProviderError, Refusal
from bleepstore.remote.google_credentials import GoogleChain, google_authorizer
from bleepstore.remote.google_tokens import PLATFORM_SCOPE, STORAGE_SCOPE
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.requests import Origin, RemoteRequest
from tests.fakes.google_tokens import GoogleTokens, ServiceAccount
from tests.remote.machine import NOW, Machine, machine

ACCOUNT = ServiceAccount("app@project.iam.example", "https://oauth2.googleapis.com/token")
ADC = "/home/me/.config/gcloud/application_default_credentials.json"
IMPERSONATE = (
    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
    "other@project.iam.example:generateAccessToken"
)


@asynccontextmanager
async def world() -> AsyncIterator[tuple[Machine, GoogleTokens]]:
    async with machine() as made:
        google = GoogleTokens(made.now)
        google.accounts[ACCOUNT.email] = ACCOUNT
        await made.network.serve(
            google.app,
            "https://oauth2.googleapis.com",
            "https://sts.googleapis.com",
            "https://iamcredentials.googleapis.com",
            "http://metadata.google.internal",
            "http://169.254.169.254",
        )
        yield made, google


async def find(made: Machine, path: str = "") -> Lease[BearerToken]:
    return await GoogleChain(made.near, path).find()


def user(**more: str) -> dict[str, str]:
    return {
        "type": "authorized_user",
        "client_id": "client-1",
        "client_secret": "client-secret-1",
        "refresh_token": "refresh-1",
        **more,
    }


def external(google: GoogleTokens, source: dict[str, Any], **more: Any) -> str:
    return json.dumps(
        {
            "type": "external_account",
            "audience": google.audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": source,
            **more,
        }
    )


@pytest_twisted.ensureDeferred
async def test_a_service_accounts_key() -> None:
    async with world() as (made, google):
        made.files["/key.json"] = ACCOUNT.credentials_file()
        lease = await find(made, "/key.json")
        assert (lease.value, lease.expires) == (BearerToken("ya29.1"), NOW + 3_600_000)
        assert google.tokens == {"ya29.1": STORAGE_SCOPE}
        made.environ["GOOGLE_APPLICATION_CREDENTIALS"] = "/key.json"
        made.files[ADC] = "{}"
        assert (await find(made)).value == BearerToken("ya29.2")
        assert google.refused == []


@pytest_twisted.ensureDeferred
async def test_a_key_that_is_not_taken() -> None:
    async with world() as (made, _google):
        stranger = ServiceAccount(ACCOUNT.email, ACCOUNT.token_uri)
        made.files["/key.json"] = stranger.credentials_file()
        with pytest.raises(Refusal) as caught:
            await find(made, "/key.json")
        assert caught.value.error.code == "invalid_grant"
        assert caught.value.error.message == "Invalid JWT Signature."


@pytest_twisted.ensureDeferred
async def test_files_that_cannot_be_used_are_not_quoted() -> None:
    async with world() as (made, _):
        for text, why in (
            ("SECRET", "JSON"),
            ('["SECRET"]', "JSON"),
            ('{"type": "SECRET-kind"}', "type"),
            (ACCOUNT.credentials_file(private_key="SECRET"), "RSA"),
            (ACCOUNT.credentials_file(client_email=""), "client_email"),
            (ACCOUNT.credentials_file(token_uri="http://evil.example/token"), "clear"),
            (ACCOUNT.credentials_file(token_uri="nowhere"), "URL"),
            (ACCOUNT.credentials_file(universe_domain="example.com"), "universe domain"),
            (json.dumps({"type": "authorized_user"}), "client_id"),
            (json.dumps({"type": "external_account"}), "credential_source"),
        ):
            made.files["/key.json"] = text
            with pytest.raises(CredentialsUnavailable, match=why) as caught:
                await find(made, "/key.json")
            assert "SECRET" not in str(caught.value).replace("SECRET-kind", "")
        with pytest.raises(CredentialsUnavailable, match=r"/gone\.json cannot be read"):
            await find(made, "/gone.json")


@pytest_twisted.ensureDeferred
async def test_a_user_of_gcloud() -> None:
    async with world() as (made, _google):
        made.files[ADC] = json.dumps(user())
        assert (await find(made)).value == BearerToken("ya29.1")
        made.environ["CLOUDSDK_CONFIG"] = "/gcloud"
        made.files["/gcloud/application_default_credentials.json"] = json.dumps(
            user(refresh_token="revoked")
        )
        with pytest.raises(Refusal, match="invalid_grant"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_the_metadata_server() -> None:
    async with world() as (made, google):
        lease = await find(made)
        assert (lease.value, lease.expires) == (BearerToken("ya29.1"), NOW + 3_600_000)
        assert made.network.connected == ["http://metadata.google.internal"]
        google.flavor = "Other"
        with pytest.raises(CredentialsUnavailable, match="not Google's"):
            await find(made)
        google.flavor = "Google"
        made.environ["GCE_METADATA_HOST"] = "169.254.169.254"
        await find(made)


@pytest_twisted.ensureDeferred
async def test_a_machine_without_any() -> None:
    async with machine() as made:
        with pytest.raises(CredentialsUnavailable, match="no metadata server of this machine"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_federation_by_a_file() -> None:
    async with world() as (made, google):
        google.subjects = {"subject-1"}
        made.files["/key.json"] = external(google, {"file": "/subject"})
        made.files["/subject"] = "subject-1\n"
        assert (await find(made, "/key.json")).value == BearerToken("ya29.1")
        assert google.tokens["ya29.1"] == STORAGE_SCOPE
        form = {"type": "json", "subject_token_field_name": "jwt"}
        made.files["/key.json"] = external(google, {"file": "/subject", "format": form})
        made.files["/subject"] = '{"jwt": "subject-1"}'
        await find(made, "/key.json")
        made.files["/subject"] = '{"other": "subject-1"}'
        with pytest.raises(CredentialsUnavailable, match="jwt"):
            await find(made, "/key.json")
        assert google.refused == []


@pytest_twisted.ensureDeferred
async def test_federation_by_a_url_with_impersonation_and_a_client() -> None:
    async with world() as (made, google):
        google.subjects = {"subject-1"}
        google.basic = "client:secret"
        source = {
            "url": "http://169.254.169.254/subject?x=1",
            "headers": {"X-Proof": "proof"},
            "format": {"type": "json", "subject_token_field_name": "id_token"},
        }
        made.files["/key.json"] = external(
            google,
            source,
            client_id="client",
            client_secret="secret",
            service_account_impersonation_url=IMPERSONATE,
            service_account_impersonation={"token_lifetime_seconds": 600},
        )
        lease = await find(made, "/key.json")
        assert google.tokens == {"ya29.1": PLATFORM_SCOPE, "ya29.2": STORAGE_SCOPE}
        assert (lease.value, lease.expires) == (BearerToken("ya29.2"), NOW + 600_000)


@pytest_twisted.ensureDeferred
async def test_federation_of_kinds_that_are_not_supported() -> None:
    async with world() as (made, google):
        for source in ({"executable": {"command": "x"}}, {"environment_id": "aws1"}, {}):
            made.files["/key.json"] = external(google, source)
            with pytest.raises(CredentialsUnavailable, match="supported"):
                await find(made, "/key.json")


@pytest_twisted.ensureDeferred
async def test_a_user_who_acts_as_a_service_account() -> None:
    async with world() as (made, google):
        made.files["/key.json"] = json.dumps(
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": IMPERSONATE,
                "source_credentials": json.loads(ACCOUNT.credentials_file()),
            }
        )
        assert (await find(made, "/key.json")).value == BearerToken("ya29.2")
        assert google.tokens["ya29.2"] == STORAGE_SCOPE


@pytest_twisted.ensureDeferred
async def test_requests_carry_the_token_and_never_in_the_clear() -> None:
    async with world() as (made, _google):
        made.files["/key.json"] = ACCOUNT.credentials_file()
        authorizer = google_authorizer(made.near, "/key.json")
        request = RemoteRequest(
            method="GET", origin=Origin("https", "storage.googleapis.com", 443), target=b"/"
        )
        assert (b"authorization", b"Bearer ya29.1") in (await authorizer.authorize(request)).headers
        assert authorizer.rejected(Refusal(ProviderError(status=401)))
        assert not authorizer.rejected(Refusal(ProviderError(status=403)))
        assert (b"authorization", b"Bearer ya29.2") in (await authorizer.authorize(request)).headers
        clear = RemoteRequest(method="GET", origin=Origin("http", "a.example", 80), target=b"/")
        with pytest.raises(CredentialsUnavailable, match="clear"):
            await authorizer.authorize(clear)


def test_no_token_is_shown() -> None:
    assert "ya29" not in repr(BearerToken("ya29.secret"))
