"""Simulated time: one true time, and for every process a clock of its own that runs off it.

What is due at the same instant happens in the order in which it was asked for, so a run depends
on nothing but its seed.  A process that has died has no future: its timers never fire, and
whatever is still running of it can ask for no more.  One that is paused (SIGSTOP) loses nothing;
all that came due meanwhile happens when it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IDelayedCall)
class Timer:
    """A call that is due at a time of its clock."""

    __slots__ = ("_call", "_clock", "_due", "_entry")

    def __init__(self, clock: ProcessClock, due: float, call: Callable[[], object]) -> None:
        self._clock = clock
        self._due = due
        self._call: Callable[[], object] | None = call
        self._entry = 0
        self._schedule()

    def getTime(self) -> float:
        """See IDelayedCall."""
        return self._due

    def active(self) -> bool:
        """See IDelayedCall."""
        return self._call is not None

    def cancel(self) -> None:
        """See IDelayedCall; cancelling what is over is a defect, as with the reactor's calls."""
        if self._call is None:
            raise AssertionError("this call was made, or cancelled, already")
        self._call = None

    def delay(self, secondsLater: float) -> None:
        """See IDelayedCall."""
        self._due += secondsLater
        self._schedule()

    def reset(self, secondsFromNow: float) -> None:
        """See IDelayedCall."""
        self._due = self._clock.seconds() + secondsFromNow
        self._schedule()

    def _schedule(self) -> None:
        self._entry += 1
        entry = self._entry
        self._clock.at(self._due, lambda: self._fire(entry))

    def _fire(self, entry: int) -> None:
        call = self._call
        if call is None or entry != self._entry:
            return  # it was cancelled, or moved
        if self._clock.seconds() < self._due - 1e-6:
            self._schedule()  # the clock has become slower
            return
        self._call = None
        call()


class Time:
    """The true time, in seconds, and everything that is going to happen.

    :ivar now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._asked = 0

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Call at a time, or as soon as possible if it is past."""
        self._asked += 1
        heappush(self._queue, (max(when, self.now), self._asked, call))

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call after a while."""
        self.at(self.now + seconds, call)

    def step(self) -> bool:
        """Let the next thing happen.  False: nothing is going to."""
        if not self._queue:
            return False
        self.now, _, call = heappop(self._queue)
        call()
        return True


@implementer(IReactorTime)
class ProcessClock:
    """Time as one process sees it.

    :ivar running: False once the process has died.
    :ivar touched: set when the process has run; whoever looks at it then clears this.
    """

    def __init__(self, time: Time, rate: float, offset: float) -> None:
        """
        :param rate: seconds of this clock in a true second; 1 is a good clock.
        :param offset: what it shows at the beginning of time.
        """
        self._time = time
        self._rate = rate
        self._offset = offset
        self._held: list[Callable[[], object]] | None = None
        self.running = True
        self.touched = False

    def seconds(self) -> float:
        """See IReactorTime."""
        return self._offset + self._time.now * self._rate

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> Timer:
        """See IReactorTime."""
        return Timer(self, self.seconds() + delay, lambda: callable(*args, **kw))

    def change_rate(self, rate: float) -> None:
        """Run at another rate from now on; what it shows makes no leap."""
        self._offset += self._time.now * (self._rate - rate)
        self._rate = rate

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """See IReactorTime; nobody in a simulation asks."""
        return []

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Call in this process, at a time of this clock."""
        if self.running:
            self._time.at((when - self._offset) / self._rate, lambda: self.run(call))

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call in this process after a while of true time, as its disks and wires do."""
        if self.running:
            self._time.after(seconds, lambda: self.run(call))

    def run(self, call: Callable[[], object]) -> None:
        """Call in this process now; if it is paused, when it goes on; never if it has died."""
        if not self.running:
            return
        if self._held is not None:
            self._held.append(call)
        else:
            self.touched = True
            call()

    @property
    def paused(self) -> bool:
        """Whether the process stands still."""
        return self._held is not None

    def pause(self) -> None:
        """The process stands still."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """It goes on, with all that has come due, in order, but not in one turn."""
        held, self._held = self._held or [], None
        for number, call in enumerate(held):
            self._time.after(number * 0.0001, partial(self.run, call))

    def die(self) -> None:
        """The process is gone."""
        self.running = False
        self._held = None
