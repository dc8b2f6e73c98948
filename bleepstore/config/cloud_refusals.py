"""Settings of a gateway that contradict themselves, or say too little."""

from __future__ import annotations

from urllib.parse import urlsplit

from bleepstore.config.problems import Found
from bleepstore.config.sections import Config
from bleepstore.config.storage_sections import (
    AwsStorageConfig,
    AzureStorageConfig,
    GcpStorageConfig,
)


def cloud_problems(config: Config) -> Found:
    """What keeps a node from being a gateway, where it is to be one."""
    backend = config.storage.backend
    if backend == "aws":
        found = _aws(config.storage.aws)
    elif backend == "gcp":
        found = _gcp(config.storage.gcp)
    elif backend == "azure":
        found = _azure(config.storage.azure)
    elif config.storage.cache.dir:
        return [("storage.cache.dir", "is for a storage.backend in a cloud; leave it out")]
    else:
        return []
    if config.metadata.engine == "raft":
        sentence = (
            f"{backend} needs metadata that one process has: changes of a key are put in order "
            "there; choose metadata.engine sqlite"
        )
        found.append(("storage.backend", sentence))
    return found


def _aws(aws: AwsStorageConfig) -> Found:
    found: Found = []
    if not aws.bucket:
        found.append(("storage.aws.bucket", "must be given"))
    elif "/" in aws.bucket or ":" in aws.bucket:
        found.append(("storage.aws.bucket", "must be a bucket's name; an ARN is not supported"))
    elif aws.bucket.endswith("--x-s3"):
        sentence = (
            "is a directory bucket, whose listings have no order and whose ETags are no digests: "
            "not supported; choose a general purpose bucket"
        )
        found.append(("storage.aws.bucket", sentence))
    if aws.endpoint_url and not _is_endpoint(aws.endpoint_url):
        found.append(("storage.aws.endpoint_url", "must be an http or https URL of a host"))
    if bool(aws.access_key_id) != bool(aws.secret_access_key):
        missing = "secret_access_key" if aws.access_key_id else "access_key_id"
        found.append((f"storage.aws.{missing}", "must be given with the other one"))
    return found


def _gcp(gcp: GcpStorageConfig) -> Found:
    found: Found = []
    if not gcp.bucket:
        found.append(("storage.gcp.bucket", "must be given"))
    if gcp.endpoint_url and not _is_endpoint(gcp.endpoint_url):
        found.append(("storage.gcp.endpoint_url", "must be an http or https URL of a host"))
    return found


def _azure(azure: AzureStorageConfig) -> Found:
    found: Found = []
    if not azure.container:
        found.append(("storage.azure.container", "must be given"))
    if azure.endpoint_url and not _is_endpoint(azure.endpoint_url):
        found.append(("storage.azure.endpoint_url", "must be an http or https URL of a host"))
    if azure.use_managed_identity and azure.connection_string:
        found.append(
            ("storage.azure.connection_string", "has a key of its own; with use_managed_identity "
             "give the account instead")
        )  # fmt: skip
    return found


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.query or parts.fragment or parts.username)
        and port != 0
    )
