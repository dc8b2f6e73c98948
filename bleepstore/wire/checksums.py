"""Content-MD5 and the additional checksums in headers and trailers."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.wire.headers import Header, Headers


class ClaimedChecksum(Struct, frozen=True):
    """The checksum that a client sends for a body.

    :ivar value: base64, validated; empty when it comes in the trailer.
    """

    algorithm: ChecksumAlgorithm
    value: str = ""


class ExpectedWhole(Struct, frozen=True):
    """What CompleteMultipartUpload's headers say of the whole object; None: not said."""

    checksum: Checksum | None = None
    checksum_type: ChecksumType | None = None
    size: int | None = None


def content_md5(headers: Headers) -> bytes | None:
    """The 16 raw bytes of Content-MD5; None if not sent.

    :raises InvalidDigest: not base64 of 16 bytes.
    """
    ...


def claimed_checksum(headers: Headers) -> ClaimedChecksum | None:
    """The checksum of the body of PutObject or UploadPart, or of an XML body.

    :raises InvalidRequest: malformed value, several checksums, unknown algorithm, or
        x-amz-sdk-checksum-algorithm of another algorithm.
    """
    ...


def trailer_value(claim: ClaimedChecksum, trailers: Mapping[str, str]) -> str:
    """The base64 value of a checksum announced by x-amz-trailer, from the trailers that came.

    :raises MalformedTrailerError: it did not come.
    :raises InvalidRequest: it is malformed.
    """
    ...


def upload_checksum(headers: Headers) -> tuple[ChecksumAlgorithm | None, ChecksumType | None]:
    """x-amz-checksum-algorithm and -type of CreateMultipartUpload; the type is the algorithm's
    default where only the algorithm was sent.

    :raises InvalidRequest: unknown, or a type that the algorithm does not have.
    """
    ...


def copy_algorithm(headers: Headers) -> ChecksumAlgorithm | None:
    """x-amz-checksum-algorithm of CopyObject.

    :raises InvalidRequest: unknown.
    """
    ...


def expected_whole(headers: Headers) -> ExpectedWhole:
    """Checksum, x-amz-checksum-type and x-amz-mp-object-size of CompleteMultipartUpload.

    :raises InvalidRequest:
    """
    ...


def wants_checksum(headers: Headers) -> bool:
    """Whether x-amz-checksum-mode asks for the checksum headers.

    :raises InvalidArgument: another value than ENABLED.
    """
    ...


def checksum_headers(checksum: Checksum, with_type: bool = True) -> list[Header]:
    """The response headers of a checksum; parts have no x-amz-checksum-type."""
    ...
