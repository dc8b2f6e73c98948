"""What is sent to another cloud: where, which target, which headers, which body.  Plain values.

A target is sent byte for byte as it stands here, since it was signed so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

Header = tuple[bytes, bytes]
"""A lower-case name and its value."""

_PORTS = {"http": 80, "https": 443}


class Origin(Struct, frozen=True):
    """A server: scheme, host and port (RFC 6454).

    :ivar scheme: ``http`` or ``https``.
    :ivar host: a name or an address, an IPv6 one without its brackets.
    """

    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> bytes:
        """The value of the Host header: without the port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode()

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header.decode()}"


def parse_endpoint(url: str) -> tuple[Origin, str]:
    """The origin of an endpoint URL, and its path without a trailing slash.

    :raises ValueError: it is no http or https URL of a host; the message is for the operator.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in _PORTS or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not the URL of an HTTP endpoint")
    return Origin(parts.scheme, host, port or _PORTS[parts.scheme]), parts.path.rstrip("/")


def is_loopback(origin: Origin) -> bool:
    """Whether the server is on this machine, by its name or address alone."""
    try:
        return ip_address(origin.host).is_loopback
    except ValueError:
        return origin.host == "localhost"


class ByteSource(Protocol):
    """Bytes that come piece by piece."""

    def read(self) -> Awaitable[bytes]:
        """The next bytes, of any number; empty at the end, and ever after."""


class Upload(Struct, frozen=True):
    """A body that is streamed.

    :ivar open: gives the source; called once, and again for each further attempt where that is
        possible.
    :ivar length: bytes to come, or None for chunked transfer coding.
    :ivar restartable: whether ``open`` may be called again, and then gives the same bytes.  If
        not, a body is replayed as long as no more than ``rewinding.KEPT`` bytes of it were read.
    """

    open: Callable[[], ByteSource]
    length: int | None
    restartable: bool = False


class RemoteRequest(Struct, frozen=True, kw_only=True):
    """A request, not yet signed.

    :ivar target: path and query, percent-encoded, as it is sent.
    :ivar headers: without Host, Content-Length and Transfer-Encoding, which follow from the rest.
        Without an Accept-Encoding here ``identity`` is asked for.
    :ivar body: None has no body; ``PUT`` and ``POST`` then announce a length of 0.
    :ivar idempotent: whether it may be made again when nobody knows what became of it.
    """

    method: str
    origin: Origin
    target: bytes
    headers: tuple[Header, ...] = ()
    body: bytes | Upload | None = None
    idempotent: bool = True

    @property
    def path(self) -> str:
        """The target without its query, which may hold a signature: for logs and messages."""
        return self.target.partition(b"?")[0].decode("ascii", "replace")
