"""Threads for what must not run on the reactor: disk calls and hashing of large data.

:class:`ReactorThreads` is a bounded pool.  It is not built on Twisted's ThreadPool: that costs
37 µs of the reactor's core per call when 32 callers are busy (and 70 µs when one is alone),
this one 6 µs (and 57 µs), because a queue in C replaces the pool's coordinator, and because
results that become ready together wake the reactor once.

:class:`ImmediateThreads` calls at once, on the caller's thread: for tests.

Knows nothing of files, hashes or requests.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import ILane, IThreads

T = TypeVar("T")

_log = Logger()

DEFAULT_SIZE = 16
"""Threads of a pool: enough to keep a disk's queue full, few enough to be cheap when idle."""

SWITCH_INTERVAL = 0.0001
"""Seconds after which a thread of a prompt pool that wants the interpreter lock asks for it."""

KEPT_BY_MALLOC = 32 * 1024 * 1024
"""Bytes of free memory that the C library may keep, and what it gives from its heap at most."""

_M_ARENA_MAX = -8  # glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1

_Call = tuple["Deferred[Any]", Callable[..., Any], tuple[object, ...]]


@implementer(IThreads, IPart)
class ReactorThreads:
    """A pool of at most ``size`` threads, which are made when they are first needed.

    Calls wait in one queue, first come first served.  ``run`` and ``lane`` are for the
    reactor's thread alone.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        size: int = DEFAULT_SIZE,
        name: str = "bleepstore",
        *,
        prompt: bool = False,
    ) -> None:
        """
        :param size: at least 1.
        :param prompt: whether results are waited for so urgently that the reactor's thread shall
            be interrupted for them (:class:`_Prompt`); for calls that spend their time in the
            kernel and have little to do besides.
        """
        if size < 1:
            raise ValueError("a pool needs at least one thread")
        self._call_from_thread = reactor.callFromThread
        self._size = size
        self._name = name
        self._prompt = prompt
        self._work: SimpleQueue[_Call | _Lane | None] = SimpleQueue()
        self._done: deque[tuple[Deferred[Any], bool, Any]] = deque()
        self._waking = False
        self._threads: list[Thread] = []
        self._under_way = 0
        self._open = False
        self._idle: list[Deferred[None]] = []

    async def start(self) -> None:
        """Accept calls."""
        _set_up_malloc()
        self._open = True

    async def stop(self) -> None:
        """Accept no more calls, let those under way or waiting end, then end the threads."""
        self._open = False
        if self._under_way:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        threads, self._threads = self._threads, []
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join()  # at once: there is nothing left that it could be busy with

    def run(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """See :class:`IThreads`.  Fails with RuntimeError outside start and stop."""
        waiting: Deferred[T] = Deferred()
        if not self._begin():
            return fail(RuntimeError("the threads are not running"))
        self._work.put((waiting, function, args))
        return waiting

    def lane(self) -> ILane:
        """See :class:`IThreads`."""
        return _Lane(self)

    def _begin(self) -> bool:
        if not self._open:
            return False
        self._under_way += 1
        if self._prompt and self._under_way == 1:
            _Prompt.enter()
        if self._under_way > len(self._threads) < self._size:
            name = f"{self._name}-{len(self._threads)}"
            # A daemon: a disk that hangs for ever must not keep a dying process alive.
            thread = Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return True

    # In the threads

    def _serve(self) -> None:
        take = self._work.get
        while (item := take()) is not None:
            if item.__class__ is _Lane:
                self._follow(item)
            else:
                self._call(item)  # type: ignore[arg-type]  # what is no lane is a call
            del item  # what a call holds (a chunk of data, say) must not wait for the next call

    def _follow(self, lane: _Lane) -> None:
        """Make a lane's calls until there are none, giving way to others between two."""
        while (call := lane.take()) is not None:
            self._call(call)
            del call
            if not self._work.empty() and lane.has_more():
                self._work.put(lane)
                return

    def _call(self, call: _Call) -> None:
        waiting, function, args = call
        try:
            self._done.append((waiting, True, function(*args)))
        except BaseException as error:
            self._done.append((waiting, False, error))
        # The order of these two and of those in _deliver makes it safe without a lock: whoever
        # sees _waking set here appended before _deliver clears it, and so before it counts.
        if not self._waking:
            self._waking = True
            self._call_from_thread(self._deliver)

    # On the reactor's thread

    def _deliver(self) -> None:
        self._waking = False
        done = self._done
        for _ in range(len(done)):
            waiting, succeeded, result = done.popleft()
            self._under_way -= 1
            if self._prompt and not self._under_way:
                _Prompt.leave()
            if succeeded:
                waiting.callback(result)
            elif waiting.called:
                _log.warn("A call failed after its wait was cancelled: {error!r}", error=result)
            else:
                waiting.errback(result)
        if not self._under_way and self._idle:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)


