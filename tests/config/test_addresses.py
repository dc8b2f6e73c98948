"""host:port, as settings write it."""

from __future__ import annotations

import pytest

from bleepstore.config.addresses import HostPort, parse_host_port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.1.2:9002", "10.0.1.2", 9002),
        ("node-2.example.org:1", "node-2.example.org", 1),
        ("node_2:65535", "node_2", 65535),
        ("[::1]:9002", "::1", 9002),
        ("[0:0::1]:0", "::1", 0),
        ("localhost.:9002", "localhost.", 9002),
    ],
)
def test_addresses_are_taken_apart(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "must be host:port, not ''"),
        ("9002", "must be host:port, not '9002'"),
        (":9002", "must be host:port, not ':9002'"),
        ("a:", "must end with a port from 0 to 65535, not ''"),
        ("a:65536", "must end with a port from 0 to 65535, not '65536'"),
        ("a:-1", "must end with a port from 0 to 65535, not '-1'"),
        ("a:٣", "must end with a port from 0 to 65535, not '٣'"),
        ("::1:9002", "an IPv6 address is written in brackets: [::1]:9002"),
        ("[::g]:9002", "[::g] is no IPv6 address"),
        ("10.0.0:9002", "10.0.0 is no IPv4 address"),
        ("a b:9002", "'a b' is no name of a machine"),
        ("-a:9002", "'-a' is no name of a machine"),
        ("a..b:9002", "'a..b' is no name of a machine"),
        ("http://a:9002", "an IPv6 address is written in brackets: [http://a]:9002"),
    ],
)
def test_what_is_no_address_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is what is tested
        parse_host_port(text)
    assert str(caught.value) == complaint


def test_it_is_written_as_it_is_read() -> None:
    for text in ("[::1]:9002", "a:1"):
        assert str(parse_host_port(text)) == text


@pytest.mark.parametrize(("host", "wildcard"), [("0.0.0.0", True), ("::", True), ("::1", False)])
def test_wildcards_are_known(host: str, wildcard: bool) -> None:
    assert HostPort(host, 1).is_wildcard is wildcard
    assert not HostPort("example.org", 1).is_wildcard
