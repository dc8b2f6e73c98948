"""What a client says about an object, between headers and :class:`Description`."""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.model.objects import Description
from bleepstore.wire.headers import Header, Headers


def read_description(headers: Headers) -> Description:
    """The content headers, user metadata and storage class of a write.

    :raises MetadataTooLarge: over 2 KiB of names and values, with ``Size`` and ``MaxSizeAllowed``.
    :raises InvalidStorageClass:
    """
    ...


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """The ``response-*`` parameters of a read: lower-case header name → value; empty if none."""
    ...


def description_headers(
    description: Description, overrides: Mapping[str, str] | None = None
) -> list[Header]:
    """The headers of GetObject and HeadObject that come from the description: content headers
    (Content-Type always), ``x-amz-meta-*``, and ``x-amz-storage-class`` unless STANDARD."""
    ...
