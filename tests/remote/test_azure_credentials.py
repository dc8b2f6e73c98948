"""Azure's usual chain, against endpoints that check each request strictly."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_twisted

from bleepstore.remote.azure_connection import (
    DEVELOPMENT_ACCOUNT,
    AzureAccount,
    parse_connection_string,
)
from bleepstore.remote.azure_credentials import AzureChain, azure_account
from bleepstore.remote.azure_signing import SasAuthorizer, SharedKeyAuthorizer
from bleepstore.remote.bearer import BearerAuthorizer, BearerToken
from bleepstore.remote.failures import CredentialsUnavailable, Refusal
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.requests import Origin, RemoteRequest, Upload
from tests.fakes.azure_tokens import AzureTokens
from tests.remote.machine import NOW, Machine, machine
from tests.remote.memory import Source, result

KEY = b64encode(b"key").decode()
ISSUED = BearerToken("eyJ.1")


@asynccontextmanager
async def world() -> AsyncIterator[tuple[Machine, AzureTokens]]:
    async with machine() as made:
        azure = AzureTokens(made.now)
        await made.network.serve(
            azure.app,
            "https://login.microsoftonline.com",
            "https://login.example",
            "http://169.254.169.254",
            "http://127.0.0.1:41741",
        )
        yield made, azure


async def find(made: Machine, managed: bool = False) -> Lease[BearerToken]:
    return await AzureChain(made.near, managed).find()


@pytest_twisted.ensureDeferred
async def test_a_clients_secret() -> None:
    async with world() as (made, azure):
        azure.secrets["client-1"] = "client-secret"
        made.environ |= {
            "AZURE_TENANT_ID": "tenant-1",
            "AZURE_CLIENT_ID": "client-1",
            "AZURE_CLIENT_SECRET": "client-secret",
        }
        lease = await find(made)
        assert (lease.value, lease.expires) == (ISSUED, NOW + 3_600_000)
        for authority in ("https://login.example/", "login.example", ""):
            made.environ["AZURE_AUTHORITY_HOST"] = authority
            await find(made)
        made.environ["AZURE_CLIENT_SECRET"] = "wrong"
        with pytest.raises(Refusal) as caught:
            await find(made)
        assert caught.value.error.request_id == "request-1"
        assert caught.value.error.message == "AADSTS7000215: proof"
        del made.environ["AZURE_TENANT_ID"]
        with pytest.raises(CredentialsUnavailable, match="AZURE_TENANT_ID"):
            await find(made)


@pytest_twisted.ensureDeferred
async def test_workload_identity_reads_its_token_each_time() -> None:
    async with world() as (made, azure):
        made.environ |= {
            "AZURE_TENANT_ID": "tenant-1",
            "AZURE_CLIENT_ID": "client-1",
            "AZURE_FEDERATED_TOKEN_FILE": "/token",
        }
        for assertion in ("one", "two"):
            azure.assertions["client-1"] = assertion
            made.files["/token"] = assertion + "\n"
            await find(made)
        assert azure.refused == []


@pytest_twisted.ensureDeferred
async def test_the_identity_of_a_machine() -> None:
    async with world() as (made, azure):
        lease = await find(made)
        assert (lease.value, lease.expires) == (ISSUED, NOW + 3_600_000)
        azure.user_assigned = "client-1"
        made.environ |= {"AZURE_CLIENT_ID": "client-1", "AZURE_CLIENT_SECRET": "ignored"}
        await find(made, managed=True)
        assert azure.refused == []
        assert set(made.network.connected) == {"http://169.254.169.254"}


@pytest_twisted.ensureDeferred
async def test_the_identity_of_an_app_service() -> None:
    async with world() as (made, _azure):
        made.environ["IDENTITY_ENDPOINT"] = "http://127.0.0.1:41741/msi/token"
        with pytest.raises(CredentialsUnavailable, match="IDENTITY_HEADER"):
            await find(made)
        made.environ["IDENTITY_HEADER"] = "identity-header"
        lease = await find(made)
        assert (lease.value, lease.expires) == (ISSUED, NOW + 3_600_000)


@pytest_twisted.ensureDeferred
async def test_which_account_and_what_opens_it() -> None:
    async with machine() as made:
        connection = f"AccountName=acc;AccountKey={KEY};EndpointSuffix=core.example"
        account, opens = azure_account(made.near, connection_string=connection)
        assert account == AzureAccount("acc", "https://acc.blob.core.example", b"key")
        assert isinstance(opens, SharedKeyAuthorizer)
        account, opens = azure_account(
            made.near, connection_string=connection, endpoint_url="http://127.0.0.1:1/acc"
        )
        assert account.endpoint == "http://127.0.0.1:1/acc"
        account, opens = azure_account(made.near, account="mine")
        assert account == AzureAccount("mine", "https://mine.blob.core.windows.net")
        assert isinstance(opens, BearerAuthorizer)
        made.environ["AZURE_STORAGE_SAS_TOKEN"] = "?sv=1&sig=x"
        _, opens = azure_account(made.near, account="mine")
        assert isinstance(opens, SasAuthorizer)
        made.environ["AZURE_STORAGE_KEY"] = KEY
        _, opens = azure_account(made.near, account="mine")
        assert isinstance(opens, SharedKeyAuthorizer)
        _, opens = azure_account(made.near, account="mine", managed=True)
        assert isinstance(opens, BearerAuthorizer)
        made.environ["AZURE_STORAGE_CONNECTION_STRING"] = connection
        account, _ = azure_account(made.near)
        assert account.name == "acc"
        made.environ.clear()
        with pytest.raises(ValueError, match="neither an account nor"):
            azure_account(made.near)


@pytest.mark.parametrize(
    ("text", "account"),
    [
        (
            f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={KEY}",
            AzureAccount("a", "http://a.blob.core.windows.net", b"key"),
        ),
        (
            f"BlobEndpoint=http://127.0.0.1:10000/acc/;AccountName=acc;AccountKey={KEY};",
            AzureAccount("acc", "http://127.0.0.1:10000/acc/", b"key"),
        ),
        (
            "BlobEndpoint=https://mine.blob.core.windows.net;SharedAccessSignature=?sv=1&sig=a%3D",
            AzureAccount("mine", "https://mine.blob.core.windows.net", b"", "sv=1&sig=a%3D"),
        ),
    ],
)
def test_connection_strings(text: str, account: AzureAccount) -> None:
    assert parse_connection_string(text) == account


def test_the_connection_string_of_the_emulator() -> None:
    account = parse_connection_string("UseDevelopmentStorage=true")
    assert account.name == DEVELOPMENT_ACCOUNT
    assert account.endpoint == "http://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "without a value"),
        ("SECRET", "without a value"),
        ("AccountKey=U0VDUkVU", "neither"),
        ("AccountName=a", "neither"),
        ("BlobEndpoint=http://127.0.0.1:1/a;AccountKey=U0VDUkVU", "no AccountName"),
        ("AccountName=a;AccountKey=SECRET*", "base64"),
        ("BlobEndpoint=SECRET;AccountName=a;AccountKey=U0VDUkVU", "no URL"),
    ],
)
def test_connection_strings_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_connection_string(text)
    assert "SECRET" not in str(caught.value)


REQUEST = RemoteRequest(
    method="PUT",
    origin=Origin("https", "acc.blob.core.windows.net", 443),
    target=b"/c/b?comp=block",
    headers=((b"x-ms-version", b"2021-12-02"),),
    body=b"data",
)


def test_a_key_signs_with_the_date() -> None:
    opens = SharedKeyAuthorizer("acc", b"key", lambda: 0)
    headers = dict(result(opens.authorize(REQUEST)).headers)
    assert headers[b"x-ms-date"] == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert headers[b"authorization"].startswith(b"SharedKey acc:")
    stream = Upload(lambda: Source(b"data"), 4)
    same = RemoteRequest(
        method="PUT",
        origin=REQUEST.origin,
        target=REQUEST.target,
        headers=REQUEST.headers,
        body=stream,
    )
    assert dict(result(opens.authorize(same)).headers) == headers
    unknown = RemoteRequest(
        method="PUT", origin=REQUEST.origin, target=b"/", body=Upload(lambda: Source(), None)
    )
    with pytest.raises(ValueError, match="length"):
        result(opens.authorize(unknown))


def test_a_shared_access_signature_joins_the_query() -> None:
    opens = SasAuthorizer("?sv=1&sig=a%2Bb")
    assert result(opens.authorize(REQUEST)).target == b"/c/b?comp=block&sv=1&sig=a%2Bb"
    plain = RemoteRequest(method="GET", origin=REQUEST.origin, target=b"/c/b")
    assert result(opens.authorize(plain)).target == b"/c/b?sv=1&sig=a%2Bb"


def test_no_secret_is_shown() -> None:
    account = AzureAccount("acc", "https://x", b"secret", "sig=secret")
    for shown in (account, SharedKeyAuthorizer("acc", b"secret", int), SasAuthorizer("sig=secret")):
        assert "secret" not in repr(shown)
