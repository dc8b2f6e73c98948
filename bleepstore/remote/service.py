"""Calls to one service of one provider: signed, tried again where that helps, refusals read."""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from bleepstore.interfaces.threads import Dice, Now
from bleepstore.remote.client import RemoteClient
from bleepstore.remote.exchange import Answer
from bleepstore.remote.failures import (
    NO_PLACE,
    CredentialsUnavailable,
    Refusal,
    RemoteFailure,
    Unreachable,
)
from bleepstore.remote.refusals import ReadRefusal
from bleepstore.remote.requests import ByteSource, RemoteRequest, Upload
from bleepstore.remote.retries import (
    Budget,
    Policy,
    parse_retry_after,
    wait_before,
    worth_retrying,
)
from bleepstore.remote.rewinding import Rewindable
from bleepstore.remote.uploading import BytesSource

OK = frozenset((200,))
"""The statuses most calls accept."""

MOST_OF_A_DOCUMENT = 16 * 1024 * 1024
"""Bytes: a page of a thousand names, with the longest ones and the most metadata, has less."""

MOST_OF_A_REFUSAL = 64 * 1024
"""Bytes of an error body that are read."""

_ASKED_FOR = frozenset(("BlobAlreadyExists", "InvalidBlockList"))
"""Codes of other refusals that callers ask for, as they ask for 404, 412 and 416."""

_log = Logger()


class Authorizer(Protocol):
    """Makes a request one that the provider takes as ours."""

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """The request with what proves who sends it.  Called for each attempt.

        :raises CredentialsUnavailable: there are no credentials.
        :raises RemoteFailure: they could not be fetched.
        """

    def rejected(self, refusal: Refusal) -> bool:
        """Whether fresh credentials may help against this refusal; then those held are given up."""


class Anonymous:
    """Sends requests as they are."""

    async def authorize(self, request: RemoteRequest) -> RemoteRequest:
        """See :class:`Authorizer`."""
        return request

    def rejected(self, refusal: Refusal) -> bool:
        """See :class:`Authorizer`."""
        return False


