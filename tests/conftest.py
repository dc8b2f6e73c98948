"""Options of the whole suite, and the rule that a skip in CI is a failure."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.integration.azurite import azurite

# How long an example takes is the machine's affair.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bleepstore")
    group.addoption(
        "--crash-rounds",
        type=int,
        default=50,
        help="how often the crash test kills the server (default 50)",
    )
    group.addoption(
        "--sim-seeds", type=int, default=300, help="seeds of the simulation to run (default 300)"
    )
    group.addoption("--sim-seed", type=int, help="run this seed of the simulation alone")
    group.addoption(
        "--histories", type=int, default=40, help="seeds of requests that meet (default 40)"
    )
    group.addoption("--crash-seed", type=int, default=1, help="seed of the crash test (default 1)")
    group.addoption(
        "--cluster-rounds",
        type=int,
        default=3,
        help="rounds of faults among real nodes (default 3)",
    )
    group.addoption("--cluster-seed", type=int, default=1, help="seed of these faults (default 1)")
    group.addoption(
        "--rewrite-transcripts",
        action="store_true",
        help="write what the core of Raft does into its transcripts, instead of comparing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let servers that tests start end by every signal.

    What ignores a signal hands that down (execve(2)): a shell's background jobs ignore SIGINT, and
    what ``nohup`` starts ignores SIGHUP.  A handler is not handed down: it becomes the default.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(number: int, frame: object) -> None:
    """This process goes on as it was told to."""


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what is synced from now on, by ``fsync``."""
    paths: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return paths


@pytest.fixture(scope="session")
def azure_account() -> Iterator[str]:
    """The URL of an account of Azure Storage, one for all: each test has a prefix of its own."""
    with azurite() as url:
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything is installed: a test that skips there has not tested anything."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
