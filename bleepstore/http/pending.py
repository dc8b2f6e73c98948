"""Bytes of requests that are not being served yet, and the heads cut off them."""

from __future__ import annotations

import re
from typing import Final

from bleepstore.errors import BadRequest, RequestHeaderSectionTooLarge

HEAD_END: Final = b"\r\n\r\n"
TLS: Final = b"\x16\x03"
"""How TLS begins: a record of a handshake, of version 3.x (RFC 8446, section 5.1)."""

_BARE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]")


class Pending:
    """Holds what arrived; gives whole heads.

    A search goes on where the one before ended, so a head that comes byte by byte costs no more
    than its length.

    :param max_size: bytes after which a head must have ended.
    """

    __slots__ = ("_data", "_max_size", "_searched", "_skipped")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._data = bytearray()
        self._searched = 0  # bytes in which no head's end was found
        self._skipped = False

    def __len__(self) -> int:
        return len(self._data)

    @property
    def is_tls(self) -> bool:
        """Whether the client begins a handshake where a request should be."""
        return self._data.startswith(TLS)

    def append(self, data: bytes) -> None:
        """More has arrived."""
        self._data += data

    def take_head(self) -> bytes | None:
        """The next head, to the blank line that ends it; None while that has not arrived.

        One empty line before it is ignored (RFC 9112, section 2.2).

        :raises BadRequest: a line ends otherwise than in CRLF, or this is TLS, so that no end
            would ever be found.
        :raises RequestHeaderSectionTooLarge: the end should have come.
        """
        data = self._data
        if not self._skipped and data.startswith(b"\r\n"):
            del data[:2]
            self._skipped = True
        end = data.find(HEAD_END, self._searched)
        if end >= 0:
            head = bytes(data[: end + 4])
            del data[: end + 4]
            self._searched = 0
            self._skipped = False
            return head
        if self.is_tls:
            raise BadRequest("This port speaks plain HTTP, not TLS.")
        if len(data) > self._max_size:
            raise RequestHeaderSectionTooLarge
        if _BARE.search(data, max(0, self._searched - 1)) is not None:
            raise BadRequest("A line of the request's head does not end in CRLF.")
        self._searched = max(0, len(data) - 3)
        return None

    def take_all(self) -> bytes:
        """Everything, for it is the beginning of a body."""
        data = bytes(self._data)
        self.clear()
        return data

    def clear(self) -> None:
        """Forget it all."""
        self._data.clear()
        self._searched = 0
        self._skipped = False
