"""``host:port``: how the settings of a cluster name an address.

Knows no socket and resolves no name.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

# RFC 1123, section 2.1, and underscores, which names inside of container networks have.
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
                   r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")  # fmt: skip
_NUMERIC = re.compile(r"[0-9.]+")


class HostPort(NamedTuple):
    """:ivar host: a name, or an IPv4 or IPv6 address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_wildcard(self) -> bool:
        """Whether it means all addresses of a machine, and so none of them in particular."""
        try:
            return ip_address(self.host).is_unspecified
        except ValueError:
            return False


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_host_port(text: str) -> HostPort:
    """The parts of ``host:port`` or ``[IPv6]:port``.

    :raises ValueError: it is none; the message says what is wrong, to follow the setting's name.
    """
    host, colon, digits = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"must be host:port, not {text!r}")
    if not (digits.isascii() and digits.isdigit()) or int(digits) > 65535:
        raise ValueError(f"must end with a port from 0 to 65535, not {digits!r}")
    if host.startswith("[") and host.endswith("]"):
        try:
            return HostPort(str(IPv6Address(host[1:-1])), int(digits))
        except ValueError:
            raise ValueError(f"{host} is no IPv6 address") from None
    if ":" in host:
        raise ValueError(f"an IPv6 address is written in brackets: [{host}]:{digits}")
    if _NUMERIC.fullmatch(host):
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(f"{host} is no IPv4 address") from None
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is no name of a machine")
    return HostPort(host, int(digits))
