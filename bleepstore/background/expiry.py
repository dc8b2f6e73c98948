"""Expiry: aborts multipart uploads that nobody completed in time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.background.periodic import Periodic, When, always
from bleepstore.errors import NoSuchUpload, OperationAborted
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now
from bleepstore.model.commands import AbortUpload

_log = Logger()

BATCH = 50
"""Uploads a unit."""

PAUSE = 0.1
"""Seconds between two units while there are more."""

FIRST = 10.0
"""Seconds from the start to the first unit, or an interval if that is less."""


@implementer(IPart)
class UploadExpiry:
    """Looks every ``interval`` seconds for uploads older than ``max_age`` seconds.

    :param when: of the nodes of a cluster one is enough to do it, the leader; the others look
        whether it is them.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Now,
        metadata: IMetadataStore,
        released: Callable[[], None],
        *,
        interval: float,
        max_age: float,
        when: When = always,
    ) -> None:
        self._when = when
        self._now = now
        self._metadata = metadata
        self._released = released
        self._max_age = round(max_age * 1000)
        self._periodic = Periodic(
            clock, "upload expiry", self.expire, interval=interval, first=min(FIRST, interval)
        )

    async def start(self) -> None:
        """Look soon, and then every interval."""
        await self._periodic.start()

    async def stop(self) -> None:
        """End after the unit under way."""
        await self._periodic.stop()

    async def expire(self) -> float | None:
        """One unit: abort a batch of the oldest uploads, one command each."""
        if not self._when():
            return None
        now = self._now()
        stale = await self._metadata.stale_uploads(now - self._max_age, BATCH)
        for upload in stale:
            try:
                await self._metadata.submit(
                    AbortUpload(
                        at=now,
                        bucket=upload.bucket,
                        key=upload.key,
                        upload_id=upload.upload_id,
                    )
                )
            except (NoSuchUpload, OperationAborted):
                continue  # completed or aborted since it was looked up, or just now
            _log.info(
                "upload {upload_id} of {bucket}/{key} expired",
                upload_id=upload.upload_id,
                bucket=upload.bucket,
                key=upload.key,
            )
        if stale:
            self._released()
        return PAUSE if len(stale) == BATCH else None
