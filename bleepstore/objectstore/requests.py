"""Who asks, and what for: the values that a front gives to the use cases.

They are S3's words without their spelling: no header, no XML, no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from bleepstore.model.accounts import Account
from bleepstore.model.objects import ObjectVersion

ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
"""The canonical id under which S3 keeps what anonymous callers upload (an object's owner in a
bucket that lets everybody write)."""

ANONYMOUS = Account(ANONYMOUS_ID, "anonymous")


class Caller(Struct, frozen=True):
    """Who asks, and when the request was accepted.

    :ivar account: None for an anonymous request.
    :ivar at: milliseconds since the epoch; becomes the time of the change.
    :ivar expected_bucket_owner: ``x-amz-expected-bucket-owner``; empty when not sent.  Every use
        case refuses with AccessDenied when the bucket belongs to another account.
    """

    account: Account | None
    request_id: str
    at: int
    expected_bucket_owner: str = ""

    @property
    def owner_id(self) -> str:
        """The canonical id that what this caller creates belongs to."""
        return ANONYMOUS_ID if self.account is None else self.account.id


Span = tuple[int, int]
"""Offset and length in bytes."""

ChooseSpan = Callable[[ObjectVersion], Span | None]
"""Decides which bytes of a version a read sends, once it is known: Range against its size, If-Range
against its validators.  None: all of it.

:raises InvalidRange: no byte of the range exists.
"""
