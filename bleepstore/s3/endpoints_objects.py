"""Objects: put, get, look at, describe, delete."""

from __future__ import annotations

from klein import Klein

from bleepstore.errors import NotModified
from bleepstore.interfaces.http import Header, IHttpRequest
from bleepstore.objectstore.objects import Objects
from bleepstore.objectstore.reading import ObjectRead
from bleepstore.objectstore.requests import PutRequest, ReadRequest
from bleepstore.s3.call import Call
from bleepstore.s3.documents import Documents
from bleepstore.s3.object_headers import (
    etag_header,
    object_headers,
    overrides_of,
    read_request,
    validator_headers,
)
from bleepstore.s3.payload import claims_of, payload_of
from bleepstore.s3.serving import serves
from bleepstore.streams.egress import send_body
from bleepstore.wire.checksums import checksum_headers
from bleepstore.wire.conditions import delete_condition, write_conditions
from bleepstore.wire.dates import http_date
from bleepstore.wire.description import read_description
from bleepstore.wire.grants import requested_acl
from bleepstore.wire.operations import BY_NAME, Level
from bleepstore.wire.parameters import (
    attributes_page,
    deleted_version_id,
    object_attributes,
    refuse_bypass,
    version_id,
)
from bleepstore.wire.xml_requests import parse_delete
from bleepstore.wire.xml_results import delete_result, object_attributes_result

_HEAD_OBJECT = BY_NAME["HeadObject"]
_PUT_OBJECT = BY_NAME["PutObject"]


class ObjectEndpoints:
    """The operations on single objects."""

    app = Klein()

    def __init__(self, objects: Objects, documents: Documents) -> None:
        self._objects = objects
        self._documents = documents

    @serves(app, "GetObject")
    async def get_object(self, request: IHttpRequest, call: Call) -> None:
        wanted = read_request(call)
        overrides = overrides_of(call)
        try:
            read = await self._objects.get(call.caller, wanted)
        except NotModified as error:
            call.refuse(error, await self._validators(call, wanted))
            return
        try:
            headers = object_headers(call, read, overrides)
            await _send(request, call, 206 if read.partial else 200, headers, read)
        finally:
            read.close()

    @serves(app, "HeadObject")
    async def head_object(self, request: IHttpRequest, call: Call) -> None:
        wanted = read_request(call, _HEAD_OBJECT)
        overrides = overrides_of(call)
        try:
            head = await self._objects.head(call.caller, wanted)
        except NotModified as error:
            call.refuse(error, await self._validators(call, wanted))
            return
        headers = object_headers(call, head, overrides)
        headers.append((b"Content-Length", b"%d" % head.length))
        call.respond(206 if head.partial else 200, headers)

    @serves(app, "PutObject")
    async def put_object(self, request: IHttpRequest, call: Call) -> None:
        headers = call.headers
        if call.query:
            version_id(_PUT_OBJECT, call.query)
        payload = payload_of(call)
        written = await self._objects.put(
            call.caller,
            PutRequest(
                call.bucket,
                call.key,
                read_description(headers),
                requested_acl(headers, Level.OBJECT),
                claims_of(call),
                write_conditions(headers),
            ),
            payload,
        )
        answer = [etag_header(written.etag)]
        if written.checksum is not None:
            answer += checksum_headers(written.checksum)
        call.respond(200, answer)

    @serves(app, "DeleteObject")
    async def delete_object(self, request: IHttpRequest, call: Call) -> None:
        refuse_bypass(call.headers)
        await self._objects.delete(
            call.caller,
            call.bucket,
            call.key,
            version_id=deleted_version_id(call.query),
            if_match=delete_condition(call.headers),
        )
        call.respond(204)

    @serves(app, "DeleteObjects")
    async def delete_objects(self, request: IHttpRequest, call: Call) -> None:
        refuse_bypass(call.headers)
        wanted = parse_delete(await self._documents.read(call, digest_required=True))
        outcomes = await self._objects.delete_many(call.caller, call.bucket, wanted.targets)
        call.xml(delete_result(wanted.targets, outcomes, wanted.quiet))

    @serves(app, "GetObjectAttributes")
    async def get_object_attributes(self, request: IHttpRequest, call: Call) -> None:
        attributes = object_attributes(call.headers)
        after, limit = attributes_page(call.headers)
        version = version_id(BY_NAME["GetObjectAttributes"], call.query)
        found = await self._objects.attributes(call.caller, call.bucket, call.key, version)
        call.xml(
            object_attributes_result(found.version, found.parts, attributes, after, limit),
            ((b"Last-Modified", http_date(found.version.last_modified)),),
        )

    async def _validators(self, call: Call, wanted: ReadRequest) -> list[Header]:
        """The validators of what was not modified, looked up once more without the conditions."""
        head = await self._objects.head(
            call.caller, ReadRequest(wanted.bucket, wanted.key, wanted.version_id)
        )
        return validator_headers(head.version)


async def _send(
    request: IHttpRequest, call: Call, status: int, headers: list[Header], read: ObjectRead
) -> None:
    """The body: in one write with the head if it is at hand or one piece, else streamed."""
    body = read.inline
    if body is None:
        body = await read.read()
    if len(body) == read.length:
        call.respond(status, headers, body)
        return
    headers.append((b"Content-Length", b"%d" % read.length))
    call.start(status, headers)
    await request.send(body)
    await send_body(request, read)
    request.finish()
