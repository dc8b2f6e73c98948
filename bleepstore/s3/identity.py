"""The identity of a request: the two ids that every response carries.

``x-amz-request-id`` is 16 upper-case hex digits, different for every request of a process and,
by the process's random start, for those of others.  ``x-amz-id-2`` names the process.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, odd: its multiples run through all 64-bit numbers before
one comes again, and neighbours look nothing alike."""


def request_ids(seed: int) -> Callable[[], str]:
    """A source of request ids.

    :param seed: 64 random bits, another number in every process.
    """
    state = seed & _MASK

    def following() -> str:
        nonlocal state
        state = (state + _STRIDE) & _MASK
        return f"{state:016X}"

    return following


def host_id(seed: int) -> str:
    """``x-amz-id-2`` of a process: 32 bytes that tell nothing, in base64."""
    return b64encode(sha256(b"x-amz-id-2:%d" % seed).digest()).decode()
