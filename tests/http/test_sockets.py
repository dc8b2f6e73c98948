"""The channel on the real reactor: TCP, TLS and UNIX sockets, with blocking clients in threads."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.ssl import KeyPair
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory

from bleepstore.http.factory import HTTPFactory
from bleepstore.http.request import Request
from bleepstore.http.settings import Handler, Limits
from tests.http.connection import answering, echo, head, parse_responses, running

MIB = 1 << 20


@asynccontextmanager
async def serving(
    handler: Handler,
    endpoint: IStreamServerEndpoint | None = None,
    wrap: Callable[[HTTPFactory], Any] = lambda factory: factory,
) -> AsyncIterator[IListeningPort]:
    factory = HTTPFactory(handler, Limits(), reactor)
    if endpoint is None:
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(wrap(factory))
    try:
        yield port
    finally:
        await port.stopListening()
        await factory.stop(5)


def connected(port: IListeningPort) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=30)
    client.settimeout(30)
    return client


def to_the_end(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(MIB):
        pieces.append(piece)
    return b"".join(pieces)


@pytest_twisted.ensureDeferred
async def test_pipelined_requests_of_a_client_that_shuts_its_side() -> None:
    def talk(port: IListeningPort) -> bytes:
        with connected(port) as client:
            client.sendall(head("GET", "/1") + head("PUT", "/2", "Content-Length: 3") + b"abc")
            client.shutdown(socket.SHUT_WR)
            return to_the_end(client)

    async with serving(running(echo)) as port:
        responses = parse_responses(await deferToThread(talk, port))
    assert [response.body for response in responses] == [b"/1 ", b"/2 abc"]


@pytest_twisted.ensureDeferred
async def test_large_bodies_both_ways() -> None:
    pattern = bytes(range(256)) * 4096
    fulls = []

    async def mirror(request: Request) -> None:
        """Sends back what it receives while it receives it."""
        request.start(200, [(b"Content-Length", b"%d" % (request.body.length or 0))])
        while piece := await request.body.read():
            await request.send(piece)
            channel = request.channel
            assert channel is not None
            fulls.append(channel.outbound.unsent())
        request.finish()

    def talk(port: IListeningPort) -> bytes:
        with connected(port) as client, ThreadPoolExecutor(1) as beside:
            client.sendall(head("PUT", "/", f"Content-Length: {16 * MIB}", "Connection: close"))
            sending = beside.submit(client.sendall, pattern * 16)
            data = to_the_end(client)
            sending.result()
            return data

    async with serving(running(mirror)) as port:
        data = await deferToThread(talk, port)
    (response,) = parse_responses(data)
    assert response.body == pattern * 16
    assert max(fulls) <= MIB


@pytest_twisted.ensureDeferred
async def test_a_client_that_sends_on_reads_the_refusal_and_no_reset() -> None:
    def talk(port: IListeningPort) -> bytes:
        with connected(port) as client:
            client.sendall(head("PUT", "/", f"Content-Length: {8 * MIB}"))
            client.sendall(bytes(8 * MIB))
            return to_the_end(client)

    async with serving(answering(403)) as port:
        (response,) = parse_responses(await deferToThread(talk, port))
    assert response.status == 403


@pytest_twisted.ensureDeferred
async def test_a_client_that_goes_is_noticed() -> None:
    ends: list[object] = []

    async def serve(request: Request) -> None:
        request.start(200, [])
        try:
            while True:
                await request.send(bytes(MIB))
        except ConnectionError as error:
            ends.append(error)

    def talk(port: IListeningPort) -> None:
        with connected(port) as client:
            client.sendall(head())
            client.recv(100)

    async with serving(running(serve)) as port:
        await deferToThread(talk, port)
    assert len(ends) == 1


@pytest_twisted.ensureDeferred
async def test_tls() -> None:
    options = KeyPair.generate().selfSignedCert(1, CN=b"localhost").options()
    secure: list[bool] = []
    pattern = bytes(range(256)) * 4096 * 4

    async def serve(request: Request) -> None:
        secure.append(request.secure)
        size = 0
        while piece := await request.body.read():
            size += len(piece)
        request.start(200, [])
        for at in range(0, len(pattern), 300_000):
            await request.send(pattern[at : at + 300_000])
        await request.send(b"%d" % size)
        request.finish()

    def talk(port: IListeningPort) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(connected(port)) as client:
            client.sendall(head("PUT", "/", f"Content-Length: {MIB}") + bytes(MIB))
            client.sendall(head("GET", "/", "Connection: close"))
            return to_the_end(client)

    def wrap(factory: HTTPFactory) -> TLSMemoryBIOFactory:
        return TLSMemoryBIOFactory(options, False, factory)

    async with serving(running(serve), wrap=wrap) as port:
        responses = parse_responses(await deferToThread(talk, port))
    assert [response.body for response in responses] == [
        pattern + b"%d" % MIB,
        pattern + b"0",
    ]
    assert secure == [True, True]


@pytest_twisted.ensureDeferred
async def test_a_client_of_a_socket_for_both_protocols_has_its_own_address() -> None:
    hosts: list[str] = []

    def handle(request: Request) -> None:
        hosts.append(request.client_host)
        request.respond(200, [], b"hello")

    def talk(port: IListeningPort) -> bytes:
        with connected(port) as client:
            client.sendall(head("GET", "/", "Connection: close"))
            return to_the_end(client)

    endpoint = TCP6ServerEndpoint(reactor, 0, interface="::ffff:127.0.0.1")
    async with serving(handle, endpoint) as port:
        assert (await deferToThread(talk, port)).endswith(b"hello")
    assert hosts == ["127.0.0.1"]


@pytest_twisted.ensureDeferred
async def test_a_unix_socket_has_no_client_host(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    hosts: list[str] = []

    def handle(request: Request) -> None:
        hosts.append(request.client_host)
        request.respond(200, [], b"hello")

    def talk() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(path)
            client.sendall(head("GET", "/", "Connection: close"))
            return to_the_end(client)

    async with serving(handle, UNIXServerEndpoint(reactor, path)):
        (response,) = parse_responses(await deferToThread(talk))
    assert response.body == b"hello"
    assert hosts == [""]
