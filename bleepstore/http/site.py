"""twisted.web resources on the HTTP channel, for what is no S3 and wants them.

The pages beside S3 are endpoints of the front (``s3.pages``); nothing of this version needs more.
"""

from __future__ import annotations

from io import BytesIO

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource, getChildForRequest

from bleepstore.errors import MaxMessageLengthExceeded
from bleepstore.http.request import Request


class ResourceSite:
    """A handler that renders twisted.web resources, as ``twisted.web.server.Site`` does.

    :param root: the resource at ``/``.
    :param max_body: bytes of a request's body, which is read whole before a resource sees it;
        a longer one is refused with MaxMessageLengthExceeded.
    """

    def __init__(self, root: IResource, max_body: int = 1 << 20) -> None:
        self._root = root
        self._max_body = max_body

    def __call__(self, request: Request) -> None:
        """Collect the body, find the resource by the path's segments, render it."""
        if request.body.complete and not request.body.length:
            self._render(request)
        else:
            Deferred.fromCoroutine(self._collect(request)).addErrback(request.fail)

    async def _collect(self, request: Request) -> None:
        body = request.body
        if body.length is not None and body.length > self._max_body:
            raise MaxMessageLengthExceeded
        chunks: list[bytes] = []
        size = 0
        while chunk := await body.read():
            size += len(chunk)
            if size > self._max_body:
                raise MaxMessageLengthExceeded
            chunks.append(chunk)
        request.content = BytesIO(b"".join(chunks))
        self._render(request)

    def _render(self, request: Request) -> None:
        try:
            request.render(getChildForRequest(self._root, request))  # type: ignore[no-untyped-call]
        except Exception:
            request.fail(Failure())  # type: ignore[no-untyped-call]
