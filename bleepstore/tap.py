"""``twistd bleepstore``: the command line, and the service made of it.

One of two places that import the reactor; ``__main__`` is the other.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from twisted.application.service import IServiceCollection
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from bleepstore import __version__
from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.sections import Config
from bleepstore.node.clocks import measure_steadily, wall_clock
from bleepstore.node.ending import exit_with
from bleepstore.node.problems import StartError
from bleepstore.node.reactor import INodeReactor
from bleepstore.node.signals import rotate_or_nothing, stop_once
from bleepstore.node.tree import Node
from bleepstore.observability.destinations import (
    EventDestination,
    FileDestination,
    JournalDestination,
    StreamDestination,
    SyslogDestination,
    leads_to_journal,
)
from bleepstore.observability.log import (
    LEVELS,
    AccessLog,
    Destination,
    LogObserver,
    LogWriter,
)

_log = Logger()


class Options(UsageOptions):
    """The options of ``twistd bleepstore`` and of ``bleepstore``.

    After parsing, :attr:`config` is the configuration from all sources.
    """

    longdesc = (
        "Serve the S3 API. Every setting is described in docs/configuration.md. To ask a cluster "
        "or to change it: bleepstore cluster --help. To index or check the cloud behind a gateway: "
        "bleepstore gateway --help."
    )

    optParameters = [  # noqa: RUF012  Twisted's way of declaring them
        ["config", None, None, "Configuration file [default: bleepstore.yaml, if there is one]"],
        ["host", None, None, "Address to listen on [default: 127.0.0.1]"],
        ["port", None, None, "TCP port to listen on [default: 9000]"],
        ["log-level", None, None, "debug, info, warn or error [default: info]"],
    ]

    config: Config

    def opt_version(self) -> None:
        """Show the version, and exit."""
        print(f"BleepStore {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *surplus: str) -> None:
        """:raises UsageError: there is anything but options."""
        if surplus:
            raise UsageError(f"unexpected argument: {surplus[0]}")

    def postOptions(self) -> None:
        """Load the configuration.

        :raises SystemExit: it has mistakes; the message names them all.
        """
        given = {"server.host": "host", "server.port": "port", "server.log_level": "log-level"}
        parent = getattr(self, "parent", None)
        try:
            self.config = load(
                file=self["config"],
                environ=os.environ,
                options={key: self[name] for key, name in given.items() if self[name] is not None},
                directory=parent.get("rundir", ".") if parent is not None else ".",
            )
        except ConfigError as error:
            lines = "\n  ".join(error.problems)
            raise SystemExit(f"bleepstore: the configuration cannot be used:\n  {lines}") from None


COLLECT_AFTER = 5000
"""Objects made and not freed again after which the youngest are searched for garbage, in place of
Python's 700.  Requests leave none behind, so most of that is in vain; those under way are some
thousand objects, and were walked through every 30 requests: 3 % of a PUT."""


class Program(Node):
    """The node as twistd runs it: it sets the log, and ends the process when it cannot start.

    :param twistd: the options of twistd, None if they are not known (an application file); then
        its log is used as it is, whatever ``log_format`` and ``log_level`` say of it.
    """

    def __init__(
        self, config: Config, reactor: INodeReactor, twistd: Mapping[str, Any] | None
    ) -> None:
        server = config.server
        self._destination = _destination(twistd, reactor)
        self._writer = LogWriter(self._destination, reactor)
        self._observer = LogObserver(self._writer, server.log_format, server.log_level)
        self._in_background = twistd is not None and not twistd["nodaemon"]
        self._core = reactor
        access_log = AccessLog(
            self._writer,
            server.log_format,
            wall_clock,
            enabled=LEVELS.index(server.log_level) <= LEVELS.index("info"),
        )
        super().__init__(config, reactor, access_log, self._cannot_serve)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join the application; its log becomes ours, if we know where it is to go."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if isinstance(parent, Componentized) and not isinstance(
            self._destination, EventDestination
        ):
            parent.setComponent(ILogObserver, self._observer)  # type: ignore[no-untyped-call]
            # The reactor installs its handlers as it starts to run.
            self._core.callWhenRunning(stop_once)
            self._core.callWhenRunning(rotate_or_nothing)

    def startService(self) -> Deferred[None]:
        """Start; see :class:`Node`."""
        # What was imported lives as long as the process.  Out of the collector's sight it costs no
        # full collection 40 ms, and no page of a forked process its copy.
        return super().startService().addCallback(lambda _: _collect_seldom())

    def stopService(self) -> Deferred[None]:
        """Stop, and write what the access log still holds."""
        return super().stopService().addBoth(lambda _: self._writer.flush())

    def _cannot_serve(self, reason: str, started: bool) -> None:
        """End the process with status 1 and one line.

        :raises StartError: in the background and before the reactor runs: twistd hands it to the
            process that is waiting in the foreground.
        """
        what = "go on" if started else "start"
        _log.critical("BleepStore cannot {what}: {reason}", what=what, reason=reason)
        if self._in_background and not getattr(self._core, "running", False):
            raise StartError(reason)
        if sys.__stderr__ is not None and not _same_stream(self._destination):
            print(f"bleepstore: {reason}", file=sys.__stderr__)
        exit_with(1)
        self._core.callWhenRunning(self._end)

    def _end(self) -> None:
        with suppress(ReactorNotRunning):  # another node of this process has ended it already
            self._core.stop()


def makeService(options: Options) -> Program:
    """The service of parsed options; nothing is opened before it starts."""
    from twisted.internet import reactor

    measure_steadily(reactor)
    return Program(options.config, cast(INodeReactor, reactor), getattr(options, "parent", None))


def _collect_seldom() -> None:
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


def _destination(twistd: Mapping[str, Any] | None, reactor: INodeReactor) -> Destination:
    """Where twistd's options send the log, by the rules of its own (UnixAppLogger)."""
    if twistd is None or twistd.get("logger"):
        return EventDestination()
    if twistd.get("syslog"):
        return SyslogDestination(twistd.get("prefix") or "bleepstore")
    name = twistd.get("logfile")
    if twistd["nodaemon"]:
        return FileDestination(name, reactor) if name and name != "-" else _standard_output()
    if name == "-":
        raise SystemExit("bleepstore: a daemon cannot log to standard output")
    return FileDestination(name or "twistd.log", reactor)


def _standard_output() -> StreamDestination:
    made = JournalDestination if leads_to_journal(1) else StreamDestination
    return made(sys.stdout)


def _same_stream(destination: Destination) -> bool:
    """Whether the log and standard error end up in the same place."""
    if not isinstance(destination, StreamDestination):
        return False
    try:
        return os.path.samestat(os.fstat(1), os.fstat(2))
    except OSError:
        return False
