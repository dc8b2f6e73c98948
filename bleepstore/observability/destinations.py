"""Where the lines of the log go: a stream, the journal, a rotating file, syslog, or Twisted's own
log."""

from __future__ import annotations

import os
import signal
import syslog
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.logfile import LogFile

ROTATE_LENGTH = 100 * 1024 * 1024
"""A log file is rotated when it has this many bytes (and on SIGUSR1, as twistd does)."""

ROTATED_FILES = 10
"""How many rotated files are kept."""


class _RotatingFile(Protocol):
    """What is used of Twisted's LogFile, which has no types of its own."""

    def write(self, data: str) -> None: ...

    def rotate(self) -> None: ...


_open_rotating: Callable[..., _RotatingFile] = LogFile

_access = Logger(namespace="access")

_PRIORITIES = {
    "debug": syslog.LOG_DEBUG,
    "info": syslog.LOG_INFO,
    "warn": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
    "critical": syslog.LOG_CRIT,
}


class StreamDestination:
    """An open text stream, for example standard output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, level: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class JournalDestination(StreamDestination):
    """A stream that leads to systemd's journal: each line begins with its priority, which the
    journal takes off and keeps (sd-daemon(3)), so that ``journalctl -p warning`` finds it."""

    def write(self, text: str, level: str) -> None:
        prefix = f"<{_PRIORITIES[level]}>"
        super().write(prefix + text[:-1].replace("\n", "\n" + prefix) + "\n", level)


def leads_to_journal(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the journal reads what is written to an open file: JOURNAL_STREAM names it by its
    device and inode (systemd.exec(5)), so that one which was redirected since is told from it."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class FileDestination:
    """A file that is rotated by size, and on SIGUSR1 unless that signal is taken already."""

    def __init__(self, path: str, reactor: IReactorFromThreads) -> None:
        directory, name = os.path.split(os.path.abspath(path))
        self._file = _open_rotating(
            name, directory, rotateLength=ROTATE_LENGTH, maxRotatedFiles=ROTATED_FILES
        )

        def rotate(number: int, frame: object) -> None:
            reactor.callFromThread(self._file.rotate)

        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, rotate)

    def write(self, text: str, level: str) -> None:
        self._file.write(text)


class SyslogDestination:
    """The system's log; each line is a message of its own."""

    def __init__(self, prefix: str) -> None:
        syslog.openlog(prefix, syslog.LOG_PID, syslog.LOG_DAEMON)

    def write(self, text: str, level: str) -> None:
        priority = _PRIORITIES[level]
        for line in text.rstrip("\n").split("\n"):
            syslog.syslog(priority, line)


class EventDestination:
    """Twisted's own log, for whoever chose its observer: each line becomes an event."""

    def write(self, text: str, level: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            _access.info("{line}", line=line)
