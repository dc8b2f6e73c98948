"""The log: one line an event and one line a request, as text or as JSON, in one order.

Twisted's logging carries the events; :class:`LogObserver` turns them into lines.  Requests are
far too many to go through it, so :class:`AccessLog` formats its own line and hands it to the
same :class:`LogWriter`, which writes what has gathered in one go.

Knows no S3 and no HTTP: the front tells it plain values.  Must not be given a secret.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.logger import ILogObserver, LogEvent, formatEvent
from twisted.python.reflect import qual
from zope.interface import implementer

from bleepstore.interfaces.threads import Now

LogFormat = Literal["text", "json"]

LEVELS = ("debug", "info", "warn", "error", "critical")
"""The names of levels in configuration and log, in ascending order of importance."""

GATHER_SECONDS = 0.1
"""How long a request's line may wait for others, so that many are written in one call."""

GATHER_LINES = 500
"""How many lines may wait before they are written at once."""


MOST = 2048
"""Characters of a field that a client chooses: a key of S3 and its bucket have less, but a target
that names nothing, or an access key, may have 16 KiB, and six times as much when it is quoted."""


class Destination(Protocol):
    """Where lines go: a file, standard output, syslog.  See ``observability.destinations``."""

    def write(self, text: str, level: str) -> None:
        """Write whole lines, each with its line feed, all of one level.

        :raises OSError: they could not be written.
        """


class LogWriter:
    """Puts lines to their destination in the order in which they were given.

    :param reactor: delays the gathered lines; without one every line is written at once.
    """

    def __init__(self, destination: Destination, reactor: IReactorTime | None = None) -> None:
        self._destination = destination
        self._reactor = reactor
        self._gathered: list[tuple[Callable[..., str], tuple[object, ...]]] = []
        self._scheduled = False

    def write(self, line: str, level: str) -> None:
        """Write a line now, after all that were given before it."""
        self.flush()
        self._put(line + "\n", level)

    def gather(self, form: Callable[..., str], fields: tuple[object, ...]) -> None:
        """Write the line ``form(*fields)``, of level info, soon: within :data:`GATHER_SECONDS`, in
        order.  It is made then: many lines in a row cost less than each between other work."""
        gathered = self._gathered
        gathered.append((form, fields))
        if not self._scheduled:
            if self._reactor is None:
                self.flush()
                return
            self._scheduled = True
            self._reactor.callLater(GATHER_SECONDS, self._due)
        if len(gathered) >= GATHER_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        if self._gathered:
            lines = [form(*fields) for form, fields in self._gathered]
            self._gathered.clear()
            lines.append("")
            self._put("\n".join(lines), "info")

    def _due(self) -> None:
        self._scheduled = False
        self.flush()

    def _put(self, text: str, level: str) -> None:
        # A log that cannot be written has nowhere to say so, and must not stop the server.
        try:
            self._destination.write(text, level)
        except (OSError, ValueError):
            return


class Timestamps:
    """``2026-11-21T08:45:47.123Z`` from milliseconds; the part up to the second is made once."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def __call__(self, milliseconds: int) -> str:
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._prefix}{rest:03d}Z"


@implementer(ILogObserver)
class LogObserver:
    """Writes Twisted's log events as lines of ours.

    Twisted speaks of its own doings (factories, ports, its version) at level info; here that
    is debug.  An event with ``always=True`` is written whatever the level.
    """

    def __init__(self, writer: LogWriter, log_format: LogFormat, level: str) -> None:
        self._writer = writer
        self._format = _json_event if log_format == "json" else _text_event
        self._least = LEVELS.index(level)
        self._timestamp = Timestamps()

    def __call__(self, event: LogEvent) -> None:
        level = _level_of(event)
        if LEVELS.index(level) < self._least and not event.get("always"):
            return
        at = self._timestamp(int(event.get("log_time", 0.0) * 1000))
        self._writer.write(self._format(event, at, level), level)


def _level_of(event: LogEvent) -> str:
    level = event.get("log_level")
    name = level.name if level is not None else "info"
    if name == "info":
        namespace = event.get("log_namespace") or ""
        if namespace.startswith("twisted.") or namespace in ("twisted", "log_legacy"):
            return "debug"
    return str(name)


def _text_event(event: LogEvent, at: str, level: str) -> str:
    line = f"{at} {level:<5} {_printable(formatEvent(event))}"
    traceback = _traceback(event)
    if traceback:
        line += "".join(f"\n    {_printable(row)}" for row in traceback.splitlines())
    return line


def _json_event(event: LogEvent, at: str, level: str) -> str:
    fields = {
        "time": at,
        "level": level,
        "logger": str(event.get("log_namespace") or ""),
        "message": formatEvent(event),
    }
    traceback = _traceback(event)
    if traceback:
        fields["traceback"] = traceback
    return _json(fields)


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    return str(failure.getTraceback()) + "".join(_causes(failure.value))


def _causes(error: BaseException) -> Iterator[str]:
    """A line for each error that the error was raised from, which a Failure leaves out."""
    seen = {id(error)}
    while (cause := error.__cause__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield f"because of {qual(type(cause))}: {cause}\n"
        error = cause


def _printable(text: str) -> str:
    """``text`` on one line: what a terminal or a parser of lines could obey is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _field(text: str) -> str:
    """``text`` as one field: ``-`` if empty, in JSON's quotes if it has blanks or worse."""
    if not text:
        return "-"
    if text.isprintable() and " " not in text and text[0] != '"':
        return text
    return json.dumps(text)


