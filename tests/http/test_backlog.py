"""Answers that nobody reads hold a bounded part of the memory."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from bleepstore.http.backlog import LARGE_ANSWER, Backlog
from tests.http.connection import Connection, answering, head


class _Sender:
    """A connection, of which so many bytes wait."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.cut = False

    def unsent(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.cut = True


def added(backlog: Backlog, *sizes: int) -> list[_Sender]:
    senders = [_Sender(size) for size in sizes]
    for sender in senders:
        backlog.add(sender)
    return senders


def test_those_that_have_waited_longest_are_cut() -> None:
    backlog = Backlog(Clock(), 100)
    senders = added(backlog, 40, 40, 20)
    assert not any(sender.cut for sender in senders)
    senders += added(backlog, 50)
    assert [sender.cut for sender in senders] == [True, True, False, False]
    senders += added(backlog, 30)
    assert [sender.cut for sender in senders] == [True, True, False, False, False]


def test_who_has_read_its_answer_does_not_count_nor_who_is_gone() -> None:
    backlog = Backlog(Clock(), 100)
    read, gone, waits = added(backlog, 60, 20, 20)
    read.waiting = 0
    backlog.remove(gone)
    (last,) = added(backlog, 80)
    assert not any(sender.cut for sender in (read, gone, waits, last))


def test_who_asks_again_is_the_youngest() -> None:
    backlog = Backlog(Clock(), 100)
    first, second = added(backlog, 40, 40)
    backlog.add(first)
    added(backlog, 50)
    assert (first.cut, second.cut) == (False, True)


def test_one_answer_alone_may_be_larger() -> None:
    (sender,) = added(Backlog(Clock(), 100), 200)
    assert not sender.cut


@pytest.mark.parametrize(("size", "minded"), [(LARGE_ANSWER, False), (LARGE_ANSWER + 1, True)])
def test_large_answers_that_wait_are_minded(size: int, minded: bool) -> None:
    first = Connection(answering(body=bytes(size)), capacity=1000)
    # Such a transport does not tell how much waits, but that something does.
    first.factory.backlog = Backlog(first.clock, 1)  # type: ignore[misc]
    first.send(head("GET", "/"))
    second = Connection(first.factory.handler, capacity=1000, factory=first.factory)
    second.send(head("GET", "/"))
    assert (first.transport.aborted, second.transport.aborted) == (minded, False)


def test_a_connection_that_is_gone_is_not_minded() -> None:
    first = Connection(answering(body=bytes(LARGE_ANSWER + 1)), capacity=1000)
    first.factory.backlog = Backlog(first.clock, 1)  # type: ignore[misc]
    first.send(head("GET", "/"))
    first.sever()
    second = Connection(first.factory.handler, capacity=1000, factory=first.factory)
    second.send(head("GET", "/"))
    assert not first.transport.aborted
