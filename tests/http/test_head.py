"""Request heads: what is understood, and everything that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.errors import (
    BadRequest,
    InvalidURI,
    NotImplemented,
    RequestHeaderSectionTooLarge,
    StoreError,
)
from bleepstore.http.head import Head, HeadParser

PARSER = HeadParser(max_target=16384, max_head=16384, max_headers=100)
SIMPLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def parse(*fields: bytes, line: bytes = b"GET /b/k?x=1 HTTP/1.1", host: bytes = b"Host: a") -> Head:
    return PARSER.parse(b"\r\n".join((line, *([host] if host else []), *fields, b"", b"")))


def test_names_are_lower_case_and_values_stripped_in_order() -> None:
    head = parse(b"X-Two:  b c \t ", b"x-one:", b"X-TWO:\td")
    assert head.headers == [(b"host", b"a"), (b"x-two", b"b c"), (b"x-one", b""), (b"x-two", b"d")]
    assert head.fields[b"x-two"] == b"b c,d"
    assert (head.method, head.target, head.minor, head.length) == (b"GET", b"/b/k?x=1", 1, 0)


def test_values_keep_bytes_above_ascii() -> None:
    assert parse("X: \u00e9\u20ac".encode()).fields[b"x"] == "\u00e9\u20ac".encode()


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"//a",
        b"/a//b/../c",
        b"/a?b&c=%2F+",
        b"/caf\xc3\xa9?\xf0\x9f\x98\x80",
        b'/a|{}"<>^`\\',
        b"http://a/b",
        b"HTTPS://a/b?c",
    ],
)
def test_targets_are_taken_as_they_were_sent(target: bytes) -> None:
    head = parse(b"X: 1", line=b"GET " + target + b" HTTP/1.1")
    assert head.target == target
    assert sorted(head.headers) == [(b"host", b"a"), (b"x", b"1")]


@pytest.mark.parametrize("target", [b"http://b:80/k", b"HTTPS://b:80", b"http://b:80?x"])
def test_the_host_of_an_absolute_target_replaces_the_one_that_was_sent(target: bytes) -> None:
    for host in (b"Host: a", b"Host: b:80"):
        head = parse(line=b"GET " + target + b" HTTP/1.1", host=host)
        assert head.headers == [(b"host", b"b:80")]
        assert head.fields == {b"host": b"b:80"}
    assert PARSER.parse(b"GET " + target + b" HTTP/1.0\r\n\r\n").fields == {b"host": b"b:80"}


@pytest.mark.parametrize("target", [b"http:///k", b"http://?x", b"http://", b"http://u@b/k"])
def test_an_absolute_target_names_a_host_and_nobody(target: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(line=b"GET " + target + b" HTTP/1.1")


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"ftp://a/b",
        b"http:/a",
        b"a",
        b"/a#b",
        b"/a\x7fb",
        b"/a\tb",
        b"/a\x00b",
        b"a:80",
        b"?x",
    ],
)
def test_a_target_in_another_form_or_with_controls_is_refused(target: bytes) -> None:
    with pytest.raises(InvalidURI):
        parse(line=b"GET " + target + b" HTTP/1.1")


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /\tHTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.2",
        b"GET / HTTP/0.9",
        b"GET / HTTP/1.10",
        b"GET /",
        b"G(T / HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
)
def test_a_malformed_request_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(line=line)


@pytest.mark.parametrize(
    "line",
    [b"FETCH / HTTP/1.1", b"get / HTTP/1.1", b"CONNECT / HTTP/1.1", b"CONNECT a:443 HTTP/1.1"],
)
def test_an_unknown_method_is_not_implemented(line: bytes) -> None:
    with pytest.raises(NotImplemented):
        parse(line=line)
    assert PARSER.parse(SIMPLE).target == b"/"


SMUGGLED = {
    "two lengths": [b"Content-Length: 5", b"Content-Length: 6"],
    "two lengths that agree": [b"Content-Length: 5", b"Content-Length: 5"],
    "a list of lengths": [b"Content-Length: 5, 5"],
    "a signed length": [b"Content-Length: +5"],
    "a negative length": [b"Content-Length: -5"],
    "a hexadecimal length": [b"Content-Length: 0x5"],
    "a blank within a length": [b"Content-Length: 5 5"],
    "an underscore within a length": [b"Content-Length: 1_0"],
    "no length": [b"Content-Length:"],
    "a length past counting": [b"Content-Length: 99999999999999999999"],
    "digits of another script": ["Content-Length: \u0665".encode()],
    "length and chunked": [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
    "chunked and length": [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
    "another coding": [b"Transfer-Encoding: gzip"],
    "a list of codings": [b"Transfer-Encoding: gzip, chunked"],
    "chunked is not last": [b"Transfer-Encoding: chunked, identity"],
    "chunked twice": [b"Transfer-Encoding: chunked, chunked"],
    "chunked in two fields": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
    "a word like chunked": [b"Transfer-Encoding: xchunked"],
    "chunked in quotes": [b'Transfer-Encoding: "chunked"'],
    "chunked behind a vertical tab": [b"Transfer-Encoding: \x0bchunked"],
    "an empty coding": [b"Transfer-Encoding:"],
    "obs-fold": [b"X: a", b" b"],
    "obs-fold by tab": [b"X: a", b"\tb"],
    "a folded coding": [b"Transfer-Encoding:", b" chunked"],
    "a blank before the colon": [b"Content-Length : 5"],
    "a tab before the colon": [b"Transfer-Encoding\t: chunked"],
    "a blank within a name": [b"X Y: 5"],
    "no colon": [b"Content-Length 5"],
    "an empty name": [b": 5"],
    "a bare CR in a value": [b"X: a\rTransfer-Encoding: chunked"],
    "a bare LF in a value": [b"X: a\nTransfer-Encoding: chunked"],
    "NUL in a value": [b"X: a\0b"],
    "a control in a value": [b"X: a\x01b"],
    "DEL in a value": [b"X: a\x7fb"],
    "NUL in a name": [b"X\0: a"],
    "a byte above ASCII in a name": [b"X\xe9: a"],
    "a second host": [b"Host: b"],
    "a second host, the same": [b"host: a"],
}


@pytest.mark.parametrize("fields", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_ambiguous_framing_and_malformed_fields_are_refused(fields: list[bytes]) -> None:
    with pytest.raises(BadRequest):
        parse(*fields, line=b"POST / HTTP/1.1")
    assert PARSER.parse(SIMPLE).headers == [(b"host", b"a")]  # and the next head is unharmed


class Tolerant:
    """Stands in for llhttp: splits a head, and finds nothing wrong with it."""

    def __init__(self, protocol: HeadParser) -> None:
        self._protocol = protocol

    def feed_data(self, head: bytes) -> None:
        for line in head.split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b":")
            self._protocol.on_header(name, value.lstrip(b" \t"))
        self._protocol.on_headers_complete()


@pytest.mark.parametrize("fields", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_they_are_refused_whatever_llhttp_tolerates(
    fields: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bleepstore.http.head.HttpRequestParser", Tolerant)
    parser = HeadParser(max_target=1000, max_head=1000, max_headers=100)
    with pytest.raises(BadRequest):
        parser.parse(b"\r\n".join((b"POST / HTTP/1.1", b"Host: a", *fields, b"", b"")))
    assert parser.parse(SIMPLE).fields == {b"host": b"a"}


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 500", b"Transfer-Encoding: chunked", b"Connection: close"]
)
@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b"PUT / HTTP/1.1", []),
        (b"PUT / HTTP/1.1", [b"Host: a/b"]),
        (b"PUT / HTTP/1.1", [b"Host: a", b"Host: a"]),
        (b"PUT / HTTP/1.1", [b"Host: a", *[b"X: 1"] * 100]),
        (b"PUT http://u@b/ HTTP/1.1", [b"Host: a"]),
        (b"PUT / HTTP/1.1", [b"Connection: upgrade", b"Upgrade: h2c"]),
    ],
)
def test_the_body_of_a_refused_request_is_not_looked_for_in_the_next_head(
    framing: bytes, line: bytes, fields: list[bytes]
) -> None:
    """One parser serves all connections: the next head is another client's."""
    with pytest.raises(StoreError):
        parse(framing, *fields, line=line, host=b"")
    assert PARSER.parse(SIMPLE).headers == [(b"host", b"a")]


