"""Preconditions from headers; ``model.conditions`` decides them."""

from __future__ import annotations

from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.wire.headers import Headers


def read_conditions(headers: Headers) -> ReadConditions | None:
    """The conditions of a read; None if there are none.  Invalid dates are ignored (RFC 9110, 13.1.3)."""
    ...


def copy_source_conditions(headers: Headers) -> ReadConditions | None:
    """The ``x-amz-copy-source-if-*`` conditions; None if there are none."""
    ...


def write_conditions(headers: Headers) -> WriteConditions | None:
    """If-Match and If-None-Match of PutObject, CopyObject and CompleteMultipartUpload; None if neither.

    :raises NotImplemented: If-None-Match with anything but ``*``, or both conditions.
    """
    ...


def delete_condition(headers: Headers) -> str | None:
    """If-Match of DeleteObject: an ETag without quotes, or ``*``; None if not sent."""
    ...
