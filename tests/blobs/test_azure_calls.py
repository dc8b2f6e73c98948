"""The calls to Azure: how a copy's source is opened, and what its refusals are for a client."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from bleepstore.blobs.azure_calls import AzureCalls, translated
from bleepstore.blobs.azure_messages import Run
from bleepstore.errors import (
    AccessDenied,
    Displaced,
    EntityTooLarge,
    InternalError,
    NotImplemented,
    OperationAborted,
    RequestTimeout,
    SlowDown,
    StoreError,
)
from bleepstore.remote.azure_signing import CopySourceAuthorizer, SasAuthorizer
from bleepstore.remote.bearer import BearerAuthorizer, BearerToken
from bleepstore.remote.exchange import Answer
from bleepstore.remote.failures import CredentialsUnavailable, ProviderError, Refusal
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.requests import Origin, RemoteRequest
from tests.remote.machine import NOW, machine

ORIGIN = Origin("https", "account.blob.core.windows.net", 443)
RUN = Run("a b/ü", "0x8D", 100, 50)


class Recorder:
    """A service that takes everything."""

    def __init__(self) -> None:
        self.requests: list[RemoteRequest] = []

    async def call(self, request: RemoteRequest, *_: Any) -> Answer:
        self.requests.append(request)
        body: Any = self
        return Answer(201, {b"etag": b'"0x8E"'}, 0, body)

    def close(self) -> None:
        pass


async def sent(authorizer: Any) -> tuple[RemoteRequest, dict[bytes, bytes]]:
    """The request that copies a run, and its headers."""
    service: Any = Recorder()
    await AzureCalls(service, authorizer, ORIGIN, "", "container").copy_block("to", "YQ==", RUN)
    (request,) = service.requests
    return request, dict(request.headers)


SOURCE = b"https://account.blob.core.windows.net/container/a%20b/%C3%BC"


@pytest_twisted.ensureDeferred
async def test_a_source_is_opened_by_a_signature_where_there_is_a_key() -> None:
    authorizer = CopySourceAuthorizer("account", b"key", "container", lambda: NOW)
    request, headers = await sent(authorizer)
    assert request.target == b"/container/to?comp=block&blockid=YQ%3D%3D"
    assert request.body is None
    source = headers[b"x-ms-copy-source"]
    assert source.startswith(SOURCE + b"?sv=2021-12-02&se=2026-09-21T15%3A13%3A20Z&sr=c&sp=r&sig=")
    assert headers[b"x-ms-source-range"] == b"bytes=100-149"
    assert headers[b"x-ms-source-if-match"] == b'"0x8D"'
    assert headers[b"x-ms-version"] == b"2021-12-02"
    assert b"key" not in repr(authorizer).encode()


@pytest_twisted.ensureDeferred
async def test_or_by_the_signature_that_we_have_been_given() -> None:
    _, headers = await sent(SasAuthorizer("?sv=1&sig=a%3D"))
    assert headers[b"x-ms-copy-source"] == SOURCE + b"?sv=1&sig=a%3D"


@pytest_twisted.ensureDeferred
async def test_or_by_our_token() -> None:
    async with machine() as made:

        async def find() -> Lease[BearerToken]:
            return Lease(BearerToken("secret"), None)

        _, headers = await sent(BearerAuthorizer(made.near.held("Azure", find)))
    assert headers[b"x-ms-copy-source"] == SOURCE
    assert headers[b"x-ms-copy-source-authorization"] == b"Bearer secret"
    assert b"authorization" not in headers  # the request's own is its authorizer's affair


@pytest_twisted.ensureDeferred
async def test_without_credentials_nothing_is_copied() -> None:
    class Nobody:
        async def authorize(self, request: RemoteRequest) -> RemoteRequest:
            raise CredentialsUnavailable("nothing is configured")

    with pytest.raises(StoreError) as caught:
        await sent(Nobody())
    assert caught.value.code == "ServiceUnavailable"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "BlobNotFound", Displaced),
        (404, "CannotVerifyCopySource", Displaced),
        (409, "BlobAlreadyExists", Displaced),
        (412, "ConditionNotMet", Displaced),
        (412, "SourceConditionNotMet", Displaced),
        (412, "LeaseIdMissing", OperationAborted),
        (400, "InvalidBlobOrBlock", OperationAborted),
        (409, "InvalidBlobType", NotImplemented),
        (409, "BlobImmutableDueToPolicy", AccessDenied),
        (409, "BlobImmutableDueToLegalHold", AccessDenied),
        (409, "BlobArchived", AccessDenied),
        (409, "BlobBeingRehydrated", AccessDenied),
        (409, "PendingCopyOperation", OperationAborted),
        (413, "RequestBodyTooLarge", EntityTooLarge),
        (409, "BlockCountExceedsLimit", EntityTooLarge),
        (403, "AuthorizationPermissionMismatch", AccessDenied),
        (403, "CannotVerifyCopySource", AccessDenied),
        (404, "ContainerNotFound", InternalError),
        (404, "", InternalError),
        (500, "OperationTimedOut", InternalError),
        (503, "ServerBusy", SlowDown),
        (504, "", RequestTimeout),
        (400, "InvalidHeaderValue", InternalError),
    ],
)
def test_what_a_refusal_is(status: int, code: str, kind: type[StoreError]) -> None:
    refusal = Refusal(ProviderError(status=status, code=code, message="of account hunter2"))
    error = translated(refusal)
    assert type(error) is kind
    assert "hunter2" not in error.message
