"""Settings that are well-formed, and still cannot be started with.

Two kinds: what contradicts itself or would be unsafe, and what this version does not serve yet.
The latter is refused rather than ignored: a setting that does nothing is a trap.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from ipaddress import ip_address

from bleepstore.config.cloud_refusals import cloud_problems
from bleepstore.config.cluster_refusals import cluster_problems
from bleepstore.config.problems import Found
from bleepstore.config.schema import Section, declared
from bleepstore.config.sections import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_SECRET_KEY,
    ClusterConfig,
    Config,
    EncryptionConfig,
    QueueConfig,
)

LISTEN_KINDS = ("tcp", "tcp6", "ssl", "tls", "systemd", "unix")

_UNSERVED_ENGINES = frozenset({"local", "dynamodb", "firestore", "cosmos"})
_NOT_YET = "is not in this version of BleepStore"


def problems(config: Config, origins: Mapping[str, str]) -> list[str]:
    """One sentence for everything that must not be started with.

    :param origins: where each setting was given, by dotted key.
    """
    found = [*_contradictions(config), *_unserved(config), *_cluster(config)]
    found += cloud_problems(config)
    return [f"{_origin(key, origins)}{key}: {sentence}" for key, sentence in found]


def uses_default_credentials(config: Config) -> bool:
    """Whether the key pair that everybody knows opens this store."""
    keys = [(config.auth.access_key, config.auth.secret_key)]
    keys += [(extra.access_key, extra.secret_key) for extra in config.auth.credentials]
    return (DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY) in keys


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def split_endpoint(description: str) -> tuple[str, list[str], dict[str, str]]:
    """Kind, positional and keyword arguments of a Twisted endpoint string.

    The syntax is that of ``twisted.internet.endpoints.serverFromString``: colons separate, a
    backslash takes the next character as it is, ``name=value`` is a keyword.
    """
    parts: list[str] = [""]
    names: list[str] = [""]
    characters = iter(description)
    for character in characters:
        if character == "\\":
            parts[-1] += next(characters, "")
        elif character == ":":
            parts.append("")
            names.append("")
        elif character == "=" and not names[-1]:
            names[-1] = parts[-1]
            parts[-1] = ""
        else:
            parts[-1] += character
    positional = [part for part, name in zip(parts, names, strict=True) if not name]
    keywords = {name: part for part, name in zip(parts, names, strict=True) if name}
    return (positional[0] if positional else ""), positional[1:], keywords


def endpoint_is_local(description: str) -> bool:
    """Whether only this machine can reach an endpoint.

    What a systemd socket is bound to shows when it is opened: the node looks then.
    """
    kind, _, keywords = split_endpoint(description)
    if kind in ("unix", "systemd"):
        return True
    return kind in ("tcp", "tcp6", "ssl", "tls") and is_loopback(keywords.get("interface", ""))


def _contradictions(config: Config) -> Found:
    found = []
    server, auth = config.server, config.auth
    known = []
    for number, description in enumerate(server.listen):
        if split_endpoint(description)[0] in LISTEN_KINDS:
            known.append((number, description))
        else:
            advice = f"must begin with one of {', '.join(LISTEN_KINDS)}"
            found.append((f"server.listen[{number}]", advice))
    if auth.enabled and not auth.allow_default_credentials and uses_default_credentials(config):
        advice = (
            "needs credentials of your own (BLEEPSTORE_ACCESS_KEY and BLEEPSTORE_SECRET_KEY): "
            "the default key pair serves loopback only, unless "
            "auth.allow_default_credentials is set"
        )
        for number, description in known:
            if not endpoint_is_local(description):
                found.append((f"server.listen[{number}]", advice))
        if not server.listen and not is_loopback(server.host):
            found.append(("server.host", advice))
    found += _shared_paths(config)
    seen = {auth.access_key}
    for number, extra in enumerate(auth.credentials):
        if extra.access_key in seen:
            found.append((f"auth.credentials[{number}].access_key", "is given twice"))
        seen.add(extra.access_key)
    return found


def _shared_paths(config: Config) -> Found:
    """Two stores that were given one file."""
    metadata, storage = config.metadata, config.storage
    if metadata.engine not in ("sqlite", "raft"):
        return []
    key, path = {
        "local": ("storage.local.root_dir", storage.local.root_dir),
        "sqlite": ("storage.sqlite.path", storage.sqlite.path),
        "memory": ("storage.memory.snapshot_path", storage.memory.snapshot_path),
    }.get(storage.backend, ("", ""))
    if path and os.path.abspath(path) == os.path.abspath(metadata.sqlite.path):
        return [(key, "must be another path than metadata.sqlite.path")]
    return []


def _unserved(config: Config) -> Found:
    found = []
    if config.server.workers != 1:
        found.append(("server.workers", f"more than one process {_NOT_YET}; leave it at 1"))
    if config.server.admin_token:
        found.append(("server.admin_token", f"the admin API {_NOT_YET}; leave it empty"))
    engine = config.metadata.engine
    if engine in _UNSERVED_ENGINES:
        found.append(("metadata.engine", f"{engine} {_NOT_YET}; choose sqlite, memory or raft"))
    for name, section, default, what in (
        ("encryption", config.encryption, EncryptionConfig(), "encryption"),
        ("queue", config.queue, QueueConfig(), "the event queue"),
    ):
        found += [
            (key, f"{what} {_NOT_YET}; leave it out") for key in _changed(name, section, default)
        ]
    return found


def _cluster(config: Config) -> Found:
    """The cluster's settings: all that is wrong with them, or that nothing asks for them."""
    cluster = config.cluster
    if config.metadata.engine != "raft":
        return [
            (key, "is for metadata.engine: raft; leave it out")
            for key in _changed("cluster", cluster, ClusterConfig())
        ]
    found = cluster_problems(config)
    if cluster.replication_factor != ClusterConfig().replication_factor:
        found.append(
            ("cluster.replication_factor", f"replication of large objects {_NOT_YET}; leave it out")
        )
    if not config.storage.inline_max_bytes:
        found.append(
            (
                "storage.inline_max_bytes",
                "must be more than 0 in a cluster, which stores nothing larger",
            )
        )
    if config.storage.backend not in ("local", "sqlite"):
        found.append(
            (
                "storage.backend",
                f"{config.storage.backend} is not for a node of a cluster; choose local or sqlite",
            )
        )
    return found


def _changed(path: str, section: Section, default: Section) -> list[str]:
    """The dotted keys of a section that differ from its defaults."""
    keys = []
    for name in declared(type(section)):
        value, usual = getattr(section, name), getattr(default, name)
        if isinstance(value, Section) and isinstance(usual, Section):
            keys += _changed(f"{path}.{name}", value, usual)
        elif value != usual:
            keys.append(f"{path}.{name}")
    return keys


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Where a key was given; for an item of a list, where the list was."""
    origin = origins.get(key) or origins.get(key.partition("[")[0])
    return f"{origin}: " if origin else ""
