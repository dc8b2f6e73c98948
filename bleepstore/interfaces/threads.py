"""Work that must not run on the reactor's thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from zope.interface import Interface

T = TypeVar("T")

Now = Callable[[], int]
"""The wall clock: milliseconds since the epoch.  Injected, so that tests own it."""

Dice = Callable[[int], bytes]
"""``dice(n)`` gives n bytes that nobody can foresee; ``os.urandom`` in the node."""


class ILane(Interface):
    """Calls that run in threads one after another, in the order they were asked for."""

    def run(function: Callable[..., T], *args: object) -> Awaitable[T]:
        """As :meth:`IThreads.run`, but after all calls that were asked of this lane before.

        A call that fails does not keep the later ones from running.
        """


class IThreads(Interface):
    """A bounded pool of threads.  ``streams.threads`` has one, and one for tests."""

    def run(function: Callable[..., T], *args: object) -> Awaitable[T]:
        """Call ``function(*args)`` in a thread, and give what it returns or raises.

        The call is never interrupted: a cancelled wait leaves it running to its end.
        """

    def lane() -> ILane:
        """A new lane on these threads.  It costs next to nothing, and nothing while it is idle."""
