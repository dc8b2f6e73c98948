"""Takes an aws-chunked body apart: feed bytes, take events.  Pure, sans-I/O.

The three forms, by the sources "Signature Calculations for the Authorization Header: Transferring
Payload in Multiple Chunks" and "Signature calculations for trailing headers" of the Amazon S3
API Reference::

    signed                  10000;chunk-signature=<64 hex> CRLF <data> CRLF  ...
                            0;chunk-signature=<64 hex> CRLF  CRLF
    signed, with trailer    as above up to the empty chunk's line, then
                            name:value CRLF ...  x-amz-trailer-signature:<64 hex> CRLF  CRLF
    unsigned, with trailer  10000 CRLF <data> CRLF ... 0 CRLF  name:value CRLF ...  CRLF

Some clients end trailing headers with LF CRLF instead of CRLF, since the LF is a part of what is
signed; both are taken.  All else is strict.  Chunks may have any size: S3's lower bound of 8 KiB
is a rule about cost, and SDKs that stream break it.

Signatures are taken out, not checked: that is ``auth.chunks``'s.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from bleepstore.errors import (
    IncompleteBody,
    InvalidArgument,
    InvalidRequest,
    MalformedTrailerError,
    MissingContentLength,
)

MAX_CHUNK_SIZE = 5 * 1024**3
"""The largest chunk, bytes: as large as the largest single upload."""

MAX_TRAILERS = 16
MAX_TRAILER_BYTES = 8192
"""The whole trailer section: lines and line ends."""

_MAX_CHUNK_LINE = 128  # 16 digits, ";chunk-signature=", 64 digits, CRLF: 99
_SIGNATURE_MARK = b";chunk-signature="
_TRAILER_SIGNATURE = b"x-amz-trailer-signature"
_HEX_DIGITS = b"0123456789abcdefABCDEF"
_TOKEN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"


class ChunkEnd(Struct, frozen=True):
    """The data of a chunk is complete.  The last chunk has size 0.

    :ivar signature: 64 hex digits; empty when chunks are not signed.
    """

    size: int
    signature: bytes


class Trailers(Struct, frozen=True):
    """The trailing headers, all that were announced.

    :ivar items: (lower-case name, value without blanks around it), as sent.
    :ivar signature: 64 hex digits; empty when they are not signed.
    """

    items: tuple[tuple[bytes, bytes], ...]
    signature: bytes


class End(Struct, frozen=True):
    """The body is complete and has the length it should."""


Event = memoryview | ChunkEnd | Trailers | End
"""A memoryview is data of the current chunk: a piece of what was fed, not a copy."""


class _State(Enum):
    CHUNK_LINE = "the line before a chunk"
    DATA = "a chunk's data"
    DATA_END = "the line end after a chunk's data"
    TRAILER = "the trailer section"
    LAST_LINE = "the empty line at the end"
    ENDED = "the end"


_LINE_LIMITS = {  # bytes with the line's end: an empty line has 2
    _State.CHUNK_LINE: _MAX_CHUNK_LINE,
    _State.DATA_END: 2,
    _State.TRAILER: MAX_TRAILER_BYTES,
    _State.LAST_LINE: 2,
}


class AwsChunkedDecoder:
    """Decodes one body.  After an error it is of no further use.

    :param decoded_length: what x-amz-decoded-content-length says.
    :param signed: whether chunks (and the trailer) carry signatures.
    :param trailer: whether a trailer section follows the last chunk.
    :param announced: the lower-case names of x-amz-trailer, see :func:`parse_trailer_names`.
    """

    def __init__(
        self,
        decoded_length: int,
        *,
        signed: bool,
        trailer: bool,
        announced: frozenset[bytes] = frozenset(),
    ) -> None:
        self._signed = signed
        self._trailer = trailer
        self._announced = announced
        self._state = _State.CHUNK_LINE
        self._line = bytearray()  # of the current line, what came with earlier feeds
        self._to_come = decoded_length  # data bytes that no chunk has announced yet
        self._left = 0  # data bytes of the current chunk yet to come
        self._size = 0
        self._signature = b""
        self._trailers: list[tuple[bytes, bytes]] = []
        self._trailer_bytes = 0
        self._trailer_signature = b""
        self._bare_line_feed = False

    @property
    def ended(self) -> bool:
        """Whether the whole body was decoded."""
        return self._state is _State.ENDED

    def feed(self, data: bytes) -> list[Event]:
        """Decode the next bytes.  They must not change while its views are in use.

        :raises InvalidRequest: the framing is malformed, or data follows the end.
        :raises IncompleteBody: the chunks hold more or less than the decoded length.
        :raises MalformedTrailerError: the trailer is malformed, not as announced, or its
            signature is absent, or present where none belongs.
        """
        events: list[Event] = []
        at = 0
        size = len(data)
        while at < size:
            if self._left:
                piece = min(self._left, size - at)
                events.append(memoryview(data)[at : at + piece])
                at += piece
                self._left -= piece
                if not self._left:
                    self._state = _State.DATA_END
                continue
            if self._state is _State.ENDED:
                raise _malformed("data follows its end")
            at = self._take_line(data, at, events)
        return events

    def finish(self) -> None:
        """The body has no more bytes.

        :raises IncompleteBody: it should have.
        """
        if self._state is not _State.ENDED:
            raise IncompleteBody("The request body terminated unexpectedly")

    def _take_line(self, data: bytes, at: int, events: list[Event]) -> int:
        """Read to the end of the line or of the data; the position after it."""
        room = _LINE_LIMITS[self._state] - len(self._line)
        end = data.find(b"\n", at, at + room) + 1
        if not end:
            if len(data) - at >= room:
                raise self._bad_line("is too long")
            self._line += data[at:]
            return len(data)
        line = data[at:end]
        if self._line:
            line = bytes(self._line) + line
            self._line.clear()
        if self._state is _State.TRAILER:
            self._trailer_line(line, events)
        elif not line.endswith(b"\r\n"):
            raise self._bad_line("does not end with CRLF")
        elif self._state is _State.CHUNK_LINE:
            self._chunk_line(line[:-2], events)
        elif self._state is _State.DATA_END:
            events.append(ChunkEnd(self._size, self._signature))
            self._state = _State.CHUNK_LINE
        else:
            self._end(events)
        return end

    def _chunk_line(self, line: bytes, events: list[Event]) -> None:
        digits = line
        if self._signed:
            digits, _, signature = line.partition(_SIGNATURE_MARK)
            if len(signature) != 64 or signature.translate(None, _HEX_DIGITS):
                raise self._bad_line("has no signature of 64 hexadecimal digits")
            self._signature = signature
        if not 1 <= len(digits) <= 16 or digits.translate(None, _HEX_DIGITS):
            raise self._bad_line("has no size in hexadecimal digits")
        size = int(digits, 16)
        if size > self._to_come:
            raise _wrong_length()
        if size > MAX_CHUNK_SIZE:
            raise self._bad_line("announces too large a chunk")
        self._size = size
        if size:
            self._to_come -= size
            self._left = size
            self._state = _State.DATA
            return
        if self._to_come:
            raise _wrong_length()
        events.append(ChunkEnd(0, self._signature))
        self._state = _State.TRAILER if self._trailer else _State.LAST_LINE

    def _trailer_line(self, line: bytes, events: list[Event]) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_TRAILER_BYTES:
            raise MalformedTrailerError
        crlf = line.endswith(b"\r\n")
        text = line[:-2] if crlf else line[:-1]
        if text:
            if self._trailer_signature:
                raise MalformedTrailerError  # nothing comes after the signature
            self._bare_line_feed = not crlf
            self._take_trailer(text)
        elif not crlf:
            raise MalformedTrailerError
        elif self._bare_line_feed:
            self._bare_line_feed = False  # the second half of LF CRLF
        else:
            self._end_trailer(events)

    def _take_trailer(self, text: bytes) -> None:
        name, colon, value = text.partition(b":")
        if not colon or b"\r" in value:
            raise MalformedTrailerError
        name = name.lower()
        value = value.strip(b" \t")
        if self._signed and name == _TRAILER_SIGNATURE:
            if len(value) != 64 or value.translate(None, _HEX_DIGITS):
                raise MalformedTrailerError
            self._trailer_signature = value
            return
        if name not in self._announced or any(name == other for other, _ in self._trailers):
            raise MalformedTrailerError
        self._trailers.append((name, value))

    def _end_trailer(self, events: list[Event]) -> None:
        if len(self._trailers) != len(self._announced):
            raise MalformedTrailerError
        if self._signed and not self._trailer_signature:
            raise MalformedTrailerError
        events.append(Trailers(tuple(self._trailers), self._trailer_signature))
        self._end(events)

    def _end(self, events: list[Event]) -> None:
        self._state = _State.ENDED
        events.append(End())

    def _bad_line(self, why: str) -> InvalidRequest | MalformedTrailerError:
        if self._state is _State.TRAILER:
            return MalformedTrailerError()
        return _malformed(f"{self._state.value} {why}")


def parse_decoded_length(value: bytes | None) -> int:
    """The value of x-amz-decoded-content-length, which every aws-chunked body needs.

    :raises MissingContentLength: it is absent.
    :raises InvalidArgument: it is no number.
    """
    if value is None:
        raise MissingContentLength
    if not value.isdigit() or len(value) > 19:
        raise InvalidArgument(
            "x-amz-decoded-content-length must be a number of bytes.",
            ArgumentName="x-amz-decoded-content-length",
            ArgumentValue=value.decode("utf-8", "replace"),
        )
    return int(value)


def parse_trailer_names(value: bytes | None) -> frozenset[bytes]:
    """The lower-case names that x-amz-trailer announces, at most :data:`MAX_TRAILERS`.

    :raises InvalidRequest: one is no header's name, or they are too many.
    """
    if value is None:
        return frozenset()
    names = frozenset(name.strip(b" \t").lower() for name in value.split(b",", MAX_TRAILERS)) - {
        b""
    }
    if len(names) > MAX_TRAILERS or any(name.translate(None, _TOKEN) for name in names):
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    return names


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"The aws-chunked body is malformed: {why}.")


def _wrong_length() -> IncompleteBody:
    return IncompleteBody(
        "You did not provide the number of bytes specified by the "
        "x-amz-decoded-content-length HTTP header"
    )
