"""Certificates are verified, on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_twisted
import trustme
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from bleepstore.remote.client import RemoteClient
from bleepstore.remote.connections import Limits, endpoints
from bleepstore.remote.failures import Fault, Unreachable
from bleepstore.remote.requests import Origin, RemoteRequest, is_loopback, parse_endpoint
from bleepstore.remote.uploading import BytesSource

SIZE = 5_000_000


class Echo(Resource):
    """Answers with the body it got."""

    isLeaf = True

    def render_PUT(self, request: Request) -> bytes:
        return request.content.read()


@asynccontextmanager
async def serving(*names: str, authority: trustme.CA) -> AsyncIterator[int]:
    chain = authority.issue_cert(*names)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    chain.configure_cert(context)
    options = CertificateOptions()
    options._context = context
    wrapped = TLSMemoryBIOFactory(options, False, Site(Echo()), reactor)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(wrapped)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


async def ask(port: int, bundle: bytes) -> bytes:
    client = RemoteClient(reactor, endpoints(reactor, bundle), Limits(connect=30))
    request = RemoteRequest(method="PUT", origin=Origin("https", "localhost", port), target=b"/")
    try:
        answer = await client.exchange(request, BytesSource(b"x" * SIZE), SIZE)
        pieces = []
        while piece := await answer.body.read():
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        await client.stop()


@pytest_twisted.ensureDeferred
async def test_a_trusted_server_is_spoken_to() -> None:
    authority = trustme.CA()
    async with serving("localhost", authority=authority) as port:
        assert await ask(port, authority.cert_pem.bytes()) == b"x" * SIZE


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_nobody_we_trust_is_refused() -> None:
    async with serving("localhost", authority=trustme.CA()) as port:
        for bundle in (b"", trustme.CA().cert_pem.bytes()):
            with pytest.raises(Unreachable) as caught:
                await ask(port, bundle)
            assert caught.value.fault is Fault.TLS


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_another_name_is_refused() -> None:
    authority = trustme.CA()
    async with serving("elsewhere.example", authority=authority) as port:
        with pytest.raises(Unreachable) as caught:
            await ask(port, authority.cert_pem.bytes())
        assert caught.value.fault is Fault.TLS


@pytest_twisted.ensureDeferred
async def test_a_wildcard_that_covers_too_much_is_no_name() -> None:
    """Twisted alone goes on, whatever host was called, where a certificate has such a name."""
    authority = trustme.CA()
    async with serving("elsewhere.example", "*.example", authority=authority) as port:
        with pytest.raises(Unreachable) as caught:
            await ask(port, authority.cert_pem.bytes())
        assert caught.value.fault is Fault.TLS
    async with serving("localhost", "*.localhost", authority=authority) as port:
        assert await ask(port, authority.cert_pem.bytes()) == b"x" * SIZE


def test_a_bundle_without_certificates_is_refused() -> None:
    with pytest.raises(ValueError, match="none"):
        endpoints(reactor, b"no certificates here")


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("http://localhost", Origin("http", "localhost", 80), ""),
        ("https://store.example/", Origin("https", "store.example", 443), ""),
        ("HTTP://127.0.0.1:9000/a/b/", Origin("http", "127.0.0.1", 9000), "/a/b"),
        ("http://[::1]:9000", Origin("http", "::1", 9000), ""),
        ("https://bücher.example", Origin("https", "xn--bcher-kva.example", 443), ""),
    ],
)
def test_endpoints_of_settings(url: str, origin: Origin, path: str) -> None:
    assert parse_endpoint(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:9000", "ftp://host", "http://", "http://h/?q=1", "http://h/#f", "http://h:x"],
)
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("store.example", False)],
)
def test_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(Origin("http", host, 80)) is expected
