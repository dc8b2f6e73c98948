"""Multipart uploads: create, fill, complete, abort, and list their parts."""

from __future__ import annotations

from klein import Klein
from twisted.internet.interfaces import IReactorTime

from bleepstore.errors import InvalidArgument
from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.model.commands import Written
from bleepstore.objectstore.access import require_account
from bleepstore.objectstore.requests import CompleteRequest, UploadName, UploadRequest
from bleepstore.objectstore.uploads import Uploads
from bleepstore.s3.call import Call
from bleepstore.s3.documents import Documents
from bleepstore.s3.late import answer_when_done
from bleepstore.s3.object_headers import etag_header
from bleepstore.s3.payload import claims_of, payload_of
from bleepstore.s3.serving import serves
from bleepstore.wire.checksums import checksum_headers, expected_whole, upload_checksum
from bleepstore.wire.conditions import write_conditions
from bleepstore.wire.description import read_description
from bleepstore.wire.grants import requested_acl
from bleepstore.wire.list_queries import parts_query
from bleepstore.wire.operations import Level
from bleepstore.wire.parameters import part_number, upload_id
from bleepstore.wire.xml_listings import list_parts
from bleepstore.wire.xml_reader import MAX_COMPLETE_BODY
from bleepstore.wire.xml_requests import parse_complete_upload
from bleepstore.wire.xml_results import complete_upload_result, initiate_upload_result


class UploadEndpoints:
    """The operations on multipart uploads; UploadPartCopy is with the copies."""

    app = Klein()

    def __init__(self, uploads: Uploads, documents: Documents, clock: IReactorTime) -> None:
        self._uploads = uploads
        self._documents = documents
        self._clock = clock

    @serves(app, "CreateMultipartUpload")
    async def create_multipart_upload(self, request: IHttpRequest, call: Call) -> None:
        headers = call.headers
        algorithm, checksum_type = upload_checksum(headers)
        upload = await self._uploads.create(
            call.caller,
            UploadRequest(
                call.bucket,
                call.key,
                read_description(headers),
                requested_acl(headers, Level.OBJECT),
                algorithm,
                checksum_type,
            ),
        )
        answer: list[Header] = []
        if upload.checksum_algorithm is not None:
            answer.append((b"x-amz-checksum-algorithm", upload.checksum_algorithm.value.encode()))
        if upload.checksum_type is not None:
            answer.append((b"x-amz-checksum-type", upload.checksum_type.value.encode()))
        call.xml(initiate_upload_result(call.bucket, call.key, upload.upload_id), answer)

    @serves(app, "UploadPart")
    async def upload_part(self, request: IHttpRequest, call: Call) -> None:
        part = await self._uploads.put_part(
            call.caller, upload_of(call), part_of(call), payload_of(call), claims_of(call)
        )
        answer = [etag_header(part.etag)]
        if part.checksum is not None:
            answer += checksum_headers(part.checksum, with_type=False)
        call.respond(200, answer)

    @serves(app, "CompleteMultipartUpload")
    async def complete_multipart_upload(self, request: IHttpRequest, call: Call) -> None:
        whole = expected_whole(call.headers)
        conditions = write_conditions(call.headers)
        require_account(call.caller)  # before anything is read
        document = await self._documents.read(
            call, checksum_is_of_object=True, limit=MAX_COMPLETE_BODY
        )
        parts = parse_complete_upload(document)
        asked = CompleteRequest(upload_of(call), parts, whole, conditions)
        location = _location(call)

        def render(written: Written) -> bytes:
            return complete_upload_result(location, call.bucket, call.key, written)

        await answer_when_done(
            call, self._clock, self._uploads.complete(call.caller, asked), render
        )

    @serves(app, "AbortMultipartUpload")
    async def abort_multipart_upload(self, request: IHttpRequest, call: Call) -> None:
        await self._uploads.abort(call.caller, upload_of(call))
        call.respond(204)

    @serves(app, "ListParts")
    async def list_parts(self, request: IHttpRequest, call: Call) -> None:
        query = parts_query(call.query)
        listed = await self._uploads.list_parts(
            call.caller, upload_of(call), query.after, query.limit
        )
        call.xml(list_parts(listed.upload, query, listed.page, listed.names))


def upload_of(call: Call) -> UploadName:
    """Which upload the request names."""
    return UploadName(call.bucket, call.key, upload_id(call.query))


def part_of(call: Call) -> int:
    """The part's number.

    :raises InvalidArgument: it is not from 1 to 10,000.
    """
    number = part_number(call.query)
    if number is None:  # the table of operations asks for it, so it was sent
        raise InvalidArgument(ArgumentName="partNumber", ArgumentValue="")
    return number


def _location(call: Call) -> str:
    """The URL of the object, as the client addressed it."""
    scheme = "https" if call.request.secure else "http"
    host = call.headers.get(b"host", b"").decode("latin-1")
    path = call.request.uri.partition(b"?")[0].decode("latin-1")
    return f"{scheme}://{host}{path}"
