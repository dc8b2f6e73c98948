"""From settings to a store in Azure: which server, how it is spoken to, who signs."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bleepstore.blobs.azure import AzureBlobStore
from bleepstore.blobs.azure_calls import AzureCalls
from bleepstore.config.storage_sections import AzureStorageConfig
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.remote.azure_credentials import azure_account
from bleepstore.remote.azure_signing import CopySourceAuthorizer
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import EndpointFor, Limits
from bleepstore.remote.refusals import read_azure_refusal
from bleepstore.remote.requests import parse_endpoint
from bleepstore.remote.retries import Policy
from bleepstore.remote.service import Authorizer, Service
from bleepstore.remote.surroundings import Surroundings


def azure_store(
    config: AzureStorageConfig,
    near: Surroundings,
    clock: IReactorTime,
    now: Now,
    endpoint_for: EndpointFor,
    dice: Dice,
    *,
    limits: Limits | None = None,
    policy: Policy | None = None,
) -> AzureBlobStore:
    """The store that the settings mean.

    :raises ValueError: what is configured, or what the environment has, is malformed or
        incomplete; the message is for the operator.
    """
    account, authorizer = azure_account(
        near,
        config.account,
        config.endpoint_url,
        config.connection_string,
        config.use_managed_identity,
    )
    origin, base = parse_endpoint(account.endpoint)
    client = RemoteClient(clock, endpoint_for, limits)
    service = Service("azure", client, authorizer, read_azure_refusal, clock, now, dice, policy)
    sources: Authorizer = authorizer
    if account.key:
        sources = CopySourceAuthorizer(account.name, account.key, config.container, now)
    calls = AzureCalls(service, sources, origin, base, config.container)
    where = f"azure:{config.container}@{account.name}"
    return AzureBlobStore(calls, config.prefix, clock, (near, client), where)
