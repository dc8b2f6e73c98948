"""Where settings come from, which one wins, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.schema import redacted
from bleepstore.config.sections import Config, CredentialConfig


def problems(
    directory: Path, text: str = "", environ: dict[str, str] | None = None, **options: str
) -> list[str]:
    """What load says about a file (written as bleepstore.yaml), an environment and options."""
    if text:
        (directory / "bleepstore.yaml").write_text(text)
    dotted = {f"server.{key}": value for key, value in options.items()}
    with pytest.raises(ConfigError) as caught:
        load(environ=environ, options=dotted, directory=str(directory))
    return [line.replace(f"{directory}/", "") for line in caught.value.problems]


def test_without_anything_the_defaults_are_used(tmp_path: Path) -> None:
    assert load(directory=str(tmp_path)) == Config()


def test_the_last_source_wins(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text(
        "server: {port: 1, region: eu-west-1, log_level: warn}\nmultipart: {expiry_days: 3}\n"
    )
    config = load(
        environ={"BLEEPSTORE__SERVER__PORT": "2", "BLEEPSTORE__SERVER__LOG_LEVEL": "error"},
        options={"server.port": "3"},
        directory=str(tmp_path),
    )
    assert config.server.port == 3
    assert config.server.log_level == "error"
    assert config.server.region == "eu-west-1"
    assert config.multipart.expiry_days == 3
    assert config.server.host == "127.0.0.1"


def test_a_named_file_is_read_instead_of_the_default_one(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text("server: {port: 1}")
    other = tmp_path / "other.yaml"
    other.write_text("server: {region: a}")
    config = load(file=str(other), directory=str(tmp_path))
    assert (config.server.port, config.server.region) == (9000, "a")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load(file=str(tmp_path / "nowhere.yaml"))


def test_nested_keys_lists_and_sections_come_from_the_environment(tmp_path: Path) -> None:
    config = load(
        environ={
            "BLEEPSTORE__METADATA__SQLITE__PATH": "/x/y.db",
            "BLEEPSTORE__SERVER__DOMAINS": "[s3.example.org, localhost]",
            "BLEEPSTORE__AUTH__CREDENTIALS": "[{access_key: a, secret_key: b}]",
            "BLEEPSTORE__STORAGE__MEMORY": "{max_size_bytes: 5}",
            "BLEEPSTORE__OBSERVABILITY__METRICS": "false",
            "BLEEPSTORE__SERVER__READ_TIMEOUT": "0.5",
            "BLEEPSTORE_PORT": "tcp://10.0.0.1:9000",  # Kubernetes, of a service of that name
            "PATH": "/bin",
        },
        directory=str(tmp_path),
    )
    assert config.metadata.sqlite.path == "/x/y.db"
    assert config.server.domains == ("s3.example.org", "localhost")
    assert config.auth.credentials == (CredentialConfig(access_key="a", secret_key="b"),)
    assert config.storage.memory.max_size_bytes == 5
    assert config.observability.metrics is False
    assert config.server.read_timeout == 0.5
    assert config.server.port == 9000


def test_the_short_names_of_the_key_pair_win_over_the_long_ones(tmp_path: Path) -> None:
    config = load(
        environ={
            "BLEEPSTORE_ACCESS_KEY": "short",
            "BLEEPSTORE__AUTH__ACCESS_KEY": "long",
            "BLEEPSTORE_SECRET_KEY": "123",
        },
        directory=str(tmp_path),
    )
    assert (config.auth.access_key, config.auth.secret_key) == ("short", "123")


def test_an_empty_section_of_the_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text("server:\n  # port: 1\nauth:\n")
    assert load(directory=str(tmp_path)) == Config()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text("# nothing yet\n")
    assert load(directory=str(tmp_path)) == Config()


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    assert problems(tmp_path, "auth:\n  enabled: true\nserver:\n  # x\n  prot: 1\n") == [
        "bleepstore.yaml:5: server.prot: unknown key; did you mean server.port?"
    ]


def test_all_mistakes_are_reported_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = """\
server:
  host: 5
  listen: [1]
  workers: many
auth:
  credentials:
    - access_key: a
      sekret_key: b
metadata: {engine: sqlight}
storage:
  local:
    root_dir: ""
