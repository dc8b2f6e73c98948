"""One line a minute for each peer and reason, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from bleepstore.cluster.complaints import MOST, Complaints, words_of


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []

    def observe(event: LogEvent) -> None:
        said.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield said
    globalLogPublisher.removeObserver(observe)


def test_the_like_is_said_once_a_minute_and_counted(lines: list[str]) -> None:
    clock = Clock()
    complaints = Complaints(clock.seconds)
    for _ in range(5):
        complaints.say("b", "garbage", "sends garbage")
    complaints.say("b", "silence", "says nothing")
    complaints.say("c", "garbage", "sends garbage")
    clock.advance(60)
    complaints.say("b", "garbage", "sends garbage")
    assert lines == [
        "Peer b: sends garbage",
        "Peer b: says nothing",
        "Peer c: sends garbage",
        "Peer b: sends garbage (4 more since the last such line)",
    ]


def test_many_names_do_not_fill_log_or_memory(lines: list[str]) -> None:
    clock = Clock()
    complaints = Complaints(clock.seconds)
    for number in range(3 * MOST):
        complaints.say(f"peer-{number}", "garbage", "sends garbage")
    assert len(lines) == MOST + 1
    clock.advance(61)
    complaints.say("new", "garbage", "sends garbage")
    assert len(lines) == MOST + 2
    assert len(complaints._said) <= 2


def test_an_unreachable_network_is_told_in_words() -> None:
    """What twisted.internet.tcp makes of a router's refusal has a traceback in it."""
    refused = ConnectError(string=Failure(ConnectionDone()))
    assert "Traceback" in str(refused)
    assert words_of(refused) == "it is not reachable"
    assert words_of(ConnectError(13, "no")) == str(ConnectError(13, "no"))
    assert words_of(ValueError()) == "ValueError"
