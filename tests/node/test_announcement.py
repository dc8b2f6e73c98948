"""The first line says where, on what, and how; and never a secret."""

from __future__ import annotations

import pytest
from msgspec import structs

from bleepstore import __version__
from bleepstore.config.load import load
from bleepstore.config.sections import ClusterConfig, ClusterTlsConfig, Config, MetadataConfig
from bleepstore.interfaces.replication import ConsensusStatus, PeerStatus
from bleepstore.model.accounts import derived_owner_id
from bleepstore.node.announcement import (
    announcement,
    cluster_warnings,
    ownership_warnings,
    warnings,
)

LOCAL = ["http://127.0.0.1:9000"]
OWN = {"BLEEPSTORE_ACCESS_KEY": "my key", "BLEEPSTORE_SECRET_KEY": "hunter2"}


def test_the_defaults_can_be_copied_into_a_shell() -> None:
    config = load(directory="/nonexistent")
    assert announcement(config, LOCAL) == (
        f"BleepStore {__version__} listens on http://127.0.0.1:9000 "
        "(metadata: sqlite, ./data/metadata.db; objects: local, ./data/objects). "
        "Try: AWS_ACCESS_KEY_ID=bleepstore AWS_SECRET_ACCESS_KEY=bleepstore-secret "
        "AWS_DEFAULT_REGION=us-east-1 aws --endpoint-url http://127.0.0.1:9000 s3 ls"
    )
    (warning,) = warnings(config)
    assert warning.startswith("The default credentials are in use: bleepstore / bleepstore-secret.")


def test_a_secret_of_ones_own_is_not_shown() -> None:
    config = load(environ=OWN, directory="/nonexistent")
    line = announcement(config, LOCAL)
    assert "hunter2" not in line
    assert "AWS_ACCESS_KEY_ID='my key' AWS_SECRET_ACCESS_KEY=... " in line
    assert warnings(config) == []


def test_a_wildcard_is_reached_by_loopback() -> None:
    config = load(environ={**OWN, "BLEEPSTORE__SERVER__HOST": "0.0.0.0"})
    line = announcement(config, ["http://0.0.0.0:9000", "http://[::]:9000"])
    assert "listens on http://0.0.0.0:9000, http://[::]:9000 (" in line
    assert line.endswith("aws --endpoint-url http://127.0.0.1:9000 s3 ls")


def test_a_unix_socket_alone_is_reached_by_curl() -> None:
    line = announcement(load(environ=OWN), ["unix:/run/s3.sock"])
    assert line.endswith("Try: curl --unix-socket /run/s3.sock http://localhost/health")


def test_a_server_without_authentication_says_so() -> None:
    config = load(environ={"BLEEPSTORE__AUTH__ENABLED": "false"})
    assert "aws --no-sign-request --endpoint-url" in announcement(config, LOCAL)
    (warning,) = warnings(config)
    assert warning.startswith("Authentication is off (auth.enabled)")


def test_other_stores_are_named() -> None:
    def shown(**storage: str) -> str:
        environ = {f"BLEEPSTORE__STORAGE__{key}": value for key, value in storage.items()}
        environ["BLEEPSTORE__METADATA__ENGINE"] = "memory"
        return announcement(load(environ=environ, directory="/nonexistent"), LOCAL)

    assert "(metadata: memory; objects: memory)" in shown(BACKEND="memory")
    assert "objects: memory, snapshots in /s)" in shown(
        BACKEND="memory", MEMORY__PERSISTENCE="snapshot", MEMORY__SNAPSHOT_PATH="/s"
    )
    assert "objects: sqlite, ./data/objects.db)" in shown(BACKEND="sqlite")


def test_bytes_that_a_restart_loses_are_warned_of_where_their_metadata_stays() -> None:
    memory = {**OWN, "BLEEPSTORE__STORAGE__BACKEND": "memory"}
    (warning,) = warnings(load(environ=memory, directory="/nonexistent"))
    assert warning.startswith("Object data is in memory (storage.backend), metadata is not: ")
    both = {**memory, "BLEEPSTORE__METADATA__ENGINE": "memory"}
    assert warnings(load(environ=both, directory="/nonexistent")) == []


