"""Headers that a presigned URL carries in its query.

SDKs move ("hoist") ``x-amz-*`` headers into the query when they presign, because whoever uses
the URL sends no headers; S3 takes them as if they were headers.
"""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.wire.headers import Headers

_SIGNATURE = frozenset(
    "x-amz-" + name
    for name in (
        "algorithm", "content-sha256", "credential", "date", "expires", "security-token",
        "signature", "signedheaders",
    )
)  # fmt: skip
_IGNORED = frozenset(
    ("x-amz-sdk-checksum-algorithm", *(algorithm.header for algorithm in ChecksumAlgorithm))
)
"""S3 ignores checksums in a query, and must: the JavaScript SDK signs that of an empty body into
every presigned PutObject, which would refuse any body."""


def with_hoisted(headers: Headers, query: Mapping[str, str]) -> Headers:
    """The headers of a presigned request with those that its query holds; a real header wins.

    Only for requests whose signature covers the query.
    """
    hoisted: dict[bytes, bytes] = {}
    for name, value in query.items():
        lower = name.lower()
        if lower.startswith("x-amz-") and lower not in _SIGNATURE and lower not in _IGNORED:
            hoisted.setdefault(lower.encode(), value.encode())
    return {**hoisted, **headers} if hoisted else headers
