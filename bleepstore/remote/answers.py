"""One answer, from bytes to head and body, or a refusal of it.  Knows no transport.

llhttp splits heads and decodes chunks.  Where a body ends is decided here (RFC 9112, section 6.3),
and must be beyond doubt, since two readers of one byte stream who disagree about it take parts of
one answer for another: one Content-Length of digits, or exactly ``Transfer-Encoding: chunked``,
never both.  A body of known length is handed on as it came.

A reader is made for one answer.  What came with its end and is none of it is a surplus: nobody has
asked for that, and the connection it came by is not to be used again.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bleepstore.remote.requests import Header

MOST_OF_A_HEAD: Final = 64 * 1024
"""Bytes of the head, interim answers before it included.  The largest that a provider documents is
some 8 KiB of metadata, and what goes with it."""

MOST_BETWEEN: Final = 64 * 1024
"""Bytes that chunked coding may spend on anything but the body, until the next byte of that."""

_END: Final = b"\r\n\r\n"
_NO_BODY: Final = frozenset((204, 304))
_SINGULAR: Final = frozenset((b"content-length", b"transfer-encoding"))


class MalformedAnswer(Exception):
    """What the server sent is no answer, or it is not certain where it ends."""


class AnswerHead:
    """The head of an answer.

    :ivar status: from 200 to 999.
    :ivar minor: of HTTP/1.x: 0 or 1.
    :ivar fields: lower-case name → value; repeated ones joined with ``", "``.
    :ivar length: bytes of the body, or None if its end is not known yet.
    :ivar keep_alive: whether the server means to go on with the connection; one of HTTP/1.0 does
        not, whatever it says.
    """

    __slots__ = ("fields", "keep_alive", "length", "minor", "status")

    def __init__(self, status: int, minor: int, fields: dict[bytes, bytes]) -> None:
        self.status = status
        self.minor = minor
        self.fields = fields
        self.length: int | None = None
        self.keep_alive = False


class AnswerReader:
    """Reads one answer.

    :param to_head: whether it is to HEAD, which has no body whatever its head says (RFC 9110,
        section 9.3.2).
    :ivar head: once it is whole.
    :ivar complete: whether the answer is; after that nothing more may be given to it.
    :ivar surplus: whether more came than the answer.
    """

    __slots__ = (
        "_between",
        "_chunked",
        "_fields",
        "_head_seen",
        "_held",
        "_interim",
        "_left",
        "_llhttp",
        "_pieces",
        "_to_head",
        "complete",
        "head",
        "surplus",
    )

    def __init__(self, to_head: bool) -> None:
        self.head: AnswerHead | None = None
        self.complete = False
        self.surplus = False
        self._to_head = to_head
        self._held = b""
        self._interim = 0
        self._left: int | None = None
        self._chunked = False
        self._between = 0
        self._pieces: list[bytes] = []
        self._fields: list[Header] = []
        self._head_seen = False
        self._llhttp = HttpResponseParser(self)

    @property
    def persistent(self) -> bool:
        """Whether the connection may be used again."""
        head = self.head
        return head is not None and self.complete and not self.surplus and head.keep_alive

    def receive(self, data: bytes) -> bytes:
        """Take bytes in, and give those of the body among them.

        :raises MalformedAnswer: this is no answer; the connection must not be used again.
        """
        if self.head is None:
            return self._begin(data)
        if self._chunked:
            return self._decode(data)
        left = self._left
        if left is None:
            return data
        size = len(data)
        if size < left:
            self._left = left - size
            return data
        self.complete = True
        if size > left:
            self.surplus = True
            return data[:left]
        return data

    # The head

    def _begin(self, data: bytes) -> bytes:
        held = self._held
        text = held + data if held else data
        at = text.find(_END, max(0, len(held) - 3))
        while at >= 0:
            at += len(_END)
            if self._interim + at > MOST_OF_A_HEAD:
                raise MalformedAnswer(f"a head of more than {MOST_OF_A_HEAD} bytes")
            head = self._parse(text[:at])
            text = text[at:]
            if head.status >= 200:
                self._held = b""
                self.head = head
                self._frame(head)
                return self._rest(text)
            if head.status == 101:
                raise MalformedAnswer("the protocol was changed, which nobody had asked for")
            self._interim += at  # RFC 9110, section 15.2: it may be ignored
            self._llhttp = HttpResponseParser(self)
            at = text.find(_END)
        if self._interim + len(text) > MOST_OF_A_HEAD:
            raise MalformedAnswer(f"a head of more than {MOST_OF_A_HEAD} bytes")
        self._held = text
        return b""

    def _parse(self, text: bytes) -> AnswerHead:
        if b"\r\n " in text or b"\r\n\t" in text:  # RFC 9112, section 5.2
            raise MalformedAnswer("a folded header")
        llhttp = self._llhttp
        self._fields = []
        self._head_seen = False
        try:
            llhttp.feed_data(text)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise MalformedAnswer(str(error)) from None
        if not self._head_seen or not text.startswith(b"HTTP/1."):
            raise MalformedAnswer("no status line")
        pairs = self._fields
        fields = dict(pairs)
        if len(fields) != len(pairs):
            fields = _joined(pairs)
        # "HTTP/1." and one digit, or llhttp would have refused it.
        head = AnswerHead(llhttp.get_status_code(), 1 if text[7] == 0x31 else 0, fields)
        head.keep_alive = head.minor == 1 and not _closing(fields.get(b"connection"))
        return head

    def _frame(self, head: AnswerHead) -> None:
        """Decide where the body ends."""
        if self._to_head or head.status in _NO_BODY:
            head.length = self._left = 0
            return
        coding = head.fields.get(b"transfer-encoding")
        length = head.fields.get(b"content-length")
        if coding is not None:
            if length is not None:
                raise MalformedAnswer("both a length and a transfer coding")
            if head.minor == 0 or coding.lower() != b"chunked":
                raise MalformedAnswer("a transfer coding other than chunked")
            self._chunked = True
        elif length is not None:
            if not length.isdigit() or len(length) > 19:
                raise MalformedAnswer("a length that is none")
            head.length = self._left = int(length)

    # The body

    def _rest(self, data: bytes) -> bytes:
        """What came with the head."""
        if self._left == 0:
            self.complete = True
            self.surplus = data != b""
            return b""
        return self.receive(data) if data else b""

    def _decode(self, data: bytes) -> bytes:
        self._between += len(data)
        try:
            self._llhttp.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.complete:
                raise MalformedAnswer(str(error)) from None
            self.surplus = True
        pieces = self._pieces
        if not pieces:
            if self._between > MOST_BETWEEN:
                raise MalformedAnswer("chunks without a body")
            return b""
        self._between = 0
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # Called by llhttp

    def on_message_begin(self) -> None:
        """See ``httptools``."""
        if self.complete:
            self.surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """See ``httptools``.  Trailers are dropped (RFC 9110, section 6.5.1)."""
        if self.head is None:
            self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """See ``httptools``."""
        self._head_seen = True

    def on_body(self, data: bytes) -> None:
        """See ``httptools``."""
        if not self.complete:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """See ``httptools``."""
        if self._chunked:
            self.complete = True


def _closing(connection: bytes | None) -> bool:
    """Whether a Connection header has the option ``close`` (RFC 9112, section 9.6)."""
    return connection is not None and b"close" in [
        option.strip(b" \t") for option in connection.lower().split(b",")
    ]


def _joined(pairs: list[Header]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif name in _SINGULAR:
            raise MalformedAnswer(f"more than one {name.decode('ascii')}")
        else:
            fields[name] += b", " + value
    return fields
