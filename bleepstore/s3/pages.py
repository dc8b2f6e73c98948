"""What is served beside S3: health, metrics and the documentation.

The pages need no signature and shadow no bucket: their names are reserved.  They are found by
their exact path, in path style only: ``/health`` of a bucket's own host is that bucket's key.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from klein import Klein
from msgspec import Struct

from bleepstore.errors import MethodNotAllowed, NoSuchKey, StoreError
from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.observability.health import STATIC_JSON, Health, HealthReport
from bleepstore.observability.metrics import CONTENT_TYPE
from bleepstore.observability.scrapes import Scrapes
from bleepstore.s3.call import XML, Call
from bleepstore.s3.serving import Endpoint, endpoint_of
from bleepstore.wire.errors import RETRY_AFTER
from bleepstore.wire.headers import Headers
from bleepstore.wire.routing import Router

_PIECE = 64 * 1024
_JSON: Header = (b"Content-Type", b"application/json")
_NO_STORE: Header = (b"Cache-Control", b"no-store")
_POLICY: Header = (
    b"Content-Security-Policy",
    # Swagger UI sets style attributes and shows its icons as data URLs; scripts are ours alone.
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'",
)
_PROTECTION = (
    _POLICY,
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)
_METHODS = ["GET", "HEAD"]


class Page(Struct, frozen=True):
    """:ivar path: the only one it is found under; also its label in the metrics."""

    path: str
    endpoint: Endpoint


class SystemPages:
    """The pages and their endpoints.

    :param health: None with ``observability.health_check: false``.
    :param scrapes: of the metrics; None with ``observability.metrics: false``.
    :param document: makes the OpenAPI document; called once, when it is first asked for.
    """

    app = Klein()

    def __init__(
        self,
        router: Router,
        health: Health | None,
        scrapes: Scrapes | None,
        document: Callable[[], bytes],
    ) -> None:
        self._router = router
        self._health = health
        self._scrapes = scrapes
        self._make_document = document
        self._document = b""
        app = self.app
        self._pages = {
            rule.rule.encode(): Page(rule.rule, endpoint_of(app, rule.endpoint))
            for rule in app.url_map.iter_rules()
        }

    def find(self, request: IHttpRequest, headers: Headers) -> Page | None:
        """The page that a request is for; None if it is S3's.

        PUT is S3's always: CreateBucket says that the name is reserved.
        """
        path = request.uri.partition(b"?")[0]
        page = self._pages.get(path)
        if page is None or request.method == b"PUT":
            return None
        route = self._router.route(b"GET", path, headers)
        named = f"/{route.bucket}/{route.key}" if route.key else f"/{route.bucket}"
        return page if named == page.path else None

    async def serve(self, page: Page, request: IHttpRequest, call: Call) -> None:
        """Answer; any method but GET and HEAD with 405."""
        if request.method not in (b"GET", b"HEAD"):
            error = MethodNotAllowed(Method=request.method.decode("latin-1"), ResourceType="PAGE")
            call.error = error.code
            call.respond(405, (XML, (b"Allow", b"GET, HEAD")), call.error_document(error))
            return
        await page.endpoint(request, call)

    @app.route("/health", methods=_METHODS)
    async def health(self, request: IHttpRequest, call: Call) -> None:
        if self._health is None:
            call.respond(200, (_JSON, _NO_STORE), STATIC_JSON)
            return
        report = await self._health.probe()
        call.respond(*_verdict(report, _JSON, _NO_STORE), report.json())

    @app.route("/healthz", methods=_METHODS)
    async def healthz(self, request: IHttpRequest, call: Call) -> None:
        """The process lives: it answers."""
        if self._health is None:
            raise _absent()
        call.respond(200, (_NO_STORE,))

    @app.route("/readyz", methods=_METHODS)
    async def readyz(self, request: IHttpRequest, call: Call) -> None:
        """The stores can be used."""
        if self._health is None:
            raise _absent()
        report = await self._health.probe()
        call.respond(*_verdict(report, _NO_STORE))

    @app.route("/metrics", methods=_METHODS)
    async def metrics(self, request: IHttpRequest, call: Call) -> None:
        if self._scrapes is None:
            raise _absent()
        text = await self._scrapes.text()
        call.respond(200, ((b"Content-Type", CONTENT_TYPE), _NO_STORE), text)

    @app.route("/openapi.json", methods=_METHODS)
    async def openapi(self, request: IHttpRequest, call: Call) -> None:
        if not self._document:
            self._document = self._make_document()
        call.respond(200, (_JSON, *_PROTECTION), self._document)

    @app.route("/docs", methods=_METHODS)
    async def docs(self, request: IHttpRequest, call: Call) -> None:
        await _send_file(request, call, "docs.html", b"text/html; charset=utf-8")

    @app.route("/docs/docs.js", methods=_METHODS)
    async def docs_script(self, request: IHttpRequest, call: Call) -> None:
        await _send_file(request, call, "docs.js", b"text/javascript; charset=utf-8")

    @app.route("/docs/swagger-ui-bundle.js", methods=_METHODS)
    async def swagger_script(self, request: IHttpRequest, call: Call) -> None:
        await _send_file(request, call, "swagger-ui-bundle.js", b"text/javascript; charset=utf-8")

    @app.route("/docs/swagger-ui.css", methods=_METHODS)
    async def swagger_style(self, request: IHttpRequest, call: Call) -> None:
        await _send_file(request, call, "swagger-ui.css", b"text/css; charset=utf-8")


def _verdict(report: HealthReport, *headers: Header) -> tuple[int, tuple[Header, ...]]:
    """The status of a report, and the headers that go with it."""
    return (200, headers) if report.healthy else (503, (*headers, RETRY_AFTER))


def _absent() -> StoreError:
    """The page is switched off: what S3 says of a key that is not there."""
    return NoSuchKey()


async def _send_file(request: IHttpRequest, call: Call, name: str, content_type: bytes) -> None:
    """A file of the package, read anew in pieces, so that it takes no memory between requests."""
    with files("bleepstore.s3").joinpath("static", name).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        headers = ((b"Content-Type", content_type), *_PROTECTION)
        if request.method == b"HEAD":
            call.respond(200, (*headers, (b"Content-Length", b"%d" % size)))
            return
        call.start(200, (*headers, (b"Content-Length", b"%d" % size)))
        while piece := file.read(_PIECE):
            await request.send(piece)
        request.finish()
