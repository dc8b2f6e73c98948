"""Preconditions, as pure decisions (RFC 9110 section 13; S3 "Conditional requests").

Times compare in whole seconds: HTTP dates have no fraction.
"""

from __future__ import annotations

from msgspec import Struct

from bleepstore.errors import NoSuchKey, NotModified, PreconditionFailed


class ReadConditions(Struct, frozen=True, omit_defaults=True):
    """The four conditions of a read, or of a copy's source.

    ETags are lists without quotes; ``*`` stands for any.  Times are milliseconds since the
    epoch, whole seconds.  None: the condition was not sent.
    """

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None
    if_modified_since: int | None = None
    if_unmodified_since: int | None = None


class WriteConditions(Struct, frozen=True, omit_defaults=True):
    """The conditions of a write, decided inside the metadata transaction.

    :ivar if_match: the ETag that the current object must have, or ``*`` for any object.
    :ivar if_none_match: True for ``If-None-Match: *``: there must be no object.
    """

    if_match: str | None = None
    if_none_match: bool = False


def check_read(conditions: ReadConditions, etag: str, last_modified: int) -> None:
    """Decide the read conditions with RFC 9110's precedence (section 13.2.2).

    :raises PreconditionFailed: with the failed header's name as ``Condition``.
    :raises NotModified: If-None-Match or If-Modified-Since says so.
    """
    modified = last_modified // 1000
    if conditions.if_match is not None:
        if "*" not in conditions.if_match and etag not in conditions.if_match:
            raise PreconditionFailed(Condition="If-Match")
    elif (
        conditions.if_unmodified_since is not None
        and modified > conditions.if_unmodified_since // 1000
    ):
        raise PreconditionFailed(Condition="If-Unmodified-Since")
    if conditions.if_none_match is not None:
        if "*" in conditions.if_none_match or etag in conditions.if_none_match:
            raise NotModified
    elif (
        conditions.if_modified_since is not None
        and modified <= conditions.if_modified_since // 1000
    ):
        raise NotModified


def check_copy_source(conditions: ReadConditions, etag: str, last_modified: int) -> None:
    """The same for ``x-amz-copy-source-if-*``: what would be 304 for a read is 412 for a copy.

    :raises PreconditionFailed: with the failed header's name as ``Condition``.
    """
    try:
        check_read(conditions, etag, last_modified)
    except PreconditionFailed as error:
        name = error.details["Condition"]
    except NotModified:
        name = "If-None-Match" if conditions.if_none_match is not None else "If-Modified-Since"
    else:
        return
    raise PreconditionFailed(Condition=f"x-amz-copy-source-{name}")


def check_write(conditions: WriteConditions, current_etag: str | None, key: str) -> None:
    """Decide a write against the current object's ETag (None: there is no object).

    :raises PreconditionFailed: the object is, or is not, what the client expects.
    :raises NoSuchKey: If-Match was sent and there is no object (S3 answers 404); with ``Key``.
    """
    if conditions.if_none_match and current_etag is not None:
        raise PreconditionFailed(Condition="If-None-Match")
    if conditions.if_match is not None:
        if current_etag is None:
            raise NoSuchKey(Key=key)
        if conditions.if_match not in ("*", current_etag):
            raise PreconditionFailed(Condition="If-Match")
