"""Content-MD5 and the additional checksums in headers and trailers.

Source: "Checking object integrity", S3 User Guide.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from functools import lru_cache

from msgspec import Struct

from bleepstore.errors import (
    InvalidDigest,
    InvalidRequest,
)
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.wire.headers import Header, Headers, text_of

_BY_HEADER = {algorithm.header.encode(): algorithm for algorithm in ChecksumAlgorithm}
_HEADER_OF = {algorithm: header for header, algorithm in _BY_HEADER.items()}
_PREFIX = b"x-amz-checksum-"
_PAYLOAD = b"x-amz-content-sha256"
_SDK_ALGORITHM = b"x-amz-sdk-checksum-algorithm"
_TRAILER = b"x-amz-trailer"
_TYPE = b"x-amz-checksum-type"
_ALGORITHM = b"x-amz-checksum-algorithm"
_NO_ALGORITHM = frozenset((_TYPE, _ALGORITHM, b"x-amz-checksum-mode"))


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
    value = headers.get(b"content-md5")
    if value is None:
        return None
    raw = _decoded(value)
    if raw is None or len(raw) != 16:
        raise InvalidDigest(**{"Content-MD5": text_of(value)})
    return raw


def claimed_checksum(headers: Headers) -> ClaimedChecksum | None:
    """The checksum of the body of PutObject or UploadPart, or of an XML body.

    :raises InvalidRequest: malformed value, several checksums, an unknown algorithm, or
        x-amz-sdk-checksum-algorithm of another algorithm.
    """
    name = _one_checksum(headers)
    trailer = headers.get(_TRAILER)
    sdk = headers.get(_SDK_ALGORITHM) or None  # an empty one is none, as in S3
    if name is None and trailer is None and sdk is None:
        return None
    if name is not None:
        if trailer is not None and not _announced_in_vain(headers, name):
            raise _several()
        algorithm = _BY_HEADER[name]
        claim = ClaimedChecksum(algorithm, _checked_value(algorithm, headers[name]))
    elif trailer is not None:
        announced = _BY_HEADER.get(trailer.lower())
        if announced is None:
            raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
        claim = ClaimedChecksum(announced)
    else:
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found."
        )
    if sdk is not None and text_of(sdk).upper() != claim.algorithm.value:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return claim


def _announced_in_vain(headers: Headers, name: bytes) -> bool:
    """Whether x-amz-trailer names the checksum of this header, and the body has no trailer.

    So does version 2 of the AWS SDK for Java over plain HTTP, when its caller gives both an
    algorithm and a value: the chunks are signed, and nothing follows the last one.
    """
    repeated = headers[_TRAILER].lower() == name
    return repeated and not headers.get(_PAYLOAD, b"").endswith(b"-TRAILER")


def upload_checksum(headers: Headers) -> tuple[ChecksumAlgorithm | None, ChecksumType | None]:
    """x-amz-checksum-algorithm and -type of CreateMultipartUpload; the type is the algorithm's
    default where only the algorithm was sent.

    :raises InvalidRequest: unknown, or a type that the algorithm does not have.
    """
    algorithm = copy_algorithm(headers)
    kind = _checksum_type(headers)
    if algorithm is None:
        if kind is not None:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the "
                "x-amz-checksum-algorithm header."
            )
        return None, None
    if kind is None:
        return algorithm, algorithm.types[0]
    if kind not in algorithm.types:
        raise InvalidRequest(
            f"The {kind.value} checksum type cannot be used with the "
            f"{algorithm.value.lower()} checksum algorithm."
        )
    return algorithm, kind


def copy_algorithm(headers: Headers) -> ChecksumAlgorithm | None:
    """x-amz-checksum-algorithm of CopyObject.

    :raises InvalidRequest: unknown.
    """
    value = headers.get(_ALGORITHM)
    if value is None:
        return None
    try:
        return ChecksumAlgorithm(text_of(value).upper())
    except ValueError:
        names = ", ".join(algorithm.value for algorithm in ChecksumAlgorithm)
        raise InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{names}]"
        ) from None


def expected_whole(headers: Headers) -> ExpectedWhole:
    """Checksum, x-amz-checksum-type and x-amz-mp-object-size of CompleteMultipartUpload.

    A composite value may carry its ``-N``.

    :raises InvalidRequest: malformed, several, or a type that the algorithm does not have.
    """
    kind = _checksum_type(headers)
    checksum = None
    name = _one_checksum(headers)
    if name is not None:
        algorithm = _BY_HEADER[name]
        value, dash, count = headers[name].partition(b"-")
        if dash and not (count.isdigit() and len(count) <= 5):
            raise _invalid_value(algorithm)
        text = _checked_value(algorithm, value) + (dash + count).decode()
        implied = ChecksumType.COMPOSITE if dash else kind or algorithm.types[-1]
        if implied not in algorithm.types or (kind is not None and kind is not implied):
            raise _invalid_value(algorithm)
        checksum = Checksum(algorithm, text, implied)
    size = headers.get(b"x-amz-mp-object-size")
    if size is not None and not (size.isdigit() and len(size) <= 19):
        raise InvalidRequest("Value for x-amz-mp-object-size header is invalid.")
    return ExpectedWhole(checksum, kind, None if size is None else int(size))


def wants_checksum(headers: Headers) -> bool:
    """Whether x-amz-checksum-mode asks for the checksum headers.

    :raises InvalidRequest: another value than ENABLED.
    """
    value = headers.get(b"x-amz-checksum-mode")
    if value is None:
        return False
    if value.upper() != b"ENABLED":
        raise InvalidRequest("Value for x-amz-checksum-mode header is invalid.")
    return True


def checksum_headers(checksum: Checksum, with_type: bool = True) -> list[Header]:
    """The response headers of a checksum; parts have no x-amz-checksum-type."""
    headers = [(_HEADER_OF[checksum.algorithm], checksum.value.encode())]
    if with_type:
        headers.append((_TYPE, checksum.type.value.encode()))
    return headers


def _decoded(value: bytes) -> bytes | None:
    """Canonical base64, decoded; None if it is anything else."""
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        return None
    return raw if b64encode(raw) == value else None


def _checked_value(algorithm: ChecksumAlgorithm, value: bytes) -> str:
    raw = _decoded(value)
    if raw is None or len(raw) != algorithm.size:
        raise _invalid_value(algorithm)
    return value.decode()


def _invalid_value(algorithm: ChecksumAlgorithm) -> InvalidRequest:
    return InvalidRequest(f"Value for {algorithm.header} header is invalid.")


def _several() -> InvalidRequest:
    return InvalidRequest(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )


def _one_checksum(headers: Headers) -> bytes | None:
    """The name of the one x-amz-checksum-ALGORITHM header; None if there is none."""
    found = _checksum_names(tuple(headers))
    if not found:
        return None
    if not _BY_HEADER.keys() >= set(found):
        raise InvalidRequest(
            "The algorithm type you specified in x-amz-checksum- header is invalid."
        )
    if len(found) > 1:
        raise _several()
    return found[0]


@lru_cache(maxsize=64)  # a client sends the same names again and again
def _checksum_names(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Those of a request's header names that carry a checksum, of whatever algorithm."""
    return tuple([name for name in names if name[:15] == _PREFIX and name not in _NO_ALGORITHM])


def _checksum_type(headers: Headers) -> ChecksumType | None:
    value = headers.get(_TYPE)
    if value is None:
        return None
    try:
        return ChecksumType(text_of(value).upper())
    except ValueError:
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.") from None
