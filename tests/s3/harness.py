"""A whole S3 server in memory, without sockets: raw requests, signed ones, and botocore's.

botocore serialises, signs and parses as it does for a real server; only the sending is ours
(its event ``before-send``).
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast
from urllib.parse import urlsplit
from xml.etree import ElementTree

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.auth.canonical import header_map
from bleepstore.auth.signing import SignedRequest, Signer
from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.errors import IncompleteBody
from bleepstore.interfaces.http import Header, IBody, IHttpRequest
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.model.accounts import Account, Credential
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.store import ObjectStore
from bleepstore.observability.health import Check, Health
from bleepstore.observability.log import AccessLog, LogWriter
from bleepstore.observability.metrics import Metrics
from bleepstore.s3.authentication import Authentication
from bleepstore.s3.endpoints import endpoint_groups
from bleepstore.s3.front import Instruments, S3Front
from bleepstore.s3.openapi import openapi_document
from bleepstore.s3.pages import SystemPages
from bleepstore.streams.threads import ImmediateThreads
from bleepstore.wire.routing import Router

REGION = "us-east-1"
PIECE = 64 * 1024

ROOT = Credential("rootkey", "rootsecret", Account("1" * 64, "root", "root@example.com"))
ALICE = Credential("alicekey", "alicesecret", Account("a" * 64, "alice", "alice@example.com"))
BOB = Credential("bobkey", "bobsecret", Account("b" * 64, "bob", "bob@example.com"))


_SESSION = botocore.session.Session()  # reads its service model once for all clients


@implementer(IBody)
class FakeBody:
    """Bytes that have arrived, in pieces; then the end, or the client's disappearance.

    :ivar reads: how often it was asked for bytes.
    """

    def __init__(self, data: bytes, length: int | None, piece: int = PIECE) -> None:
        self.length = length
        self.received = 0
        self.reads = 0
        self._data = memoryview(data)
        self._piece = piece

    async def read(self) -> bytes:
        self.reads += 1
        taken = bytes(self._data[: self._piece])
        self._data = self._data[len(taken) :]
        self.received += len(taken)
        if not taken and self.length is not None and self.received < self.length:
            raise IncompleteBody
        return taken


class SlowBody(FakeBody):
    """A body whose bytes come when the test says so."""

    def __init__(self, length: int | None) -> None:
        super().__init__(b"", length)
        self.waiting: Deferred[bytes] | None = None

    async def read(self) -> bytes:
        self.reads += 1
        self.waiting = Deferred()
        data = await self.waiting
        self.received += len(data)
        return data

    def arrive(self, data: bytes) -> None:
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        waiting.callback(data)

    def vanish(self) -> None:
        waiting, self.waiting = self.waiting, None
        assert waiting is not None
        waiting.errback(IncompleteBody())


@implementer(IHttpRequest)
class FakeRequest:
    """Records the response; what HTTP adds to it (Content-Length) is added."""

    client_host = "192.0.2.1"
    secure = False

    def __init__(
        self, method: bytes, uri: bytes, headers: Sequence[Header], body: FakeBody
    ) -> None:
        self.method = method
        self.uri = uri
        self.headers = list(headers)
        self.fields = header_map(headers)
        self.body = body
        self.started = False
        self.finished = False
        self.aborted = False
        self.status = 0
        self.sent = b""
        self.response: list[Header] = []
        self.full: Deferred[None] | None = None
        self.turns = 0  # that others were given
        self._watchers: list[Deferred[None]] = []

    @property
    def bytes_received(self) -> int:
        return self.body.received

    @property
    def bytes_sent(self) -> int:
        return len(self.sent)

    def respond(self, status: int, headers: Sequence[Header], body: bytes = b"") -> None:
        assert not self.started, "two responses"
        self.started = True
        self.status = status
        self.response = list(headers)
        announced = self.answered("content-length")
        if status in (204, 304):
            assert announced is None
        elif announced is None:
            self.response.append((b"Content-Length", b"%d" % len(body)))
        elif self.method != b"HEAD":
            assert int(announced) == len(body)
        if self.method != b"HEAD" and status not in (204, 304):
            self.sent = bytes(body)
        self.finish()

    async def turn(self) -> None:
        self.turns += 1

    def start(self, status: int, headers: Sequence[Header]) -> None:
        assert not self.started, "two responses"
        self.started = True
        self.status = status
        self.response = list(headers)

    async def send(self, data: bytes | memoryview) -> None:
        if self.aborted:
            raise ConnectionError("gone")
        assert self.started
        assert not self.finished
        self.sent += bytes(data)
        if self.full is not None:
            await self.full

    def finish(self) -> None:
        assert self.started
        assert not self.finished
        self.finished = True
        announced = self.answered("content-length")
        if announced is not None and self.method != b"HEAD":
            assert len(self.sent) == int(announced)
        self._tell(None)

    def abort(self) -> None:
        self.gone()

    def gone(self) -> None:
        """The connection is lost."""
        if not self.finished and not self.aborted:
            self.aborted = True
            self._tell(Failure(ConnectionError("gone")))

    def notifyFinish(self) -> Deferred[None]:
        watcher: Deferred[None] = Deferred()
        self._watchers.append(watcher)
        return watcher

    def _tell(self, outcome: Failure | None) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if outcome is None:
                watcher.callback(None)
            else:
                watcher.errback(outcome)

    # What tests ask

    def answered(self, name: str) -> str | None:
        """A header of the response; None if it is not there."""
        wanted = name.lower().encode()
        values = [value for found, value in self.response if found.lower() == wanted]
        assert len(values) < 2, f"{name} twice"
        return values[0].decode("latin-1") if values else None

    @property
    def document(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.sent)

    @property
    def code(self) -> str:
        """The S3 error code of the body; empty if it is no error document."""
        # Not parsed: what is quoted from a client may hold what XML 1.0 cannot, as with S3.
        match = re.search(rb"<Error><Code>(\w+)</Code>", self.sent)
        return match[1].decode() if match else ""

    def detail(self, name: str) -> str | None:
        """An element of the error document."""
        return self.document.findtext(name)


class _Lines:
    def __init__(self) -> None:
        self._written: list[str] = []

    def write(self, text: str, level: str) -> None:
        self._written.append(text)

    @property
    def text(self) -> str:
        return "".join(self._written)


class Server:
    """The front over stores in memory.

    :ivar skew: milliseconds that the server's clock is ahead of the real one, which botocore
        signs with.
    """

    def __init__(
        self,
        *,
        region: str = REGION,
        domains: Iterable[str] = ("localhost",),
        auth: bool = True,
        metrics: bool = True,
        health: bool = True,
        max_object_size: int = 5 * 1024**3,
        checks: Mapping[str, Check] | None = None,
        require_room: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        self.region = region
        self.clock = Clock()
        self.skew = 0
        self.metadata = MemoryMetadata()
        self.blobs = MemoryBlobStore(self.clock, ImmediateThreads())
        self._serial = 0
        self.store = ObjectStore(
            metadata=self.metadata,
            blobs=self.blobs,
            threads=ImmediateThreads(),
            now=self.now,
            dice=self._dice,
            pins=Pins(),
            credentials=(ROOT, ALICE, BOB),
            region=region,
            node_id="test",
            max_object_size=max_object_size,
            released=lambda: None,
            require_room=require_room,
        )
        result_of(self.store.start())
        router = Router(domains)
        self.metrics = Metrics(metrics)
        self.lines = _Lines()
        if checks is None:
            checks = {"metadata": self.metadata.totals, "storage": self.blobs.check}
        self.front = S3Front(
            reactor=self.clock,
            now=self.now,
            router=router,
            authentication=Authentication(self.store.accounts, region, auth),
            groups=endpoint_groups(self.store, region, self.clock),
            pages=SystemPages(
                router,
                Health(self.clock, checks) if health else None,
                self.metrics.scrapes(self.clock, self.metadata.totals),
                openapi_document,
            ),
            instruments=Instruments(
                self.metrics, AccessLog(LogWriter(self.lines), "text", self.now)
            ),
            seed=7,
        )

    def counted(self, operation: str, status: str = "success") -> float:
        """The value of the operation's counter."""
        held = result_of(self.metadata.totals())
        return sum(
            sample.value
            for family in self.metrics.collect(held)
            for sample in family.samples
            if sample.name == "bleepstore_s3_operations_total"
            and sample.labels == {"operation": operation, "status": status}
        )

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.skew

    def _dice(self, size: int) -> bytes:
        self._serial += 1
        return sha256(b"%d" % self._serial).digest()[:size]

    def raw(
        self,
        method: str,
        uri: str | bytes,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | FakeBody = b"",
        *,
        host: str = "localhost:9000",
    ) -> FakeRequest:
        """An anonymous request, or one that was signed elsewhere; served as far as it goes."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        fields = [(name.lower().encode(), value.encode("utf-8")) for name, value in pairs]
        names = {name for name, _ in fields}
        if b"host" not in names:
            fields.insert(0, (b"host", host.encode()))
        if isinstance(body, bytes):
            if body and not names & {b"content-length", b"transfer-encoding"}:
                fields.append((b"content-length", b"%d" % len(body)))
            chunked = b"transfer-encoding" in names
            body = FakeBody(body, None if chunked else len(body))
        target = uri if isinstance(uri, bytes) else uri.encode()
        request = FakeRequest(method.encode(), target, fields, body)
        self.front.handle(request)
        return request

    def signed(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | FakeBody = b"",
        *,
        by: Credential = ROOT,
        payload: str | None = None,
        host: str = "localhost:9000",
    ) -> FakeRequest:
        """A request signed by header; the payload's hash is the body's unless given."""
        if payload is None:
            payload = sha256(body).hexdigest() if isinstance(body, bytes) else "UNSIGNED-PAYLOAD"
        signed = self.sign(method, uri, headers, payload, by=by, host=host)
        return self.raw(
            method, uri, [(n.decode(), v.decode()) for n, v in signed.headers], body, host=host
        )

    def sign(
        self,
        method: str,
        uri: str,
        headers: Mapping[str, str] | None,
        payload: str,
        *,
        by: Credential = ROOT,
        host: str = "localhost:9000",
    ) -> SignedRequest:
        """The signature of a request, for tests that send it themselves."""
        fields = [(b"host", host.encode())]
        fields += [(n.lower().encode(), v.encode()) for n, v in (headers or {}).items()]
        signer = Signer(by.access_key, by.secret_key, self.region)
        return signer.sign(method.encode(), uri.encode(), fields, payload.encode(), self.now())

    def client(self, by: Credential | None = ROOT, **config: Any) -> Any:
        """A botocore client whose requests come here; None: it does not sign."""
        if by is None:
            config["signature_version"] = botocore.UNSIGNED
        style = config.pop("addressing_style", "path")
        client = _SESSION.create_client(
            "s3",
            region_name=self.region,
            endpoint_url="http://localhost:9000",
            aws_access_key_id=None if by is None else by.access_key,
            aws_secret_access_key=None if by is None else by.secret_key,
            config=Config(
                s3={"addressing_style": style}, retries={"total_max_attempts": 1}, **config
            ),
        )
        client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: AWSPreparedRequest, **_ignored: object) -> AWSResponse:
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body
        if body is None:
            body = b""
        elif hasattr(body, "read"):
            body = body.read()
        headers = [
            (name, value.decode() if isinstance(value, bytes) else str(value))
            for name, value in request.headers.items()
        ]
        served = self.raw(request.method, target, headers, body, host=parts.netloc)
        assert served.finished, f"{request.method} {target} was not answered"
        answer = {name.decode(): value.decode("latin-1") for name, value in served.response}
        return AWSResponse(request.url, served.status, answer, _Raw(served.sent))


class _Raw(io.BytesIO):
    """What botocore reads a response's body from."""

    def stream(self, **_ignored: object) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece


def result_of(awaitable: Any) -> Any:
    """What an awaitable gives that has its answer at hand."""
    results: list[Any] = []
    deferred = Deferred.fromCoroutine(awaitable)
    deferred.addCallbacks(results.append, results.append)
    assert results, "it suspended"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def refusal(act: Callable[[], object]) -> tuple[int, str, dict[str, Any]]:
    """Status, code and the whole parsed error of what botocore reports."""
    from botocore.exceptions import ClientError

    try:
        act()
    except ClientError as error:
        response = cast(dict[str, Any], error.response)
        status = response["ResponseMetadata"]["HTTPStatusCode"]
        return status, response["Error"]["Code"], response
    raise AssertionError("it was not refused")
