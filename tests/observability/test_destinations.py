"""Where lines go: streams, files that rotate, syslog, Twisted's own log."""

from __future__ import annotations

import io
import os
import signal
import syslog
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.observability.destinations import (
    EventDestination,
    FileDestination,
    JournalDestination,
    StreamDestination,
    SyslogDestination,
    leads_to_journal,
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


def test_the_journal_is_told_the_priority_of_each_line() -> None:
    raw = io.BytesIO()
    destination = JournalDestination(io.TextIOWrapper(raw, encoding="utf-8"))
    destination.write("a\n", "info")
    destination.write("b\n    trace\n", "critical")
    assert raw.getvalue() == b"<6>a\n<2>b\n<2>    trace\n"


def test_the_journal_is_known_by_the_file_that_it_reads(tmp_path: Path) -> None:
    with open(tmp_path / "journal", "w") as file, open(tmp_path / "other", "w") as other:
        status = os.fstat(file.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert leads_to_journal(file.fileno(), environ)
        assert not leads_to_journal(file.fileno(), {})
        assert not leads_to_journal(other.fileno(), environ)
        closed = other.fileno()
    assert not leads_to_journal(closed, environ)


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
