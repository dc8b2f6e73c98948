"""An exit status for a program that fails after the reactor has started.

twistd has none: when the reactor stops, it returns, and the process exits with 0.  The last thing
it does is to tell the log ``Server Shut Down.``; by then the PID file is gone and the reactor has
ended.  An observer of that event is the last code of ours that runs, and what it raises goes up
through twistd's ``run`` like any SystemExit (Twisted disables observers for an Exception only).
A test pins this with a real twistd.
"""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

_LAST_WORDS = "Server Shut Down."
_SPEAKERS = ("twisted.application.app.", "twisted.scripts.")


@implementer(ILogObserver)
class ExitStatus:
    """Raises SystemExit when twistd says its last words."""

    def __init__(self, status: int) -> None:
        self._status = status

    def __call__(self, event: LogEvent) -> None:
        namespace = event.get("log_namespace") or ""
        if event.get("log_format") == _LAST_WORDS and namespace.startswith(_SPEAKERS):
            raise SystemExit(self._status)


def exit_with(status: int) -> None:
    """Have the process exit with ``status`` once the reactor has stopped; call it once."""
    globalLogPublisher.addObserver(ExitStatus(status))
