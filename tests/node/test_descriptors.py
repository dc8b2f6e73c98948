"""The limit of open files: raised as far as it is needed and allowed, and complained of."""

from __future__ import annotations

import resource
import select
from collections.abc import Iterator

import pytest

from bleepstore.node.descriptors import descriptors_for, raise_limit, shortage


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """The limits of this process, which are its own again afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_what_is_wanted(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
    assert raise_limit(600) == 600
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, limits[1])


def test_a_limit_that_is_higher_already_is_left(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, limits[1]))
    assert raise_limit(600) == 600
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (700, limits[1])


def test_it_is_not_raised_beyond_what_select_can_watch_where_the_reactor_may_need_it(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(select, "epoll")
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
    assert raise_limit(600) == 600
    assert raise_limit(3000) == 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (1100, limits[1]))
    assert raise_limit(3000) == 1100
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1100, limits[1])


def test_the_hard_limit_stays_and_is_all_there_is(limits: tuple[int, int]) -> None:
    hard = limits[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("nothing is more than no limit")
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, hard))
    assert raise_limit(hard + 1) == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_limit_that_is_too_low_for_the_connections_is_complained_of() -> None:
    assert descriptors_for(1000) == 3256
    assert shortage(1000, 3256) == []
    (warning,) = shortage(1000, 1024)
    assert warning.startswith(
        "This process may have 1024 files open, and 1000 connections (server.max_connections) "
        "can need 3256: "
    )
