"""``bleepstore gateway …``: the command line of what is done to an index while no server runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from msgspec import Struct
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.sections import Config
from bleepstore.config.storage_sections import CLOUDS

NAME = "bleepstore gateway"


class Order(Struct, frozen=True):
    """What is to be done.

    :ivar command: ``import``, ``check`` or ``moved``.
    :ivar prefix: of names, after the configured one.
    """

    command: str
    config: Config
    prefix: str = ""


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Order:
    """The order of a command line.

    :raises SystemExit: 0 after --help, 2 if it makes no sense, 1 if the configuration does not.
    """
    options = _parser().parse_args(arguments)
    given = {} if options.backend is None else {"storage.backend": options.backend}
    try:
        config = load(file=options.config, environ=environ, options=given)
    except ConfigError as error:
        lines = "\n  ".join(error.problems)
        print(f"{NAME}: the configuration cannot be used:\n  {lines}", file=sys.stderr)
        raise SystemExit(1) from None
    if config.storage.backend not in CLOUDS:
        backend = f"storage.backend is {config.storage.backend}, no cloud"
        print(f"{NAME}: {backend}: name the server's file by --config", file=sys.stderr)
        raise SystemExit(1)
    if config.metadata.engine != "sqlite":
        print(f"{NAME}: metadata.engine must be sqlite", file=sys.stderr)
        raise SystemExit(1)
    return Order(options.command, config, getattr(options, "prefix", ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME, description="Index or check what lies in the cloud, while no server runs."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    importing = commands.add_parser(
        "import",
        help="index what the cloud holds already; may be broken off, and begun again",
    )
    importing.add_argument("--prefix", default="", help="only names that begin so: bucket/ …")
    checking = commands.add_parser(
        "check", help="compare index and cloud; the exit status is 1 if they differ"
    )
    moving = commands.add_parser(
        "moved",
        help="take the objects of the index to lie in the configured bucket from now on, to which "
        "they were copied under the same names",
    )
    for command in (importing, checking, moving):
        command.add_argument("--config", help="configuration file [default: bleepstore.yaml]")
        command.add_argument(
            "--backend", choices=CLOUDS, help="in place of the configured storage.backend"
        )
    return parser


class Progress:
    """A line that says how far something is; on a terminal it is written over again and again.

    The whole is not known before its end, since a cloud does not count its objects: so there is a
    count, a rate and the place, and no share.
    """

    def __init__(self, out: TextIO, seconds: float) -> None:
        """:param seconds: on the clock that :meth:`show` is given."""
        self._out = out
        self._terminal = out.isatty()
        self._began = self._shown = seconds

    def show(self, seen: int, result: str, place: str, seconds: float) -> None:
        """Show it, not too often.

        :param result: what came of them: ``3 indexed, 1.5 GiB``.
        """
        if seconds - self._shown < (0.2 if self._terminal else 10):
            return
        self._shown = seconds
        rate = seen / max(seconds - self._began, 0.001)
        line = f"{seen} objects seen, {result}, {rate:.0f}/s, at {shown(place)}"
        if self._terminal:
            self._out.write(f"\r\x1b[K{line[:100]}")
        else:
            self._out.write(f"{line}\n")
        self._out.flush()

    def end(self) -> None:
        """Leave the line clear."""
        if self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()


@implementer(ILogObserver)
class Warnings:
    """Shows what a server would log by itself: what a provider has refused, and why.

    :param progress: whose line is cleared for it.
    """

    def __init__(self, out: TextIO, progress: Progress) -> None:
        self._out = out
        self._progress = progress

    def __call__(self, event: LogEvent) -> None:
        """See :class:`ILogObserver`."""
        if event["log_level"] >= LogLevel.warn:
            self._progress.end()
            self._out.write(f"{NAME}: {shown(formatEvent(event))}\n")


def shown(text: str) -> str:
    """A name on one line, and harmless to a terminal: what cannot be printed is escaped, but for
    tabs."""
    return "".join(
        letter if letter.isprintable() or letter == "\t" else repr(letter)[1:-1] for letter in text
    )
