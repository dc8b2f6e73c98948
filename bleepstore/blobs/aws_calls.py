"""The requests that a gateway makes of S3, each as one method; refusals come out as StoreErrors.

Source: Amazon S3 API Reference; "How to prevent object overwrites with conditional writes", S3
User Guide, for what refuses a precondition: 412, 409 while somebody else writes the same name, and
404 where an object was expected and there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5

from twisted.logger import Logger

from bleepstore.auth.canonical import encode_path
from bleepstore.blobs.aws_messages import (
    ListedPage,
    complete_document,
    copy_source,
    element_of,
    etag_of,
    expectation,
    listed_page,
    native_object,
    query,
)
from bleepstore.blobs.cloud_digests import CloudDigests
from bleepstore.errors import Displaced, InternalError, NoSuchUpload, StoreError
from bleepstore.interfaces.in_place import NativeObject
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import (
    ProviderError,
    Refusal,
    RemoteFailure,
    no_place,
    store_error,
)
from bleepstore.remote.refusals import read_aws_refusal
from bleepstore.remote.requests import Header, Origin, RemoteRequest, Upload
from bleepstore.remote.service import OK, Service
from bleepstore.streams.digests import encode_base64

LONG = 600.0
"""Seconds that S3 is given to complete or copy a large object: "processing of a
CompleteMultipartUpload request could take several minutes to finalize"."""

_FOUND_OR_NOT = frozenset((200, 404))
_PART = frozenset((200, 206))
_GONE = frozenset((200, 204, 404))
_UNMET = frozenset((404, 409, 412))

_log = Logger()


