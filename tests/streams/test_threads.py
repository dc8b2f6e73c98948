"""The pool, its lanes, and the threads that are none."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.threads import ILane, IThreads
from bleepstore.streams.threads import SWITCH_INTERVAL, ImmediateThreads, ReactorThreads
from tests.objectstore.driving import run
from tests.streams.turns import PATIENCE, Turns, start


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def threads(turns: Turns) -> Iterator[ReactorThreads]:
    threads = ReactorThreads(turns, size=3, name="test")
    turns.run(threads.start())
    yield threads
    turns.run(threads.stop())


class Gate:
    """A call that says when it runs, and ends when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return threading.current_thread().name


def test_both_provide_their_contracts(threads: ReactorThreads) -> None:
    verifyObject(IThreads, threads)
    verifyObject(IPart, threads)
    verifyObject(ILane, threads.lane())
    verifyObject(IThreads, ImmediateThreads())
    verifyObject(ILane, ImmediateThreads().lane())


def test_a_call_runs_in_another_thread_and_gives_its_result(
    turns: Turns, threads: ReactorThreads
) -> None:
    assert turns.run(threads.run(threading.get_ident)) != threading.get_ident()
    assert turns.run(threads.run(divmod, 7, 2)) == (3, 1)


def test_an_exception_of_a_call_is_raised_where_it_is_awaited(
    turns: Turns, threads: ReactorThreads
) -> None:
    with pytest.raises(ZeroDivisionError):
        turns.run(threads.run(divmod, 1, 0))


def test_no_more_calls_run_at_once_than_there_are_threads(
    turns: Turns, threads: ReactorThreads
) -> None:
    gates = [Gate() for _ in range(4)]
    waits = [start(threads.run(gate)) for gate in gates]
    for gate in gates[:3]:
        assert gate.entered.wait(PATIENCE)
    assert not gates[3].entered.is_set()
    gates[0].opened.set()
    assert gates[3].entered.wait(PATIENCE)
    for gate in gates:
        gate.opened.set()
    assert len({turns.result(wait) for wait in waits}) == 3


def test_threads_are_made_only_when_they_are_needed(turns: Turns, threads: ReactorThreads) -> None:
    for _ in range(10):
        turns.run(threads.run(int))
    names = {turns.run(threads.run(lambda: threading.current_thread().name)) for _ in range(10)}
    assert names == {"test-0"}


def test_a_cancelled_wait_leaves_the_call_running(turns: Turns, threads: ReactorThreads) -> None:
    gate = Gate()
    wait = start(threads.run(gate))
    assert gate.entered.wait(PATIENCE)
    wait.cancel()
    with pytest.raises(CancelledError):
        turns.result(wait)
    gate.opened.set()
    assert turns.run(threads.run(int)) == 0
    turns.run(threads.stop())  # returns only when the call has ended


def test_results_that_are_ready_together_wake_the_reactor_once(
    turns: Turns, threads: ReactorThreads
) -> None:
    lane = threads.lane()
    waits = [start(lane.run(int)) for _ in range(50)]
    last = threading.Event()
    waits.append(start(lane.run(last.set)))  # type: ignore[arg-type]
    assert last.wait(PATIENCE)
    for wait in waits:
        turns.result(wait)
    assert turns.wake_ups <= 2  # the last result may come while the others are delivered


def test_a_lane_runs_its_calls_in_their_order_and_one_at_a_time(
    turns: Turns, threads: ReactorThreads
) -> None:
    lanes = [threads.lane() for _ in range(5)]
    ran: list[list[int]] = [[] for _ in lanes]
    running = [0] * len(lanes)

    def call(lane: int, number: int) -> None:
        running[lane] += 1
        assert running[lane] == 1
        ran[lane].append(number)
        running[lane] -= 1

    waits = [
        start(lane.run(call, index, number))
        for number in range(200)
        for index, lane in enumerate(lanes)
    ]
    for wait in waits:
        turns.result(wait)
    assert ran == [list(range(200))] * len(lanes)


def test_a_lane_goes_on_after_a_failed_call(turns: Turns, threads: ReactorThreads) -> None:
    lane = threads.lane()
    gate = Gate()
    waits: list[Deferred[object]] = [start(lane.run(gate))]
    waits += [start(lane.run(divmod, 1, 0)), start(lane.run(int, "7"))]
    gate.opened.set()
    turns.result(waits[0])
    with pytest.raises(ZeroDivisionError):
        turns.result(waits[1])
    assert turns.result(waits[2]) == 7


