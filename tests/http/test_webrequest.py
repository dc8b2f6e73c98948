"""twisted.web and Klein on the channel."""

from __future__ import annotations

import pytest
from klein import Klein
from twisted.internet.defer import Deferred, succeed
from twisted.web.iweb import IRequest
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Request as TwistedRequest
from twisted.web.static import Data
from twisted.web.test.requesthelper import DummyChannel
from zope.interface.verify import verifyObject

from bleepstore.http.request import Request
from bleepstore.http.settings import Handler
from bleepstore.http.site import ResourceSite
from tests.http.connection import Connection, Recorder, Response, head


def ask(root: IResource, *requests: bytes, max_body: int = 1000) -> list[Response]:
    connection = Connection(ResourceSite(root, max_body))
    for request in requests:
        connection.send(request)
    return connection.responses()


class Page(Resource):
    """Shows what a resource sees."""

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"X-Path", b"/".join(request.prepath))
        request.addCookie("a", "b")
        return repr(
            (
                request.path,
                sorted(request.args.items()),
                request.getHeader("x-a"),
                request.getCookie(b"c"),
                request.getUser(),
                request.getRequestHostname(),
                request.getClientAddress().host,
                request.getHost().port,
                request.isSecure(),
            )
        ).encode()

    def render_POST(self, request: Request) -> bytes:
        return b"read " + request.content.read()


def tree() -> Resource:
    root = Resource()
    root.putChild(b"page", Page())
    root.putChild(b"a b", Data(b"spaced", "text/plain"))
    root.putChild(b"none", notFound())
    return root


def test_a_request_provides_twisted_webs_interface() -> None:
    recorder = Recorder()
    Connection(recorder).send(head())
    assert verifyObject(IRequest, recorder.last)
    assert isinstance(recorder.last, TwistedRequest)


def test_what_twisted_webs_constructor_sets_is_there_without_it() -> None:
    """Pins the attributes that webrequest makes by need: a new one in Twisted shows here."""
    recorder = Recorder()
    Connection(recorder).send(head())
    constructed = TwistedRequest(DummyChannel(), parsePOSTFormSubmission=False)
    missing = {name for name in vars(constructed) if not hasattr(recorder.last, name)}
    assert missing == {"notifications"}  # Twisted's own, behind notifyFinish


def test_a_resource_sees_the_request() -> None:
    (response,) = ask(
        tree(),
        head("GET", "/page?q=1&q=2&e=", "X-A: 1", "x-a: 2", "Cookie: c=d; e=f",
             "Authorization: Basic dTpw"),
    )  # fmt: skip
    assert response.status == 200
    assert response.body.decode() == repr(
        (b"/page", [(b"e", [b""]), (b"q", [b"1", b"2"])], "2", b"d", b"u", b"localhost",
         "192.0.2.7", 9000, False)
    )  # fmt: skip
    assert response.headers["content-type"] == "text/html"
    assert response.headers["set-cookie"] == "a=b"
    assert response.headers["x-path"] == "page"
    assert response.headers["content-length"] == str(len(response.body))
    assert response.names.count("server") == response.names.count("date") == 1


def test_resources_are_found_by_decoded_segments() -> None:
    (response,) = ask(tree(), head("GET", "/a%20b"))
    assert (response.body, response.headers["content-type"]) == (b"spaced", "text/plain")


def test_what_is_not_there_is_not_found_and_the_connection_goes_on() -> None:
    responses = ask(tree(), head("GET", "/none"), head("GET", "/other/x"), head("GET", "/a%20b"))
    assert [response.status for response in responses] == [404, 404, 200]


def test_a_body_is_collected_first() -> None:
    (response,) = ask(tree(), head("POST", "/page", "Content-Length: 6") + b"abc", b"def")
    assert response.body == b"read abcdef"


@pytest.mark.parametrize("framing", ["Content-Length: 1001", "Transfer-Encoding: chunked"])
def test_a_body_that_is_too_long_is_refused(framing: str) -> None:
    (response,) = ask(tree(), head("POST", "/page", framing) + b"3e9\r\n" + bytes(1001) + b"\r\n")
    assert response.status == 400
    assert b"MaxMessageLengthExceeded" in response.body


def test_a_method_that_a_resource_does_not_know_is_not_allowed() -> None:
    (response,) = ask(tree(), head("POST", "/a%20b"))
    assert response.status == 405
    assert "GET" in response.headers["allow"]


def test_head_is_answered_by_get_without_the_body() -> None:
    connection = Connection(ResourceSite(tree()))
    connection.send(head("HEAD", "/page") + head("GET", "/a%20b"))
    first, _, rest = connection.output.partition(b"\r\n\r\n")
    assert b"Content-Length: " in first
    assert rest.startswith(b"HTTP/1.1 200 OK")


