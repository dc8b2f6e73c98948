"""The chunked transfer coding of requests (RFC 9112, section 7.1), undone.

    chunked-body = *chunk last-chunk trailer-section CRLF
    chunk        = chunk-size [ chunk-ext ] CRLF chunk-data CRLF

Bytes go in as they arrive, data comes out; what follows the end is given back.  Extensions are
ignored and trailer fields dropped, as the section allows, but their size is bounded: a peer that
sends a kilobyte of extension with each byte of data is an attacker.
"""

from __future__ import annotations

import re
from typing import Final

from bleepstore.errors import BadRequest

MAX_LINE: Final = 1024
"""Bytes of a chunk's size with its extension."""

MAX_EXTENSIONS: Final = 16 * 1024
"""Bytes of all chunk extensions of a body."""

SMALL: Final = 256
"""Bytes of a chunk with all that belongs to it that is small: then the chunks cost more time than
the data."""

MAX_TRAILER: Final = 16 * 1024
"""Bytes of the trailer section."""

# chunk-size = 1*HEXDIG; 15 digits are more than any object.  BWS before the extension's ";".
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?", re.DOTALL)
_TRAILER_LINE: Final = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*", re.DOTALL
)


class ChunkedDecoder:
    """Undoes the coding of one body.

    :ivar ended: whether the end was reached.
    :ivar small: whether the chunks are small, as far as what was fed last tells.
    """

    __slots__ = ("_extensions", "_left", "_line", "_state", "_trailer", "ended", "small")

    _SIZE, _DATA, _DATA_END, _TRAILER = range(4)

    def __init__(self) -> None:
        self.ended = False
        self.small = True
        self._state = self._SIZE
        self._line = b""  # a line of which the end has not arrived
        self._left = 0  # bytes of the chunk's data still to come
        self._extensions = 0
        self._trailer = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what arrived.

        :returns: the data in it; and, once the end is reached, the bytes behind the end.
        :raises BadRequest: the coding is malformed, or too much of it is not data.
        """
        pieces: list[bytes] = []
        at = lines = 0
        size = len(data)
        while at < size:
            if self._state == self._DATA:
                piece = data[at : at + self._left]  # all of it, uncopied, if it is all data
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = self._DATA_END
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._keep(data[at:])
                break
            line = self._line + data[at : end + 1]
            self._line = b""
            at = end + 1
            lines += 1
            self._take_line(line)
            if self.ended:
                return b"".join(pieces), data[at:]
        self.small = lines * (SMALL // 2) > size  # a chunk has two
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), b""

    def _keep(self, part: bytes) -> None:
        self._line += part
        # The bound is exact where it matters: nothing is refused that a whole line may hold.
        if len(self._line) > (2 if self._state == self._DATA_END else MAX_LINE):
            raise BadRequest("A line of the chunked coding is too long.")

    def _take_line(self, line: bytes) -> None:
        if line[-2:] != b"\r\n":
            raise BadRequest("A line of the chunked coding does not end in CRLF.")
        if len(line) > MAX_LINE + 2:
            raise BadRequest("A line of the chunked coding is too long.")
        line = line[:-2]
        if self._state == self._DATA_END:
            if line:
                raise BadRequest("A chunk is longer than its size says.")
            self._state = self._SIZE
        elif self._state == self._SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise BadRequest("The size of a chunk is malformed.")
            self._extensions += len(line) - match.end(1)
            if self._extensions > MAX_EXTENSIONS:
                raise BadRequest("The chunk extensions are too long.")
            self._left = int(match.group(1), 16)
            self._state = self._DATA if self._left else self._TRAILER
        elif line:
            self._trailer += len(line) + 2
            if self._trailer > MAX_TRAILER or _TRAILER_LINE.fullmatch(line) is None:
                raise BadRequest("The trailer section is malformed or too long.")
        else:
            self.ended = True
