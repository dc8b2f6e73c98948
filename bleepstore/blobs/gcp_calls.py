"""The calls to Cloud Storage that the gateway needs, each as one method.

Knows requests, answers and preconditions; not what an object is for.  A failed precondition, or a
source that is gone, is :class:`Displaced`; every other failure is an error of S3, after retries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
from twisted.logger import Logger

from bleepstore.blobs.gcp_messages import (
    SHOWN,
    Page,
    Resource,
    compose_body,
    compose_path,
    list_path,
    listed_page,
    multipart_body,
    object_path,
    query,
    rewrite_path,
    upload_path,
)
from bleepstore.errors import Displaced, InternalError, StoreError
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import Refusal, RemoteFailure, no_place, store_error
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import Header, Origin, RemoteRequest
from bleepstore.remote.service import Service

JSON: Header = (b"content-type", b"application/json; charset=UTF-8")

_RAW: Header = (b"accept-encoding", b"gzip")
"""Or objects that are stored gzipped would be unpacked on the way ("Transcoding")."""

_log = Logger()

LONG = 300.0
"""Seconds for the answer to what the service may work on: copies and compositions."""


def translated(failure: RemoteFailure) -> StoreError:
    """What a failure of a call is, where neither absence nor a precondition is expected."""
    if isinstance(failure, Refusal):
        if failure.status == 404:
            return InternalError("what was asked for is not in Cloud Storage")
        if failure.status == 412:
            return Displaced()
    return store_error(failure)


def displaced(failure: RemoteFailure) -> StoreError:
    """The same, where an absence means that other bytes than those looked for are there."""
    if isinstance(failure, Refusal) and failure.status == 404:
        return Displaced()
    return translated(failure)


class GcpCalls:
    """Calls on the objects of one bucket.

    :param base: path of the endpoint, before that of the API; usually ``""``.
    :param project: that requests are billed to ("Requester Pays"); ``""``: the bucket's own.
    """

    def __init__(
        self, service: Service, origin: Origin, base: str, bucket: str, project: str = ""
    ) -> None:
        self.service = service
        self._origin = origin
        self._base = base.encode()
        self._bucket = bucket
        self._billed: tuple[Header, ...] = (
            ((b"x-goog-user-project", project.encode()),) if project else ()
        )

    def request(
        self,
        method: str,
        target: bytes,
        headers: tuple[Header, ...] = (),
        body: bytes | None = None,
    ) -> RemoteRequest:
        """A request to the endpoint."""
        return RemoteRequest(
            method=method,
            origin=self._origin,
            target=self._base + target,
            headers=(*headers, *self._billed),
            body=body,
        )

    def session_request(
        self,
        method: str,
        target: bytes,
        headers: tuple[Header, ...] = (),
        body: bytes | None = None,
    ) -> RemoteRequest:
        """A request within an upload, whose target the service gave us."""
        return RemoteRequest(
            method=method, origin=self._origin, target=target, headers=headers, body=body
        )

    async def get(self, name: str, generation: str | None = None) -> Resource | None:
        """An object's resource, None without one.

        :raises Displaced: it is another generation.
        """
        target = object_path(self._bucket, name) + query(ifGenerationMatch=generation, fields=SHOWN)
        try:
            return await self._document(self.request("GET", target))
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise translated(refusal) from refusal
        except RemoteFailure as failure:
            raise translated(failure) from failure

    async def read(self, name: str, generation: str, offset: int, length: int) -> ResponseBody:
        """A run of at least one byte of an object of that generation.

        :raises RemoteFailure: as ``displaced`` translates it.
        :raises InternalError: the object ends before the run does.
        """
        target = object_path(self._bucket, name) + query(alt="media", ifGenerationMatch=generation)
        wanted = b"bytes=%d-%d" % (offset, offset + length - 1)
        request = self.request("GET", target, ((b"range", wanted), _RAW))
        answer = await self.service.call(request, (200, 206, 416))
        if answer.header(b"x-goog-generation") not in ("", generation):
            answer.body.close()
            raise Displaced
        if (
            answer.status == 416
            or (answer.status == 200 and offset)
            or (answer.length is not None and answer.length < length)
        ):
            answer.body.close()
            raise InternalError(f"{name} ends before byte {offset + length}")
        return answer.body

    async def insert(
        self, name: str, data: bytes, resource: Resource, expected: str | None, boundary: str
    ) -> Resource:
        """Make an object of bytes in memory; gives its resource.

        :param expected: the generation of what is there; ``"0"``: nothing is; None: no matter.
        :raises Displaced: something else is.
        """
        target = upload_path(self._bucket) + query(
            uploadType="multipart", name=name, ifGenerationMatch=expected
        )
        content_type: Header = (
            b"content-type",
            b"multipart/related; boundary=" + boundary.encode(),
        )
        body = multipart_body(resource, data, boundary)
        return await self._asked(self.request("POST", target, (content_type,), body))

    async def delete(self, name: str, generation: str | None = None) -> None:
        """Remove an object if it is there, and of that generation."""
        target = object_path(self._bucket, name) + query(ifGenerationMatch=generation)
        try:
            answer = await self.service.call(self.request("DELETE", target), (200, 204, 404, 412))
        except RemoteFailure as failure:
            raise translated(failure) from failure
        answer.body.close()

    async def compose(
        self,
        name: str,
        sources: Sequence[tuple[str, str]],
        resource: Resource,
        expected: str | None,
    ) -> Resource:
        """Make an object of others.

        :param sources: names and generations, at most 32.
        :param expected: as :meth:`insert`.
        :raises Displaced: something else is there, or a source is not.
        """
        target = compose_path(self._bucket, name) + query(ifGenerationMatch=expected)
        body = compose_body(sources, resource)
        return await self._asked(self.request("POST", target, (JSON,), body), LONG)

    async def copy(
        self, source: str, generation: str, name: str, resource: Resource, expected: str
    ) -> Resource:
        """Copy an object of that generation, in as many calls as it takes.

        :param expected: as :meth:`insert`.
        :raises Displaced: something else is there, or the source has changed.
        """
        path = rewrite_path(self._bucket, source, name)
        body = msgspec.json.encode(resource)
        token: str | None = None
        while True:
            target = path + query(
                ifSourceGenerationMatch=generation,
                ifGenerationMatch=expected,
                rewriteToken=token,
            )
            said = await self._asked(self.request("POST", target, (JSON,), body), LONG)
            if said.get("done"):
                made = said.get("resource")
                return made if isinstance(made, dict) else {}
            token = said.get("rewriteToken")
            if not isinstance(token, str):
                raise InternalError("Cloud Storage answered without a rewrite token")

    async def pages(
        self, prefix: str, *, delimiter: str | None = None, start: str | None = None
    ) -> AsyncIterator[Page]:
        """The names with a prefix in UTF-8 order, from ``start`` on, page by page."""
        fields = f"prefixes,nextPageToken,items({SHOWN})"
        token: str | None = None
        while True:
            target = list_path(self._bucket) + query(
                prefix=prefix,
                delimiter=delimiter,
                startOffset=start,
                pageToken=token,
                fields=fields,
            )
            page = listed_page(await self._asked(self.request("GET", target)))
            yield page
            token = page.token
            if token is None:
                return

    async def check(self, prefix: str) -> None:
        """The cheapest call that needs what the gateway needs."""
        target = list_path(self._bucket) + query(prefix=prefix, maxResults="1", fields="kind")
        try:
            await self._asked(self.request("GET", target))
        except Displaced as error:  # a listing is not found where its bucket is not
            _log.warn("the bucket {bucket} is not there", bucket=self._bucket)
            raise no_place() from error

    async def _asked(self, request: RemoteRequest, head: float | None = None) -> Resource:
        try:
            return await self._document(request, head)
        except RemoteFailure as failure:
            raise displaced(failure) from failure

    async def _document(self, request: RemoteRequest, head: float | None = None) -> Resource:
        _, text = await self.service.fetch(request, head=head)
        return json_object(text)
