"""The settings of BleepStore, section by section, as frozen typed values with their defaults.

Paths are relative to the working directory of the process.  Which shapes this version does not
serve yet is said in ``config.refusals``, not here.  Those of object data are in
``storage_sections``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from bleepstore.config.schema import Section, Setting
from bleepstore.config.storage_sections import StorageConfig

DEFAULT_ACCESS_KEY = "bleepstore"
DEFAULT_SECRET_KEY = "bleepstore-secret"


class ServerConfig(Section, frozen=True, kw_only=True):
    """The S3 endpoint: where it listens and what it bears."""

    host: Annotated[
        str,
        Setting(
            "Address to listen on, IPv4 or IPv6. Other than loopback only with credentials of "
            "your own.",
            least=1,
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Setting("TCP port; 0 takes a free one, which the log names.", least=0, most=65535)
    ] = 9000
    listen: Annotated[
        tuple[str, ...],
        Setting(
            "Twisted endpoint strings (`tcp:`, `tcp6:`, `ssl:`, `tls:`, `systemd:`, `unix:`). When "
            "there are any, they replace `host` and `port`."
        ),
    ] = ()
    region: Annotated[
        str,
        Setting(
            "The region that requests are signed for and buckets live in. MinIO's clients sign for "
            "`us-east-1` until they are told another.",
            least=1,
        ),
    ] = "us-east-1"
    domains: Annotated[
        tuple[str, ...],
        Setting("`BUCKET.DOMAIN` in the Host header addresses a bucket, for each of these."),
    ] = ("localhost",)
    workers: Annotated[
        int | Literal["auto"],
        Setting("Processes that share the port; `auto` is one per core.", least=1, most=1024),
    ] = 1
    admin_port: Annotated[int, Setting("Port of the admin API.", least=0, most=65535)] = 9001
    admin_token: Annotated[
        str,
        Setting("Bearer token of the admin API, which is off while this is empty.", secret=True),
    ] = ""
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"],
        Setting(
            "The least level that is logged; one line a request is logged at `info`. Where the "
            "server listens is always said."
        ),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Setting("Lines to read, or one JSON object a line.")
    ] = "text"
    shutdown_timeout: Annotated[
        float,
        Setting("Seconds that requests in flight are given when stopping.", least=0, most=3600),
    ] = 30
    max_object_size: Annotated[
        int, Setting("Bytes of the largest object.", least=0, most=5 * 1024**4 * 10)
    ] = 5 * 1024**4
    max_connections: Annotated[
        int,
        Setting(
            "Connections at a time; more are refused with SlowDown. The soft limit of open files "
            "is raised to what they can need, 256 and three for each, as far as the hard limit "
            "allows.",
            least=1,
            most=1_000_000,
        ),
    ] = 1000
    read_timeout: Annotated[
        float, Setting("Seconds to wait for the next bytes of a request.", least=0.001, most=86400)
    ] = 60
    write_timeout: Annotated[
        float,
        Setting(
            "Seconds to wait for a client to take bytes of a response.", least=0.001, most=86400
        ),
    ] = 60
    idle_timeout: Annotated[
        float,
        Setting("Seconds a connection may stay open between requests.", least=0.001, most=86400),
    ] = 120


class CredentialConfig(Section, frozen=True, kw_only=True):
    """One more access key, and the account it speaks for."""

    access_key: Annotated[str, Setting("Access key id.", least=1)]
    secret_key: Annotated[str, Setting("Its secret.", least=1, secret=True)]
    owner_id: Annotated[
        str, Setting("Canonical id of the account; derived from the access key while empty.")
    ] = ""
    display_name: Annotated[str, Setting("The access key while empty.")] = ""
    email: Annotated[str, Setting("May stand for the account in ACL grants.")] = ""


class AuthConfig(Section, frozen=True, kw_only=True):
    """Who may ask."""

    enabled: Annotated[
        bool, Setting("When false, nobody is asked for a signature and everybody is the owner.")
    ] = True
    access_key: Annotated[
        str,
        Setting("Access key id of the first account. Also `BLEEPSTORE_ACCESS_KEY`.", least=1),
    ] = DEFAULT_ACCESS_KEY
    secret_key: Annotated[
        str, Setting("Its secret. Also `BLEEPSTORE_SECRET_KEY`.", least=1, secret=True)
    ] = DEFAULT_SECRET_KEY
    owner_id: Annotated[
        str, Setting("Canonical id of the first account; derived from the access key while empty.")
    ] = ""
    display_name: Annotated[str, Setting("The access key while empty.")] = ""
    allow_default_credentials: Annotated[
        bool, Setting("Listen beyond loopback although the default key pair is in use.")
    ] = False
    credentials: Annotated[
        tuple[CredentialConfig, ...],
        Setting("More accounts and keys; those with the same `owner_id` share an account."),
    ] = ()


class SqliteMetadataConfig(Section, frozen=True, kw_only=True):
    """Metadata in one SQLite database."""

    path: Annotated[str, Setting("The database file.", least=1)] = "./data/metadata.db"


class LocalMetadataConfig(Section, frozen=True, kw_only=True):
    """Metadata in plain files."""

    root_dir: Annotated[str, Setting("Their directory.", least=1)] = "./data/metadata"
    compact_on_startup: Annotated[bool, Setting("Rewrite the files at each start.")] = True


class DynamodbConfig(Section, frozen=True, kw_only=True):
    """Metadata in AWS DynamoDB."""

    table: Annotated[str, Setting("Table name.")] = "bleepstore-metadata"
    region: Annotated[str, Setting("AWS region.")] = "us-east-1"
    endpoint_url: Annotated[str, Setting("Another endpoint than the region's.")] = ""


class FirestoreConfig(Section, frozen=True, kw_only=True):
    """Metadata in Google Firestore."""

    collection: Annotated[str, Setting("Collection name.")] = "bleepstore-metadata"
    project: Annotated[str, Setting("Google Cloud project.")] = ""
    credentials_file: Annotated[str, Setting("Service account key file.")] = ""


class CosmosConfig(Section, frozen=True, kw_only=True):
    """Metadata in Azure Cosmos DB."""

    database: Annotated[str, Setting("Database name.")] = "bleepstore"
    container: Annotated[str, Setting("Container name.")] = "metadata"
    endpoint: Annotated[str, Setting("Account endpoint.")] = ""
    connection_string: Annotated[str, Setting("Endpoint and key in one.", secret=True)] = ""


class MetadataConfig(Section, frozen=True, kw_only=True):
    """Where buckets, keys and everything about objects but their bytes are kept."""

    engine: Annotated[
        Literal["sqlite", "memory", "local", "raft", "dynamodb", "firestore", "cosmos"],
        Setting(
            "`memory` keeps nothing over a restart. `raft` keeps the same database on every node "
            "of a cluster."
        ),
    ] = "sqlite"
    sqlite: Annotated[SqliteMetadataConfig, Setting("Engines `sqlite` and `raft`.")] = (
        SqliteMetadataConfig()
    )
    local: Annotated[LocalMetadataConfig, Setting("Engine `local`.")] = LocalMetadataConfig()
    dynamodb: Annotated[DynamodbConfig, Setting("Engine `dynamodb`.")] = DynamodbConfig()
    firestore: Annotated[FirestoreConfig, Setting("Engine `firestore`.")] = FirestoreConfig()
    cosmos: Annotated[CosmosConfig, Setting("Engine `cosmos`.")] = CosmosConfig()


class MultipartConfig(Section, frozen=True, kw_only=True):
    """Multipart uploads."""

    expiry_days: Annotated[
        float, Setting("Days after which an upload that was not completed is aborted.", least=0.001)
    ] = 7


class JobsConfig(Section, frozen=True, kw_only=True):
    """Background work."""

    interval_seconds: Annotated[float, Setting("Seconds between its rounds.", least=0.01)] = 3600
    day_seconds: Annotated[
        float,
        Setting("Seconds in a day of `expiry_days`; shorter lets a test live a year.", least=0.001),
    ] = 86400


class VaultConfig(Section, frozen=True, kw_only=True):
    """Keys in HashiCorp Vault."""

    endpoint_url: Annotated[str, Setting("Vault's address.")] = ""
    token: Annotated[str, Setting("Vault token.", secret=True)] = ""
    mount: Annotated[str, Setting("Mount of the transit engine.")] = "transit"


class EncryptionConfig(Section, frozen=True, kw_only=True):
    """Encryption of objects at rest."""

    key_file: Annotated[str, Setting("The local key ring, made on first use.")] = "./data/keys.json"
    kms_keys: Annotated[tuple[str, ...], Setting("Names to have in the local key ring.")] = ()
    vault: Annotated[VaultConfig, Setting("Keys in Vault instead.")] = VaultConfig()


class ObservabilityConfig(Section, frozen=True, kw_only=True):
    """What can be seen of the server from outside."""

    metrics: Annotated[bool, Setting("Count, and serve `/metrics`.")] = True
    health_check: Annotated[
        bool, Setting("Probe the stores for `/health`, and serve `/healthz` and `/readyz`.")
    ] = True


class PeerConfig(Section, frozen=True, kw_only=True):
    """Another node of the cluster."""

    id: Annotated[str, Setting("Its node id.", least=1)]
    addr: Annotated[str, Setting("Its `host:port` for peers.", least=1)]


class DnsConfig(Section, frozen=True, kw_only=True):
    """Where peers are, by DNS: who they are it does not say.  Each address is asked for its id."""

    name: Annotated[str, Setting("The name whose addresses are the nodes' (of this one too).")] = ""
    port: Annotated[int, Setting("Their port for peers.", least=1, most=65535)] = 9002
    refresh_interval_s: Annotated[float, Setting("Seconds between look-ups.", least=0.1)] = 30


class ClusterTlsConfig(Section, frozen=True, kw_only=True):
    """TLS between the nodes, each of which proves who it is; all three files, or none."""

    certificate: Annotated[
        str,
        Setting(
            "This node's certificate and its chain, PEM. It names the host of its address, and its "
            "`node_id` as common name or as a DNS name."
        ),
    ] = ""
    key: Annotated[str, Setting("Its private key, PEM.")] = ""
    ca: Annotated[str, Setting("The authority that signed the certificates of all nodes, PEM.")] = (
        ""
    )


class ClusterConfig(Section, frozen=True, kw_only=True):
    """Several nodes as one store, with `metadata.engine: raft`."""

    name: Annotated[
        str,
        Setting(
            "The name of the cluster, the same on all its nodes. It is part of the cluster's id: "
            "nodes of clusters with different names refuse each other.",
            least=1,
        ),
    ] = "bleepstore"
    node_id: Annotated[str, Setting("The name of this node, its own in the cluster.", least=1)] = (
        "node-1"
    )
    bind_addr: Annotated[str, Setting("`host:port` to listen on for peers.", least=1)] = (
        "0.0.0.0:9002"
    )
    advertise_addr: Annotated[
        str,
        Setting(
            "`host:port` at which peers reach this node. While empty it is `bind_addr`, with the "
            "address by which this machine reaches its first peer in place of a wildcard."
        ),
    ] = ""
    data_dir: Annotated[
        str, Setting("The log and the snapshots of this node, and its control socket.", least=1)
    ] = "./data/raft"
    peers: Annotated[
        tuple[PeerConfig, ...],
        Setting(
            "The other nodes that the cluster begins with; each of them names all others. With "
            "none this node begins a cluster of its own. Once there is a cluster, it remembers its "
            "members, and this list means nothing."
        ),
    ] = ()
    join: Annotated[
        bool,
        Setting(
            "Begin no cluster, but wait until a member of one adds this node "
            "(`bleepstore cluster add`)."
        ),
    ] = False
    discovery: Annotated[
        Literal["static", "dns"],
        Setting(
            "`static`: members are called at their addresses. `dns`: and where `dns.name` leads to "
            "them, for machines whose addresses change."
        ),
    ] = "static"
    dns: Annotated[DnsConfig, Setting("Discovery `dns`.")] = DnsConfig()
    election_timeout_ms: Annotated[
        int,
        Setting(
            "Milliseconds without word from a leader after which a node stands for election, and "
            "by chance up to half of that more.",
            least=20,
            most=600_000,
        ),
    ] = 1000
    heartbeat_interval_ms: Annotated[
        int,
        Setting(
            "Milliseconds between words of an idle leader; at most half of `election_timeout_ms`.",
            least=5,
            most=300_000,
        ),
    ] = 150
    request_timeout_ms: Annotated[
        int,
        Setting(
            "Milliseconds that a request waits for the cluster to decide, before it is answered "
            "503. More than `election_timeout_ms`.",
            least=50,
            most=600_000,
        ),
    ] = 5000
    snapshot_interval: Annotated[
        int, Setting("Log entries between snapshots.", least=1, most=1_000_000_000)
    ] = 10000
    snapshot_log_bytes: Annotated[
        int,
        Setting("Bytes of log after which a snapshot is taken earlier.", least=65536, most=1 << 40),
    ] = 64 * 1024 * 1024
    max_append_entries: Annotated[
        int, Setting("Most entries of a message.", least=1, most=65536)
    ] = 64
    replication_factor: Annotated[int, Setting("Nodes that hold each object.", least=1)] = 3
    read_consistency: Annotated[
        Literal["strong", "eventual"],
        Setting(
            "`strong`: a read sees every change that was acknowledged anywhere before it began. "
            "`eventual`: a node answers from what it knows, also without a leader."
        ),
    ] = "strong"
    control_socket: Annotated[
        str,
        Setting("UNIX socket for `bleepstore cluster`; `control.sock` in `data_dir` while empty."),
    ] = ""
    tls: Annotated[ClusterTlsConfig, Setting("TLS between the nodes.")] = ClusterTlsConfig()


class QueueConfig(Section, frozen=True, kw_only=True):
    """Events about changes."""

    enabled: Annotated[bool, Setting("Publish them.")] = False
    backend: Annotated[Literal["redis", "rabbitmq", "kafka"], Setting("The broker.")] = "redis"
    consistency: Annotated[
        Literal["write-through", "sync", "async"], Setting("When a change is answered.")
    ] = "write-through"


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration."""

    server: Annotated[ServerConfig, Setting("The S3 endpoint.")] = ServerConfig()
    auth: Annotated[AuthConfig, Setting("Who may ask.")] = AuthConfig()
    metadata: Annotated[MetadataConfig, Setting("The metadata store.")] = MetadataConfig()
    storage: Annotated[StorageConfig, Setting("The blob store.")] = StorageConfig()
    multipart: Annotated[MultipartConfig, Setting("Multipart uploads.")] = MultipartConfig()
    jobs: Annotated[JobsConfig, Setting("Background work.")] = JobsConfig()
    encryption: Annotated[EncryptionConfig, Setting("Encryption at rest.")] = EncryptionConfig()
    observability: Annotated[ObservabilityConfig, Setting("Health and metrics.")] = (
        ObservabilityConfig()
    )
    cluster: Annotated[ClusterConfig, Setting("Several nodes.")] = ClusterConfig()
    queue: Annotated[QueueConfig, Setting("Events.")] = QueueConfig()