def test_an_etag_that_the_client_has_is_304() -> None:
    class Tagged(Resource):
        isLeaf = True

        def render_GET(self, request: Request) -> bytes:
            return b"" if request.setETag(b'"x"') else b"new"

    old, new = ask(Tagged(), head("GET", "/", 'If-None-Match: "x"'), head())
    assert (old.status, old.body, old.headers["etag"]) == (304, b"", '"x"')
    assert (new.status, new.body) == (200, b"new")


def test_a_resource_that_fails_is_an_internal_error(logged_failures: list[BaseException]) -> None:
    class Broken(Resource):
        isLeaf = True

        def render_GET(self, request: Request) -> bytes:
            raise KeyError("defect")

    (response,) = ask(Broken(), head())
    assert response.status == 500
    assert b"defect" not in response.body
    assert [type(failure) for failure in logged_failures] == [KeyError]


def test_a_resource_may_answer_later_and_in_pieces() -> None:
    requests: list[Request] = []

    class Late(Resource):
        isLeaf = True

        def render_GET(self, request: Request) -> int:
            requests.append(request)
            return NOT_DONE_YET

    connection = Connection(ResourceSite(Late()))
    connection.send(head() * 2)
    requests[0].write(b"one ")
    requests[0].write(b"two")
    requests[0].finish()
    requests[1].redirect(b"/x")
    requests[1].finish()
    first, second = connection.responses()
    assert (first.body, first.headers["transfer-encoding"]) == (b"one two", "chunked")
    assert (second.status, second.headers["location"]) == (302, "/x")
    assert second.headers["content-length"] == "0"


def test_a_resource_may_write_by_a_producer() -> None:
    class Pull:
        def __init__(self, request: Request) -> None:
            self.request = request
            self.left = 3
            request.registerProducer(self, False)

        def resumeProducing(self) -> None:
            if self.left:
                self.left -= 1
                self.request.write(b"x" * 100)
            else:
                self.request.unregisterProducer()
                self.request.finish()

        def stopProducing(self) -> None:
            self.request.unregisterProducer()

    class Produced(Resource):
        isLeaf = True

        def render_GET(self, request: Request) -> int:
            Pull(request)
            return NOT_DONE_YET

    connection = Connection(ResourceSite(Produced()), capacity=50)
    connection.send(head())
    while connection.transport.waiting:
        connection.transport.take(1000)
    assert len(connection.response().body) == 300
    connection.send(head())
    connection.sever()  # and the producer's last words hurt nobody


# Klein


class App:
    app = Klein()

    def __init__(self) -> None:
        self.cancelled: list[Deferred[bytes]] = []

    @app.route("/sync/<name>")
    def sync(self, request: Request, name: str) -> str:
        request.setHeader("X-Name", name)
        return f"sync {name}"

    @app.route("/later", methods=["POST"])
    async def later(self, request: Request) -> bytes:
        await succeed(None)
        return b"later " + request.content.read()

    @app.route("/files/", branch=True)
    def files(self, request: Request) -> Resource:
        return tree()

    @app.route("/broken")
    def broken(self, request: Request) -> bytes:
        raise KeyError("defect")

    @app.route("/wait")
    def wait(self, request: Request) -> Deferred[bytes]:
        return Deferred(self.cancelled.append)

    @app.route("/direct", methods=["GET"], endpoint="direct")
    def direct(self, request: Request, word: bytes = b"none") -> None:
        request.respond(200, [], b"direct " + word)


def test_klein_routes_render() -> None:
    responses = ask(
        App().app.resource(),
        head("GET", "/sync/caf%C3%A9"),
        head("POST", "/later", "Content-Length: 3") + b"abc",
        head("GET", "/files/a%20b"),
        head("GET", "/nowhere"),
        head("GET", "/sync/x"),
    )
    assert [response.status for response in responses] == [200, 200, 200, 404, 200]
    assert [response.body for response in responses[:3]] == [
        "sync caf\u00e9".encode(), b"later abc", b"spaced",
    ]  # fmt: skip


def test_a_klein_route_that_fails_is_an_internal_error(
    logged_failures: list[BaseException],
) -> None:
    (response,) = ask(App().app.resource(), head("GET", "/broken"))
    assert response.status == 500
    assert [type(failure) for failure in logged_failures] == [KeyError]


def test_klein_hears_of_a_client_that_went() -> None:
    app = App()
    connection = Connection(ResourceSite(app.app.resource()))
    connection.send(head("GET", "/wait"))
    assert app.cancelled == []
    connection.sever()
    assert len(app.cancelled) == 1


def test_klein_endpoints_are_executed_by_name() -> None:
    app = App()

    def handle(request: Request) -> None:
        app.app.execute_endpoint("direct", request, word=request.uri)

    handler: Handler = handle
    connection = Connection(handler)
    connection.send(head("GET", "/%2F/../x"))
    assert connection.response().body == b"direct /%2F/../x"
