"""Query parameters and headers that carry one small value."""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.wire.headers import Headers
from bleepstore.wire.operations import Operation

Query = Mapping[str, str]


def version_id(operation: Operation, query: Query) -> str:
    """The ``versionId`` of an operation on an object: empty, or ``null`` for the null version.

    :raises InvalidArgument: the operation takes none, it is empty, or no version id at all.
    :raises NoSuchVersion: a well-formed id; no bucket here has other versions than ``null``.
    """
    ...


def upload_id(query: Query) -> str:
    """The ``uploadId``, as sent; an empty one names no upload."""
    ...


def part_number(query: Query) -> int | None:
    """``partNumber``, 1 to 10,000; None if not sent.

    :raises InvalidArgument:
    """
    ...


def object_attributes(headers: Headers) -> frozenset[str]:
    """x-amz-object-attributes of GetObjectAttributes.

    :raises InvalidArgument: none, or an unknown one.
    """
    ...


def attributes_page(headers: Headers) -> tuple[int, int]:
    """x-amz-part-number-marker and x-amz-max-parts of GetObjectAttributes: (marker, limit).

    :raises InvalidArgument:
    """
    ...
