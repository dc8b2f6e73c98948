"""The settings of the blob store, section by section; ``sections`` has all others.

Paths are relative to the working directory of the server.
"""

from __future__ import annotations

from typing import Annotated, Literal

from bleepstore.config.schema import Section, Setting

CLOUDS = ("aws", "gcp", "azure")
"""The backends that are clouds."""


class LocalStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in files of the local disk."""

    root_dir: Annotated[str, Setting("Their directory.", least=1)] = "./data/objects"


class MemoryStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in memory."""

    max_size_bytes: Annotated[int, Setting("Most bytes of data; 0 is no limit.", least=0)] = 0
    persistence: Annotated[
        Literal["none", "snapshot"], Setting("`snapshot` writes it all to a file now and then.")
    ] = "none"
    snapshot_path: Annotated[str, Setting("The snapshot file.", least=1)] = "./data/memory.snap"
    snapshot_interval_seconds: Annotated[
        float, Setting("Seconds between snapshots.", least=0.001)
    ] = 300


class SqliteStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in one SQLite database."""

    path: Annotated[str, Setting("The database file.", least=1)] = "./data/objects.db"


class AwsStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in AWS S3, or another S3."""

    bucket: Annotated[str, Setting("The bucket that holds everything.")] = ""
    region: Annotated[str, Setting("Its region.")] = "us-east-1"
    prefix: Annotated[str, Setting("Put before every key.")] = ""
    endpoint_url: Annotated[str, Setting("Another endpoint than the region's.")] = ""
    use_path_style: Annotated[bool, Setting("Name the bucket in the path.")] = False
    access_key_id: Annotated[str, Setting("While empty, AWS's usual chain of credentials.")] = ""
    secret_access_key: Annotated[str, Setting("Its secret.", secret=True)] = ""


class GcpStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in Google Cloud Storage."""

    bucket: Annotated[str, Setting("The bucket that holds everything.")] = ""
    project: Annotated[
        str,
        Setting(
            "The project that requests are billed to, where it is not the bucket's own; needed "
            "for buckets whose requester pays."
        ),
    ] = ""
    prefix: Annotated[str, Setting("Put before every key.")] = ""
    endpoint_url: Annotated[str, Setting("Another endpoint than Google's.")] = ""
    credentials_file: Annotated[str, Setting("While empty, Google's usual chain.")] = ""


class AzureStorageConfig(Section, frozen=True, kw_only=True):
    """Object data in Azure Blob Storage."""

    container: Annotated[str, Setting("The container that holds everything.")] = ""
    account: Annotated[
        str,
        Setting(
            "Storage account. Without a connection string its key or signature comes from the "
            "environment (`AZURE_STORAGE_KEY`, `AZURE_STORAGE_SAS_TOKEN`), or a token from Azure's "
            "usual chain."
        ),
    ] = ""
    prefix: Annotated[str, Setting("Put before every key.")] = ""
    endpoint_url: Annotated[str, Setting("Another endpoint than the account's.")] = ""
    connection_string: Annotated[
        str,
        Setting("Account, key or signature, and endpoint in one.", secret=True),
    ] = ""
    use_managed_identity: Annotated[
        bool, Setting("Take the machine's identity, and look for credentials nowhere else.")
    ] = False


class CacheConfig(Section, frozen=True, kw_only=True):
    """What was read from a cloud, kept on the local disk."""

    dir: Annotated[str, Setting("Its directory; without one there is no cache.")] = ""
    max_bytes: Annotated[
        int,
        Setting("Most bytes of its files; what was not read for longest goes.", least=1048576),
    ] = 10737418240


class StorageConfig(Section, frozen=True, kw_only=True):
    """Where the bytes of objects are kept."""

    backend: Annotated[
        Literal["local", "memory", "sqlite", "aws", "gcp", "azure"],
        Setting("`memory` keeps nothing over a restart unless it takes snapshots."),
    ] = "local"
    inline_max_bytes: Annotated[
        int,
        Setting(
            "Objects and parts of at most this many bytes are kept beside their metadata and share "
            "its fsync; 0 keeps none there.",
            least=0,
            most=65536,
        ),
    ] = 16384
    min_free_bytes: Annotated[
        int,
        Setting(
            "While less is free on a disk that the server keeps its data on, it stores nothing new "
            "there, so that there is room to delete; 0 fills it to the end. Not heeded by backend "
            "`sqlite`.",
            least=0,
        ),
    ] = 67108864
    foreign_changes: Annotated[
        Literal["adopt", "refuse"],
        Setting(
            "What becomes of an object that another program has changed in the cloud: it is taken "
            "as it is now, or requests for it are refused. Reads and writes notice it either way."
        ),
    ] = "adopt"
    cache: Annotated[
        CacheConfig,
        Setting("Of what is read from a cloud. Reads that it serves do not ask the cloud."),
    ] = CacheConfig()
    local: Annotated[LocalStorageConfig, Setting("Backend `local`.")] = LocalStorageConfig()
    memory: Annotated[MemoryStorageConfig, Setting("Backend `memory`.")] = MemoryStorageConfig()
    sqlite: Annotated[SqliteStorageConfig, Setting("Backend `sqlite`.")] = SqliteStorageConfig()
    aws: Annotated[AwsStorageConfig, Setting("Backend `aws`.")] = AwsStorageConfig()
    gcp: Annotated[GcpStorageConfig, Setting("Backend `gcp`.")] = GcpStorageConfig()
    azure: Annotated[AzureStorageConfig, Setting("Backend `azure`.")] = AzureStorageConfig()
