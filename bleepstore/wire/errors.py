"""StoreErrors on the wire: status, headers and the ``<Error>`` body.

Source of the statuses: "List of error codes", Amazon S3 API reference.
"""

from __future__ import annotations

from bleepstore.errors import StoreError
from bleepstore.wire.headers import Header
from bleepstore.wire.operations import ALLOWED_METHODS
from bleepstore.wire.xml_text import DECLARATION, readable

_BY_STATUS: dict[int, tuple[str, ...]] = {
    304: ("NotModified",),
    400: (
        "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "BadDigest",
        "BadRequest", "EntityTooLarge", "EntityTooSmall", "IllegalLocationConstraintException",
        "IncompleteBody", "InvalidArgument", "InvalidBucketName", "InvalidBucketOwnerAWSAccountID",
        "InvalidDigest",
        "InvalidLocationConstraint", "InvalidPart", "InvalidPartOrder", "InvalidRequest",
        "InvalidStorageClass", "InvalidToken", "InvalidURI", "KeyTooLongError",
        "MalformedACLError", "MalformedTrailerError", "MalformedXML", "MaxMessageLengthExceeded",
        "MetadataTooLarge", "MissingRequestBodyError", "MissingSecurityHeader",
        "RequestHeaderSectionTooLarge", "RequestTimeout", "UnexpectedContent",
        "UnresolvableGrantByEmailAddress", "UserKeyMustBeSpecified", "XAmzContentSHA256Mismatch",
    ),
    403: (
        "AccessDenied", "AccessForbidden", "InvalidAccessKeyId", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    ),
    404: ("NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NoSuchVersion"),
    405: ("MethodNotAllowed",),
    409: (
        "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketChanged", "BucketNotEmpty",
        "OperationAborted", "SourceChanged", "Displaced",
    ),
    411: ("MissingContentLength",),
    412: ("PreconditionFailed",),
    416: ("InvalidPartNumber", "InvalidRange"),
    500: ("InternalError",),
    501: ("NotImplemented",),
    503: ("ServiceUnavailable", "SlowDown"),
    507: ("InsufficientStorage",),
}  # fmt: skip

STATUS: dict[str, int] = {code: status for status, codes in _BY_STATUS.items() for code in codes}
"""Error code → HTTP status; total over all subclasses of StoreError (a test proves it)."""


RETRY_AFTER: Header = (b"Retry-After", b"1")
"""RFC 9110, section 10.2.3: with 503, how long it is expected to last, in seconds.  A new leader
takes about one; a client that comes back later loses nothing but time."""


def status_of(error: StoreError) -> int:
    """The HTTP status of an error."""
    return STATUS[error.code]


def error_headers(error: StoreError) -> list[Header]:
    """The headers an error needs beside Content-Type: Allow for 405, Content-Range for 416,
    Retry-After for 503."""
    if error.code == "MethodNotAllowed":  # RFC 9110, 15.5.6: Allow is a must
        allowed = ALLOWED_METHODS.get(error.details.get("ResourceType", ""), "")
        return [(b"Allow", allowed.encode())]
    if error.code in _BY_STATUS[503]:
        return [RETRY_AFTER]
    size = error.details.get("ActualObjectSize")
    if error.code == "InvalidRange" and size is not None:  # RFC 9110, 15.5.17
        return [(b"Content-Range", f"bytes */{size}".encode("latin-1"))]
    return []


def error_body(error: StoreError, resource: str, request_id: str, host_id: str) -> bytes:
    """The XML document of an error (S3 API reference, "REST error responses"); no namespace.

    :param resource: the path that was asked for, decoded or raw; made safe for XML here.
    """
    details = "".join(f"<{name}>{readable(text)}</{name}>" for name, text in error.details.items())
    return (
        f"{DECLARATION}<Error><Code>{error.code}</Code><Message>{readable(error.message)}</Message>"
        f"{details}<Resource>{readable(resource)}</Resource><RequestId>{readable(request_id)}"
        f"</RequestId><HostId>{readable(host_id)}</HostId></Error>"
    ).encode()