class AwsCalls:
    """Speaks to one bucket.

    :param base: path before a key: empty, or with the bucket (path style).
    :ivar digests: whether ETags are MD5s.
    """

    def __init__(self, service: Service, origin: Origin, base: str, bucket: str) -> None:
        self._service = service
        self._origin = origin
        self._base = base.encode()
        self._bucket = bucket
        self.digests = CloudDigests()

    async def put(self, name: str, data: bytes, headers: Sequence[Header], expected: str) -> str:
        """PutObject; gives the ETag.

        :raises Displaced: not what is expected lies there.
        """
        headers = [*headers, expectation(expected)]
        return await self._checked(name, data, headers)

    async def begin(self, name: str, headers: Sequence[Header]) -> str:
        """CreateMultipartUpload; gives the upload's id."""
        document = await self._document("POST", name, b"uploads=", headers=headers)
        return element_of(document, "InitiateMultipartUploadResult", "UploadId")

    async def put_part(self, name: str, upload_id: str, number: int, body: bytes | Upload) -> str:
        """UploadPart; gives the part's ETag."""
        target = query(partNumber=str(number), uploadId=upload_id)
        if isinstance(body, bytes):
            return await self._checked(name, body, (), target, NoSuchUpload)
        return await self._etag(name, body, (), target, NoSuchUpload)

    async def complete(
        self, name: str, upload_id: str, parts: Sequence[tuple[int, str]], expected: str
    ) -> str:
        """CompleteMultipartUpload; gives the object's ETag.

        :raises Displaced: not what is expected lies there; or the upload is gone, since it was
            completed already.
        """
        document = await self._document(
            "POST",
            name,
            query(uploadId=upload_id),
            complete_document(parts),
            (expectation(expected), (b"content-type", b"application/xml")),
            unmet=_UNMET,
            head=LONG,
        )
        return etag_of(document, "CompleteMultipartUploadResult")

    async def abort(self, name: str, upload_id: str) -> None:
        """AbortMultipartUpload; it is no error if there is none."""
        await self._document("DELETE", name, query(uploadId=upload_id), accept=_GONE)

    async def copy(
        self, source: str, tag: str, name: str, headers: Sequence[Header], expected: str
    ) -> str:
        """CopyObject, within the bucket; gives the copy's ETag.

        :raises Displaced: not what is expected lies there, or the source has another tag.
        """
        headers = [
            *headers,
            *self._source(source, tag),
            (b"x-amz-metadata-directive", b"REPLACE"),
            expectation(expected),
        ]
        document = await self._document("PUT", name, headers=headers, unmet=_UNMET, head=LONG)
        return etag_of(document, "CopyObjectResult")

    async def copy_part(
        self,
        source: str,
        tag: str,
        run: tuple[int, int] | None,
        name: str,
        upload_id: str,
        number: int,
    ) -> str:
        """UploadPartCopy, within the bucket; gives the part's ETag.

        :param run: offset and length; None: all of the source.
        :raises Displaced: the source has another tag.
        """
        headers = self._source(source, tag)
        if run is not None:
            first, length = run
            span = b"bytes=%d-%d" % (first, first + length - 1)
            headers.append((b"x-amz-copy-source-range", span))
        target = query(partNumber=str(number), uploadId=upload_id)
        document = await self._document(
            "PUT", name, target, headers=headers, unmet=frozenset((412,)), head=LONG
        )
        return etag_of(document, "CopyPartResult")

    async def look(self, name: str) -> NativeObject | None:
        """HeadObject; None if there is none, which the bucket has confirmed."""
        try:
            answer = await self._service.call(self._request("HEAD", name), _FOUND_OR_NOT)
        except RemoteFailure as failure:
            raise store_error(failure) from failure
        answer.body.close()
        if answer.status == 404:
            await self.check()  # a bucket that is not there has no objects either
            return None
        return native_object(name, answer.headers, answer.length)

    async def open(self, name: str, tag: str, first: int, length: int) -> ResponseBody:
        """GetObject of a run of at least one byte.

        :raises RemoteFailure: 404 and 412 mean that other bytes lie there, or none.
        """
        headers = ((b"if-match", b'"%b"' % tag.encode()), _range(first, length))
        answer = await self._service.call(self._request("GET", name, headers=headers), _PART)
        if answer.status == 200 and answer.length != length:
            answer.body.close()
            raise Refusal(ProviderError(status=416, message="the whole object for a range of it"))
        return answer.body

    async def delete(self, name: str, tag: str) -> None:
        """DeleteObject, if it has the tag; nothing happens if it has another one, or is gone."""
        headers = ((b"if-match", b'"%b"' % tag.encode()),)
        accept = frozenset((*_GONE, 409, 412))
        await self._document("DELETE", name, headers=headers, accept=accept)

    async def list_page(self, prefix: str, after: str, token: str) -> ListedPage:
        """ListObjectsV2."""
        pairs = {"encoding_type": "url", "list_type": "2", "prefix": prefix}
        if after:
            pairs["start_after"] = after
        if token:
            pairs["continuation_token"] = token
        return listed_page(await self._document("GET", "", query(**pairs)))

    async def check(self) -> None:
        """HeadBucket.

        :raises StoreError: it cannot be used.
        """
        try:
            answer = await self._service.call(self._request("HEAD", ""), _FOUND_OR_NOT)
        except RemoteFailure as failure:
            raise store_error(failure, InternalError) from failure
        answer.body.close()
        if answer.status == 404:
            _log.warn("the bucket {bucket} is not there", bucket=self._bucket)
            raise no_place()

    def _source(self, name: str, tag: str) -> list[Header]:
        return [
            (b"x-amz-copy-source", copy_source(self._bucket, name)),
            (b"x-amz-copy-source-if-match", b'"%b"' % tag.encode()),
        ]

    async def _checked(
        self,
        name: str,
        data: bytes,
        headers: Sequence[Header],
        target: bytes = b"",
        missing: type[StoreError] = Displaced,
    ) -> str:
        """As :meth:`_etag`, of bytes of which S3 is told the MD5."""
        digest = md5(data, usedforsecurity=False)
        content_md5 = b"content-md5", encode_base64(digest.digest()).encode()
        etag = await self._etag(name, data, (*headers, content_md5), target, missing)
        self.digests.seen(etag, digest.hexdigest())
        return etag

    async def _etag(
        self,
        name: str,
        body: bytes | Upload,
        headers: Sequence[Header],
        target: bytes = b"",
        missing: type[StoreError] = Displaced,
    ) -> str:
        """PUT; gives the ETag."""
        request = self._request("PUT", name, target, body, headers)
        try:
            answer = await self._service.call(request)
        except RemoteFailure as failure:
            raise _translated(failure, _UNMET if missing is Displaced else (), missing) from failure
        answer.body.close()
        etag = answer.header(b"etag").strip('"')
        if not etag:
            raise InternalError("the cloud answered without an ETag")
        if answer.header(b"x-amz-server-side-encryption").startswith("aws:kms"):
            self.digests.doubt()
        return etag

    async def _document(
        self,
        method: str,
        name: str,
        target: bytes = b"",
        body: bytes | None = None,
        headers: Sequence[Header] = (),
        accept: frozenset[int] = OK,
        unmet: frozenset[int] = frozenset(),
        head: float | None = None,
    ) -> bytes:
        """Make a call, and give the document that is its answer.

        An answer of 200 may hold an error all the same (CompleteMultipartUpload, CopyObject).

        :param unmet: statuses that mean Displaced.
        """
        request = self._request(method, name, target, body, headers)
        try:
            answer, document = await self._service.fetch(request, accept, head)
            if answer.status == 200 and document.rstrip().endswith(b"</Error>"):
                raise Refusal(_late(read_aws_refusal(answer.status, answer.headers, document)))
        except RemoteFailure as failure:
            raise _translated(failure, unmet, InternalError) from failure
        return document

    def _request(
        self,
        method: str,
        name: str,
        target: bytes = b"",
        body: bytes | Upload | None = None,
        headers: Sequence[Header] = (),
    ) -> RemoteRequest:
        path = self._base + b"/" + encode_path(name.encode())
        if not name and self._base:
            path = self._base
        return RemoteRequest(
            method=method,
            origin=self._origin,
            target=path + b"?" + target if target else path,
            headers=tuple(headers),
            body=body,
        )


_LATE = {
    "PreconditionFailed": 412,
    "ConditionalRequestConflict": 409,
    "NoSuchUpload": 404,
    "NoSuchKey": 404,
    "SlowDown": 503,
    "AccessDenied": 403,
}


def _late(error: ProviderError) -> ProviderError:
    """An error that came with a status of 200, with the status that it would have had."""
    return ProviderError(
        status=_LATE.get(error.code, 500),
        code=error.code,
        message=error.message,
        request_id=error.request_id,
    )


def _translated(
    failure: RemoteFailure, unmet: frozenset[int] | tuple[int, ...], missing: type[StoreError]
) -> StoreError:
    if (
        isinstance(failure, Refusal)
        and failure.status in unmet
        and failure.code not in ("NoSuchBucket", "OperationAborted")
    ):
        return Displaced()
    return store_error(failure, missing)


def _range(first: int, length: int) -> Header:
    return b"range", b"bytes=%d-%d" % (first, first + length - 1)
