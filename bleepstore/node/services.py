"""Twisted services that start one after another and stop in reverse, awaited and bounded.

Twisted's MultiService starts all children at once and awaits none.  Here a child is ready before
the next one begins, a failure rolls back those before it, and nothing can hang for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from bleepstore.errors import InsufficientStorage
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.node.problems import StartError

T = TypeVar("T")

START_SECONDS = 120.0
"""How long one part may take to become ready: the recovery of a large log, on a slow disk."""

STOP_SECONDS = 10.0
"""How long one part may take to stop.  What is not written by then is lost, as in a crash."""

_log = Logger()


class Overdue(Exception):
    """Something did not end within its time."""


def bounded(awaitable: Awaitable[T], seconds: float, reactor: IReactorTime) -> Deferred[T]:
    """What ``awaitable`` gives, or a failure with :class:`Overdue` after so many seconds.

    Unlike ``Deferred.addTimeout`` this ends in time even if what it waits for cannot be
    cancelled; a result that comes later is dropped, a failure that comes later is logged.
    """
    inner: Deferred[T] = Deferred.fromCoroutine(_await(awaitable))
    outer: Deferred[T] = Deferred(lambda _: inner.cancel())
    timer: IDelayedCall

    def over() -> None:
        outer.errback(Overdue(f"it took longer than {seconds:g} seconds"))
        inner.cancel()

    def done(result: Any) -> None:
        if timer.active():
            timer.cancel()
        if not outer.called:
            outer.callback(result)  # a Failure makes it fail
        elif hasattr(result, "check") and not result.check(CancelledError):
            _log.failure("Failed after nobody waited for it any more", failure=result)

    timer = reactor.callLater(seconds, over)
    inner.addBoth(done)
    return outer


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


class PartService(Service):
    """A part (or several in one place of the order) as a Twisted service.

    :param stop_seconds: bound on the stop of each part.
    """

    def __init__(
        self,
        name: str,
        parts: Iterable[IPart],
        reactor: IReactorTime,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.name = name
        self._parts = tuple(parts)
        self._reactor = reactor
        self._stop_seconds = stop_seconds
        self._started: list[IPart] = []

    def startService(self) -> Deferred[None]:
        """Start the parts in order.

        :raises StartError: (the Deferred) one failed; those before it were stopped again.
        """
        self.running = 1
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        for part in self._parts:
            self._started.append(part)
            try:
                await bounded(part.start(), START_SECONDS, self._reactor)
            except Exception as error:
                if not isinstance(error, Overdue | CancelledError):
                    self._started.pop()  # IPart: nothing of it is left running
                await self._stop()
                raise

    def stopService(self) -> Deferred[None]:
        """Stop the parts in reverse.  Never fails; a part that does is logged."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._started:
            part = self._started.pop()
            try:
                await bounded(part.stop(), self._stop_seconds, self._reactor)
            except Exception:
                _log.failure("{name} did not stop as it should", name=self.name)


class OrderedService(MultiService):
    """Children that start one after another and stop in reverse.

    A child's ``startService`` and ``stopService`` may give a Deferred, which is awaited.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._begun: list[IService] = []
        self._starting: Deferred[Any] | None = None
        self._idle: list[Deferred[None]] = []
        self._busy = False

    def add(self, child: Service) -> None:
        """Make a service the last child; not while running, or Twisted would start it at once."""
        child.setServiceParent(self)  # type: ignore[no-untyped-call]

    def startService(self) -> Deferred[None]:
        """Start the children.

        :raises StartError: (the Deferred) one failed, or :meth:`stopService` was called
            meanwhile; those that had started were stopped again.
        """
        self.running = 1  # and no upcall: MultiService would start all children at once
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._busy = True
        try:
            for child in tuple(self):
                if not self.running:
                    raise StartError("stopped while starting")
                try:
                    self._starting = Deferred.fromCoroutine(_call(child.startService))
                    await self._starting
                except Exception as error:
                    await self._stop_begun()
                    raise _explained(child, error) from error
                finally:
                    self._starting = None
                self._begun.append(child)
            if not self.running:
                await self._stop_begun()
                raise StartError("stopped while starting")
        finally:
            self._busy = False
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    def stopService(self) -> Deferred[None]:
        """Stop what has started, in reverse; a start under way is broken off.  Never fails."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._busy:
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter
        await self._stop_begun()

    async def _stop_begun(self) -> None:
        while self._begun:
            child = self._begun.pop()
            try:
                await _call(child.stopService)
            except Exception:
                _log.failure("{name} did not stop as it should", name=child.name)


async def _call(function: Callable[[], object]) -> None:
    result = function()
    if isinstance(result, Deferred):
        await result


def _explained(child: IService, error: Exception) -> StartError:
    if isinstance(error, StartError):
        return error
    if isinstance(error, CancelledError):
        return StartError("stopped while starting")
    if isinstance(error, InsufficientStorage):
        return StartError(
            f"{child.name} cannot start: the disk is full, and a start needs some room"
        )
    if not isinstance(error, Overdue | OSError | RuntimeError):
        _log.failure("{name} cannot start", name=child.name)  # a defect: its trace is wanted
    return StartError(f"{child.name} cannot start: {str(error) or type(error).__name__}")