class Service:
    """One service, as one identity.

    :param name: for the log: ``aws``, ``gcp``, ``azure``, or that of a token endpoint.
    :param seconds: the reactor, or a test's clock, for waits.
    :param now: the wall clock, for dates in Retry-After.
    """

    def __init__(
        self,
        name: str,
        client: RemoteClient,
        authorizer: Authorizer,
        read_refusal: ReadRefusal,
        clock: IReactorTime,
        now: Now,
        dice: Dice,
        policy: Policy | None = None,
    ) -> None:
        self._name = name
        self._client = client
        self._authorizer = authorizer
        self._read_refusal = read_refusal
        self._clock = clock
        self._now = now
        self._dice = dice
        self._policy = policy or Policy()
        self._budget = Budget()

    async def call(
        self,
        request: RemoteRequest,
        accept: Container[int] = OK,
        head: float | None = None,
        once: bool = False,
    ) -> Answer:
        """Make a call, and give the answer.  Its body must be read to its end, or closed.

        :param accept: the statuses that are an answer; any other is a :class:`Refusal`.
        :param head: seconds for the first byte of the answer, instead of the usual.
        :param once: try no more than once: the caller knows better (see :meth:`back_off`).
        :raises Refusal: the provider's answer is another one.
        :raises Unreachable: there is no answer.
        :raises CredentialsUnavailable: nothing is known to sign with.
        :raises Exception: what the source of the body raised.
        """
        began = self._clock.seconds()
        body = _Replays(request.body)
        attempt = 0
        renewed = False
        try:
            while True:
                attempt += 1
                try:
                    answer = await self._attempt(request, body, accept, head)
                except RemoteFailure as failure:
                    if (
                        isinstance(failure, Refusal)
                        and not renewed
                        and self._authorizer.rejected(failure)
                        and body.again()
                    ):
                        renewed = True
                        continue
                    if once:
                        raise
                    wait = self._wait(request, failure, attempt, began)
                    if wait is None or not body.again():
                        self._report(request, failure, attempt)
                        raise
                    await self._pause(request, failure, attempt, wait)
                else:
                    self._budget.succeeded()
                    return answer
        finally:
            body.release()

    async def fetch(
        self, request: RemoteRequest, accept: Container[int] = OK, head: float | None = None
    ) -> tuple[Answer, bytes]:
        """As :meth:`call`, with the body of the answer: a document of at most 16 MiB.

        A document that breaks off is fetched again as any other answer that did not come.

        :raises RemoteFailure: also if it is larger; never does a part of it pass for the whole.
        """
        began = self._clock.seconds()
        attempt = 0
        while True:
            attempt += 1
            answer = await self.call(request, accept, head)
            try:
                document = await answer.body.read_all(MOST_OF_A_DOCUMENT + 1)
                if len(document) > MOST_OF_A_DOCUMENT:
                    raise RemoteFailure(f"an answer of more than {MOST_OF_A_DOCUMENT} bytes")
                return answer, document
            except Unreachable as failure:
                wait = self._wait(request, failure, attempt, began)
                if wait is None or isinstance(request.body, Upload):
                    self._report(request, failure, attempt)
                    raise
                await self._pause(request, failure, attempt, wait)
            finally:
                answer.body.close()

    async def back_off(
        self, request: RemoteRequest, failure: RemoteFailure, attempt: int, began: float
    ) -> None:
        """Wait before a further attempt, for a caller that makes a call in its own way.

        :param attempt: how many were made, from 1.
        :param began: when the first one was, by :meth:`seconds`.
        :raises RemoteFailure: the failure itself: there shall be no further attempt.
        """
        wait = self._wait(request, failure, attempt, began)
        if wait is None:
            self._report(request, failure, attempt)
            raise failure
        await self._pause(request, failure, attempt, wait)

    def seconds(self) -> float:
        """The clock of the service."""
        return self._clock.seconds()

    async def _pause(
        self, request: RemoteRequest, failure: RemoteFailure, attempt: int, wait: float
    ) -> None:
        _log.debug(
            "{service}: attempt {attempt} of {method} {path} failed ({failure}), "
            "again in {wait:.2f} s",
            service=self._name,
            attempt=attempt,
            method=request.method,
            path=request.path,
            failure=str(failure),
            wait=wait,
        )
        await deferLater(self._clock, wait)

    async def _attempt(
        self, request: RemoteRequest, body: _Replays, accept: Container[int], head: float | None
    ) -> Answer:
        try:
            signed = await self._authorizer.authorize(request)
        except (Refusal, Unreachable) as failure:
            # What a place of credentials answers says nothing of what was asked for here; and it
            # was asked as often as it made sense.
            raise CredentialsUnavailable(f"no credentials: {failure}") from failure
        answer = await self._client.exchange(signed, body.source(), body.length, head)
        if answer.status in accept:
            return answer
        try:
            text = await answer.body.read_all(MOST_OF_A_REFUSAL)
        except Unreachable:
            text = b""  # the status alone says enough
        finally:
            answer.body.close()
        raise Refusal(
            self._read_refusal(answer.status, answer.headers, text),
            parse_retry_after(answer.headers.get(b"retry-after", b""), self._now()),
        )

    def _wait(
        self, request: RemoteRequest, failure: RemoteFailure, attempt: int, began: float
    ) -> float | None:
        if not worth_retrying(failure, request.idempotent):
            return None
        chance = int.from_bytes(self._dice(4), "big") / (1 << 32)
        elapsed = self._clock.seconds() - began
        wait = wait_before(attempt, failure, elapsed, chance, self._policy)
        return wait if wait is not None and self._budget.spend(failure) else None

    def _report(self, request: RemoteRequest, failure: RemoteFailure, attempts: int) -> None:
        failure.is_logged = True
        if isinstance(failure, Refusal):
            error = failure.error
            usual = error.code in _ASKED_FOR or (
                error.status in (404, 412, 416) and error.code not in NO_PLACE
            )
            (_log.debug if usual else _log.warn)(
                "{service} refused {method} {path} with {status} {code} after {attempts} "
                "attempts{text} (request {request_id})",
                service=self._name,
                method=request.method,
                path=request.path,
                status=error.status,
                code=error.code or "without a code",
                attempts=attempts,
                text=f": {error.message}" if error.message else "",
                request_id=error.request_id or "without an id",
            )
        else:
            _log.warn(
                "{service}: {method} {path} failed after {attempts} attempts: {failure}",
                service=self._name,
                method=request.method,
                path=request.path,
                attempts=attempts,
                failure=str(failure),
            )


class _Replays:
    """The body of a call, as often as it can be read.

    :ivar length: of the body; None without one, or if it is not known.
    """

    def __init__(self, body: bytes | Upload | None) -> None:
        self._body = body
        self._source: ByteSource | None = None
        self._once: Rewindable | None = None
        self.length: int | None = None
        if isinstance(body, Upload):
            self.length = body.length
            if not body.restartable:
                self._source = self._once = Rewindable(body.open())
        elif body is not None:
            self.length = len(body)

    def source(self) -> ByteSource | None:
        """The body for one attempt."""
        if self._once is not None:
            return self._once
        if isinstance(self._body, Upload):
            return self._body.open()
        return BytesSource(self._body) if self._body else None

    def again(self) -> bool:
        """Go back to its beginning; False if that is not possible."""
        return self._once is None or self._once.rewind()

    def release(self) -> None:
        """No attempt will follow."""
        if self._once is not None:
            self._once.release()
