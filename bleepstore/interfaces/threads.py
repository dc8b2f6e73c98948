"""Work that must not run on the reactor's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from zope.interface import Interface

T = TypeVar("T")

Now = Callable[[], int]
"""The wall clock: milliseconds since the epoch.  Injected, so that tests own it."""


class IThreads(Interface):
    """A bounded pool of threads.  ``streams.threads`` has one on Twisted's, and one for tests."""

    def run(function: Callable[..., T], *args: object) -> Awaitable[T]:
        """Call ``function(*args)`` in a thread, and give what it returns or raises.

        The call is never interrupted: a cancelled wait leaves it running to its end.
        """