jobs: [1]
"""
    environ = {"BLEEPSTORE__MULTIPART__EXPIRY_DAYS": "soon", "BLEEPSTORE__SERVER__DOMAINS": "["}
    assert problems(tmp_path, text, environ, port="http") == [
        "bleepstore.yaml:2: server.host: must be text (put it in quotes), not 5",
        "bleepstore.yaml:3: server.listen[0]: must be text (put it in quotes), not 1",
        "bleepstore.yaml:4: server.workers: must be a whole number or auto, not 'many'",
        "BLEEPSTORE__SERVER__DOMAINS: server.domains: is not YAML: expected the node content, "
        "but found '<stream end>'",
        "--port: server.port: must be a whole number, not 'http'",
        "bleepstore.yaml:8: auth.credentials[0].sekret_key: unknown key; "
        "did you mean auth.credentials[0].secret_key?",
        "bleepstore.yaml:7: auth.credentials[0]: lacks the key secret_key",
        "bleepstore.yaml:9: metadata.engine: must be one of sqlite, memory, local, raft, "
        "dynamodb, firestore, cosmos, not 'sqlight'",
        "bleepstore.yaml:12: storage.local.root_dir: must not be empty",
        "bleepstore.yaml:13: jobs: must be a section with keys, not a list",
        "BLEEPSTORE__MULTIPART__EXPIRY_DAYS: multipart.expiry_days: must be a number, not 'soon'",
    ]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("server.port", "65536", "must be at most 65535, not 65536"),
        ("server.port", "-1", "must be at least 0, not -1"),
        ("server.port", "9000.0", "must be a whole number, not 9000.0"),
        ("server.port", "true", "must be a whole number, not True"),
        ("server.port", '"9000"', "must be a whole number, not '9000'"),
        ("server.port", "", "has no value; leave the key out for the default"),
        ("server.port", "{}", "must be a whole number, not a section"),
        ("server.read_timeout", ".nan", "must be at least 0.001, not nan"),
        ("server.region", '"a\\nb"', "must not have control characters"),
        ("server.log_level", "INFO", "must be one of debug, info, warn, error, not 'INFO'"),
        ("auth.enabled", "1", "must be true or false, not 1"),
        ("auth.secret_key", "12345", "must be text (put it in quotes)"),
        ("auth.credentials", "ak:sk", "must be a list, not text"),
        ("storage.inline_max_bytes", "65537", "must be at most 65536, not 65537"),
        ("metadata.sqlite", "here.db", "must be a section with keys, not text"),
    ],
)
def test_values_are_checked(tmp_path: Path, key: str, value: str, sentence: str) -> None:
    section, name = key.split(".")
    assert problems(tmp_path, f"{section}:\n  {name}: {value}\n") == [
        f"bleepstore.yaml:2: {key}: {sentence}"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: {port: 1\nauth: 2", "bleepstore.yaml:2: is not YAML: expected ',' or '}', "),
        ("- a", "bleepstore.yaml:1: must be sections and keys, not a list"),
        ("server: {port: 1}\nserver: {port: 2}", "bleepstore.yaml:2: server: given twice"),
        ("? [a]\n: 1", "bleepstore.yaml:1: a key must be a word"),
        ("server: &a\n  listen: *a", "bleepstore.yaml:1: an alias that contains itself"),
        ("server: {host: !!python/name:os.system x}", "bleepstore.yaml:1: could not determine a "),
        ("server: {port: 2026-13-45}", "bleepstore.yaml:1: month must be in 1..12"),
        ("a: \x00", "bleepstore.yaml: is not YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(problem)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_bytes(b"server: {region: \xff}")
    assert problems(tmp_path) == ["bleepstore.yaml: is not UTF-8"]


def test_a_variable_that_is_no_setting_is_an_error(tmp_path: Path) -> None:
    assert problems(tmp_path, environ={"BLEEPSTORE__SERVER__PROT": "1"}) == [
        "BLEEPSTORE__SERVER__PROT: server.prot: unknown key; did you mean server.port?"
    ]


def test_variables_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    environ = {"BLEEPSTORE__SERVER": "{port: 1}", "BLEEPSTORE__SERVER__HOST": "x"}
    assert problems(tmp_path, environ=environ) == [
        "BLEEPSTORE__SERVER__HOST: BLEEPSTORE__SERVER sets the whole section already"
    ]


def test_a_section_in_a_variable_hides_no_more_than_it_says(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").write_text("server: {port: 1, host: localhost, region: a}")
    config = load(
        environ={"BLEEPSTORE__SERVER": "{port: 2, region: b}"},
        options={"server.port": "3"},
        directory=str(tmp_path),
    )
    server = config.server
    assert (server.port, server.host, server.region) == (3, "localhost", "b")


@pytest.mark.parametrize(
    ("text", "environ", "origin", "setter"),
    [
        ("auth: [a]", {"BLEEPSTORE_ACCESS_KEY": "b"}, "bleepstore.yaml:1", "BLEEPSTORE_ACCESS_KEY"),
        ("", {"BLEEPSTORE__SERVER": "5"}, "BLEEPSTORE__SERVER", "--port"),
        ("", {"BLEEPSTORE__SERVER": "{"}, "BLEEPSTORE__SERVER", "--port"),
    ],
)
def test_no_other_source_hides_what_should_be_a_section(
    tmp_path: Path, text: str, environ: dict[str, str], origin: str, setter: str
) -> None:
    assert problems(tmp_path, text, environ, port="1") == [
        f"{origin}: is no section with keys, of which {setter} sets one"
    ]


def test_a_default_file_that_leads_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bleepstore.yaml").symlink_to(tmp_path / "nowhere")
    assert problems(tmp_path) == ["bleepstore.yaml: cannot be read: No such file or directory"]


def test_a_secret_is_never_shown() -> None:
    config = load(
        environ={
            "BLEEPSTORE_SECRET_KEY": "hunter2",
            "BLEEPSTORE__AUTH__CREDENTIALS": "[{access_key: a, secret_key: hunter2}]",
        },
        directory="/nonexistent",
    )
    assert "hunter2" not in repr(config)
    assert redacted(config)["auth"]["secret_key"] == "REDACTED"  # type: ignore[index]
    assert config.auth.secret_key == "hunter2"
