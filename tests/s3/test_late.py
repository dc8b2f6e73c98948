"""Answers that take long: blanks keep the connection alive, late errors come in the body."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher

from bleepstore.errors import AccessDenied, InternalError, InvalidPart
from bleepstore.model.commands import Written
from bleepstore.s3.late import DECLARATION, PATIENCE_SECONDS
from tests.s3.harness import FakeRequest, Server

COPY = {"x-amz-copy-source": "/bucket/key", "content-length": "0"}


class Copying:
    """A server whose copies end when told to, and a copy under way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = Server()
        self.done: Deferred[Written] = Deferred()

        async def copy(*_arguments: Any) -> Written:
            return await self.done

        monkeypatch.setattr(self.server.store.copies, "copy", copy)
        self.request: FakeRequest = self.server.signed("PUT", "/bucket/copy", COPY)

    def succeed(self) -> None:
        self.done.callback(
            Written(version_id="null", etag="e" * 32, size=1, last_modified=1_700_000_000_000)
        )


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> Copying:
    return Copying(monkeypatch)


def test_before_its_patience_ends_nothing_is_sent(copying: Copying) -> None:
    copying.server.clock.advance(PATIENCE_SECONDS - 0.1)
    assert not copying.request.started
    copying.succeed()
    assert copying.request.status == 200
    assert copying.request.answered("content-length")
    assert copying.server.clock.getDelayedCalls() == []


def test_an_early_error_has_its_true_status(copying: Copying) -> None:
    copying.done.errback(InvalidPart())
    assert (copying.request.status, copying.request.code) == (400, "InvalidPart")
    assert copying.server.clock.getDelayedCalls() == []


def test_blanks_keep_the_connection_alive_and_the_document_parses(copying: Copying) -> None:
    request, clock = copying.request, copying.server.clock
    clock.advance(PATIENCE_SECONDS)
    assert request.status == 200
    assert request.sent == DECLARATION + b" "
    first = len(request.sent)
    clock.advance(PATIENCE_SECONDS)
    clock.advance(PATIENCE_SECONDS)
    assert request.sent[first:] == b"  "
    copying.succeed()
    assert request.finished
    assert request.document.tag.endswith("CopyObjectResult")
    assert request.sent.count(DECLARATION) == 1
    assert request.answered("content-length") is None
    assert clock.getDelayedCalls() == []
    assert copying.server.counted("CopyObject") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AccessDenied("not by you"), "AccessDenied"),
        (ValueError("defect"), "InternalError"),
        (InternalError("defect"), "InternalError"),
    ],
)
def test_a_late_error_is_in_the_body_and_is_counted(
    copying: Copying, error: Exception, code: str
) -> None:
    copying.server.clock.advance(PATIENCE_SECONDS)
    copying.done.errback(error)
    assert (copying.request.status, copying.request.code) == (200, code)
    assert copying.request.finished
    assert copying.server.counted("CopyObject", "error") == 1
    assert b"defect" not in copying.request.sent
    assert (b"not by you" in copying.request.sent) is (code == "AccessDenied")


@pytest.mark.parametrize("is_logged", [True, False])
def test_what_was_logged_where_it_arose_is_not_traced_again(
    copying: Copying, is_logged: bool
) -> None:
    traced: list[LogEvent] = []
    globalLogPublisher.addObserver(traced.append)
    error = InternalError("the cloud refused it")
    error.is_logged = is_logged
    copying.done.errback(error)
    globalLogPublisher.removeObserver(traced.append)
    assert copying.request.status == 500
    assert b"cloud" not in copying.request.sent
    assert len([event for event in traced if "log_failure" in event]) == (not is_logged)


def test_the_client_may_go_and_the_copy_goes_on(copying: Copying) -> None:
    copying.server.clock.advance(PATIENCE_SECONDS)
    copying.request.gone()
    copying.server.clock.advance(PATIENCE_SECONDS)
    assert not copying.done.called
    copying.succeed()
    assert copying.server.clock.getDelayedCalls() == []
