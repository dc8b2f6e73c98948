"""The files of tap/: what they say is true of this program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.sections import Config
from bleepstore.config.sources import SHORT_VARIABLES, from_environment

TOP = Path(__file__).parents[2]
TAP = TOP / "tap"
UNITS = ("bleepstore.service", "bleepstore.socket")
INSTALLED = "/opt/bleepstore/bin/"


def variables(name: str) -> dict[str, str]:
    """The assignments of an environment file."""
    lines = (TAP / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_example_configuration_is_the_defaults() -> None:
    assert load(file=str(TAP / "bleepstore.yaml")) == Config()


def test_the_examples_that_are_commented_out_are_valid() -> None:
    text = (TAP / "bleepstore.yaml").read_text()
    text = re.sub(r"(?m)^(\s*)#( +listen:)", r"\1 \2", text)
    endpoints = re.findall(r'#\s+- "(.*)"', text)
    assert len(endpoints) == 2
    credentials = re.findall(r"#\s+- (\{access_key.*\})", text)
    assert len(credentials) == 1
    config = load(
        environ={
            "BLEEPSTORE__SERVER__LISTEN": yaml.safe_dump(endpoints),
            "BLEEPSTORE__AUTH__CREDENTIALS": f"[{credentials[0]}]",
            **variables("bleepstore.env"),
        },
        directory="/nonexistent",
    )
    assert len(config.server.listen) == 2


def test_the_environment_file_sets_known_variables() -> None:
    assert set(variables("bleepstore.env")) == set(SHORT_VARIABLES)


def verify(directory: Path) -> str:
    """What systemd-analyze says of the units in a directory; it exits with 0 whatever it says."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "verify", *(f"./{unit}" for unit in UNITS)],
        cwd=directory, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with the programs of this installation in place of those under /opt."""
    for unit in UNITS:
        text = (TAP / unit).read_text()
        installed = text.replace(INSTALLED, f"{Path(sys.executable).parent}/")
        (tmp_path / unit).write_text(installed)
    return tmp_path


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    assert verify(units) == ""


def test_systemd_would_say_what_is_wrong(units: Path) -> None:
    service = units / "bleepstore.service"
    service.write_text(service.read_text().replace("StateDirectory=", "StateDirektory="))
    assert "StateDirektory" in verify(units)


def test_the_units_and_the_configuration_name_the_same_socket() -> None:
    name = re.search(r"FileDescriptorName=(\S+)", (TAP / "bleepstore.socket").read_text())
    assert name is not None
    assert f"systemd:domain=INET6:name={name[1]}" in (TAP / "bleepstore.socket").read_text()
    assert f"systemd:domain=INET6:name={name[1]}" in (TAP / "bleepstore.yaml").read_text()


def test_systemd_waits_longer_than_a_stop_may_take() -> None:
    text = (TAP / "bleepstore.service").read_text()
    stop = int(re.findall(r"TimeoutStopSec=(\d+)", text)[0])
    assert stop > Config().server.shutdown_timeout + 20


def test_systemd_does_not_give_up_a_service_whose_socket_it_would_close() -> None:
    unit, _, _ = (TAP / "bleepstore.service").read_text().partition("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in unit  # systemd.unit(5); in [Service] it means nothing


def test_the_paths_of_operations_are_those_of_the_unit() -> None:
    text = (TAP / "bleepstore.service").read_text()
    told = (TOP / "docs" / "operations.md").read_text()
    for kind, parent in (("State", "/var/lib/private"), ("Cache", "/var/cache")):
        (name,) = re.findall(rf"(?m)^{kind}Directory=(\S+)$", text)
        assert f"{parent}/{name}" in told
    assert "/run/credentials/bleepstore.service/" in told
    (name,) = re.findall(r"(?m)^RuntimeDirectory=(\S+)$", text)
    assert f"`unix:/run/{name}/" in (TOP / "docs" / "configuration.md").read_text()


class TestDockerfile:
    text = (TAP / "Dockerfile").read_text()

    def test_what_it_copies_is_there(self) -> None:
        copied = re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", self.text)
        sources = [source for line in copied for source in line.split()]
        assert "bleepstore" in sources
        assert [source for source in sources if not (TOP / source).exists()] == []

    def test_its_environment_is_a_configuration_that_needs_ones_own_key_pair(self) -> None:
        environ = dict(re.findall(r"(BLEEPSTORE__\w+)=(\S+)", self.text))
        assert from_environment(environ).value
        with pytest.raises(ConfigError, match=r"server\.host: needs credentials of your own"):
            load(environ=environ, directory="/nonexistent")
        config = load(environ={**environ, **variables("bleepstore.env")}, directory="/nonexistent")
        volume = re.findall(r"(?m)^VOLUME (\S+)$", self.text)[0]
        assert config.metadata.sqlite.path.startswith(f"{volume}/")
        assert config.storage.local.root_dir.startswith(f"{volume}/")
        assert f"EXPOSE {config.server.port}" in self.text
        assert f"http://127.0.0.1:{config.server.port}/readyz" in self.text

    def test_it_does_not_run_as_root(self) -> None:
        user = self.text.index("\nUSER ")
        assert user < self.text.index("\nENTRYPOINT ")
        assert "root" not in self.text[user : user + 20]

    def test_its_python_is_one_that_is_supported(self) -> None:
        versions = re.findall(r"FROM python:3\.(\d+)-slim", self.text)
        assert len(set(versions)) == 1
        assert int(versions[0]) >= 11
