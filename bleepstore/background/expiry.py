"""Expiry: aborts multipart uploads that nobody completed in time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now


@implementer(IPart)
class UploadExpiry:
    """Looks every ``interval`` seconds for uploads older than ``max_age`` seconds."""

    def __init__(
        self,
        clock: IReactorTime,
        now: Now,
        metadata: IMetadataStore,
        released: Callable[[], None],
        *,
        interval: float,
        max_age: float,
    ) -> None: ...

    async def start(self) -> None:
        """Look soon, and then every interval."""

    async def stop(self) -> None:
        """End after the unit under way."""
