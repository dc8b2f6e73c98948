"""The requests that a gateway makes of Azure Blob Storage, each as one method; refusals come out
as StoreErrors.

Source: Azure Storage REST API; "Specifying conditional headers for Blob service operations" and
"Blob service error codes", for what refuses a precondition: 412, and 409 BlobAlreadyExists where
nothing was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bleepstore.auth.canonical import encode_path
from bleepstore.blobs.azure_messages import (
    ListedPage,
    Run,
    block_list,
    crc64_text,
    expectation,
    listed_page,
    native_object,
    query,
    quoted,
    tag_of,
)
from bleepstore.errors import (
    AccessDenied,
    Displaced,
    EntityTooLarge,
    InternalError,
    NotImplemented,
    OperationAborted,
    StoreError,
)
from bleepstore.interfaces.in_place import NativeObject
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.exchange import Answer
from bleepstore.remote.failures import ProviderError, Refusal, RemoteFailure, store_error
from bleepstore.remote.requests import Header, Origin, RemoteRequest
from bleepstore.remote.service import OK, Authorizer, Service

VERSION = b"2021-12-02"
"""Of the REST API.  From 2019-12-12 on blocks have up to 4000 MiB, from 2020-10-02 on a source of a
copy can be opened by a token, from 2021-02-12 on any name can be listed."""

LONG = 600.0
"""Seconds that Azure is given to copy a run."""

PAGE = 200
"""Names of a page of a listing."""

_CREATED = frozenset((201,))
_DELETED = frozenset((202,))
_RANGE = frozenset((200, 206))

_UNMET = frozenset(
    (
        "BlobAlreadyExists",
        "BlobNotFound",
        "ConditionNotMet",
        "SourceConditionNotMet",
        "TargetConditionNotMet",
    )
)

_BY_CODE: dict[str, Callable[[], StoreError]] = {
    "BlobArchived": lambda: AccessDenied("The object is in an archive behind this server."),
    "BlobBeingRehydrated": lambda: AccessDenied("The object is in an archive behind this server."),
    "BlobImmutableDueToLegalHold": AccessDenied,
    "BlobImmutableDueToPolicy": AccessDenied,
    "BlobUsesCustomerSpecifiedEncryption": AccessDenied,  # another program has its key
    "BlockCountExceedsLimit": EntityTooLarge,
    "BlockListTooLong": EntityTooLarge,
    "InvalidBlobOrBlock": OperationAborted,  # another program has begun to write the same name
    "InvalidBlobType": lambda: NotImplemented(
        "A page or append blob of another program lies there; it can only be deleted."
    ),
    "LeaseIdMissing": OperationAborted,
    "PendingCopyOperation": OperationAborted,  # another program copies there
    "RequestBodyTooLarge": EntityTooLarge,
    "SnapshotsPresent": OperationAborted,
}


class AzureCalls:
    """Speaks to one container.

    :param sources: opens the source of a copy.
    :param base: path of the endpoint: empty, or the account where it is not in the host's name.
    """

    def __init__(
        self, service: Service, sources: Authorizer, origin: Origin, base: str, container: str
    ) -> None:
        self._service = service
        self._sources = sources
        self._origin = origin
        self._container = f"{base}/{container}".encode()

    # Writing

    async def put(
        self, name: str, data: bytes, crc: int, headers: Sequence[Header], expected: str | None
    ) -> str:
        """Put Blob; gives the tag.

        :param crc: CRC64NVME of the bytes.
        :param expected: the tag of what is there; empty: nothing is; None: no matter.
        :raises Displaced: something else is.
        """
        headers = [
            *headers,
            (b"x-ms-blob-type", b"BlockBlob"),
            (b"x-ms-content-crc64", crc64_text(crc)),
            *_expected(expected),
        ]
        answer = await self._done("PUT", name, headers=headers, body=data, accept=_CREATED)
        return _tag(answer)

    async def put_block(self, name: str, block: str, data: bytes, crc: int) -> None:
        """Put Block, which nobody sees; ``crc`` as in :meth:`put`."""
        await self._done(
            "PUT",
            name,
            query(comp="block", blockid=block),
            ((b"x-ms-content-crc64", crc64_text(crc)),),
            data,
            _CREATED,
        )

    async def copy_block(self, name: str, block: str, run: Run) -> None:
        """Put Block From URL: a block of bytes of another blob of the container, or the same.

        :raises Displaced: the source has another tag, or is gone.
        """
        last = run.offset + run.length - 1
        headers = (
            *await self._source(run.name),
            (b"x-ms-source-range", b"bytes=%d-%d" % (run.offset, last)),
            (b"x-ms-source-if-match", quoted(run.tag)),
        )
        target = query(comp="block", blockid=block)
        await self._done("PUT", name, target, headers, None, _CREATED, LONG)

    async def put_block_list(
        self, name: str, blocks: Sequence[str], headers: Sequence[Header], expected: str | None
    ) -> str | None:
        """Put Block List: the blocks become the blob; gives its tag.

        None if some of them are not there: who writes the blob otherwise discards them.

        :param expected: as in :meth:`put`.
        :raises Displaced: as in :meth:`put`.
        """
        headers = (*headers, (b"content-type", b"application/xml"), *_expected(expected))
        request = self._request("PUT", name, query(comp="blocklist"), headers, block_list(blocks))
        try:
            answer = await self._service.call(request, _CREATED)
        except RemoteFailure as failure:
            if isinstance(failure, Refusal) and failure.code == "InvalidBlockList":
                return None
            raise translated(failure) from failure
        answer.body.close()
        return _tag(answer)

    async def delete(self, name: str, tag: str) -> None:
        """Delete Blob, if it has the tag; nothing happens if it has another one, or is gone.

        Its snapshots go with it: Azure deletes no blob that has some.
        """
        headers = ((b"if-match", quoted(tag)), (b"x-ms-delete-snapshots", b"include"))
        try:
            await self._done("DELETE", name, headers=headers, accept=_DELETED)
        except Displaced:
            return

    async def discard(self, name: str) -> None:
        """Remove a blob that is ours alone, and blocks of which none was made."""
        try:
            await self._done("DELETE", name, accept=_DELETED)
        except Displaced:
            tag = await self.put(name, b"", 0, (), None)  # takes the blocks with it
            await self.delete(name, tag)

    # Reading

    async def look(self, name: str) -> NativeObject | None:
        """Get Blob Properties; None if there is no such blob."""
        try:
            answer = await self._done("HEAD", name)
        except Displaced:
            return None
        return native_object(name, answer.headers, answer.length)

    async def open(self, name: str, tag: str, first: int, length: int) -> ResponseBody:
        """Get Blob, a run of at least one byte.

        :raises RemoteFailure: as :func:`translated` has it.
        """
        headers = (
            (b"range", b"bytes=%d-%d" % (first, first + length - 1)),
            (b"if-match", quoted(tag)),
        )
        answer = await self._service.call(self._request("GET", name, headers=headers), _RANGE)
        if answer.status == 200 and answer.length != length:
            answer.body.close()
            raise Refusal(ProviderError(status=416, message="the whole blob for a range of it"))
        return answer.body

    async def list_page(
        self, prefix: str, marker: str, delimiter: str = "", uncommitted: bool = False
    ) -> ListedPage:
        """List Blobs.

        :param uncommitted: those too of which there are blocks alone.
        """
        target = query(
            restype="container",
            comp="list",
            prefix=prefix,
            delimiter=delimiter,
            marker=marker,
            maxresults=str(PAGE),
            include="uncommittedblobs" if uncommitted else "",
        )
        try:
            _, document = await self._service.fetch(self._request("GET", "", target))
        except RemoteFailure as failure:
            raise translated(failure) from failure
        return listed_page(document)

    async def check(self, prefix: str) -> None:
        """The cheapest call that needs what the gateway needs.

        :raises StoreError: the container cannot be used.
        """
        target = query(restype="container", comp="list", prefix=prefix, maxresults="1")
        try:
            await self._service.fetch(self._request("GET", "", target))
        except RemoteFailure as failure:
            raise translated(failure) from failure

    # Requests

    async def _source(self, name: str) -> Sequence[Header]:
        """The headers that name the source of a copy, and let Azure read it."""
        try:
            opened = await self._sources.authorize(self._request("GET", name))
        except RemoteFailure as failure:
            raise store_error(failure) from failure
        url = str(opened.origin).encode() + opened.target
        headers: list[Header] = [(b"x-ms-copy-source", url)]
        for key, value in opened.headers:
            if key == b"authorization":
                headers.append((b"x-ms-copy-source-authorization", value))
        return headers

    async def _done(
        self,
        method: str,
        name: str,
        target: bytes = b"",
        headers: Sequence[Header] = (),
        body: bytes | None = None,
        accept: frozenset[int] = OK,
        head: float | None = None,
    ) -> Answer:
        """Make a call whose answer is its head."""
        try:
            answer = await self._service.call(
                self._request(method, name, target, headers, body), accept, head
            )
        except RemoteFailure as failure:
            raise translated(failure) from failure
        answer.body.close()
        return answer

    def _request(
        self,
        method: str,
        name: str,
        target: bytes = b"",
        headers: Sequence[Header] = (),
        body: bytes | None = None,
    ) -> RemoteRequest:
        path = self._container
        if name:
            path += b"/" + encode_path(name.encode())
        return RemoteRequest(
            method=method,
            origin=self._origin,
            target=path + b"?" + target if target else path,
            headers=(*headers, (b"x-ms-version", VERSION)),
            body=body,
        )


def translated(failure: RemoteFailure) -> StoreError:
    """What a failure of a call is; an absence or a failed precondition is Displaced."""
    if isinstance(failure, Refusal):
        code = failure.code
        if code in _UNMET or (code == "CannotVerifyCopySource" and failure.status in (404, 412)):
            return Displaced()
        if kind := _BY_CODE.get(code):
            return kind()
    return store_error(failure, InternalError)


def _expected(tag: str | None) -> Sequence[Header]:
    return () if tag is None else (expectation(tag),)


def _tag(answer: Answer) -> str:
    tag = tag_of(answer.headers)
    if not tag:
        raise InternalError("the cloud answered without an ETag")
    return tag
