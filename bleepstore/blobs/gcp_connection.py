"""From settings to a store in Cloud Storage: which server, how it is spoken to, who signs."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bleepstore.blobs.gcp import GcpBlobStore
from bleepstore.blobs.gcp_calls import GcpCalls
from bleepstore.config.storage_sections import GcpStorageConfig
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import EndpointFor, Limits
from bleepstore.remote.google_credentials import google_authorizer
from bleepstore.remote.refusals import read_google_refusal
from bleepstore.remote.requests import Origin, parse_endpoint
from bleepstore.remote.retries import Policy
from bleepstore.remote.service import Anonymous, Authorizer, Service
from bleepstore.remote.surroundings import Surroundings

ENDPOINT = "https://storage.googleapis.com"


def gcp_authorizer(config: GcpStorageConfig, origin: Origin, near: Surroundings) -> Authorizer:
    """Who speaks for us: Google's usual chain.

    An emulator without TLS is sent nothing, unless the settings name a file: what the chain finds
    on this machine is not meant for it.
    """
    if origin.scheme == "http" and not config.credentials_file:
        return Anonymous()
    return google_authorizer(near, config.credentials_file)


def gcp_store(
    config: GcpStorageConfig,
    near: Surroundings,
    clock: IReactorTime,
    now: Now,
    endpoint_for: EndpointFor,
    dice: Dice,
    *,
    limits: Limits | None = None,
    policy: Policy | None = None,
) -> GcpBlobStore:
    """The store that the settings mean.

    :raises ValueError: the endpoint is no URL.
    """
    origin, base = parse_endpoint(config.endpoint_url or ENDPOINT)
    client = RemoteClient(clock, endpoint_for, limits)
    service = Service(
        "gcp",
        client,
        gcp_authorizer(config, origin, near),
        read_google_refusal,
        clock,
        now,
        dice,
        policy,
    )
    calls = GcpCalls(service, origin, base, config.bucket, config.project)
    where = f"gcp:{config.bucket}"
    return GcpBlobStore(calls, config.bucket, config.prefix, clock, (near, client), where)
