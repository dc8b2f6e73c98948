"""Settings of a cluster that contradict themselves or each other.

Only what the settings of one node say; what its directories and its peers say is found later.
"""

from __future__ import annotations

import os.path
import re

from bleepstore.config.addresses import HostPort, parse_host_port
from bleepstore.config.problems import Found
from bleepstore.config.sections import ClusterConfig, Config

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID_WORDS = "must be 1 to 63 letters, digits, '.', '_' and '-', the first a letter or digit"

SOCKET_PATH_MAX = 107
"""Bytes that the path of a UNIX socket may have (unix(7): ``sun_path`` holds 108 with its NUL)."""


def cluster_problems(config: Config) -> Found:
    """What keeps a node from being one of a cluster."""
    cluster = config.cluster
    return [
        *_names(cluster),
        *_addresses(cluster),
        *_members(cluster),
        *_times(cluster),
        *_tls(cluster),
        *_paths(config),
    ]


def control_socket(cluster: ClusterConfig) -> str:
    """The path of the control socket."""
    return cluster.control_socket or os.path.join(cluster.data_dir, "control.sock")


def check_member(node_id: str, address: str) -> None:
    """Whether a node of this name and this address could be a member.

    :raises ValueError: it could not; the message says why.
    """
    if not _ID.fullmatch(node_id):
        raise ValueError(f"the name of a node {_ID_WORDS}, not {node_id!r}")
    try:
        parsed = parse_host_port(address)
    except ValueError as error:
        raise ValueError(f"{address}: {error}") from None
    if parsed.is_wildcard or not parsed.port:
        raise ValueError(f"nobody can reach {parsed}")


def _names(cluster: ClusterConfig) -> Found:
    names = [("cluster.name", cluster.name), ("cluster.node_id", cluster.node_id)]
    names += [(f"cluster.peers[{n}].id", peer.id) for n, peer in enumerate(cluster.peers)]
    return [(key, _ID_WORDS) for key, name in names if not _ID.fullmatch(name)]


def _addresses(cluster: ClusterConfig) -> Found:
    found: Found = []
    bind = _parsed("cluster.bind_addr", cluster.bind_addr, found)
    own = bind
    if cluster.advertise_addr:
        own = _parsed("cluster.advertise_addr", cluster.advertise_addr, found)
        if own is not None and (own.is_wildcard or not own.port):
            found.append(("cluster.advertise_addr", f"peers cannot reach {own}"))
    elif bind is not None and not bind.port:
        advice = "must have a port that peers can know, or cluster.advertise_addr say where it is"
        found.append(("cluster.bind_addr", advice))
    seen = {} if own is None or own.is_wildcard else {own: "this node's own"}
    for number, peer in enumerate(cluster.peers):
        key = f"cluster.peers[{number}].addr"
        address = _parsed(key, peer.addr, found)
        if address is None:
            continue
        if address.is_wildcard or not address.port:
            found.append((key, f"nobody can reach {address}"))
        elif address in seen:
            found.append((key, f"{address} is {seen[address]} address"))
        else:
            seen[address] = f"{peer.id}'s"
    return found


def _parsed(key: str, text: str, found: Found) -> HostPort | None:
    try:
        return parse_host_port(text)
    except ValueError as error:
        found.append((key, str(error)))
        return None


def _members(cluster: ClusterConfig) -> Found:
    found: Found = []
    seen: set[str] = set()
    for number, peer in enumerate(cluster.peers):
        key = f"cluster.peers[{number}].id"
        if peer.id == cluster.node_id:
            found.append((key, f"{peer.id} is this node (cluster.node_id); name only the others"))
        elif peer.id in seen:
            found.append((key, f"{peer.id} is given twice"))
        seen.add(peer.id)
    if cluster.discovery == "dns" and not cluster.dns.name:
        found.append(("cluster.dns.name", "is needed with cluster.discovery: dns"))
    if cluster.join and cluster.peers:
        found.append(
            ("cluster.join", "a node that is added by others begins without peers; leave them out")
        )
    return found


def _times(cluster: ClusterConfig) -> Found:
    found: Found = []
    election = cluster.election_timeout_ms
    if cluster.heartbeat_interval_ms * 2 > election:
        found.append(
            (
                "cluster.heartbeat_interval_ms",
                f"must be at most half of cluster.election_timeout_ms ({election}): one word that "
                "is lost must not cost an election",
            )
        )
    if cluster.request_timeout_ms <= election:
        found.append(
            (
                "cluster.request_timeout_ms",
                f"must be more than cluster.election_timeout_ms ({election}): every election would "
                "be seen by clients",
            )
        )
    return found


def _tls(cluster: ClusterConfig) -> Found:
    tls = cluster.tls
    given = {"certificate": tls.certificate, "key": tls.key, "ca": tls.ca}
    if not any(given.values()):
        return []
    return [
        (f"cluster.tls.{name}", "is needed with the other two of cluster.tls")
        for name, path in given.items()
        if not path
    ]


def _paths(config: Config) -> Found:
    """Directories and files that two parts would share."""
    found: Found = []
    directory = os.path.abspath(config.cluster.data_dir)
    others = [("metadata.sqlite.path", config.metadata.sqlite.path)]
    if config.storage.backend == "local":
        others.append(("storage.local.root_dir", config.storage.local.root_dir))
    if config.storage.backend == "sqlite":
        others.append(("storage.sqlite.path", config.storage.sqlite.path))
    for key, path in others:
        other = os.path.abspath(path)
        if other == directory:
            found.append(("cluster.data_dir", f"must be another path than {key}"))
        elif key != "metadata.sqlite.path" and directory.startswith(other + os.sep):
            found.append(("cluster.data_dir", f"must not lie within {key}"))
        elif other.startswith(directory + os.sep):
            found.append((key, "must not lie within cluster.data_dir"))
    socket = control_socket(config.cluster)
    if len(os.fsencode(socket)) > SOCKET_PATH_MAX:
        found.append(
            (
                "cluster.control_socket",
                f"{socket} is longer than the {SOCKET_PATH_MAX} bytes that a socket may have",
            )
        )
    return found
