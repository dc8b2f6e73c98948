"""Calls: signed for each attempt, tried again with a wait, refusals read and logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from bleepstore.remote.failures import (
    CredentialsUnavailable,
    Fault,
    ProviderError,
    Refusal,
    RemoteFailure,
    Unreachable,
)
from bleepstore.remote.refusals import read_google_refusal
from bleepstore.remote.requests import RemoteRequest, Upload
from bleepstore.remote.retries import Policy
from bleepstore.remote.rewinding import KEPT
from bleepstore.remote.service import MOST_OF_A_DOCUMENT, Anonymous, Service
from tests.remote.memory import LIMITS, ORIGIN, Outcome, Server, Source, client_of, result

NOW = 1_400_000_000_000
POLICY = Policy(attempts=4, base=1.0, cap=3.0, total=50.0)
GET = RemoteRequest(method="GET", origin=ORIGIN, target=b"/thing?sig=SECRET")


class Signing:
    """Numbers its signatures; fresh credentials help against a 401."""

    def __init__(self) -> None:
        self.signed = 0
        self.rejections = 0
        self.missing = False
        self.failure: Exception | None = None

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        if self.failure is not None:
            raise self.failure
        if self.missing:
            raise CredentialsUnavailable("none found")
        self.signed += 1
        return RemoteRequest(
            method=request.method,
            origin=request.origin,
            target=request.target,
            headers=(*request.headers, (b"authorization", b"number %d" % self.signed)),
            body=request.body,
        )

    def rejected(self, refusal: Refusal) -> bool:
        self.rejections += refusal.status == 401
        return refusal.status == 401


class World:
    def __init__(self) -> None:
        self.server = Server()
        self.client, self.clock = client_of(self.server)
        self.signing = Signing()
        self.chance = 0x80
        self.service = Service(
            "cloud",
            self.client,
            self.signing,
            read_google_refusal,
            self.clock,
            lambda: NOW,
            lambda size: bytes([self.chance]) + bytes(size - 1),
            POLICY,
        )

    def call(self, request: RemoteRequest = GET, **more: Any) -> Outcome:
        return Outcome(self.service.call(request, **more))

    def wait(self, seconds: float) -> None:
        """The client waits exactly so long."""
        before = len(self.server.connections)
        self.clock.advance(seconds - 0.001)
        assert len(self.server.connections) == before
        assert self.server.last.received == b""
        self.clock.advance(0.001)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        connection = self.server.last
        connection.received.clear()
        connection.answer(status, body, **headers)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        assert "log_failure" not in event
        lines.append(f"{event['log_level'].name} {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def upload(source: Source, length: int) -> RemoteRequest:
    return RemoteRequest(
        method="PUT", origin=ORIGIN, target=b"/thing", body=Upload(lambda: source, length)
    )


def test_an_accepted_answer_comes_at_once(world: World) -> None:
    calling = world.call()
    assert world.server.last.head[1][b"authorization"] == b"number 1"
    world.answer(200, b"data")
    assert result(calling.get().body.read_all()) == b"data"


def test_another_status_is_accepted_where_the_caller_says_so(world: World) -> None:
    calling = world.call(accept=frozenset((200, 404)))
    world.answer(404)
    assert calling.get().status == 404


def test_a_refusal_has_the_providers_words(world: World, log: list[str]) -> None:
    calling = world.call()
    world.answer(
        403,
        b'{"error": {"code": 403, "message": "no access", "errors": [{"reason": "forbidden"}]}}',
        X_GUploader_UploadID="id-1",
    )
    with pytest.raises(Refusal) as caught:
        calling.get()
    error = caught.value.error
    assert (error.status, error.code, error.message) == (403, "forbidden", "no access")
    assert error.request_id == "id-1"
    assert log == [
        "warn cloud refused GET /thing with 403 forbidden after 1 attempts: no access "
        "(request id-1)"
    ]
    assert world.client.in_use == 0


@pytest.mark.parametrize(("reason", "level"), [("notFound", "debug"), ("NoSuchBucket", "warn")])
def test_an_absence_is_usual_and_that_of_the_bucket_is_not(
    world: World, log: list[str], reason: str, level: str
) -> None:
    calling = world.call()
    world.answer(404, b'{"error": {"code": 404, "errors": [{"reason": "%b"}]}}' % reason.encode())
    with pytest.raises(Refusal):
        calling.get()
    assert [line.split()[0] for line in log] == [level]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_after_a_growing_wait(
    world: World, status: int, log: list[str]
) -> None:
    calling = world.call()
    for attempt, wait in enumerate((0.5, 1.0, 1.5), 2):
        world.answer(status)
        world.wait(wait)
        assert world.server.last.head[1][b"authorization"] == b"number %d" % attempt
    world.answer(status)
    with pytest.raises(Refusal) as caught:
        calling.get()
    assert caught.value.status == status
    assert [line.split()[0] for line in log] == ["debug", "debug", "debug", "warn"]
    assert not [line for line in log if "SECRET" in line]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 411, 412, 413, 416, 501])
def test_what_will_not_pass_is_not_tried_again(world: World, status: int) -> None:
    world.signing.rejected = lambda refusal: False  # type: ignore[method-assign]
    calling = world.call()
    world.answer(status)
    with pytest.raises(Refusal):
        calling.get()


@pytest.mark.parametrize("code", [b"RequestTimeout", b"Throttling", b"IDPCommunicationError"])
def test_a_code_may_say_that_it_passes_whatever_the_status(world: World, code: bytes) -> None:
    calling = world.call()
    world.answer(400, b'{"error": {"errors": [{"reason": "%b"}]}}' % code)
    world.wait(0.5)
    world.answer(200)
    assert calling.get().status == 200


def test_chance_may_make_the_wait_nothing(world: World) -> None:
    world.chance = 0
    calling = world.call()
    world.answer(500)
    world.clock.advance(0)
    world.answer(200)
    assert calling.get().status == 200


def test_retry_after_is_the_least_wait(world: World) -> None:
    calling = world.call()
    world.answer(503, Retry_After="7")
    world.wait(7.5)
    world.answer(429, Retry_After="Tue, 13 May 2014 16:53:40 GMT")  # twenty seconds from NOW
    world.wait(21)
    world.answer(200)
    assert calling.get().status == 200


def test_a_wait_beyond_the_total_is_not_begun(world: World) -> None:
    calling = world.call()
    world.answer(503, Retry_After="50")
    with pytest.raises(Refusal):
        calling.get()


@pytest.mark.parametrize("refuse", [True, False])
def test_connections_that_fail_are_made_again(world: World, refuse: bool) -> None:
    if refuse:
        world.server.refuse = ConnectionRefusedError()
    else:
        world.server.hang = True
    calling = world.call()
    if not refuse:
        world.clock.advance(LIMITS.connect)
    world.server.refuse = None
    world.server.hang = False
    world.clock.advance(0.5)
    world.answer(200)
    assert calling.get().status == 200


def test_a_reset_is_tried_again_and_in_the_end_comes_up(world: World) -> None:
    calling = world.call()
    for wait in (0.5, 1.0, 1.5):
        world.server.last.reset()
        world.clock.advance(wait)
    world.server.last.reset()
    with pytest.raises(Unreachable) as caught:
        calling.get()
    assert caught.value.fault is Fault.BROKEN
    assert len(world.server.connections) == 4


def test_what_may_not_be_repeated_is_not_unless_it_was_not_carried_out(world: World) -> None:
    request = RemoteRequest(method="POST", origin=ORIGIN, target=b"/x", idempotent=False)
    calling = world.call(request)
    world.answer(503)
    world.clock.advance(0.5)
    world.server.last.reset()
    with pytest.raises(Unreachable):
        calling.get()


def test_fresh_credentials_are_tried_once_and_at_once(world: World) -> None:
    calling = world.call()
    world.answer(401)
    assert world.server.last.head[1][b"authorization"] == b"number 2"
    world.answer(401)
    with pytest.raises(Refusal):
        calling.get()
    assert world.signing.signed == 2


def test_no_credentials_are_no_reason_to_try_again(world: World, log: list[str]) -> None:
    world.signing.missing = True
    with pytest.raises(CredentialsUnavailable):
        world.call().get()
    assert log == ["warn cloud: GET /thing failed after 1 attempts: none found"]


@pytest.mark.parametrize(
    "failure", [Refusal(ProviderError(status=404)), Unreachable(Fault.CONNECT)], ids=str
)
def test_what_a_token_endpoint_answers_is_no_answer_of_the_service(
    world: World, failure: Exception
) -> None:
    world.signing.failure = failure
    with pytest.raises(CredentialsUnavailable):
        world.call(accept=frozenset((200, 404))).get()
    assert not world.server.connections


def test_bytes_are_sent_again(world: World) -> None:
    calling = world.call(
        RemoteRequest(method="PUT", origin=ORIGIN, target=b"/x", body=b"d" * 300_000)
    )
    for _ in range(2):
        assert world.server.last.body == b"d" * 300_000
        world.answer(503)
        world.clock.advance(1)
    assert world.server.last.body == b"d" * 300_000
    world.answer(200)
    assert calling.get().status == 200


def test_a_source_that_can_be_restarted_is(world: World) -> None:
    pieces = (b"a" * KEPT, b"b" * KEPT)
    opened: list[Source] = []

    def open_it() -> Source:
        opened.append(Source(*pieces))
        return opened[-1]

    calling = world.call(
        RemoteRequest(
            method="PUT",
            origin=ORIGIN,
            target=b"/x",
            body=Upload(open_it, 2 * KEPT, restartable=True),
        )
    )
    world.server.last.reset()
    world.clock.advance(1)
    assert world.server.last.body == b"".join(pieces)
    world.answer(200)
    assert calling.get().status == 200
    assert len(opened) == 2


def test_the_beginning_of_a_stream_is_sent_again(world: World) -> None:
    source = Source(b"one", b"two")
    calling = world.call(upload(source, 6))
    world.answer(503)
    world.clock.advance(1)
    assert world.server.last.body == b"onetwo"
    world.answer(200)
    assert calling.get().status == 200


def test_a_stream_is_sent_again_while_its_beginning_is_kept(world: World) -> None:
    source = Source(b"one")
    source.held = True
    calling = world.call(upload(source, 9))
    source.give(b"one")
    world.server.last.reset()
    world.clock.advance(1)
    assert world.server.last.body == b"one"
    source.give(b"two")
    world.server.last.reset()
    source.give(b"three"[:3])
    world.clock.advance(1)
    assert world.server.last.body == b"onetwothr"
    source.give(b"")
    world.answer(200)
    assert calling.get().status == 200


def test_a_stream_whose_beginning_is_gone_is_not_sent_again(world: World) -> None:
    source = Source(b"a" * KEPT, b"b")
    calling = world.call(upload(source, KEPT + 1))
    world.answer(503)
    with pytest.raises(Refusal):
        calling.get()
    assert len(world.server.connections) == 1


def test_the_read_of_a_call_that_has_ended_is_given_up(world: World) -> None:
    source = Source()
    source.held = True
    calling = world.call(upload(source, 9))
    calling.cancel()
    with pytest.raises(CancelledError):
        calling.get()
    assert source.cancelled
    assert world.client.in_use == 0


def test_an_error_of_the_source_is_no_reason_to_try_again(world: World) -> None:
    source = Source()
    source.held = True
    calling = world.call(upload(source, 9))
    assert source.waiting is not None
    source.waiting.errback(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        calling.get()
    assert len(world.server.connections) == 1


def test_a_call_can_be_cancelled_while_it_waits(world: World) -> None:
    calling = world.call()
    world.answer(503)
    calling.cancel()
    with pytest.raises(CancelledError):
        calling.get()
    world.clock.advance(60)
    assert world.server.last.received == b""


def test_an_empty_budget_ends_retries_until_calls_succeed(world: World) -> None:
    world.chance = 0
    made = 0
    while True:
        calling = world.call()
        attempts = 0
        while calling.pending:
            attempts += 1
            world.answer(503)
            world.clock.advance(0)
        with pytest.raises(Refusal):
            calling.get()
        made += attempts - 1
        if attempts == 1:
            break
    assert made == 100
    for _ in range(5):
        calling = world.call()
        world.answer(200)
        calling.get()
    calling = world.call()
    world.answer(503)
    world.clock.advance(0)
    world.answer(200)
    assert calling.get().status == 200


def test_a_document_that_breaks_off_is_fetched_again(world: World) -> None:
    fetching = Outcome(world.service.fetch(GET))
    world.server.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
    world.server.last.reset()
    world.clock.advance(1)
    world.answer(200, b"something")
    answer, text = fetching.get()
    assert (answer.status, text) == (200, b"something")


def test_a_part_of_a_document_never_passes_for_the_whole(world: World) -> None:
    fetching = Outcome(world.service.fetch(GET))
    world.answer(200, bytes(3 << 20))
    assert len(fetching.get()[1]) == 3 << 20
    fetching = Outcome(world.service.fetch(GET))
    world.answer(200, bytes(MOST_OF_A_DOCUMENT + 1))
    with pytest.raises(RemoteFailure, match="more than 16777216 bytes"):
        fetching.get()


def test_a_refusal_that_breaks_off_is_one_nevertheless(world: World) -> None:
    calling = world.call()
    world.server.last.send(b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nsome")
    world.server.last.reset()
    with pytest.raises(Refusal) as caught:
        calling.get()
    assert caught.value.status == 404


def test_requests_of_nobody_are_sent_as_they_are() -> None:
    anonymous = Anonymous()
    assert result(anonymous.authorize(GET)) is GET
