"""The first lines of the log: where the node listens, what it stands on, how to reach it."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from bleepstore import __version__
from bleepstore.config.addresses import is_address, parse_host_port
from bleepstore.config.refusals import is_loopback, uses_default_credentials
from bleepstore.config.sections import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_SECRET_KEY,
    ClusterConfig,
    Config,
)
from bleepstore.interfaces.replication import ConsensusStatus
from bleepstore.node.usecases import credentials_of

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def announcement(config: Config, urls: Sequence[str]) -> str:
    """One line.  The secret key is in it only if it is the one that everybody knows."""
    return (
        f"BleepStore {__version__} listens on {', '.join(urls)} "
        f"(metadata: {_metadata(config)}; objects: {_storage(config)}). "
        f"Try: {_command(config, urls)}"
    )


def warnings(config: Config) -> list[str]:
    """What the operator should know before anybody else finds out."""
    found = []
    if not config.auth.enabled:
        found.append(
            "Authentication is off (auth.enabled): whoever reaches this server owns all it holds."
        )
    elif uses_default_credentials(config):
        found.append(
            f"The default credentials are in use: {DEFAULT_ACCESS_KEY} / {DEFAULT_SECRET_KEY}. "
            "Set BLEEPSTORE_ACCESS_KEY and BLEEPSTORE_SECRET_KEY to have your own."
        )
    storage = config.storage
    if config.metadata.engine != "memory" and storage.backend == "memory":
        lost = "all" if storage.memory.persistence == "none" else "those after the last snapshot"
        found.append(
            "Object data is in memory (storage.backend), metadata is not: after a crash objects "
            f"are listed whose bytes are lost, {lost} of more than storage.inline_max_bytes."
        )
    return found


def ownership_warnings(config: Config, owners: Sequence[str]) -> list[str]:
    """What to know of an access key that was changed.

    :param owners: the canonical ids of all who own buckets.
    """
    if not owners or {known.account.id for known in credentials_of(config.auth)} & set(owners):
        return []
    more = f", and to {len(owners) - 1} more" if len(owners) > 1 else ""
    return [
        f"The buckets here belong to {owners[0]}{more}, and to no configured account. The id of an "
        "account is derived from its access key while auth.owner_id is empty: set that to the id "
        "of before, if the access key was changed."
    ]


def cluster_warnings(config: Config, status: ConsensusStatus) -> list[str]:
    """The same of the cluster that the node is one of."""
    found = []
    cluster = config.cluster
    bound = parse_host_port(cluster.bind_addr).host
    if not cluster.tls.ca and not is_loopback(bound):
        found.append(
            f"Peers speak to this node in plain text at {cluster.bind_addr}: whoever reaches that "
            "address can read and change all that is stored. Set cluster.tls, or see that only "
            "the nodes of the cluster reach it (cluster.bind_addr)."
        )
    if status.role == "joining":
        standing = f"is no member of {status.cluster_id}" if status.cluster_id else "has no cluster"
        found.append(
            f"This node {standing}, and serves nothing. Add it, at any member: bleepstore cluster "
            f"add {cluster.node_id} ADDRESS"
        )
        return found
    if status.role == "founding":
        return found  # the log says for whom it waits
    if own := _moved(cluster, status.address):
        found.append(
            f"The members of the cluster call this node at {status.address}, and by its "
            f"configuration it is at {own}: unless that one leads here as well, remove this node, "
            f"and add it again: bleepstore cluster add {cluster.node_id} {own}"
        )
    voters = 1 + sum(peer.voter for peer in status.peers)
    if voters == 1:
        found.append(
            "This node is a cluster of one, which survives no loss. Let others join "
            "(cluster.join), and add them: bleepstore cluster add NODE ADDRESS"
        )
    elif voters % 2 == 0:
        found.append(
            f"The cluster has {voters} voting members, an even number: it survives the loss of "
            f"{(voters - 1) // 2}, and so would {voters - 1}."
        )
    return found


def _moved(cluster: ClusterConfig, known: str) -> str:
    """The address that the configuration gives this node, if it looks like another one than its
    members know; names, wildcards and discovery lead anywhere."""
    configured = parse_host_port(cluster.advertise_addr or cluster.bind_addr)
    if not known or cluster.discovery != "static" or configured.is_wildcard:
        return ""
    members = parse_host_port(known)
    named = not (is_address(configured.host) and is_address(members.host))
    same = members == configured or (named and members.port == configured.port)
    return "" if same else str(configured)


def _metadata(config: Config) -> str:
    engine, path = config.metadata.engine, config.metadata.sqlite.path
    if engine == "raft":
        cluster = config.cluster
        return f"raft, {cluster.node_id} of {cluster.name}, {path}"
    return f"sqlite, {path}" if engine == "sqlite" else engine


def _storage(config: Config) -> str:
    storage = config.storage
    if storage.backend == "local":
        return f"local, {storage.local.root_dir}"
    if storage.backend == "sqlite":
        return f"sqlite, {storage.sqlite.path}"
    if storage.memory.persistence == "snapshot":
        return f"memory, snapshots in {storage.memory.snapshot_path}"
    return storage.backend


def _command(config: Config, urls: Sequence[str]) -> str:
    """A command line that lists the buckets, to be copied into a shell."""
    reachable = [url for url in urls if not url.startswith("unix:")]
    if not reachable:
        path = urls[0].removeprefix("unix:")
        return f"curl --unix-socket {quote(path)} http://localhost/health"
    url = reachable[0]
    for wildcard, loopback in _WILDCARDS.items():
        url = url.replace(f"//{wildcard}:", f"//{loopback}:")
    if not config.auth.enabled:
        return f"aws --no-sign-request --endpoint-url {url} s3 ls"
    secret = config.auth.secret_key
    shown = secret if secret == DEFAULT_SECRET_KEY else "..."
    return (
        f"AWS_ACCESS_KEY_ID={quote(config.auth.access_key)} AWS_SECRET_ACCESS_KEY={shown} "
        f"AWS_DEFAULT_REGION={quote(config.server.region)} aws --endpoint-url {url} s3 ls"
    )