def test_a_key_that_was_changed_is_told_that_it_owns_nothing() -> None:
    config = load(environ=OWN, directory="/nonexistent")
    own, before = derived_owner_id("my key"), derived_owner_id("bleepstore")
    assert ownership_warnings(config, []) == []
    assert ownership_warnings(config, [before, own]) == []
    (warning,) = ownership_warnings(config, [before])
    assert f"The buckets here belong to {before}, and to no configured account." in warning
    (warning,) = ownership_warnings(config, [before, "f" * 64])
    assert f"belong to {before}, and to 1 more, and to no" in warning
    kept = load(environ={**OWN, "BLEEPSTORE__AUTH__OWNER_ID": before}, directory="/nonexistent")
    assert ownership_warnings(kept, [before]) == []


def clustered(**settings: object) -> Config:
    cluster = {"bind_addr": "127.0.0.1:9002", **settings}
    return Config(
        metadata=MetadataConfig(engine="raft"),
        cluster=ClusterConfig(**cluster),  # type: ignore[arg-type]
    )


def seen_by(role: str, *others: tuple[str, bool]) -> ConsensusStatus:
    """A status with peers and whether they vote."""
    return ConsensusStatus(
        cluster_id="", node_id="node-1", role=role, term=1, leader="", leader_address="",
        last_index=0, last_term=0, commit_index=0, applied_index=0, snapshot_index=0,
        snapshot_term=0, pending=0,
        peers=tuple(
            PeerStatus(id=node_id, address="h:1", voter=voter, match=-1, last_contact_ms=-1)
            for node_id, voter in others
        ),
    )  # fmt: skip


def test_a_node_of_a_cluster_says_which_one_it_is() -> None:
    assert "(metadata: raft, node-1 of bleepstore, ./data/metadata.db; " in announcement(
        clustered(), LOCAL
    )


def test_an_odd_number_of_nodes_on_loopback_is_nothing_to_warn_of() -> None:
    assert cluster_warnings(clustered(), seen_by("follower", ("b", True), ("c", True))) == []
    # a learner counts for no majority
    status = seen_by("leader", ("b", True), ("c", True), ("d", False))
    assert cluster_warnings(clustered(), status) == []


def test_an_even_number_of_nodes_is_said() -> None:
    status = seen_by("leader", ("b", True), ("c", True), ("d", True))
    (warning,) = cluster_warnings(clustered(), status)
    assert warning.endswith("an even number: it survives the loss of 1, and so would 3.")


def test_a_node_alone_or_not_yet_added_is_told_how_to_go_on() -> None:
    (warning,) = cluster_warnings(clustered(), seen_by("leader"))
    assert warning.startswith("This node is a cluster of one, which survives no loss.")
    (warning,) = cluster_warnings(clustered(join=True), seen_by("joining"))
    assert "has no cluster" in warning
    assert warning.endswith("bleepstore cluster add node-1 ADDRESS")


def test_plain_text_beyond_loopback_is_said() -> None:
    status = seen_by("leader", ("b", True), ("c", True))
    (warning,) = cluster_warnings(clustered(bind_addr="0.0.0.0:9002"), status)
    assert warning.startswith("Peers speak to this node in plain text at 0.0.0.0:9002: ")
    tls = ClusterTlsConfig(certificate="c", key="k", ca="a")
    assert cluster_warnings(clustered(bind_addr="0.0.0.0:9002", tls=tls), status) == []


@pytest.mark.parametrize(
    ("bound", "known", "said"),
    [
        ("127.0.0.1:9002", "127.0.0.1:9002", False),
        ("127.0.0.1:9012", "127.0.0.1:9002", True),
        ("127.0.0.2:9002", "127.0.0.1:9002", True),
        ("127.0.0.1:9002", "node-1.example:9002", False),
        ("localhost:9012", "node-1.example:9002", True),
        ("0.0.0.0:9012", "127.0.0.1:9002", False),
        ("127.0.0.1:9012", "", False),
    ],
)
def test_a_node_that_others_call_at_another_address_is_told(
    bound: str, known: str, said: bool
) -> None:
    status = structs.replace(seen_by("follower", ("b", True), ("c", True)), address=known)
    tls = ClusterTlsConfig(certificate="c", key="k", ca="a")
    found = cluster_warnings(clustered(bind_addr=bound, tls=tls), status)
    assert [f"bleepstore cluster add node-1 {bound}" in warning for warning in found] == [
        True
    ] * said
    discovered = clustered(bind_addr=bound, tls=tls, discovery="dns")
    assert cluster_warnings(discovered, status) == []
