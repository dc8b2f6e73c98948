"""Request target, Host and method → the operation, bucket and key that are meant."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from bleepstore.wire.headers import Headers
from bleepstore.wire.operations import Operation


class Route(Struct, frozen=True):
    """What a request is about.

    :ivar operation: may be one that is not ``served``: answer NotImplemented, touch nothing.
    :ivar bucket: empty at service level.
    :ivar key: empty at service and bucket level.
    :ivar query: parameters by name, decoded; of repeated ones the first.
    """

    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]


class Router:
    """Routes requests.

    :param domains: ``bucket.DOMAIN`` is virtual-host style; any other Host is path style.
    """

    def __init__(self, domains: Iterable[str] = ()) -> None: ...

    def route(self, method: bytes, target: bytes, headers: Headers) -> Route:
        """Route one request.

        :param target: the request target as sent.
        :raises InvalidURI: bad percent-encoding, not UTF-8, or no target of HTTP.
        :raises KeyTooLongError: the key is over 1,024 bytes.
        :raises InvalidBucketName: path style with an empty bucket before a key.
        :raises InvalidArgument: conflicting sub-resources.
        :raises MethodNotAllowed: with ``Method`` and ``ResourceType``.
        :raises AccessForbidden: a CORS preflight; no bucket has CORS here.
        """
        ...
