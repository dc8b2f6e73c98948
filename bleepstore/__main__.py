"""``bleepstore [options]``: the same as ``twistd -n bleepstore``, without looking for plugins.

``bleepstore cluster …`` asks a running node instead (``cli.cluster``); ``bleepstore gateway …``
works on an index while no server runs (``cli.gateway``, ``node.maintenance``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted.application.service import ServiceMaker
from twisted.python.usage import UsageError
from twisted.scripts.twistd import (  # type: ignore[attr-defined]
    ServerOptions,
    runApp,
)

from bleepstore.tap import Options

NAME = "bleepstore"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve in the foreground until a signal comes, or run a command beside a server.

    :raises SystemExit: 0 after --help and --version, 2 for wrong options, 1 for everything that
        keeps the server from starting.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["cluster"]:
        from bleepstore.cli import cluster  # a server does not need it

        raise SystemExit(cluster.main(given[1:]))
    if given[:1] == ["gateway"]:
        raise SystemExit(_maintain(given[1:]))
    options = Options()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(given)  # type: ignore[no-untyped-call]
    except UsageError as error:
        print(f"{NAME}: {error}\nTry {NAME} --help.", file=sys.stderr)
        raise SystemExit(2) from None
    twistd = ServerOptions()  # type: ignore[no-untyped-call]
    twistd.parseOptions(["--nodaemon", "--pidfile="])  # type: ignore[no-untyped-call]
    # What parsing a subcommand would have set (twisted.application.app.ApplicationRunner).
    twistd.subCommand = NAME
    twistd.subOptions = options
    maker = ServiceMaker("BleepStore", "bleepstore.tap", "", NAME)  # type: ignore[no-untyped-call]
    twistd.loadedPlugins = {NAME: maker}
    twistd["no_save"] = True
    options.parent = twistd
    runApp(twistd)  # type: ignore[no-untyped-call]


def _maintain(arguments: Sequence[str]) -> int:
    """``bleepstore gateway …``; gives the exit status."""
    from twisted.internet import reactor, task
    from twisted.internet.defer import Deferred
    from twisted.logger import globalLogPublisher

    from bleepstore.cli import gateway
    from bleepstore.node.maintenance import maintain
    from bleepstore.node.problems import StartError
    from bleepstore.node.stores import UNUSABLE

    order = gateway.parse(arguments, os.environ)
    core: Any = reactor
    progress = gateway.Progress(sys.stderr, core.seconds())
    globalLogPublisher.addObserver(gateway.Warnings(sys.stderr, progress))
    status = 1

    async def run() -> None:
        nonlocal status
        try:
            status = await maintain(
                order.command,
                order.config,
                order.prefix,
                core,
                progress,
                lambda line: print(gateway.shown(line)),
            )
        except (StartError, *UNUSABLE) as error:
            print(f"{gateway.NAME}: {error}", file=sys.stderr)

    try:
        task.react(lambda _: Deferred.fromCoroutine(run()), _reactor=core)
    except SystemExit as end:
        return status if not end.code else 1
    return status


if __name__ == "__main__":
    main()