class _Prompt:
    """The interpreter's switch interval, short while prompt pools have calls under way.

    A thread that comes back from the kernel wants the interpreter lock.  A busy reactor lets go
    of it around each system call and each statement, which wakes the thread, and has it again
    before the thread is there: a few microseconds lost each time, and the thread waits on, until
    after the switch interval, 5 ms, it insists.  Beside 32 writers commits came back so late, and
    cost so much, that an interval of 0.1 ms gives 13 % more of them.  It is not set for good, since
    uploads of large objects, with threads that hash and write, lose 5 % by it.
    """

    _calls = 0
    _usual = 0.0

    @classmethod
    def enter(cls) -> None:
        """A pool has something under way.  On the reactor's thread."""
        if not cls._calls:
            cls._usual = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_INTERVAL)
        cls._calls += 1

    @classmethod
    def leave(cls) -> None:
        """It has ended."""
        cls._calls -= 1
        if not cls._calls:
            sys.setswitchinterval(cls._usual)


def _set_up_malloc() -> None:
    """Let all threads allocate from one heap, and let that keep what is freed, where the C library
    is glibc.

    It gives each thread a heap of its own, lest they wait for each other in malloc.  Here they
    wait for the interpreter lock anyway, and what a thread reads, another one frees: that leaves
    holes in all heaps, 29 MiB of them while 16 clients move large objects each way.

    And it gives the end of its heap back to the system as soon as a piece or two of a large body
    lie free there, to ask for it again for the next piece: some 40,000 fresh pages for each GiB
    that passes through, a tenth of a second of the kernel's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        # Each of the two ends the adapting of both, so both are said.
        mallopt(_M_MMAP_THRESHOLD, KEPT_BY_MALLOC)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BY_MALLOC)


@implementer(ILane)
class _Lane:
    """A lane is in the pool's queue, or followed by one thread, while it has calls."""

    __slots__ = ("_active", "_calls", "_lock", "_pool")

    def __init__(self, pool: ReactorThreads) -> None:
        self._pool = pool
        self._calls: deque[_Call] = deque()
        self._lock = Lock()
        self._active = False

    def run(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """See :class:`ILane`."""
        waiting: Deferred[T] = Deferred()
        if not self._pool._begin():
            return fail(RuntimeError("the threads are not running"))
        with self._lock:
            self._calls.append((waiting, function, args))
            idle, self._active = not self._active, True
        if idle:
            self._pool._work.put(self)
        return waiting

    def take(self) -> _Call | None:
        """The next call; with None the lane becomes idle."""
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            self._active = False
            return None

    def has_more(self) -> bool:
        """Whether calls are waiting.  While the lane is followed only its thread takes any."""
        return bool(self._calls)


@implementer(IThreads, ILane)
class ImmediateThreads:
    """Calls at once and on the caller's thread: what it gives never suspends."""

    def run(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """See :class:`IThreads`."""
        try:
            return succeed(function(*args))
        except Exception as error:
            return fail(error)

    def lane(self) -> ILane:
        """See :class:`IThreads`: calls that are made at once are in order."""
        return self
