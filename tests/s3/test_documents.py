"""Documents: read whole, and never so many at once that they fill the memory."""

from __future__ import annotations

import pytest

from bleepstore.errors import SlowDown
from bleepstore.model.accounts import Account
from bleepstore.objectstore.requests import Caller
from bleepstore.s3.call import Call, Identity
from bleepstore.s3.documents import SMALL, Documents
from tests.http.connection import Wait
from tests.s3.harness import ROOT, FakeRequest, Server, SlowBody

SIZE = 1024 * 1024


class Reading:
    """A document on its way."""

    def __init__(self, documents: Documents, account: Account | None = ROOT.account) -> None:
        self.body = SlowBody(SIZE)
        headers = [(b"content-length", b"%d" % SIZE)]
        call = Call(FakeRequest(b"POST", b"/b?delete", headers, self.body), "id", Identity("h"), 0)
        call.caller = Caller(account, "id", 0)
        self.outcome = Wait(documents.read(call))

    def arrive(self, size: int) -> Reading:
        self.body.arrive(bytes(size))
        return self

    def end(self) -> None:
        self.body.arrive(b"")

    @property
    def refused(self) -> bool:
        return [type(error) for error in self.outcome.failures] == [SlowDown]


def test_documents_share_a_room() -> None:
    documents = Documents(room=3 * SIZE)
    full = [Reading(documents).arrive(SIZE) for _ in range(3)]
    assert not any(reading.outcome.failures for reading in full)
    assert Reading(documents).arrive(SMALL + 1).refused
    for reading in full:
        reading.end()
        assert reading.outcome.value == bytes(SIZE)
    again = Reading(documents).arrive(SIZE)
    again.end()
    assert again.outcome.value == bytes(SIZE)


def test_there_is_always_room_for_small_ones() -> None:
    documents = Documents(room=SIZE)
    full = Reading(documents).arrive(SIZE)
    small = Reading(documents).arrive(SMALL)
    assert small.outcome.pending
    assert small.arrive(1).refused
    assert full.outcome.pending


def test_those_that_nobody_signed_take_no_room_of_others() -> None:
    documents = Documents(room=SIZE, room_for_anybody=SIZE)
    assert Reading(documents, None).arrive(SIZE).outcome.pending
    assert Reading(documents, None).arrive(SIZE).refused
    assert Reading(documents).arrive(SIZE).outcome.pending


def test_the_room_of_a_client_that_vanishes_is_free_again() -> None:
    documents = Documents(room=SIZE)
    lost = Reading(documents).arrive(SIZE)
    lost.body.vanish()
    assert lost.outcome.failures
    assert Reading(documents).arrive(SIZE).outcome.pending


@pytest.mark.parametrize(
    ("method", "target"), [("PUT", "/fresh"), ("POST", "/bucket/key?uploadId=x")]
)
def test_nothing_is_read_of_whom_nothing_can_be_granted(method: str, target: str) -> None:
    server = Server()
    body = SlowBody(SIZE)
    request = server.raw(method, target, [("content-length", str(SIZE))], body)
    assert (request.status, request.code, body.reads) == (403, "AccessDenied", 0)
