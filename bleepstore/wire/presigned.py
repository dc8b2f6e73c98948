"""Headers that a presigned URL carries in its query.

SDKs move ("hoist") ``x-amz-*`` headers into the query when they presign, because whoever uses
the URL sends no headers; S3 takes them as if they were headers.
"""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore.wire.headers import Headers

_SIGNATURE = frozenset(
    "x-amz-" + name
    for name in (
        "algorithm", "content-sha256", "credential", "date", "expires", "security-token",
        "signature", "signedheaders",
    )
)  # fmt: skip
_CHECKSUM = "x-amz-checksum-"
_NO_VALUE = frozenset(_CHECKSUM + name for name in ("algorithm", "mode", "type"))


def with_hoisted(headers: Headers, query: Mapping[str, str]) -> Headers:
    """The headers of a presigned request with those that its query holds; a real header wins.

    Only for requests whose signature covers the query.
    """
    hoisted: dict[bytes, bytes] = {}
    for name, value in query.items():
        lower = name.lower()
        if lower.startswith("x-amz-") and lower not in _SIGNATURE and not _is_checksum(lower):
            hoisted.setdefault(lower.encode(), value.encode())
    return {**hoisted, **headers} if hoisted else headers


def _is_checksum(name: str) -> bool:
    """S3 ignores checksums in a query, and must: the JavaScript SDK signs that of an empty body
    into every presigned PutObject, which would refuse any body."""
    if name == "x-amz-sdk-checksum-algorithm":
        return True
    return name.startswith(_CHECKSUM) and name not in _NO_VALUE
