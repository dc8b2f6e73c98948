"""The map of request headers that the other modules of this package read.

Names are lower-case bytes, values bytes as sent, without the blanks around them.
"""

from __future__ import annotations

from collections.abc import Mapping

from bleepstore import errors

Headers = Mapping[bytes, bytes]
Header = tuple[bytes, bytes]

_ENCRYPTION = (
    b"x-amz-server-side-encryption",
    b"x-amz-server-side-encryption-aws-kms-key-id",
    b"x-amz-server-side-encryption-bucket-key-enabled",
    b"x-amz-server-side-encryption-context",
    b"x-amz-server-side-encryption-customer-algorithm",
    b"x-amz-server-side-encryption-customer-key",
    b"x-amz-server-side-encryption-customer-key-md5",
    b"x-amz-copy-source-server-side-encryption-customer-algorithm",
    b"x-amz-copy-source-server-side-encryption-customer-key",
    b"x-amz-copy-source-server-side-encryption-customer-key-md5",
)
_LOCK = (
    b"x-amz-object-lock-event-hold",
    b"x-amz-object-lock-event-hold-duration-days",
    b"x-amz-object-lock-event-hold-duration-years",
    b"x-amz-object-lock-legal-hold",
    b"x-amz-object-lock-mode",
    b"x-amz-object-lock-retain-until-date",
)
_DIRECTORY_BUCKETS = (
    b"x-amz-if-match-initiated-time",
    b"x-amz-if-match-last-modified-time",
    b"x-amz-if-match-size",
    b"x-amz-write-offset-bytes",
)
_OTHERS = (
    b"x-amz-bucket-namespace",
    b"x-amz-bucket-object-lock-enabled",
    b"x-amz-mfa",
    b"x-amz-object-ownership",
    b"x-amz-tagging",
    b"x-amz-website-redirect-location",
)
_OWNERS = (b"x-amz-expected-bucket-owner", b"x-amz-source-expected-bucket-owner")
_UNSUPPORTED = frozenset((*_ENCRYPTION, *_LOCK, *_DIRECTORY_BUCKETS, *_OTHERS))
_HARMLESS = {
    (b"x-amz-bucket-namespace", b"global"),
    (b"x-amz-bucket-object-lock-enabled", b"false"),
    (b"x-amz-object-ownership", b"objectwriter"),
    (b"x-amz-server-side-encryption-bucket-key-enabled", b"false"),
    (b"x-amz-tagging", b""),
}
"""Values that ask for what is the case anyway."""


def text_of(value: bytes) -> str:
    """A header's value as text: UTF-8, or Latin-1 where it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def header_text(headers: Headers, name: bytes) -> str | None:
    """A header's value as text, as :func:`text_of`; None: not sent."""
    value = headers.get(name)
    return None if value is None else text_of(value)


def refuse_empty_owners(headers: Headers) -> None:
    """Refuse an expected owner that is nobody, as S3 does: a client that has lost the id means
    to be protected still.

    :raises InvalidBucketOwnerAWSAccountID:
    """
    for name in _OWNERS:
        if headers.get(name) == b"":
            raise errors.InvalidBucketOwnerAWSAccountID


def refuse_unsupported(headers: Headers) -> None:
    """Refuse headers that ask for what this server does not do; silence would be a lie.

    Server-side encryption, tags, object lock, website redirects, appends, MFA ...

    :raises NotImplemented: with the name as ``Header``.
    """
    if _UNSUPPORTED.isdisjoint(headers):
        return
    for name in sorted(_UNSUPPORTED & headers.keys()):
        if (name, headers[name].lower()) not in _HARMLESS:
            raise unsupported_header(name.decode())


def unsupported_header(name: str, more: str = "") -> errors.NotImplemented:
    """NotImplemented that names a header.

    :param more: what is wrong with it, where S3 says so.
    """
    return errors.NotImplemented(
        "A header you provided implies functionality that is not implemented",
        Header=name,
        **({"additionalMessage": more} if more else {}),
    )


def invalid_header(name: bytes, value: bytes, message: str) -> errors.InvalidArgument:
    """InvalidArgument that names a header and what it said."""
    return errors.InvalidArgument(message, ArgumentName=name.decode(), ArgumentValue=text_of(value))
