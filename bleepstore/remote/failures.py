"""What can go wrong with a call to another cloud, and what that is in S3's words.

A provider's answer that is no success is a :class:`Refusal`, with the provider's own code and
request id.  Everything else (no connection, no answer, half an answer) is :class:`Unreachable`.
:func:`store_error` is the one table from both to ``bleepstore.errors``.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from bleepstore.errors import (
    AccessDenied,
    InternalError,
    NoSuchKey,
    PreconditionFailed,
    RequestTimeout,
    ServiceUnavailable,
    SlowDown,
    StoreError,
)


class Fault(Enum):
    """How a server was not reached.

    :cvar CONNECT: no connection could be made.
    :cvar TLS: its certificate, or the handshake, was refused: trying again is of no use.
    :cvar BROKEN: the connection broke before the answer was whole, or the answer was no HTTP.
    :cvar CONNECT_TIMEOUT: no connection in time.
    :cvar HEAD_TIMEOUT: no answer in time.
    :cvar STALLED: nothing moved for too long.
    :cvar BUSY: all connections to it were in use for too long.
    """

    CONNECT = "no connection"
    TLS = "no trust"
    BROKEN = "connection broken"
    CONNECT_TIMEOUT = "no connection in time"
    HEAD_TIMEOUT = "no answer in time"
    STALLED = "stalled"
    BUSY = "too many requests under way"

    @property
    def timeout(self) -> bool:
        """Whether it is a matter of time."""
        return self in (Fault.CONNECT_TIMEOUT, Fault.HEAD_TIMEOUT, Fault.STALLED)


class RemoteFailure(Exception):
    """A call to another cloud has failed.

    :ivar is_logged: whether the log has been told.
    """

    is_logged = False


class Unreachable(RemoteFailure):
    """There was no answer, or only a part of one.

    :ivar fault: how.
    :ivar detail: for the log.
    """

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault
        self.detail = detail


class CredentialsUnavailable(RemoteFailure):
    """No credentials are to be had; the message says where they were looked for, never what
    they are."""


class ProviderError(Struct, frozen=True, kw_only=True):
    """What a provider says of an error.

    :ivar status: HTTP status.
    :ivar code: the provider's own: ``NoSuchKey``, ``conditionNotMet``, ``BlobNotFound``; ``""``
        if it gave none.
    :ivar message: its sentence, shortened.
    :ivar request_id: by which its support finds the request; ``""`` if it gave none.
    """

    status: int
    code: str = ""
    message: str = ""
    request_id: str = ""


class Refusal(RemoteFailure):
    """The provider answered, and not with what was asked for.

    :ivar error: what it said.
    :ivar retry_after: seconds it asks to wait, or None.
    """

    def __init__(self, error: ProviderError, retry_after: float | None = None) -> None:
        super().__init__(f"{error.status} {error.code} {error.message}".rstrip())
        self.error = error
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.error.status

    @property
    def code(self) -> str:
        """The provider's own code."""
        return self.error.code


_BY_STATUS: dict[int, type[StoreError]] = {
    401: AccessDenied,
    403: AccessDenied,
    408: RequestTimeout,
    412: PreconditionFailed,
    429: SlowDown,
    500: InternalError,
    502: ServiceUnavailable,
    503: SlowDown,
    504: RequestTimeout,
}


THROTTLED = frozenset(
    (
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    )
)
"""Codes that say "slower, please" whatever the status is: STS and KMS say it with a 400 ("Retry
behavior", AWS SDKs and Tools Reference Guide)."""

TIMED_OUT = frozenset(("RequestTimeout", "RequestTimeoutException"))
"""Codes for a request whose body did not come in time: S3 says it with a 400, of the client that
sends slowly through a gateway ("Error responses", Amazon S3 API Reference)."""

PASSING = frozenset((*THROTTLED, *TIMED_OUT, "IDPCommunicationError"))
"""Codes of refusals that another attempt may not meet, whatever the status is."""


_REFUSED = "The storage behind this server refused what it was asked."
"""For the log and for health; a client is told no more than that there was an internal error."""

NO_PLACE = frozenset(
    ("ContainerBeingDeleted", "ContainerDisabled", "ContainerNotFound", "NoSuchBucket")
)
"""Codes of a refusal because the bucket or the container itself is not there."""


def no_place() -> StoreError:
    """The bucket or the container that holds everything is not there: the operator's to mend, and
    the log has been told."""
    return _internal("The bucket or container behind this server is not there.", True)


def _internal(message: str, is_logged: bool) -> InternalError:
    error = InternalError(message)
    error.is_logged = is_logged
    return error


def store_error(failure: RemoteFailure, missing: type[StoreError] = NoSuchKey) -> StoreError:
    """What a failure is in S3's words.

    Nothing of what the provider said is shown to a client: it may name the operator's buckets
    and accounts.  It is in the log.

    :param missing: what a 404 means here.
    """
    if isinstance(failure, Refusal):
        status = failure.status
        if failure.code in NO_PLACE:
            return no_place()
        if status == 404:
            return missing()
        kind = _BY_STATUS.get(status)
        if failure.code in TIMED_OUT:
            kind = RequestTimeout
        elif failure.code in THROTTLED:
            kind = SlowDown
        if kind is None:
            kind = ServiceUnavailable if status > 500 else InternalError
        return _internal(_REFUSED, failure.is_logged) if kind is InternalError else kind()
    if isinstance(failure, Unreachable):
        if failure.fault.timeout:
            return RequestTimeout("The storage behind this server did not answer in time.")
        if failure.fault is Fault.BUSY:
            return SlowDown()
        return ServiceUnavailable("The storage behind this server cannot be reached.")
    return ServiceUnavailable("The storage behind this server cannot be used.")
