"""Stores in a container of a real server, each test below a prefix of its own."""

from __future__ import annotations

import itertools
import os
from typing import Any

from twisted.internet import reactor

from bleepstore.blobs.azure import AzureBlobStore
from bleepstore.blobs.azure_connection import azure_store
from bleepstore.config.storage_sections import AzureStorageConfig
from bleepstore.remote.connections import Limits, endpoints
from bleepstore.remote.retries import Policy
from bleepstore.remote.surroundings import Surroundings
from tests.blobs.aws_world import now, read_file
from tests.integration.azurite import CONTAINER, connection_string

_numbers = itertools.count(1)


def new_prefix() -> str:
    return f"some/prefix {next(_numbers)}-"


def make_store(
    url: str,
    prefix: str = "",
    limits: Limits | None = None,
    policy: Policy | None = None,
    environ: dict[str, str] | None = None,
    **settings: Any,
) -> AzureBlobStore:
    """A store on the real reactor."""
    config = AzureStorageConfig(
        **{
            "container": CONTAINER,
            "prefix": prefix,
            "connection_string": connection_string(url),
            **settings,
        }
    )
    endpoint_for = endpoints(reactor)
    clock: Any = reactor
    near = Surroundings(environ or {}, read_file, now, clock, endpoint_for, os.urandom)
    return azure_store(
        config, near, clock, now, endpoint_for, os.urandom, limits=limits, policy=policy
    )
