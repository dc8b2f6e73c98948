"""Where the node listens: addresses, endpoint strings, and what is said when it cannot."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from bleepstore.config.sections import ServerConfig
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.node.listening import (
    AddressEndpoint,
    Listener,
    Listening,
    certificates_left_out,
    listeners,
    url_of,
)
from bleepstore.node.problems import StartError


class Port:
    def __init__(self, address: Any, log: list[str]) -> None:
        self.address = address
        self._log = log

    def getHost(self) -> Any:
        return self.address

    def stopListening(self) -> None:
        self._log.append(f"close {self.address.port}")


@implementer(IStreamServerEndpoint)
class Endpoint:
    def __init__(self, result: Deferred[Any]) -> None:
        self._result = result

    def listen(self, factory: object) -> Deferred[Any]:
        return self._result


class Channels:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def stop(self, within: float) -> Awaitable[None]:
        self._log.append(f"stop within {within}")
        return succeed(None)


def listening(results: list[Any], log: list[str], local_only: bool = False) -> Listening:
    """A Listening of endpoints that give these addresses, or fail with these exceptions."""
    wanted = [
        Listener(
            cast(
                IStreamServerEndpoint,
                Endpoint(fail(each) if isinstance(each, Exception) else succeed(Port(each, log))),
            ),
            "http",
            f"endpoint {number}",
        )
        for number, each in enumerate(results)
    ]
    return Listening(wanted, Factory(), Channels(log), local_only=local_only, shutdown_timeout=7)


def run(awaitable: Awaitable[None]) -> None:
    """Drive what needs no reactor to its end."""

    async def wait() -> None:
        await awaitable

    failures: list[Any] = []
    deferred = Deferred.fromCoroutine(wait())
    deferred.addErrback(failures.append)
    assert deferred.called
    if failures:
        failures[0].raiseException()


LOOPBACK = IPv4Address("TCP", "127.0.0.1", 9000)
EVERYWHERE = IPv4Address("TCP", "0.0.0.0", 9001)


def test_it_is_a_part() -> None:
    verifyObject(IPart, listening([], []))


def test_sockets_are_closed_before_requests_in_flight_are_given_their_time() -> None:
    log: list[str] = []
    part = listening([LOOPBACK, EVERYWHERE], log)
    run(part.start())
    assert part.urls == ("http://127.0.0.1:9000", "http://0.0.0.0:9001")
    run(part.stop())
    assert log == ["close 9001", "close 9000", "stop within 7"]


def test_one_endpoint_that_fails_closes_the_others() -> None:
    log: list[str] = []
    in_use = CannotListenError("127.0.0.1", 9001, OSError(98, "Address already in use"))
    part = listening([LOOPBACK, in_use], log)
    with pytest.raises(StartError) as caught:
        run(part.start())
    assert str(caught.value) == "cannot listen on endpoint 1: Address already in use"
    assert log == ["close 9000"]
    assert part.urls == ()


@pytest.mark.parametrize("address", [LOOPBACK, UNIXAddress("/x"), IPv6Address("TCP", "::1", 1)])
def test_with_the_default_key_pair_local_sockets_are_served(address: Any) -> None:
    run(listening([address], [], local_only=True).start())


def test_with_the_default_key_pair_a_socket_reachable_from_outside_is_refused() -> None:
    log: list[str] = []
    with pytest.raises(StartError, match="endpoint 0: others than this machine can reach it"):
        run(listening([EVERYWHERE], log, local_only=True).start())
    assert log == ["close 9001"]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (LOOPBACK, "http://127.0.0.1:9000"),
        (IPv6Address("TCP", "::1", 9000), "http://[::1]:9000"),
        (UNIXAddress(b"/run/s3.sock"), "unix:/run/s3.sock"),
    ],
)
def test_addresses_are_shown_as_clients_write_them(address: Any, url: str) -> None:
    assert url_of("http", address) == url


class Reactor:
    """Remembers what it was asked to listen on."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def listenTCP(self, port: int, factory: object, backlog: int, interface: str) -> str:
        self.asked.append((port, interface))
        if interface == "taken":
            raise CannotListenError(interface, port, OSError(98, "in use"))
        return "port"


def test_host_and_port_are_used_while_there_are_no_endpoint_strings() -> None:
    reactor: Any = Reactor()
    (only,) = listeners(ServerConfig(host="[::1]", port=80), reactor)
    assert only.description == "[::1]:80"
    only.endpoint.listen(Factory())
    assert reactor.asked == [(80, "::1")]


def test_endpoint_strings_replace_host_and_port() -> None:
    reactor: Any = object()
    found = listeners(ServerConfig(listen=("tcp:80:interface=127.0.0.1", "unix:/x")), reactor)
    assert [each.description for each in found] == ["tcp:80:interface=127.0.0.1", "unix:/x"]
    assert [each.scheme for each in found] == ["http", "http"]


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("ssl:443:privateKey=/nowhere.pem", "/nowhere.pem: No such file or directory"),
        ("tcp:http-but-not-a-port", ""),
        ("tcp:1:colour=blue", "got an unexpected keyword argument 'colour'"),
        ("tcp:interface=127.0.0.1", "missing 1 required positional argument: 'port'"),
        ("systemd:domain=INET6:name=s3", "systemd has passed no such socket; is its socket unit"),
        ("systemd:domain=INET6:index=0", "systemd has passed no such socket; is its socket unit"),
    ],
)
def test_an_endpoint_string_that_is_wrong_is_named(description: str, reason: str) -> None:
    reactor: Any = object()
    with pytest.raises(StartError) as caught:
        listeners(ServerConfig(listen=(description,)), reactor)
    assert str(caught.value).startswith(f"server.listen: {description}: {reason}")
    assert "\n" not in str(caught.value)


CERTIFICATE = "-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("count", "endpoint", "warned"),
    [
        (1, "ssl:443:privateKey=/key.pem:certKey={path}", False),
        (2, "ssl:443:privateKey=/key.pem:certKey={path}", True),
        (2, "ssl:443:privateKey={path}", True),
        (2, "ssl:443:privateKey=/key.pem:certKey={path}:extraCertChain=/chain.pem", False),
        (2, "unix:{path}", False),
    ],
)
def test_a_chain_of_which_the_first_is_sent_alone_is_noticed(
    tmp_path: Path, count: int, endpoint: str, warned: bool
) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(CERTIFICATE * count)
    reason = certificates_left_out(endpoint.format(path=path))
    assert reason.startswith("the first of the 2 certificates in ") is warned


def test_an_address_in_use_fails_in_the_deferred() -> None:
    reactor: Any = Reactor()
    failures: list[Any] = []
    AddressEndpoint(reactor, "taken", 80).listen(Factory()).addErrback(failures.append)
    assert failures[0].check(CannotListenError)
