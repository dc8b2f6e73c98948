"""From settings to a store in AWS S3: which server, how it is spoken to, who signs."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bleepstore.blobs.aws import AwsBlobStore
from bleepstore.blobs.aws_calls import AwsCalls
from bleepstore.config.addresses import is_address
from bleepstore.config.storage_sections import AwsStorageConfig
from bleepstore.interfaces.threads import Dice, Now
from bleepstore.remote.aws_credentials import aws_authorizer
from bleepstore.remote.aws_regions import domain_of
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import EndpointFor, Limits
from bleepstore.remote.refusals import read_aws_refusal
from bleepstore.remote.requests import Origin, parse_endpoint
from bleepstore.remote.retries import Policy
from bleepstore.remote.service import Service
from bleepstore.remote.surroundings import Surroundings


def aws_origin(config: AwsStorageConfig) -> tuple[Origin, str]:
    """The server, and the path before a key: empty where the bucket is in the host's name.

    It is not where the settings say so, where the host is an address, and where the bucket's name
    has dots, for which no wildcard certificate stands ("Virtual hosting of general purpose
    buckets", S3 User Guide).

    :raises ValueError: the endpoint is no URL.
    """
    url = config.endpoint_url or _endpoint_of(config.region)
    origin, path = parse_endpoint(url)
    if (
        config.use_path_style
        or path
        or origin.host == "localhost"
        or is_address(origin.host)
        or (origin.scheme == "https" and "." in config.bucket)
    ):
        return origin, f"{path}/{config.bucket}"
    return Origin(origin.scheme, f"{config.bucket}.{origin.host}", origin.port), ""


def _endpoint_of(region: str) -> str:
    return f"https://s3.{region}.{domain_of(region)}"


def aws_store(
    config: AwsStorageConfig,
    near: Surroundings,
    clock: IReactorTime,
    now: Now,
    endpoint_for: EndpointFor,
    dice: Dice,
    *,
    limits: Limits | None = None,
    policy: Policy | None = None,
) -> AwsBlobStore:
    """The store that the settings mean.

    :raises ValueError: as :func:`aws_origin`.
    """
    origin, base = aws_origin(config)
    client = RemoteClient(clock, endpoint_for, limits)
    service = Service(
        "aws",
        client,
        aws_authorizer(near, config.region, config.access_key_id, config.secret_access_key),
        read_aws_refusal,
        clock,
        now,
        dice,
        policy,
    )
    calls = AwsCalls(service, origin, base, config.bucket)
    return AwsBlobStore(calls, config.prefix, clock, (near, client), f"aws:{config.bucket}")
