"""What can go wrong, in the words of the domain.

Every refusal that a client can see is a subclass of :class:`StoreError`.  The
class name is S3's error code (``wire.errors`` maps classes to HTTP statuses and
proves that none is forgotten); ``message`` is what the client reads; ``details``
are the extra elements S3 adds to that error's body, in order, for example
``BucketName`` or ``ArgumentName``.

This module knows no HTTP, no XML and no Twisted.  An exception that is *not* a
StoreError is a defect and becomes InternalError at the front.
"""

from __future__ import annotations


class StoreError(Exception):
    """A refusal with an S3 error code.

    :param message: for the client; the class's own sentence when not given.
    :param details: element name → text, added to the error body in this order.
    """

    message: str = "The request was refused."

    def __init__(self, message: str | None = None, /, **details: str) -> None:
        if message is not None:
            self.message = message
        self.details: dict[str, str] = details
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The S3 error code: the name of the class."""
        return type(self).__name__


# Buckets


class NoSuchBucket(StoreError):
    message = "The specified bucket does not exist"


class BucketAlreadyExists(StoreError):
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users "
        "of the system. Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(StoreError):
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(StoreError):
    message = "The bucket you tried to delete is not empty"


class InvalidBucketName(StoreError):
    message = "The specified bucket is not valid."


class InvalidBucketOwnerAWSAccountID(StoreError):
    message = "The value of the expected bucket owner parameter must be an AWS account ID."


class InvalidLocationConstraint(StoreError):
    message = "The specified location-constraint is not valid"


class IllegalLocationConstraintException(StoreError):
    message = (
        "The unspecified location constraint is incompatible for the region specific endpoint "
        "this request was sent to."
    )


# Objects


class NoSuchKey(StoreError):
    message = "The specified key does not exist."


class NoSuchVersion(StoreError):
    message = "The specified version does not exist."


class KeyTooLongError(StoreError):
    message = "Your key is too long"


class EntityTooLarge(StoreError):
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(StoreError):
    message = "Your proposed upload is smaller than the minimum allowed size"


class MetadataTooLarge(StoreError):
    message = "Your metadata headers exceed the maximum allowed metadata size"


class InvalidRange(StoreError):
    message = "The requested range is not satisfiable"


class PreconditionFailed(StoreError):
    message = "At least one of the pre-conditions you specified did not hold"


class NotModified(StoreError):
    """A read condition says that the client's copy is current.  It has no body."""

    message = "Not Modified"


class InvalidStorageClass(StoreError):
    message = "The storage class you specified is not valid"


class OperationAborted(StoreError):
    message = (
        "A conflicting conditional operation is currently in progress against this resource. "
        "Try again."
    )


class SourceChanged(StoreError):
    """The copy source was replaced between its reading and the copy; the use case reads it again.

    Never reaches a client: objectstore retries, and gives up with OperationAborted.
    """

    message = "The source of the copy has changed."


class BucketChanged(StoreError):
    """A bucket is another one, or has another ACL, than the one by which a command was admitted.

    Never reaches a client: objectstore decides anew.
    """

    message = "The bucket has changed."


class Displaced(SourceChanged):
    """Other bytes than those looked for lie under a name in the cloud, or none.

    Never reaches a client: objectstore looks what is there now, and tries again.
    """

    message = "The object was replaced."


# Multipart uploads


class NoSuchUpload(StoreError):
    message = (
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed."
    )


class InvalidPart(StoreError):
    message = (
        "One or more of the specified parts could not be found.  The part may not have been "
        "uploaded, or the specified entity tag may not match the part's entity tag."
    )


class InvalidPartNumber(StoreError):
    message = "The requested partnumber is not satisfiable"


class InvalidPartOrder(StoreError):
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


# Requests


class InvalidRequest(StoreError):
    message = "Invalid Request"


class InvalidArgument(StoreError):
    message = "Invalid Argument"


class InvalidURI(StoreError):
    message = "Couldn't parse the specified URI."


class InvalidDigest(StoreError):
    message = "The Content-MD5 you specified was invalid."


class BadDigest(StoreError):
    message = "The Content-MD5 you specified did not match what we received."


class IncompleteBody(StoreError):
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class MissingContentLength(StoreError):
    message = "You must provide the Content-Length HTTP header."


class MissingRequestBodyError(StoreError):
    message = "Request Body is empty"


class UserKeyMustBeSpecified(StoreError):
    """A key that is to be deleted among others is empty."""

    message = "User key must be specified."


class MalformedXML(StoreError):
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class MalformedACLError(StoreError):
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class MalformedTrailerError(StoreError):
    message = (
        "The request contained trailing data that was not well-formed or did not conform to our "
        "published schema."
    )


class UnexpectedContent(StoreError):
    """A body beside headers that say the same; S3 takes either."""

    message = "This request does not support content"


class UnresolvableGrantByEmailAddress(StoreError):
    message = "The e-mail address you provided does not match any account on record."


class MethodNotAllowed(StoreError):
    message = "The specified method is not allowed against this resource."


class NotImplemented(StoreError):  # shadows the builtin on purpose: it is S3's code
    message = "A header or query you provided implies functionality that is not implemented"


class RequestTimeout(StoreError):
    message = (
        "Your socket connection to the server was not read from or written to within the "
        "timeout period."
    )


class RequestHeaderSectionTooLarge(StoreError):
    message = "Your request header section exceeds the maximum allowed header section size."


class MaxMessageLengthExceeded(StoreError):
    message = "Your request was too big."


class BadRequest(StoreError):
    message = "An error occurred when parsing the HTTP request."


# Identity


class AccessDenied(StoreError):
    message = "Access Denied"


class AccessForbidden(StoreError):
    """S3's answer to a CORS preflight that no rule allows."""

    message = "CORSResponse: CORS is not enabled for this bucket."


class InvalidAccessKeyId(StoreError):
    message = "The AWS Access Key Id you provided does not exist in our records."


class SignatureDoesNotMatch(StoreError):
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )


class InvalidToken(StoreError):
    message = "The provided token is malformed or otherwise invalid."


class RequestTimeTooSkewed(StoreError):
    message = "The difference between the request time and the current time is too large."


class AuthorizationHeaderMalformed(StoreError):
    message = "The authorization header is malformed."


class AuthorizationQueryParametersError(StoreError):
    message = "The authorization query parameters are malformed."


class MissingSecurityHeader(StoreError):
    message = "Your request was missing a required header"


class XAmzContentSHA256Mismatch(StoreError):
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."


# The server


class InternalError(StoreError):
    """:ivar is_logged: whether the log has been told already: of what a cloud has refused, in its
    own words.  A trace would add nothing."""

    message = "We encountered an internal error. Please try again."
    is_logged = False


class ServiceUnavailable(StoreError):
    message = "Please reduce your request rate."


class SlowDown(StoreError):
    message = "Please reduce your request rate."


class InsufficientStorage(StoreError):
    """The disk, or the configured size of a store, is full."""

    message = "The server has no room left for this object."
