"""Where a listing begins, ends and jumps to: arithmetic on the bytes of keys.

Bounds are compared by memcmp.  Prefixes and delimiters are UTF-8, whose bytes are at most 0xF4;
so the successor of all that starts with one is found by adding 1 to its last byte, always.
"""

from __future__ import annotations

_BEYOND_ALL = b"\xff"  # no UTF-8 has this byte


def successor(prefix: bytes) -> bytes:
    """The least bytes greater than everything that starts with ``prefix``, which is not empty."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


class Bounds:
    """The keys under a prefix, with those that share a delimiter after it rolled up.

    :ivar end: every key under the prefix is less.
    """

    __slots__ = ("delimiter", "end", "prefix")

    def __init__(self, prefix: str, delimiter: str) -> None:
        self.prefix = prefix.encode()
        self.delimiter = delimiter.encode()
        self.end = successor(self.prefix) if prefix else _BEYOND_ALL

    def common_prefix(self, key: bytes) -> bytes | None:
        """What stands for a key under the prefix, or None if it stands for itself."""
        if not self.delimiter:
            return None
        at = key.find(self.delimiter, len(self.prefix))
        return None if at < 0 else key[: at + len(self.delimiter)]

    def has_entry(self, key: bytes) -> bool:
        """Whether a key would be an entry of its own: under the prefix, in no common prefix."""
        return key.startswith(self.prefix) and self.common_prefix(key) is None

    def start_after(self, after: bytes) -> bytes:
        """The first key to look at, so that only greater keys and common prefixes follow."""
        if not after or after < self.prefix:
            return self.prefix
        if after.startswith(self.prefix) and (common := self.common_prefix(after)) is not None:
            return successor(common)  # it is not greater than what lies in or equals it
        return after + b"\0"
