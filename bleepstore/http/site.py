"""twisted.web resources on the HTTP channel: documentation, metrics, health, administration."""

from __future__ import annotations

from twisted.web.resource import IResource

from bleepstore.interfaces.http import IHttpRequest


class ResourceSite:
    """A handler that renders twisted.web resources.

    :param max_body: bytes of a request's body, which is read whole before a resource sees it;
        a longer one is refused with MaxMessageLengthExceeded.
    """

    def __init__(self, root: IResource, max_body: int = 1 << 20) -> None: ...

    def __call__(self, request: IHttpRequest) -> None:
        """Collect the body, find the resource by the path's segments, render it."""
        ...
