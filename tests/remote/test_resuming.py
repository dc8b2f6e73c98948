"""A long answer is read to its end although connections break."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from bleepstore.errors import StoreError
from bleepstore.remote.failures import (
    Fault,
    ProviderError,
    Refusal,
    RemoteFailure,
    Unreachable,
    store_error,
)
from bleepstore.remote.resuming import RESUMPTIONS, ResumingBody
from tests.remote.memory import Outcome, result

DATA = b"0123456789"
BROKEN = Unreachable(Fault.BROKEN)


class Body:
    """Gives pieces; an exception among them is raised."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    async def read(self) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Deferred):
            piece = await piece
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


class Object:
    """Opened from anywhere, as often as it has answers."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.opened: list[int] = []

    async def open_from(self, at: int) -> Any:
        self.opened.append(at)
        answer = self.answers.pop(0)
        if isinstance(answer, Deferred):
            return await answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def body_of(first: Body, rest: Object, length: int = 10) -> ResumingBody:
    return ResumingBody(first, length, rest.open_from, store_error)  # type: ignore[arg-type]


def drain(body: ResumingBody) -> bytes:
    pieces = []
    while piece := result(body.read()):
        pieces.append(piece)
    return b"".join(pieces)


def test_an_answer_that_is_whole_is_read_once() -> None:
    first, rest = Body(DATA[:4], DATA[4:]), Object()
    assert drain(body_of(first, rest)) == DATA
    assert first.closed == 1
    assert rest.opened == []


@pytest.mark.parametrize("broken", [BROKEN, Unreachable(Fault.STALLED), b""])
def test_the_rest_is_asked_for_again(broken: Any) -> None:
    first = Body(DATA[:4], broken)
    second = Body(DATA[4:5], broken)
    rest = Object(BROKEN, second, Body(DATA[5:]))
    assert drain(body_of(first, rest)) == DATA
    assert rest.opened == [4, 4, 5]
    assert (first.closed, second.closed) == (1, 1)


def test_breaks_are_counted_only_without_progress() -> None:
    bodies = [Body(DATA[at : at + 1], BROKEN) for at in range(10)]
    rest = Object(*bodies[1:])
    assert drain(body_of(bodies[0], rest)) == DATA
    rest = Object(*[BROKEN] * RESUMPTIONS)
    body = body_of(Body(DATA[:4], BROKEN), rest)
    assert result(body.read()) == DATA[:4]
    with pytest.raises(StoreError):
        result(body.read())
    assert len(rest.opened) == RESUMPTIONS


def test_a_refusal_ends_it() -> None:
    rest = Object(Refusal(ProviderError(status=412)))
    body = body_of(Body(DATA[:4], BROKEN), rest)
    assert result(body.read()) == DATA[:4]
    seen: list[RemoteFailure] = []
    body._translate = lambda failure: seen.append(failure) or ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        result(body.read())
    assert isinstance(seen[0], Refusal)


def test_more_than_was_announced_is_not_given() -> None:
    assert drain(body_of(Body(DATA + b"more"), Object())) == DATA


def test_a_closed_body_gives_nothing_and_opens_nothing() -> None:
    first, rest = Body(DATA[:4], BROKEN), Object()
    body = body_of(first, rest)
    assert result(body.read()) == DATA[:4]
    body.close()
    body.close()
    assert result(body.read()) == b""
    assert first.closed == 1


def test_a_close_ends_what_is_being_opened() -> None:
    opening: Deferred[Any] = Deferred()
    body = body_of(Body(BROKEN), Object(opening))
    reading = Outcome(body.read())
    body.close()
    assert reading.get() == b""


def test_a_read_can_be_cancelled_while_it_is_opened() -> None:
    body = body_of(Body(BROKEN), Object(Deferred(), Body(DATA)))
    reading = Outcome(body.read())
    reading.cancel()
    with pytest.raises(CancelledError):
        reading.get()
    assert drain(body) == DATA
