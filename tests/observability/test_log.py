"""The log's lines: in order, one each, and nothing in them that could forge another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from bleepstore.observability.log import (
    GATHER_LINES,
    GATHER_SECONDS,
    AccessLog,
    LogObserver,
    LogWriter,
    Timestamps,
)

AT = 1_795_250_747_123
"""2026-11-21T08:45:47.123Z"""


class Written:
    """A destination that keeps what it is given, write by write."""

    def __init__(self) -> None:
        self.writes: list[str] = []
        self.levels: list[str] = []
        self.fails = False

    def write(self, text: str, level: str) -> None:
        if self.fails:
            raise OSError("no space")
        self.writes.append(text)
        self.levels.append(level)

    @property
    def lines(self) -> list[str]:
        return "".join(self.writes).split("\n")[:-1]


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def access_log(written: Written, clock: Clock, log_format: Any = "text") -> AccessLog:
    return AccessLog(LogWriter(written, clock), log_format, lambda: AT)


def record(log: AccessLog, **changes: Any) -> None:
    fields = {
        "request_id": "0123456789ABCDEF", "remote": "10.0.0.1", "access_key": "AKID",
        "operation": "GetObject", "resource": "/bucket/key", "status": 200, "error": "",
        "received": 0, "sent": 1024, "seconds": 0.00123456, **changes,
    }  # fmt: skip
    log.record(**fields)


def logger(written: Written, level: str = "info", log_format: Any = "text") -> Any:
    """A Logger whose events go through our observer; and the observer's writer."""
    observer = LogObserver(LogWriter(written), log_format, level)
    verifyObject(ILogObserver, observer)
    return lambda namespace="bleepstore.x": Logger(
        namespace=namespace, observer=LogPublisher(observer)
    )


# Requests


def test_a_request_is_a_line_of_fields(written: Written, clock: Clock) -> None:
    log = access_log(written, clock)
    record(log)
    record(
        log, remote="", access_key="", operation="", resource="", status=403, error="AccessDenied"
    )
    clock.advance(GATHER_SECONDS)
    assert written.lines == [
        "2026-11-21T08:45:47.123Z info  0123456789ABCDEF 10.0.0.1 AKID GetObject /bucket/key 200 - "
        "in=0 out=1024 1.23ms",
        "2026-11-21T08:45:47.123Z info  0123456789ABCDEF - - - - 403 AccessDenied "
        "in=0 out=1024 1.23ms",
    ]


def test_a_request_as_json_has_the_same_fields(written: Written, clock: Clock) -> None:
    record(access_log(written, clock, "json"), resource='/b/ü "\n\x1b[31m')
    clock.advance(GATHER_SECONDS)
    (line,) = written.lines
    assert "\x1b" not in line
    assert json.loads(line) == {
        "time": "2026-11-21T08:45:47.123Z", "level": "info", "logger": "access",
        "request_id": "0123456789ABCDEF", "remote": "10.0.0.1", "access_key": "AKID",
        "operation": "GetObject", "resource": '/b/ü "\n\x1b[31m', "status": 200, "error": "",
        "bytes_in": 0, "bytes_out": 1024, "duration_ms": 1.235,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("plain/ü", "/b/plain/ü"),
        ("two words", '"/b/two words"'),
        ("a\n2026-11-21 forged", r'"/b/a\n2026-11-21 forged"'),
        ("\x1b[2J", r'"/b/\u001b[2J"'),
        ("line\u2028separator", r'"/b/line\u2028separator"'),
        ("bidi\u202eoverride", r'"/b/bidi\u202eoverride"'),
        ("lone\udc80surrogate", r'"/b/lone\udc80surrogate"'),
    ],
)
def test_a_key_cannot_forge_a_line_or_a_field(
    written: Written, clock: Clock, key: str, shown: str
) -> None:
    record(access_log(written, clock), resource=f"/b/{key}")
    clock.advance(GATHER_SECONDS)
    (line,) = written.lines
    assert f" GetObject {shown} 200 " in line


def test_an_access_key_cannot_forge_anything_either(written: Written, clock: Clock) -> None:
    log = access_log(written, clock)
    record(log, access_key="x y\n")
    record(log, access_key='"x')
    clock.advance(GATHER_SECONDS)
    first, second = written.lines
    assert r' 10.0.0.1 "x y\n" GetObject ' in first
    assert r' 10.0.0.1 "\"x" GetObject ' in second


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("field", ["access_key", "resource"])
def test_what_a_client_chooses_makes_no_endless_line(
    written: Written, clock: Clock, log_format: str, field: str
) -> None:
    log = access_log(written, clock, log_format)
    record(log, **{field: "/b/" + "k" * 1024})
    record(log, **{field: "\x80" * 16_000})
    clock.advance(GATHER_SECONDS)
    whole, cut = written.lines
    assert "k" * 1024 in whole
    assert "\\u0080..." in cut or "\x80..." in cut
    assert len(cut) < 13_000


def test_a_lone_surrogate_is_no_error_in_json(written: Written, clock: Clock) -> None:
    record(access_log(written, clock, "json"), resource="/b/\udc80")
    clock.advance(GATHER_SECONDS)
    assert json.loads(written.lines[0])["resource"] == "/b/\udc80"


