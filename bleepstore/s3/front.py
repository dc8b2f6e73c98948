"""The S3 front: from the head of a request to the endpoint of its operation, and to the log.

One pipeline for every request: system page or operation of the table, else NotImplemented;
who signed it; headers that ask for what is not there; the endpoint.  Whatever goes wrong on the
way becomes S3's error document here and nowhere else.

A client that goes away cancels what it was reading; a change goes on to its end.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from bleepstore import errors
from bleepstore.errors import InternalError, StoreError
from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.interfaces.threads import Now
from bleepstore.observability.log import AccessLog
from bleepstore.observability.metrics import Metrics
from bleepstore.s3.authentication import Authentication
from bleepstore.s3.call import XML, Call, Identity, region_header
from bleepstore.s3.identity import host_id, request_ids
from bleepstore.s3.pages import SystemPages
from bleepstore.s3.serving import Endpoints, endpoint_table
from bleepstore.streams.coroutines import resumed, run_on
from bleepstore.wire.errors import error_body, error_headers, status_of
from bleepstore.wire.headers import refuse_empty_owners, refuse_unsupported
from bleepstore.wire.operations import TEMPLATES
from bleepstore.wire.routing import Router

_log = Logger()

_METHODS = {name.encode(): name for name in ("GET", "HEAD", "PUT", "POST", "DELETE")}

CLIENT_GONE = "ClientDisconnected"
"""Stands in the log where an error code does, for a client that went away before its answer."""


class Instruments(Struct, frozen=True):
    """Where finished requests are told."""

    metrics: Metrics
    access_log: AccessLog


class S3Front:
    """Answers requests.  ``handle`` is the handler, ``refuse`` the Refuse of http.HTTPFactory.

    :param groups: the endpoints of all served operations.
    :param pages: what is served beside S3.
    :param seed: 64 random bits, others in every process; request ids start from it.
    """

    def __init__(
        self,
        *,
        reactor: IReactorTime,
        now: Now,
        router: Router,
        authentication: Authentication,
        groups: Iterable[Endpoints],
        pages: SystemPages,
        instruments: Instruments,
        seed: int,
    ) -> None:
        self._seconds = reactor.seconds
        self._now = now
        self._router = router
        self._authenticate = authentication.authenticate
        self._endpoints = endpoint_table(groups)
        self._region = (region_header(authentication.region),)
        self._pages = pages
        self._metrics = instruments.metrics
        self._access_log = instruments.access_log
        self._next_id = request_ids(seed)
        self._identity = Identity(host_id(seed))

    def handle(self, request: IHttpRequest) -> None:
        """Serve one request, from its head on."""
        began = self._seconds()
        call = Call(request, self._next_id(), self._identity, self._now())
        coroutine = self._serve(call, began)
        try:
            waiting = coroutine.send(None)
        except StopIteration:
            return
        if request.method in (b"GET", b"HEAD"):
            request.notifyFinish().addErrback(_cancel, resumed(coroutine, waiting))
        else:
            run_on(coroutine, waiting)

    def name_leader(self, node_id: str) -> None:
        """See :meth:`Identity.name_leader`; called when another node leads, not for a request."""
        self._identity.name_leader(node_id)

    def refuse(self, error: StoreError) -> tuple[int, list[Header], bytes]:
        """The answer to what never became a request, or to one whose handler failed."""
        request_id = self._next_id()
        headers = [(b"x-amz-request-id", request_id.encode()), *self._identity.headers, XML]
        headers.extend(error_headers(error))
        body = error_body(error, "/", request_id, self._identity.host_id)
        return status_of(error), headers, body

    async def _serve(self, call: Call, began: float) -> None:
        """Answer, and tell of it; never fails."""
        try:
            await self._dispatch(call)
        except StoreError as error:
            if isinstance(error, InternalError):
                if not error.is_logged:
                    _log.failure("Request {request_id} failed.", request_id=call.request_id)
                error = InternalError()  # what it says is for the log
            call.refuse(error, self._where_the_bucket_is(call, error))
        except (CancelledError, ConnectionError):
            call.error = CLIENT_GONE
            call.request.abort()
        except Exception:
            _log.failure("Request {request_id} failed.", request_id=call.request_id)
            call.refuse(InternalError())
        self._finished(call, began)

    def _where_the_bucket_is(self, call: Call, error: StoreError) -> tuple[Header, ...]:
        """The header that SDKs learn it from: of a HeadBucket, and of what was signed for another
        region, of any operation on a bucket (S3 sends it beside the body's ``Region``)."""
        elsewhere = "Region" in error.details and call.bucket
        return self._region if elsewhere or call.operation == "HeadBucket" else ()

    async def _dispatch(self, call: Call) -> None:
        request = call.request
        page = self._pages.find(request, call.headers)
        if page is not None:
            call.template = page.path
            await self._pages.serve(page, request, call)
            return
        route = self._router.route(request.method, request.uri, call.headers)
        operation = route.operation
        call.operation = operation.name
        call.template = TEMPLATES[operation.level]
        call.bucket = route.bucket
        call.key = route.key
        call.by_host = route.by_host
        call.query = route.query
        call.headers = route.headers
        endpoint = self._endpoints.get(operation.name)
        if endpoint is None:
            raise errors.NotImplemented
        await self._authenticate(call)
        refuse_unsupported(call.headers)
        refuse_empty_owners(call.headers)
        await endpoint(request, call)

    def _finished(self, call: Call, began: float) -> None:
        request = call.request
        seconds = self._seconds() - began
        received, sent = request.bytes_received, request.bytes_sent
        self._metrics.request_finished(
            _METHODS.get(request.method) or request.method.decode("latin-1"),
            call.template,
            call.operation,
            call.status,
            bool(call.error),
            received,
            sent,
            seconds,
        )
        if self._access_log.enabled:
            self._access_log.record(
                call.request_id,
                request.client_host,
                call.access_key,
                call.operation,
                call.resource,
                call.status,
                call.error,
                received,
                sent,
                seconds,
            )


def _cancel(_gone: Failure, serving: Deferred[None]) -> None:
    serving.cancel()
