"""Types of AMP arguments: text and numbers with bounds, and values longer than AMP's.

AMP gives a value two bytes of length: 65,535 bytes at most.  :class:`Spread` carries more: the
value is cut into pieces of 65,535 bytes, the last one shorter, under the keys ``body``,
``body.1``, ``body.2`` and so on.

Whatever a peer sent that does not fit raises a ValueError here.  Knows no commands.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from twisted.protocols import amp

PIECE = 65535
"""Bytes of one value (twisted.protocols.amp, MAX_VALUE_LENGTH)."""


class Text(amp.Argument):
    """A str in UTF-8.

    :param most: bytes at most.
    """

    def __init__(self, most: int = 255) -> None:
        self.most = most

    def toString(self, inObject: str) -> bytes:
        """:raises ValueError: it is longer than ``most``."""
        raw = inObject.encode()
        if len(raw) > self.most:
            raise ValueError(f"a text of {len(raw)} bytes, of at most {self.most}")
        return raw

    def fromString(self, inString: bytes) -> str:
        """:raises ValueError: it is too long, or not UTF-8."""
        if len(inString) > self.most:
            raise ValueError(f"a text of {len(inString)} bytes, of at most {self.most}")
        return inString.decode()


class Natural(amp.Argument):
    """An int from 0 to 2**63 - 1, in decimal digits without leading zeros."""

    def __init__(self) -> None:
        self.optional = False

    def toString(self, inObject: int) -> bytes:
        """:raises ValueError: it is negative or too large."""
        if not 0 <= inObject < 1 << 63:
            raise ValueError(f"{inObject} is out of range")
        return b"%d" % inObject

    def fromString(self, inString: bytes) -> int:
        """:raises ValueError: it is no such number, or another way to write one."""
        if inString.isdigit() and len(inString) <= 19:
            number = int(inString)
            if number < 1 << 63 and b"%d" % number == inString:
                return number
        raise ValueError("not a number in decimal digits, or out of range")


class Raw(amp.Argument):
    """Bytes of an exact length, such as a digest."""

    def __init__(self, size: int) -> None:
        self.size = size

    def toString(self, inObject: bytes) -> bytes:
        """:raises ValueError: it has another length."""
        return self.fromString(inObject)

    def fromString(self, inString: bytes) -> bytes:
        """:raises ValueError: it has another length."""
        if len(inString) != self.size:
            raise ValueError(f"{len(inString)} bytes, not {self.size}")
        return inString


class Spread(amp.Argument):
    """Bytes of any length, over as many keys as it takes.  The box's own bound bounds them.

    :param optional: None is sent as no key at all.
    """

    def __init__(self, optional: bool = False) -> None:
        self.optional = optional

    def toBox(
        self,
        name: bytes,
        strings: MutableMapping[bytes, Any],
        objects: MutableMapping[str, Any],
        proto: object,
    ) -> None:
        """See IArgumentType.  Pieces are views of the value: nothing is copied here."""
        value = objects.pop(name.decode())
        if value is None and self.optional:
            return
        if len(value) <= PIECE:
            strings[name] = value
            return
        view = memoryview(value)
        strings[name] = view[:PIECE]
        for number, start in enumerate(range(PIECE, len(value), PIECE), 1):
            strings[b"%b.%d" % (name, number)] = view[start : start + PIECE]

    def fromBox(
        self,
        name: bytes,
        strings: MutableMapping[bytes, bytes],
        objects: MutableMapping[str, Any],
        proto: object,
    ) -> None:
        """See IArgumentType.

        :raises KeyError: it is not optional, and not there.
        :raises ValueError: a piece follows one that is not full.
        """
        first = strings.pop(name, None)
        if first is None:
            if not self.optional:
                raise KeyError(name)
            objects[name.decode()] = None
            return
        key = name + b".1"
        if key not in strings:
            objects[name.decode()] = first
            return
        pieces = [first]
        while (piece := strings.pop(key, None)) is not None:
            if len(pieces[-1]) != PIECE:
                raise ValueError("a piece of a value that is not full, and not the last")
            pieces.append(piece)
            key = b"%b.%d" % (name, len(pieces))
        objects[name.decode()] = b"".join(pieces)