def test_a_busy_lane_gives_way_to_other_calls(turns: Turns) -> None:
    threads = ReactorThreads(turns, size=1)
    turns.run(threads.start())
    gate = Gate()
    order: list[str] = []
    lane = threads.lane()
    waits: list[Deferred[object]] = [start(lane.run(gate))]
    waits += [start(lane.run(order.append, "lane")) for _ in range(3)]
    waits.append(start(threads.run(order.append, "other")))
    gate.opened.set()
    for wait in waits:
        turns.result(wait)
    assert order == ["other", "lane", "lane", "lane"]
    turns.run(threads.stop())


def test_stop_waits_for_calls_under_way_and_waiting(turns: Turns, threads: ReactorThreads) -> None:
    gate = Gate()
    done: list[int] = []
    waits: list[Deferred[object]] = [start(threads.run(gate)) for _ in range(3)]
    waits.append(start(threads.run(done.append, 1)))
    stopping = start(threads.stop())
    assert not stopping.called
    gate.opened.set()
    turns.result(stopping)
    assert done == [1]
    for wait in waits:
        turns.result(wait)
    assert not [each for each in threading.enumerate() if each.name.startswith("test-")]


def test_calls_outside_start_and_stop_are_refused(turns: Turns) -> None:
    threads = ReactorThreads(turns)
    lane = threads.lane()
    with pytest.raises(RuntimeError, match="not running"):
        turns.run(threads.run(int))
    turns.run(threads.start())
    turns.run(threads.stop())
    turns.run(threads.stop())
    with pytest.raises(RuntimeError, match="not running"):
        turns.run(lane.run(int))


def test_a_pool_can_be_started_again(turns: Turns) -> None:
    threads = ReactorThreads(turns)
    for _ in range(2):
        turns.run(threads.start())
        assert turns.run(threads.run(int)) == 0
        turns.run(threads.stop())


def test_a_pool_of_no_threads_is_refused(turns: Turns) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ReactorThreads(turns, size=0)


def test_immediate_threads_call_at_once_and_never_suspend() -> None:
    threads = ImmediateThreads()

    async def both() -> tuple[int, tuple[int, int]]:
        return await threads.run(threading.get_ident), await threads.lane().run(divmod, 7, 2)

    assert run(both()) == (threading.get_ident(), (3, 1))

    async def failing() -> None:
        await threads.run(divmod, 1, 0)

    with pytest.raises(ZeroDivisionError):
        run(failing())


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_what_threads_allocate_comes_from_one_heap(tmp_path: Path) -> None:
    script = """
import ctypes, sys, threading
from tests.streams.turns import Turns
from bleepstore.streams.threads import ReactorThreads

turns = Turns()
threads = ReactorThreads(turns, size=4)
turns.run(threads.start())
barrier = threading.Barrier(4)

def allocate():
    barrier.wait(30)
    return bytes(100_000)

kept = [threads.run(allocate) for _ in range(4)]
kept = [turns.run(each) for each in kept]
turns.run(threads.stop())
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""
    path = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.read_text().count("<heap nr=") == 1


def test_memory_that_was_freed_is_used_again_without_fresh_pages() -> None:
    script = """
import resource
from tests.streams.turns import Turns
from bleepstore.streams.threads import ReactorThreads

turns = Turns()
threads = ReactorThreads(turns, size=1)
turns.run(threads.start())

def allocate():
    for _ in range(50):
        pieces = [b"x" * (1 << 20) for _ in range(4)]
        del pieces

allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
allocate()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
turns.run(threads.stop())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 1000, "of the 51,200 pages that were written"


def test_a_prompt_pool_shortens_the_interpreters_switch_interval_while_it_has_calls(
    turns: Turns,
) -> None:
    usual = sys.getswitchinterval()
    pools = [ReactorThreads(turns, size=1, name="test", prompt=True) for _ in range(2)]
    for pool in pools:
        turns.run(pool.start())
    assert sys.getswitchinterval() == usual
    gates = [Gate(), Gate()]
    first, second = (start(pool.run(gate)) for pool, gate in zip(pools, gates, strict=True))
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL)
    gates[0].opened.set()
    turns.run(first)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL), "the other one waits still"
    gates[1].opened.set()
    turns.run(second)
    assert sys.getswitchinterval() == usual
    for pool in pools:
        turns.run(pool.stop())


def test_other_pools_leave_the_switch_interval_alone(turns: Turns, threads: ReactorThreads) -> None:
    usual = sys.getswitchinterval()
    gate = Gate()
    waiting = start(threads.run(gate))
    assert sys.getswitchinterval() == usual
    gate.opened.set()
    turns.run(waiting)
