"""AMP's framing, sans I/O: bytes in, boxes out, and a bound on what a peer can make us hold.

A box is a row of keys and values, each with two bytes of length before it, and ends with an
empty key.  It has no length of its own, so the bound is held piece by piece, before a byte of the
next piece is kept.  What is kept is one box that is not whole yet, and nothing twice.

Twisted's own reader (``amp.BinaryBoxProtocol``) has no bound on a box, and looks at its buffer
anew for each segment that arrives; this one waits until the piece that it is in can be whole.
Knows no commands and no connections.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.protocols.amp import Box

MAX_KEY = 255
"""Bytes of a key (twisted.protocols.amp, MAX_KEY_LENGTH)."""


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
        self._rest = bytearray()  # of a piece that is not whole
        self._need = 2  # bytes from the rest's begin on, until there is something to do
        self._box: Box = _new_box()
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
        self._box = _new_box()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        :raises BadBox: the stream is none of boxes within the bounds; nothing more can be read.
        """
        if self._ended:
            return
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._need:
                return
            data = bytes(rest)
            rest.clear()
        offset, end, key, need = 0, len(data), self._key, 2
        while end - offset >= 2:
            length = data[offset] << 8 | data[offset + 1]
            if key is None:
                if not length:
                    offset += 2
                    self._whole()
                    if self._ended:
                        return
                    continue
                if length > MAX_KEY:
                    self._refuse(f"a key of {length} bytes")
            if self._size + length + 2 > self.most:
                self._refuse(f"a box of more than {self.most} bytes")
            stop = offset + 2 + length
            if stop > end:
                need = length + 2
                break
            piece = data[offset + 2 : stop]
            self._size += length + 2
            if key is None:
                if piece in self._box or len(self._box) >= self._most_keys:
                    self._refuse("a box with a key twice, or with too many")
                key = piece
            else:
                self._box[key] = piece
                key = None
            offset = stop
        self._key = key
        self._need = need
        if offset < end:
            rest += memoryview(data)[offset:]

    def _whole(self) -> None:
        box = self._box
        if not box:
            self._refuse("an empty box")
        self._box = _new_box()
        self._size = 0
        self._deliver(box)

    def _refuse(self, why: str) -> None:
        self.end()
        raise BadBox(why)


_new_box: Callable[[], Box] = Box
