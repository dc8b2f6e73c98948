"""Request heads: from bytes to method, target, header fields and framing, or a refusal.

llhttp splits the head; what it tolerates is refused before by one expression, the grammar of
RFC 9112 without its obsolete parts:

    HTTP-message = start-line CRLF *( field-line CRLF ) CRLF            (section 2.1)
    request-line = method SP request-target SP HTTP-version             (section 3)
    field-line   = field-name ":" OWS field-value OWS                   (section 5)

There is no obs-fold, no bare CR or LF, no blank before a colon, no control character in a value.
Two readers of one byte stream that disagree about a message's end are how requests are smuggled,
so framing (section 6.3) must be beyond doubt: one Content-Length of digits, or exactly
``Transfer-Encoding: chunked``, never both.

A parser takes whole heads and keeps no state between them; it knows no transport.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from bleepstore import errors
from bleepstore.errors import (
    BadRequest,
    InvalidURI,
    RequestHeaderSectionTooLarge,
    StoreError,
)
from bleepstore.interfaces.http import Header

_TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"

# The target may hold any visible character but "#", and raw bytes of UTF-8, which some clients
# send: neither makes the framing doubtful, and what is percent-encoded badly is for the front to
# say.  It is in origin-form, or in the absolute-form of clients that take this for their proxy,
# which a server must accept (sections 3.2.1 and 3.2.2).
_HEAD: Final = re.compile(
    rb"(" + _TCHAR + rb"++) ((?:/|(?i:https?)://)[\x21\x22\x24-\x7e\x80-\xff]*+) HTTP/1\.([01])\r\n"
    rb"(?:" + _TCHAR + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)

_REQUEST_LINE: Final = re.compile(rb"(" + _TCHAR + rb"++) ([^ \r\n]++) (HTTP/[0-9]\.[0-9])\r\n")

_ABSOLUTE: Final = re.compile(rb"[A-Za-z]+://([^/?]*)")

# uri-host [ ":" port ] (RFC 9110, section 7.2); empty where the target has no authority.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%\-]*+|\[[0-9A-Fa-f:.]++\])(?::[0-9]{0,5})?")

_HOSTS_KEPT: Final = 256
_HOST_KEPT: Final = 256
"""How many hosts that were found well-formed are remembered, and how long they may be."""

_SINGULAR: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))


class Head:
    """A request's head, in the form in which it is served.

    :ivar minor: of HTTP/1.x: 0 or 1.
    :ivar headers: lower-case names and values stripped of blanks, in order; the host is that of
        the target, where it names one.
    :ivar fields: the same by name, repeated ones joined with a comma (RFC 9110, section 5.3).
    :ivar length: bytes of the body, or None for chunked transfer coding.
    :ivar keep_alive: whether the client means to go on with the connection.
    :ivar expectation: of Expect, lower-case; empty if there is none, and in HTTP/1.0.
    """

    __slots__ = (
        "expectation",
        "fields",
        "headers",
        "keep_alive",
        "length",
        "method",
        "minor",
        "target",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        headers: list[Header],
        fields: dict[bytes, bytes],
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.headers = headers
        self.fields = fields
        self.length: int | None = 0
        self.keep_alive = minor == 1
        self.expectation = b""


class HeadParser:
    """Parses heads, one after the other, of any number of connections.

    :param max_target: bytes of a request target.
    :param max_head: bytes of the rest of a head.
    :param max_headers: header fields of a head.
    """

    def __init__(self, max_target: int, max_head: int, max_headers: int) -> None:
        self.max_size: Final = max_target + max_head
        self._max_target = max_target
        self._max_head = max_head
        self._max_headers = max_headers
        self._headers: list[Header] = []
        self._hosts: set[bytes] = set()
        self._complete = False

    # Called by llhttp.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self._complete = True

    def parse(self, head: bytes) -> Head:
        """Parse one head, from its first byte to the blank line that ends it.

        :raises BadRequest: it breaks the grammar, or its framing is ambiguous.
        :raises InvalidURI: the target is in neither form that is served, or has a fragment or
            control characters.
        :raises NotImplemented: the method is not one of HTTP's, or it is CONNECT.
        :raises RequestHeaderSectionTooLarge: a limit is passed.
        """
        match = _HEAD.fullmatch(head)
        if match is None:
            raise _fault(head)
        method, target, version = match.groups()
        if len(target) > self._max_target or len(head) - len(target) > self._max_head:
            raise RequestHeaderSectionTooLarge
        if method == b"CONNECT":
            raise errors.NotImplemented("This server is no proxy.")
        headers = self._split(head if target.isascii() else _without_target(head, match))
        if len(headers) > self._max_headers:
            raise RequestHeaderSectionTooLarge
        authority = b"" if target.startswith(b"/") else _authority(target)
        fields = dict(headers)
        if len(fields) != len(headers):
            fields = _joined(headers)
        parsed = Head(method, target, 1 if version == b"1" else 0, headers, fields)
        self._interpret(parsed)
        if authority:
            _replace_host(parsed, authority)
        return parsed

    def _split(self, head: bytes) -> list[Header]:
        """The fields, by an llhttp of this head's own: one that has seen a head expects its body,
        or nothing more at all, in the next one.  It takes a quarter of a microsecond to make."""
        self._headers = []
        self._complete = False
        try:
            HttpRequestParser(self).feed_data(head)
        except HttpParserUpgrade:
            pass  # Upgrade is ignored (RFC 9110, section 7.8)
        except HttpParserInvalidMethodError:
            raise errors.NotImplemented("The request method is unknown.") from None
        except HttpParserError as error:
            raise BadRequest(f"{BadRequest.message} {error}.") from None
        if not self._complete:
            raise BadRequest
        return self._headers

    def _interpret(self, head: Head) -> None:
        field = head.fields.get
        host = field(b"host")
        if host is None:
            if head.minor == 1:
                raise BadRequest("The Host header is missing.")
        elif host not in self._hosts:
            if _HOST.fullmatch(host) is None:
                raise BadRequest("The Host header is malformed.")
            if len(self._hosts) < _HOSTS_KEPT and len(host) <= _HOST_KEPT:
                self._hosts.add(host)
        length = field(b"content-length")
        coding = field(b"transfer-encoding")
        if coding is not None:
            if length is not None:
                raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
            if head.minor == 0:
                raise BadRequest("HTTP/1.0 has no transfer coding.")
            if coding.lower() != b"chunked":
                raise BadRequest("The only transfer coding served is chunked.")
            head.length = None
        elif length is not None:
            if not length.isdigit() or len(length) > 19:
                raise BadRequest("Content-Length is malformed.")
            head.length = int(length)
        connection = field(b"connection")
        if connection is not None:
            options = {option.strip(b" \t").lower() for option in connection.split(b",")}
            if b"close" in options:
                head.keep_alive = False
            elif head.minor == 0:
                head.keep_alive = b"keep-alive" in options
        expectation = field(b"expect")
        if expectation is not None and head.minor == 1:
            head.expectation = expectation.lower()


def _authority(target: bytes) -> bytes:
    """The authority of a target in absolute-form.

    :raises BadRequest: it has none, or user information before it.
    """
    match = _ABSOLUTE.match(target)
    authority = b"" if match is None else match.group(1)
    if not authority or _HOST.fullmatch(authority) is None:
        raise BadRequest("The authority of the request target is malformed.")
    return authority


def _replace_host(head: Head, authority: bytes) -> None:
    """A server "MUST ignore the received Host header field (if any) and instead replace it with
    the host information of the request-target" (RFC 9112, section 3.2.2).

    Were the one signed and the other served, a signature would be good for any bucket that a host
    can name.
    """
    head.headers = [field for field in head.headers if field[0] != b"host"]
    head.headers.append((b"host", authority))
    head.fields[b"host"] = authority


def _without_target(head: bytes, match: re.Match[bytes]) -> bytes:
    """The head with the target ``/``, for llhttp, which knows no bytes above 0x7f in targets."""
    return head[: match.start(2)] + b"/" + head[match.end(2) :]


def _joined(headers: list[Header]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name in _SINGULAR:
            raise BadRequest(f"The header {name.decode('ascii')} is repeated.")
        else:
            fields[name] += b"," + value
    return fields


def _fault(head: bytes) -> StoreError:
    """Why the grammar was not met, as far as it helps the client's author."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        return BadRequest("The request line is malformed.")
    method, _, version = line.groups()
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        return BadRequest("The HTTP version is not served.")
    if _HEAD.fullmatch(method + b" / " + version + b"\r\n" + head[line.end() :]) is None:
        return BadRequest("The header section is malformed.")
    if method == b"CONNECT":
        return errors.NotImplemented("This server is no proxy.")
    return InvalidURI()
