"""Copies: a whole object, or a range of one as a part of an upload."""

from __future__ import annotations

from klein import Klein
from twisted.internet.interfaces import IReactorTime

from bleepstore.interfaces.http import IHttpRequest
from bleepstore.objectstore.copying import Copies
from bleepstore.objectstore.requests import CopyRequest, PartCopyRequest
from bleepstore.objectstore.uploads import Uploads
from bleepstore.s3.call import Call
from bleepstore.s3.endpoints_uploads import part_of, upload_of
from bleepstore.s3.late import answer_when_done
from bleepstore.s3.serving import serves
from bleepstore.wire.checksums import copy_algorithm
from bleepstore.wire.conditions import copy_source_conditions, write_conditions
from bleepstore.wire.copying import (
    Directive,
    annotation_directive,
    metadata_directive,
    parse_copy_source,
    tagging_directive,
)
from bleepstore.wire.description import read_description
from bleepstore.wire.grants import requested_acl
from bleepstore.wire.headers import header_text
from bleepstore.wire.operations import BY_NAME, Level
from bleepstore.wire.parameters import version_id
from bleepstore.wire.ranges import parse_copy_range
from bleepstore.wire.xml_results import copy_object_result, copy_part_result

_COPY_OBJECT = BY_NAME["CopyObject"]
_SOURCE_OWNER = b"x-amz-source-expected-bucket-owner"


class CopyEndpoints:
    """CopyObject and UploadPartCopy."""

    app = Klein()

    def __init__(self, copies: Copies, uploads: Uploads, clock: IReactorTime) -> None:
        self._copies = copies
        self._uploads = uploads
        self._clock = clock

    @serves(app, "CopyObject")
    async def copy_object(self, request: IHttpRequest, call: Call) -> None:
        headers = call.headers
        version_id(_COPY_OBJECT, call.query)
        # Objects here have neither tags nor annotations: any valid directive is obeyed.
        tagging_directive(headers)
        annotation_directive(headers)
        description = read_description(headers)
        replaced = metadata_directive(headers) is Directive.REPLACE
        asked = CopyRequest(
            parse_copy_source(headers[b"x-amz-copy-source"]),
            call.bucket,
            call.key,
            source_conditions=copy_source_conditions(headers),
            source_expected_owner=header_text(headers, _SOURCE_OWNER) or "",
            replace=description if replaced else None,
            storage_class=description.storage_class,
            chooses_class=b"x-amz-storage-class" in headers,
            acl=requested_acl(headers, Level.OBJECT),
            checksum_algorithm=copy_algorithm(headers),
            conditions=write_conditions(headers),
        )
        await answer_when_done(
            call, self._clock, self._copies.copy(call.caller, asked), copy_object_result
        )

    @serves(app, "UploadPartCopy")
    async def upload_part_copy(self, request: IHttpRequest, call: Call) -> None:
        headers = call.headers
        range_ = headers.get(b"x-amz-copy-source-range")
        asked = PartCopyRequest(
            upload_of(call),
            part_of(call),
            parse_copy_source(headers[b"x-amz-copy-source"]),
            source_conditions=copy_source_conditions(headers),
            source_expected_owner=header_text(headers, _SOURCE_OWNER) or "",
            first_last=None if range_ is None else parse_copy_range(range_),
        )
        await answer_when_done(
            call, self._clock, self._uploads.copy_part(call.caller, asked), copy_part_result
        )
