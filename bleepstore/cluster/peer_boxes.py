"""AMP's framing, sans I/O: bytes in, boxes out, and a bound on what a peer can make us hold.

A box is a row of keys and values, each with two bytes of length before it, and ends with an
empty key.  It has no length of its own, so the bound is held piece by piece, before a byte of the
next piece is kept.  What is kept is one box that is not whole yet, and nothing twice.

Twisted's own reader (``amp.BinaryBoxProtocol``) has no bound on a box, and looks at its buffer
anew for each segment that arrives; this one waits until the piece that it is in can be whole.
Knows no commands and no connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Box = dict[bytes, bytes]
"""Keys and values; a value to be written may be any bytes-like object."""

MAX_KEY = 255
"""Bytes of a key (twisted.protocols.amp, MAX_KEY_LENGTH)."""

MAX_VALUE = 65535
"""Bytes of a value (twisted.protocols.amp, MAX_VALUE_LENGTH)."""

_LENGTHS = tuple(length.to_bytes(2, "big") for length in range(256))


class BadBox(Exception):
    """What a peer sent is no box, or one that nobody sends."""


class BoxReader:
    """Cuts a stream into boxes.

    :param deliver: is called for each box, in order.  It may call :meth:`end`.
    :param most: bytes of one box at most, lengths included.  May be changed between boxes.
    :param most_keys: keys of one box at most.
    """

    def __init__(self, deliver: Callable[[Box], None], most: int, most_keys: int = 256) -> None:
        self._deliver = deliver
        self.most = most
        self._most_keys = most_keys
        self._rest = bytearray()  # a piece that is not whole, from its length on
        self._box: Box = {}
        self._size = 0
        self._key: bytes | None = None
        self._ended = False

    @property
    def held(self) -> int:
        """Bytes that are kept for a box that is not whole."""
        return self._size + len(self._rest)

    def end(self) -> None:
        """Give no more boxes, and forget what is there."""
        self._ended = True
        self._rest = bytearray()
        self._box = {}

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        :raises BadBox: the stream is none of boxes within the bounds; nothing more can be read.
        """
        if self._ended or not data:
            return
        offset = 0
        if self._rest:
            offset = self._fill(data)
            if not offset:
                return
        end = len(data)
        while end - offset >= 2 and not self._ended:
            length = data[offset] << 8 | data[offset + 1]
            self._check(length)
            stop = offset + 2 + length
            if stop > end:
                break
            self._piece(data[offset + 2 : stop])
            offset = stop
        if offset < end and not self._ended:
            self._rest += memoryview(data)[offset:]

    def _fill(self, data: bytes) -> int:
        """Bring the piece that is not whole nearer to its end; gives how much of ``data`` belongs
        to it if it is whole now, else 0."""
        rest = self._rest
        taken = 0
        if len(rest) < 2:
            rest.append(data[0])
            taken = 1
        length = rest[0] << 8 | rest[1]
        if taken:
            self._check(length)
        missing = length + 2 - len(rest)
        if missing > len(data) - taken:
            rest += data[taken:] if taken else data
            return 0
        rest += data[taken : taken + missing]
        piece = bytes(memoryview(rest)[2:])
        self._rest = bytearray()
        self._piece(piece)
        return taken + missing

    def _check(self, length: int) -> None:
        """A piece of this length is next: may it be?"""
        if self._key is None and length > MAX_KEY:
            self._refuse(f"a key of {length} bytes")
        if self._size + length + 2 > self.most:
            self._refuse(f"a box of more than {self.most} bytes")

    def _piece(self, piece: bytes) -> None:
        key = self._key
        if key is not None:
            self._box[key] = piece
            self._key = None
        elif not piece:
            self._whole()
            return
        elif piece in self._box or len(self._box) >= self._most_keys:
            self._refuse("a box with a key twice, or with too many")
        else:
            self._key = piece
        self._size += len(piece) + 2

    def _whole(self) -> None:
        box = self._box
        if not box:
            self._refuse("an empty box")
        self._box = {}
        self._size = 0
        self._deliver(box)

    def _refuse(self, why: str) -> None:
        self.end()
        raise BadBox(why)


def write_box(box: Mapping[bytes, bytes | memoryview]) -> bytes:
    """The bytes of a box, its keys in order, as ``amp.Box.serialize`` writes it (at half the cost).

    :raises ValueError: a key or a value is too long, or there is none.
    """
    if not box:
        raise ValueError("an empty box ends nothing")
    pieces: list[bytes | memoryview] = []
    for key in sorted(box):
        value = box[key]
        length = len(value)
        if not 0 < len(key) <= MAX_KEY or length > MAX_VALUE:
            raise ValueError(f"a key of {len(key)} bytes, or a value of {length}")
        pieces += (
            _LENGTHS[len(key)],
            key,
            _LENGTHS[length] if length < 256 else length.to_bytes(2, "big"),
            value,
        )
    pieces.append(_LENGTHS[0])
    return b"".join(pieces)
