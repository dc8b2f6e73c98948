"""StoreErrors on the wire: status, headers and the ``<Error>`` body."""

from __future__ import annotations

from bleepstore.errors import StoreError
from bleepstore.wire.headers import Header

STATUS: dict[str, int] = {}
"""Error code → HTTP status; total over all subclasses of StoreError (a test proves it)."""


def status_of(error: StoreError) -> int:
    """The HTTP status of an error."""
    ...


def error_headers(error: StoreError) -> list[Header]:
    """The headers an error needs beside Content-Type: Allow for 405, Content-Range for 416."""
    ...


def error_body(error: StoreError, resource: str, request_id: str, host_id: str) -> bytes:
    """The XML document of an error (S3 API reference, "REST error responses"); no namespace.

    :param resource: the path that was asked for, decoded or raw; made safe for XML here.
    """
    ...
