"""Parts that start and stop."""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Interface


class IPart(Interface):
    """A part of the node that is started and stopped in order, awaited."""

    def start() -> Awaitable[None]:
        """Recover and become ready.  When it returns, the part serves.

        What can be checked at once (directories, schema) is checked at construction.
        :raises Exception: it cannot serve; nothing of it is left running.
        """

    def stop() -> Awaitable[None]:
        """Let what is under way end, release threads and files.

        Never fails; may be called twice.
        """
