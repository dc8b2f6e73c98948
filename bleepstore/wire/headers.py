"""The map of request headers that the other modules of this package read.

Names are lower-case bytes, values bytes as sent, without the blanks around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Headers = Mapping[bytes, bytes]
Header = tuple[bytes, bytes]


def header_map(pairs: Sequence[Header]) -> dict[bytes, bytes]:
    """The headers of a request by name; repeated ones are joined with ``,`` (RFC 9110, 5.2)."""
    ...


def header_text(headers: Headers, name: bytes) -> str | None:
    """A header's value as text: UTF-8, or Latin-1 where it is not UTF-8.  None: not sent."""
    ...


def refuse_unsupported(headers: Headers) -> None:
    """Refuse headers that ask for what this server does not do; silence would be a lie.

    Server-side encryption, tags, object lock, website redirects, appends, MFA ...

    :raises NotImplemented: with the name as ``Header``.
    """
