"""When a call is made again, and after how long.  Pure: time and dice are given.

Exponential back-off with full jitter ("Exponential Backoff and Jitter", AWS Architecture Blog):
a wait is anything from nothing to the bound, so that clients that failed together do not come back
together.  A server's Retry-After (RFC 9110, section 10.2.3) is the least wait.

A budget over all calls of a service ("retry token bucket" of the AWS SDKs) keeps retries from
multiplying the load of a service that is down: when it is empty, errors come up at once.
"""

from __future__ import annotations

from msgspec import Struct

from bleepstore.remote.failures import (
    PASSING,
    THROTTLED,
    CredentialsUnavailable,
    Fault,
    Refusal,
    RemoteFailure,
    Unreachable,
)
from bleepstore.wire.dates import parse_http_date

RETRIED_STATUS = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses that all three providers document as worth another attempt."""


class Policy(Struct, frozen=True, kw_only=True):
    """Bounds of one call; seconds.

    :ivar attempts: at most, the first one included.
    :ivar base: bound of the first wait; it doubles with each attempt, …
    :ivar cap: … up to this.
    :ivar total: after which no further attempt begins.
    """

    attempts: int = 5
    base: float = 0.1
    cap: float = 5.0
    total: float = 60.0


class Budget:
    """Tokens for retries, shared by all calls of a service.

    :param tokens: when full.
    """

    COST = 5
    COST_OF_TIMEOUT = 10

    def __init__(self, tokens: int = 500) -> None:
        self._most = tokens
        self._tokens = tokens

    def spend(self, failure: RemoteFailure) -> bool:
        """Take what a retry after this failure costs; False if there is not enough."""
        timeout = isinstance(failure, Unreachable) and failure.fault.timeout
        cost = self.COST_OF_TIMEOUT if timeout else self.COST
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def succeeded(self) -> None:
        """A call succeeded: one token comes back."""
        self._tokens = min(self._most, self._tokens + 1)


def worth_retrying(failure: RemoteFailure, idempotent: bool) -> bool:
    """Whether another attempt may succeed, and do no harm.

    :param idempotent: whether the request may be made twice.  If not, it is made again only if
        the first was certainly not carried out.
    """
    if isinstance(failure, CredentialsUnavailable):
        return False
    if isinstance(failure, Unreachable):
        if failure.fault in (Fault.TLS, Fault.BUSY):
            return False
        return idempotent or failure.fault in (Fault.CONNECT, Fault.CONNECT_TIMEOUT)
    if isinstance(failure, Refusal) and (
        failure.status in RETRIED_STATUS or failure.code in PASSING
    ):
        return idempotent or failure.status in (429, 503) or failure.code in THROTTLED
    return False


def wait_before(
    attempt: int, failure: RemoteFailure, elapsed: float, chance: float, policy: Policy
) -> float | None:
    """Seconds to wait before the next attempt, or None if there shall be none.

    :param attempt: how many were made, from 1.
    :param elapsed: seconds since the call began.
    :param chance: from 0 up to 1, exclusive.
    """
    if attempt >= policy.attempts:
        return None
    wait = chance * min(policy.cap, policy.base * 2 ** (attempt - 1))
    if isinstance(failure, Refusal) and failure.retry_after is not None:
        wait += failure.retry_after
    return wait if elapsed + wait <= policy.total else None


def parse_retry_after(value: bytes, now: int) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, section 10.2.3).

    :param now: milliseconds since the epoch.
    """
    value = value.strip()
    if value.isdigit() and len(value) <= 9:
        return float(value)
    date = parse_http_date(value)
    return None if date is None else max(0.0, (date - now) / 1000)