@pytest.mark.parametrize(
    "host", [b"", b"Host: a b", b"Host: a,b", b"Host: a/b", b"Host: u@a", b"Host: a:x"]
)
def test_a_missing_or_malformed_host_is_refused(host: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(host=host)


@pytest.mark.parametrize(
    "host", [b"", b"localhost", b"a_b.example:9000", b"127.0.0.1:1", b"[::1]:9000", b"x%41:"]
)
def test_hosts_are_names_and_addresses_with_a_port_or_without(host: bytes) -> None:
    assert parse(host=b"Host: " + host).fields[b"host"] == host


def test_hosts_that_are_remembered_are_bounded_in_number_and_length() -> None:
    parser = HeadParser(max_target=1000, max_head=1000, max_headers=100)
    for host in (b"a" * 500, *(b"h%d" % number for number in range(1000))):
        parser.parse(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert len(parser._hosts) <= 256
    assert max(map(len, parser._hosts)) <= 256


def test_http_1_0_needs_no_host_but_has_no_transfer_coding() -> None:
    assert parse(line=b"GET / HTTP/1.0", host=b"").minor == 0
    with pytest.raises(BadRequest):
        parse(b"Transfer-Encoding: chunked", line=b"PUT / HTTP/1.0")


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, CLOSE", False),
        (b"1.1", b"upgrade", True),
        (b"1.0", None, False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_the_connection_is_kept_as_version_and_options_say(
    version: bytes, connection: bytes | None, kept: bool
) -> None:
    fields = [] if connection is None else [b"Connection: " + connection]
    assert parse(*fields, line=b"GET / HTTP/" + version).keep_alive is kept


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection"])
@pytest.mark.parametrize("value", [b"close", b"keep-alive", b"upgrade", b"x"])
def test_what_one_request_says_of_its_connection_is_not_kept_for_the_next(
    version: bytes, name: bytes, value: bytes
) -> None:
    for more in ([], [b"Upgrade: h2c"], [b"Content-Length: 0"], [b"Content-Length: 3"]):
        parse(name + b": " + value, *more, line=b"POST / HTTP/" + version)
        assert PARSER.parse(SIMPLE).headers == [(b"host", b"a")]


def test_an_upgrade_is_ignored() -> None:
    head = parse(b"Connection: upgrade", b"Upgrade: h2c", b"X: 1")
    assert head.fields[b"x"] == b"1"
    assert PARSER.parse(SIMPLE).target == b"/"


def test_framing_is_a_length_or_chunked() -> None:
    assert parse(b"Content-Length: 5", line=b"PUT / HTTP/1.1").length == 5
    assert parse(b"Content-Length: " + b"9" * 19, line=b"PUT / HTTP/1.1").length == 10**19 - 1
    assert parse(b"Transfer-Encoding: Chunked", line=b"PUT / HTTP/1.1").length is None
    assert parse(b"Content-Length: 0", line=b"PUT / HTTP/1.1").length == 0


def test_expect_is_nothing_in_http_1_0() -> None:
    assert parse(b"Expect: 100-Continue").expectation == b"100-continue"
    assert parse(b"Expect: 100-continue", line=b"GET / HTTP/1.0").expectation == b""


def test_a_key_of_full_length_percent_encoded_fits() -> None:
    target = b"/bucket/" + b"%F0%9F%98%80" * 256 + b"?X-Amz-Security-Token=" + b"t" * 4096
    assert parse(line=b"GET " + target + b" HTTP/1.1").target == target


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 16384 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 16384 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 100 + b"\r\n",
    ],
    ids=["target", "fields", "number"],
)
def test_limits(head: bytes) -> None:
    with pytest.raises(RequestHeaderSectionTooLarge):
        PARSER.parse(head)
    assert PARSER.parse(SIMPLE).target == b"/"


@pytest.mark.parametrize("host", [b"a", b"a" * 300])
def test_just_within_the_limits(host: bytes) -> None:
    for target, fields in ((b"/" + b"a" * 16383, []), (b"/", [b"X: 1"] * 99)):
        assert parse(*fields, line=b"GET %b HTTP/1.1" % target, host=b"Host: " + host)
    rest = len(b"GET  HTTP/1.1\r\nHost: %b\r\nX: \r\n\r\n" % host)
    head = parse(b"X: " + b"a" * (16384 - rest), line=b"GET /a HTTP/1.1", host=b"Host: " + host)
    assert len(head.fields[b"x"]) == 16384 - rest


@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b" ",
                b"\t",
                b":",
                b"\0",
                b"GET",
                b"/",
                b"\xff",
                b"HTTP/1.1",
                b"Host: a",
                b"Content-Length: 1",
                b"Transfer-Encoding",
                b"chunked",
                b"a",
                b"=",
            ]
        ),
        max_size=24,
    )
)
def test_no_bytes_do_more_than_be_refused(words: list[bytes]) -> None:
    try:
        head = PARSER.parse(b"".join(words) + b"\r\n\r\n")
    except StoreError:
        pass
    else:
        assert head.target.startswith(b"/")
    assert PARSER.parse(SIMPLE).headers == [(b"host", b"a")]
