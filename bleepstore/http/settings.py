"""What the HTTP channel is given: limits, bounds that nobody sets, and the functions it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from bleepstore.errors import StoreError
from bleepstore.http.request import Request
from bleepstore.interfaces.http import Header

Handler = Callable[[Request], None]
"""Called once for each request when its head is complete; nothing of the body was read.

It answers by the request's methods, now or later.  What it raises becomes InternalError; one that
goes on in a coroutine hands a late failure to ``Request.fail``.
"""

Refuse = Callable[[StoreError], tuple[int, Sequence[Header], bytes]]
"""Status, headers and body for an error that is found before, or instead of, a handler's answer."""

PIPELINE: Final = 64 * 1024
"""Bytes of later requests that may wait while one is served."""

DRAIN: Final = 64 * 1024
"""Bytes of an unwanted body that are read and thrown away to keep a connection."""

LINGER_TIME: Final = 10.0
"""Seconds that a closing connection goes on to discard what the client sends."""

LINGER_BYTES: Final = 64 * 1024 * 1024
"""Bytes that it discards at most."""

TURN: Final = 32
"""Pipelined requests of one connection that are served before others get their turn; of all
connections together see ``crowd``."""


class Limits(Struct, frozen=True):
    """How much one client may ask of the server.

    :ivar max_connections: more are answered with SlowDown and closed.
    :ivar read_timeout: seconds within which a head must be whole, from its first byte, and
        within which the next bytes of a body must come while the handler waits for them.
    :ivar write_timeout: seconds after which a client that takes no byte is cut off.
    :ivar idle_timeout: seconds a connection may stay open between requests.
    :ivar max_target: bytes of a request target: a key of 1,024 bytes is 3,072 percent-encoded,
        and a presigned query with a session token may have several thousand.
    :ivar max_head: bytes of the request line and the header section beside the target; S3 allows
        8 KiB of headers.
    :ivar max_headers: header fields in one request.
    """

    max_connections: int = 1000
    read_timeout: float = 60.0
    write_timeout: float = 60.0
    idle_timeout: float = 120.0
    max_target: int = 16 * 1024
    max_head: int = 16 * 1024
    max_headers: int = 100
