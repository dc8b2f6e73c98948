"""Configurations that are well-formed, and still are not started with."""

from __future__ import annotations

import pytest

from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.refusals import endpoint_is_local, is_loopback, split_endpoint

OWN_KEYS = {"BLEEPSTORE_ACCESS_KEY": "mine", "BLEEPSTORE_SECRET_KEY": "secret"}


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(environ=environ, directory="/nonexistent")
    return caught.value.problems


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_the_default_key_pair_serves_loopback_only(host: str) -> None:
    (problem,) = problems({"BLEEPSTORE__SERVER__HOST": host})
    assert problem.startswith(
        "BLEEPSTORE__SERVER__HOST: server.host: needs credentials of your own"
    )
    assert load(environ={"BLEEPSTORE__SERVER__HOST": host, **OWN_KEYS}).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_credentials_of_ones_own(host: str) -> None:
    assert is_loopback(host)
    assert load(environ={"BLEEPSTORE__SERVER__HOST": host}).server.host == host


def test_the_default_key_pair_may_be_allowed_everywhere() -> None:
    environ = {
        "BLEEPSTORE__SERVER__HOST": "0.0.0.0",
        "BLEEPSTORE__AUTH__ALLOW_DEFAULT_CREDENTIALS": "true",
    }
    assert load(environ=environ).server.host == "0.0.0.0"


def test_an_own_access_key_beside_the_default_pair_does_not_help() -> None:
    environ = {
        "BLEEPSTORE__SERVER__HOST": "0.0.0.0",
        **OWN_KEYS,
        "BLEEPSTORE__AUTH__CREDENTIALS": (
            "[{access_key: bleepstore, secret_key: bleepstore-secret}]"
        ),
    }
    (problem,) = problems(environ)
    assert "server.host: needs credentials of your own" in problem


@pytest.mark.parametrize(
    ("description", "local"),
    [
        ("tcp:9000", False),
        ("tcp:9000:interface=127.0.0.1", True),
        (r"tcp6:9000:interface=\:\:1", True),
        (r"tcp6:9000:interface=\:\:", False),
        ("ssl:9000:privateKey=k:interface=localhost", True),
        ("ssl:9000:privateKey=interface=127.0.0.1", False),
        ("unix:/run/s3.sock", True),
        ("systemd:domain=INET:index=0", True),  # the node looks at the socket itself
    ],
)
def test_endpoints_beyond_loopback_are_told_apart(description: str, local: bool) -> None:
    assert endpoint_is_local(description) is local


def test_an_endpoint_beyond_loopback_needs_credentials_of_ones_own() -> None:
    (problem,) = problems({"BLEEPSTORE__SERVER__LISTEN": '["unix:/x", "tcp:9000"]'})
    assert problem.startswith(
        "BLEEPSTORE__SERVER__LISTEN: server.listen[1]: needs credentials of your own"
    )


def test_an_endpoint_of_an_unknown_kind_is_refused() -> None:
    (problem,) = problems({"BLEEPSTORE__SERVER__LISTEN": '["stdio:"]'})
    assert problem.endswith(
        "server.listen[0]: must begin with one of tcp, tcp6, ssl, tls, systemd, unix"
    )


def test_endpoint_strings_are_split_as_twisted_does() -> None:
    assert split_endpoint(r"ssl:443:privateKey=a\:b:certKey=c=d:x") == (
        "ssl",
        ["443", "x"],
        {"privateKey": "a:b", "certKey": "c=d"},
    )


def test_an_access_key_stands_for_one_account() -> None:
    environ = {
        "BLEEPSTORE__AUTH__CREDENTIALS": "[{access_key: bleepstore, secret_key: x}]",
    }
    assert problems(environ) == (
        "BLEEPSTORE__AUTH__CREDENTIALS: auth.credentials[0].access_key: is given twice",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVER__WORKERS", "2"),
        ("SERVER__WORKERS", "auto"),
        ("SERVER__ADMIN_TOKEN", "hunter2"),
        ("METADATA__ENGINE", "local"),
        ("METADATA__ENGINE", "dynamodb"),
        ("METADATA__ENGINE", "firestore"),
        ("METADATA__ENGINE", "cosmos"),
        ("ENCRYPTION__KMS_KEYS", "[a]"),
        ("ENCRYPTION__VAULT__TOKEN", "hunter2"),
        ("QUEUE__ENABLED", "true"),
    ],
)
def test_what_is_not_in_this_version_is_refused_and_not_ignored(variable: str, value: str) -> None:
    (problem,) = problems({f"BLEEPSTORE__{variable}": value})
    key = variable.lower().replace("__", ".")
    assert problem.startswith(f"BLEEPSTORE__{variable}: {key}: ")
    assert "is not in this version of BleepStore" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("variable", "value"),
    [("CLUSTER__PEERS", "[{id: a, addr: b}]"), ("CLUSTER__DNS__NAME", "x"), ("CLUSTER__JOIN", "1")],
)
def test_a_cluster_that_nothing_asks_for_is_refused(variable: str, value: str) -> None:
    (problem,) = problems({f"BLEEPSTORE__{variable}": value})
    assert problem.endswith(": is for metadata.engine: raft; leave it out")


@pytest.mark.parametrize(
    ("backend", "key"),
    [
        ("local", "storage.local.root_dir"),
        ("sqlite", "storage.sqlite.path"),
        ("memory", "storage.memory.snapshot_path"),
    ],
)
def test_two_stores_cannot_have_one_path(backend: str, key: str) -> None:
    variable = "BLEEPSTORE__" + key.replace(".", "__").upper()
    environ = {"BLEEPSTORE__STORAGE__BACKEND": backend, variable: "data/../data/metadata.db"}
    (problem,) = problems(environ)
    assert problem == f"{variable}: {key}: must be another path than metadata.sqlite.path"
    assert load(environ={**environ, "BLEEPSTORE__METADATA__ENGINE": "memory"})
