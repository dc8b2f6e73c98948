"""Where lines go: streams, files that rotate, syslog, Twisted's own log."""

from __future__ import annotations

import io
import signal
import syslog
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.observability.destinations import (
    EventDestination,
    FileDestination,
    StreamDestination,
    SyslogDestination,
)


class Reactor:
    """Calls at once what a thread asks for."""

    def callFromThread(self, function: Any, *args: object) -> None:
        function(*args)


@pytest.fixture
def free_signal() -> Any:
    """SIGUSR1 as a process begins with it, and afterwards as it was."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def test_a_stream_has_the_lines_at_once() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    StreamDestination(stream).write("a\nb\n", "info")
    assert raw.getvalue() == b"a\nb\n"


def test_a_file_is_appended_to(tmp_path: Path, free_signal: int) -> None:
    reactor: Any = Reactor()
    path = tmp_path / "here.log"
    path.write_text("before\n")
    FileDestination(str(path), reactor).write("ü\n", "info")
    assert path.read_text(encoding="utf-8") == "before\nü\n"


def test_a_file_rotates_on_its_signal(tmp_path: Path, free_signal: int) -> None:
    reactor: Any = Reactor()
    path = tmp_path / "here.log"
    log = FileDestination(str(path), reactor)
    log.write("old\n", "info")
    signal.raise_signal(free_signal)
    log.write("new\n", "info")
    assert path.read_text() == "new\n"
    assert (tmp_path / "here.log.1").read_text() == "old\n"


def test_syslog_has_a_message_for_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *args: None)
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: sent.append((priority, text)))
    destination = SyslogDestination("bleepstore")
    destination.write("a\nb\n", "info")
    destination.write("c\n", "error")
    assert sent == [(syslog.LOG_INFO, "a"), (syslog.LOG_INFO, "b"), (syslog.LOG_ERR, "c")]


def test_lines_become_events_of_twisted_where_its_log_is_used() -> None:
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "access":
            events.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        EventDestination().write("a {b}\nc\n", "info")
    finally:
        globalLogPublisher.removeObserver(observe)
    assert [event["line"] for event in events] == ["a {b}", "c"]
