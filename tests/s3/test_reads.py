"""The headers of reads: whole, ranges, conditions, HEAD; and readers that go away."""

from __future__ import annotations

from hashlib import md5

import pytest
from twisted.internet.defer import Deferred

from bleepstore.objectstore.reading import ObjectRead
from bleepstore.s3 import endpoints_listing
from tests.s3.harness import FakeBody, FakeRequest, Server

BODY = b"0123456789"
ETAG = f'"{md5(BODY).hexdigest()}"'
LARGE = bytes(1000) * 1000


@pytest.fixture
def server() -> Server:
    server = Server()
    assert server.signed("PUT", "/bucket").status == 200
    headers = {"cache-control": "max-age=9", "expires": "0", "content-type": "text/plain"}
    assert server.signed("PUT", "/bucket/key", headers, BODY).status == 200
    assert server.signed("PUT", "/bucket/empty", {"content-length": "0"}).status == 200
    assert server.signed("PUT", "/bucket/large", {}, LARGE).status == 200
    return server


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, BODY, "bytes 0-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-0,2-3", 200, BODY, None),
        ("lines=1-2", 200, BODY, None),
        ("bytes=4-2", 200, BODY, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ranges(
    server: Server, method: str, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    request = server.signed(method, "/bucket/key", {"range": asked})
    assert request.status == status
    assert request.answered("content-range") == content_range
    assert request.answered("content-length") == str(len(body))
    assert request.sent == (body if method == "GET" else b"")
    assert request.answered("etag") == ETAG


def test_a_range_of_nothing(server: Server) -> None:
    for target, size in (("/bucket/empty", 0), ("/bucket/key", 10)):
        request = server.signed("GET", target, {"range": "bytes=10-"})
        assert (request.status, request.code) == (416, "InvalidRange")
        assert request.answered("content-range") == f"bytes */{size}"
    part = server.signed("GET", "/bucket/empty?partNumber=1")
    assert (part.status, part.sent, part.answered("content-range")) == (206, b"", None)


def test_a_range_goes_with_any_parameter_but_a_part_number(server: Server) -> None:
    some = {"range": "bytes=0-1"}
    for query in ("x-id=GetObject", "versionId=null", "response-expires=x"):
        got = server.signed("GET", "/bucket/key?" + query, some)
        assert (got.status, len(got.sent)) == (206, 2)
    both = server.signed("GET", "/bucket/key?partNumber=1", some)
    assert (both.status, both.code) == (400, "InvalidRequest")


def test_if_range(server: Server) -> None:
    modified = server.signed("HEAD", "/bucket/key").answered("last-modified") or ""
    for validator, status in (
        (ETAG, 206),
        ('"other"', 200),
        (modified, 206),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ):
        headers = {"range": "bytes=0-0", "if-range": validator}
        assert server.signed("GET", "/bucket/key", headers).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_not_modified_has_validators_and_no_body(server: Server, method: str) -> None:
    request = server.signed(method, "/bucket/key", {"if-none-match": ETAG})
    assert (request.status, request.sent) == (304, b"")
    assert request.answered("etag") == ETAG
    assert request.answered("last-modified")
    assert request.answered("cache-control") == "max-age=9"
    assert request.answered("expires") == "0"
    assert request.answered("content-type") is None
    assert request.answered("x-amz-request-id")
    operation = "GetObject" if method == "GET" else "HeadObject"
    assert server.counted(operation) == 1
    assert server.counted(operation, "error") == 0


def test_conditions_in_the_order_of_rfc_9110(server: Server) -> None:
    past, future = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2050 08:49:37 GMT"
    for headers, status in (
        ({"if-match": ETAG, "if-unmodified-since": past}, 200),
        ({"if-match": '"other"', "if-none-match": ETAG}, 412),
        ({"if-unmodified-since": past}, 412),
        ({"if-none-match": '"other"', "if-modified-since": future}, 200),
        ({"if-modified-since": future}, 304),
        ({"if-modified-since": past}, 200),
    ):
        assert server.signed("GET", "/bucket/key", headers).status == status, headers


def test_a_checksum_is_shown_with_the_whole_alone(server: Server) -> None:
    asked = {"x-amz-checksum-mode": "ENABLED"}
    whole = server.signed("GET", "/bucket/key", asked)
    assert whole.answered("x-amz-checksum-crc64nvme")
    assert whole.answered("x-amz-checksum-type") == "FULL_OBJECT"
    part = server.signed("GET", "/bucket/key", {**asked, "range": "bytes=0-1"})
    assert part.answered("x-amz-checksum-crc64nvme") is None
    assert server.signed("GET", "/bucket/key").answered("x-amz-checksum-crc64nvme") is None


def test_large_bodies_are_streamed_with_their_length(server: Server) -> None:
    request = server.signed("GET", "/bucket/large")
    assert request.sent == LARGE
    assert request.answered("content-length") == str(len(LARGE))
    assert " GetObject /bucket/large 200 " in server.lines.text
    head = server.signed("HEAD", "/bucket/large")
    assert head.answered("content-length") == str(len(LARGE))


def _slow(server: Server, method: str, target: str) -> FakeRequest:
    """A request whose client takes nothing."""
    signed = server.sign(method, target, {}, "UNSIGNED-PAYLOAD")
    request = FakeRequest(method.encode(), target.encode(), signed.headers, FakeBody(b"", 0))
    request.full = Deferred()
    server.front.handle(request)
    return request


def test_a_reader_that_goes_away_ends_the_read(server: Server) -> None:
    request = _slow(server, "GET", "/bucket/large")
    assert request.started
    assert not request.finished
    assert server.counted("GetObject", "error") == 0
    request.gone()
    assert server.counted("GetObject", "error") == 1
    assert "ClientDisconnected" in server.lines.text
    assert request.aborted
    deleted = server.signed("DELETE", "/bucket/large")
    assert deleted.status == 204


def test_a_body_that_breaks_midway_cuts_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [b"x" * 1000]

    async def read(_self: ObjectRead) -> bytes:
        if pieces:
            return pieces.pop()
        raise OSError("the disk is gone")

    monkeypatch.setattr(ObjectRead, "read", read)
    request = server.signed("GET", "/bucket/large")
    assert request.status == 200
    assert request.aborted
    assert not request.finished
    assert server.counted("GetObject", "error") == 1


@pytest.mark.parametrize("query", ["", "?list-type=2", "?delimiter=e", "?uploads"])
def test_pages_that_are_ready_together_are_written_one_in_a_turn(
    server: Server, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    for name in "ab":
        assert server.signed("POST", f"/bucket/{name}?uploads").status == 200
    first, second = [server.signed("GET", f"/bucket{query}") for _ in range(2)]
    assert first.finished
    assert second.finished  # few entries are written at once
    monkeypatch.setattr(endpoints_listing, "FEW", 1)
    first, second = [server.signed("GET", f"/bucket{query}") for _ in range(2)]
    assert first.finished
    assert not second.finished
    server.clock.advance(0)
    assert (second.status, second.finished) == (200, True)
