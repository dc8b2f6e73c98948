"""Stores in a bucket of a real S3 server, each test below a prefix of its own."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from twisted.internet import reactor

from bleepstore.blobs.aws import AwsBlobStore
from bleepstore.blobs.aws_connection import aws_store
from bleepstore.config.storage_sections import AwsStorageConfig
from bleepstore.remote.connections import Limits, endpoints
from bleepstore.remote.retries import Policy
from bleepstore.remote.surroundings import Surroundings

BUCKET = "backing"
_numbers = itertools.count(1)


def now() -> int:
    return time.time_ns() // 1_000_000


async def read_file(path: str) -> bytes:
    raise FileNotFoundError(path)


def new_prefix() -> str:
    return f"some/prefix {next(_numbers)}-"


def make_store(
    url: str,
    prefix: str = "",
    limits: Limits | None = None,
    policy: Policy | None = None,
    **settings: Any,
) -> AwsBlobStore:
    """A store on the real reactor."""
    config = AwsStorageConfig(
        **{
            "bucket": BUCKET,
            "prefix": prefix,
            "endpoint_url": url,
            "access_key_id": "bleepstore",
            "secret_access_key": "bleepstore-secret",
            **settings,
        }
    )
    endpoint_for = endpoints(reactor)
    clock: Any = reactor
    near = Surroundings({}, read_file, now, clock, endpoint_for, os.urandom)
    return aws_store(
        config, near, clock, now, endpoint_for, os.urandom, limits=limits, policy=policy
    )
