"""Access control lists of buckets and objects: canned, by grant headers, or by XML."""

from __future__ import annotations

from klein import Klein

from bleepstore.errors import MissingSecurityHeader, UnexpectedContent
from bleepstore.interfaces.http import IHttpRequest
from bleepstore.objectstore.buckets import Buckets
from bleepstore.objectstore.objects import Objects
from bleepstore.s3.call import Call
from bleepstore.s3.documents import Documents
from bleepstore.s3.serving import serves
from bleepstore.wire.grants import RequestedAcl, requested_acl
from bleepstore.wire.operations import BY_NAME, Level
from bleepstore.wire.parameters import version_id
from bleepstore.wire.xml_requests import parse_access_control_policy
from bleepstore.wire.xml_results import access_control_policy


class AclEndpoints:
    """The ACLs."""

    app = Klein()

    def __init__(self, buckets: Buckets, objects: Objects, documents: Documents) -> None:
        self._buckets = buckets
        self._objects = objects
        self._documents = documents

    @serves(app, "GetBucketAcl")
    async def get_bucket_acl(self, request: IHttpRequest, call: Call) -> None:
        view = await self._buckets.get_acl(call.caller, call.bucket)
        call.xml(access_control_policy(view.acl, view.names))

    @serves(app, "PutBucketAcl")
    async def put_bucket_acl(self, request: IHttpRequest, call: Call) -> None:
        acl = await self._acl_sent(call, Level.BUCKET)
        await self._buckets.put_acl(call.caller, call.bucket, acl)
        call.respond(200)

    @serves(app, "GetObjectAcl")
    async def get_object_acl(self, request: IHttpRequest, call: Call) -> None:
        version = version_id(BY_NAME["GetObjectAcl"], call.query)
        view = await self._objects.get_acl(call.caller, call.bucket, call.key, version)
        call.xml(access_control_policy(view.acl, view.names))

    @serves(app, "PutObjectAcl")
    async def put_object_acl(self, request: IHttpRequest, call: Call) -> None:
        version = version_id(BY_NAME["PutObjectAcl"], call.query)
        acl = await self._acl_sent(call, Level.OBJECT)
        await self._objects.put_acl(call.caller, call.bucket, call.key, acl, version)
        call.respond(200)

    async def _acl_sent(self, call: Call, level: Level) -> RequestedAcl:
        """The one way in which the request names an ACL.

        :raises UnexpectedContent: headers and a body.
        :raises MissingSecurityHeader: neither.
        """
        by_headers = requested_acl(call.headers, level)
        document = await self._documents.read(call)
        if by_headers is not None:
            if document:
                raise UnexpectedContent
            return by_headers
        if not document:
            raise MissingSecurityHeader(None, MissingHeaderName="x-amz-acl")
        return parse_access_control_policy(document)