def _cut(text: str) -> str:
    return text if len(text) <= MOST else text[:MOST] + "..."


_encode = msgspec.json.Encoder().encode


def _json(fields: Mapping[str, object]) -> str:
    try:
        return _encode(fields).decode()
    except UnicodeEncodeError:  # a lone surrogate: json escapes it, msgspec will not
        return json.dumps(fields)


class AccessLog:
    """One line a request.

    :ivar enabled: whether lines are wanted at this log level; a front may spare itself the call.
    """

    def __init__(
        self, writer: LogWriter, log_format: LogFormat, now: Now, enabled: bool = True
    ) -> None:
        self.enabled = enabled
        self._gather = writer.gather
        self._now = now
        self._timestamp = Timestamps()
        self._form = self._json_line if log_format == "json" else self._text_line

    def record(
        self,
        request_id: str,
        remote: str,
        access_key: str,
        operation: str,
        resource: str,
        status: int,
        error: str,
        received: int,
        sent: int,
        seconds: float,
    ) -> None:
        """Log a request that has ended.  Costs half a microsecond now, and a few when its line is
        written; never raises.

        :param remote: the peer's address, "" for a UNIX socket.
        :param access_key: whose signature was sent, verified or not; "" for anonymous.
        :param operation: of the operations table, e.g. ``GetObject``; "" if none was found.
        :param resource: ``/bucket/key`` as decoded, any characters; "" if none was found.
        :param error: the S3 error code, "" for success.
        :param received: bytes of the body taken from the wire.
        :param sent: bytes of the response's body.
        :param seconds: from the head of the request to the end of the response.
        """
        if not self.enabled:
            return
        self._gather(
            self._form,
            (
                self._now(),
                request_id,
                remote,
                _cut(access_key),
                operation,
                _cut(resource),
                status,
                error,
                received,
                sent,
                seconds,
            ),
        )

    def _json_line(
        self,
        at: int,
        request_id: str,
        remote: str,
        access_key: str,
        operation: str,
        resource: str,
        status: int,
        error: str,
        received: int,
        sent: int,
        seconds: float,
    ) -> str:
        return _json(
            {
                "time": self._timestamp(at),
                "level": "info",
                "logger": "access",
                "request_id": request_id,
                "remote": remote,
                "access_key": access_key,
                "operation": operation,
                "resource": resource,
                "status": status,
                "error": error,
                "bytes_in": received,
                "bytes_out": sent,
                "duration_ms": round(seconds * 1000, 3),
            }
        )

    def _text_line(
        self,
        at: int,
        request_id: str,
        remote: str,
        access_key: str,
        operation: str,
        resource: str,
        status: int,
        error: str,
        received: int,
        sent: int,
        seconds: float,
    ) -> str:
        return (
            f"{self._timestamp(at)} info  {request_id} {remote or '-'} {_field(access_key)} "
            f"{operation or '-'} {_field(resource)} {status} {error or '-'} in={received} "
            f"out={sent} {seconds * 1000:.2f}ms"
        )