def test_requests_gather_and_are_written_together(written: Written, clock: Clock) -> None:
    log = access_log(written, clock)
    for _ in range(3):
        record(log)
    assert written.writes == []
    clock.advance(GATHER_SECONDS)
    assert (len(written.writes), len(written.lines)) == (1, 3)
    record(log)
    clock.advance(GATHER_SECONDS)
    assert len(written.writes) == 2
    assert not clock.getDelayedCalls()


def test_many_requests_are_not_kept_for_long(written: Written, clock: Clock) -> None:
    log = access_log(written, clock)
    for _ in range(GATHER_LINES):
        record(log)
    assert (len(written.writes), len(written.lines)) == (1, GATHER_LINES)


def test_a_log_that_is_off_writes_nothing(written: Written, clock: Clock) -> None:
    log = AccessLog(LogWriter(written, clock), "text", lambda: AT, enabled=False)
    record(log)
    assert not clock.getDelayedCalls()


def test_a_log_that_cannot_be_written_harms_no_request(written: Written, clock: Clock) -> None:
    log = access_log(written, clock)
    written.fails = True
    record(log)
    clock.advance(GATHER_SECONDS)
    written.fails = False
    record(log)
    clock.advance(GATHER_SECONDS)
    assert len(written.lines) == 1


# Events


def test_events_and_requests_keep_their_order(written: Written, clock: Clock) -> None:
    writer = LogWriter(written, clock)
    requests = AccessLog(writer, "text", lambda: AT)
    events = Logger(observer=LogPublisher(LogObserver(writer, "text", "info")))
    record(requests)
    events.warn("watch out")
    record(requests)
    clock.advance(GATHER_SECONDS)
    assert [" GetObject " in line for line in written.lines] == [True, False, True]


def test_an_event_is_a_line_with_time_and_level(written: Written) -> None:
    observer = LogObserver(LogWriter(written), "text", "info")
    source = Logger(namespace="bleepstore.x", observer=LogPublisher(observer))
    source.emit(_level("warn"), "{what} is full", what="disk", log_time=AT / 1000)
    (line,) = written.lines
    assert line.endswith(" warn  disk is full")
    assert written.levels == ["warn"]


def _level(name: str) -> Any:
    from twisted.logger import LogLevel

    return LogLevel.levelWithName(name)


@pytest.mark.parametrize(
    ("least", "seen"),
    [
        ("debug", ["d", "i", "w", "e", "c"]),
        ("info", ["i", "w", "e", "c"]),
        ("warn", ["w", "e", "c"]),
        ("error", ["e", "c"]),
    ],
)
def test_events_below_the_level_are_dropped(written: Written, least: str, seen: list[str]) -> None:
    source = logger(written, least)()
    source.debug("d")
    source.info("i")
    source.warn("w")
    source.error("e")
    source.critical("c")
    assert [line[-1] for line in written.lines] == seen


@pytest.mark.parametrize("namespace", ["twisted.internet.protocol.Factory", "log_legacy"])
def test_the_chatter_of_twisted_is_debug(written: Written, namespace: str) -> None:
    loggers = logger(written)
    loggers(namespace).info("Starting factory")
    loggers(namespace).warn("but this matters")
    assert [line.split(" ", 2)[2].strip() for line in written.lines] == ["but this matters"]


def test_a_message_stays_on_its_line(written: Written) -> None:
    logger(written)().info("{key}", key="a\nb\x1b[0m")
    (line,) = written.lines
    assert line.endswith(r" info  a\nb\u001b[0m")


def test_a_failure_is_logged_with_its_indented_trace(written: Written) -> None:
    source = logger(written)()
    try:
        raise ValueError("forged\n2026-11-21T00:00:00.000Z info  x")
    except ValueError:
        source.failure("it failed", failure=Failure())
    first, *trace = written.lines
    assert first.endswith(" critical it failed")
    assert trace
    assert all(line.startswith("    ") for line in trace)


def test_a_trace_ends_with_what_the_error_was_raised_from(written: Written) -> None:
    source = logger(written)()
    try:
        try:
            raise KeyError("the first")
        except KeyError as first:
            try:
                raise OSError("the second") from first
            except OSError as second:
                raise ValueError("the last") from second
    except ValueError:
        source.failure("it failed", failure=Failure())
    assert [line.strip() for line in written.lines[-3:]] == [
        "builtins.ValueError: the last",
        "because of builtins.OSError: the second",
        "because of builtins.KeyError: 'the first'",
    ]


def test_events_as_json(written: Written) -> None:
    source = logger(written, log_format="json")()
    try:
        raise ValueError("x")
    except ValueError:
        source.failure("it {what}", what="failed", failure=Failure())
    (line,) = written.lines
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == (
        "critical",
        "bleepstore.x",
        "it failed",
    )
    assert "ValueError: x" in event["traceback"]


def test_times_are_utc_in_milliseconds() -> None:
    timestamp = Timestamps()
    assert timestamp(AT) == "2026-11-21T08:45:47.123Z"
    assert timestamp(AT + 877) == "2026-11-21T08:45:48.000Z"
    assert timestamp(AT - 120) == "2026-11-21T08:45:47.003Z"
