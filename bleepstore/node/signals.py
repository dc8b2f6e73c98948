"""Signals that end the process, of which the first one counts, and one that must not.

Twisted stops the reactor once for each, and the second time that is an error with a traceback; an
impatient Ctrl-C, or timeout(1), which signals a process and then its group, sends two.
"""

from __future__ import annotations

import signal
from types import FrameType


def stop_once() -> None:
    """Let one handler of SIGINT and SIGTERM be called, once, and SIGHUP do what SIGTERM does.

    To be called in the main thread when the reactor has installed its handlers.  A SIGHUP that is
    ignored, as nohup(1) has it, stays so.
    """
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        if not ending and callable(handler := handlers[signal.Signals(number)]):
            ending = True
            handler(number, frame)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        handlers[signal.SIGHUP] = handlers[signal.SIGTERM]
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, end)


def rotate_or_nothing() -> None:
    """Ignore SIGUSR1 where nobody rotates a log on it: it would end the process as no other does,
    with requests in flight and without a word."""
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
