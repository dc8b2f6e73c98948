"""Credentials that expire, fetched once for all who ask, and again before their time is up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from bleepstore.interfaces.threads import Now

T = TypeVar("T")

EARLY = 300_000
"""Milliseconds before their end that new ones are fetched, while the old ones still serve."""

SKEW = 30_000
"""Milliseconds before their end that they do not serve any more: clocks differ, and a request
takes a while."""

PAUSE = 10_000
"""Milliseconds after a fetch ahead of time has failed until the next one."""

_log = Logger()


class Lease(Generic[T]):
    """Credentials, and when they end.

    :param expires: milliseconds since the epoch, or None if they do not end.
    """

    __slots__ = ("expires", "value")

    def __init__(self, value: T, expires: int | None = None) -> None:
        self.value = value
        self.expires = expires


Fetch = Callable[[], Awaitable[Lease[T]]]
"""Gets new credentials.  Fails with ``failures.RemoteFailure``."""


class Refreshing(Generic[T]):
    """The credentials of one source.

    :param name: for the log: where they come from.
    """

    def __init__(self, name: str, fetch: Fetch[T], now: Now) -> None:
        self._name = name
        self._fetch = fetch
        self._now = now
        self._lease: Lease[T] | None = None
        self._fresh_until = 0
        self._good_until = 0
        self._fetching: Deferred[None] | None = None
        self._waiting: list[Deferred[T]] = []

    async def get(self) -> T:
        """Credentials that are good for a while.

        Suspends only if there are none that still serve.
        :raises RemoteFailure: none can be had.
        """
        lease = self._lease
        if lease is not None:
            if lease.expires is None:
                return lease.value
            now = self._now()
            if now < self._good_until:
                if now >= self._fresh_until:
                    self._begin()
                return lease.value
        waiter: Deferred[T] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        self._begin()
        return await waiter

    def forget(self) -> None:
        """The provider does not take them any more: fetch new ones when they are next needed."""
        self._lease = None

    def stop(self) -> None:
        """Give up a fetch under way."""
        if (fetching := self._fetching) is not None:
            fetching.cancel()

    def _begin(self) -> None:
        if self._fetching is None:
            # Not that of any who wait: one of them may be cancelled, and the others go on.
            fetching = self._fetching = Deferred.fromCoroutine(self._renew())
            fetching.addBoth(self._ended)

    async def _renew(self) -> None:
        lease = await self._fetch()
        now = self._now()
        self._lease = lease
        if lease.expires is not None:
            life = lease.expires - now
            self._good_until = lease.expires - min(SKEW, life // 10)
            self._fresh_until = lease.expires - min(EARLY, life // 4)

    def _ended(self, result: Failure | None) -> None:
        self._fetching = None
        waiting, self._waiting = self._waiting, []
        if isinstance(result, Failure):
            self._fresh_until = self._now() + PAUSE
            if not waiting and not isinstance(result.value, CancelledError):
                _log.warn(
                    "New credentials from {name} cannot be had: {error}",
                    name=self._name,
                    error=str(result.value),
                )
            for each in waiting:
                each.errback(result)
            return
        assert self._lease is not None
        for each in waiting:
            each.callback(self._lease.value)
