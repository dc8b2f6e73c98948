"""The OpenAPI 3.1 document of everything served: the operations of the table, and the pages.

S3 tells operations apart by query names and by the copy header, which OpenAPI's paths cannot;
so each such operation has a path of its own: ``/{bucket}?acl`` with the query that selects it,
``/{bucket}/{key}#x-amz-copy-source`` where it is a header.  Tools read the document; a client
that sends requests by it must drop what follows ``#`` and let ``{key}`` hold slashes.

What an operation takes beside the table's own columns stands in :data:`QUERY` and
:data:`HEADERS`; a test holds both against botocore's service model.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bleepstore import __version__
from bleepstore.wire.operations import OPERATIONS, TEMPLATES, Body, Level, Operation

Document = dict[str, Any]

_GRANTS = (
    "x-amz-acl", "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
)  # fmt: skip
_BUCKET_GRANTS = (*_GRANTS, "x-amz-grant-write")
_CONTENT = (
    "Content-Type", "Content-Encoding", "Content-Disposition", "Content-Language",
    "Cache-Control", "Expires", "x-amz-storage-class",
)  # fmt: skip
_CHECKSUMS = (
    "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme",
    "x-amz-checksum-md5", "x-amz-checksum-sha1", "x-amz-checksum-sha256", "x-amz-checksum-sha512",
    "x-amz-checksum-xxhash64", "x-amz-checksum-xxhash3", "x-amz-checksum-xxhash128",
)  # fmt: skip
_BODY = ("Content-MD5", "x-amz-sdk-checksum-algorithm", *_CHECKSUMS)
_IF = ("If-Match", "If-None-Match")
_READ = (*_IF, "If-Modified-Since", "If-Unmodified-Since", "Range", "x-amz-checksum-mode")
_SOURCE = (
    "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since",
    "x-amz-source-expected-bucket-owner",
)  # fmt: skip
_OVERRIDES = (
    "response-cache-control", "response-content-disposition", "response-content-encoding",
    "response-content-language", "response-content-type", "response-expires",
)  # fmt: skip
_LISTING = ("prefix", "delimiter", "encoding-type", "max-keys")

QUERY: dict[str, tuple[str, ...]] = {
    "ListBuckets": ("prefix", "max-buckets", "continuation-token", "bucket-region"),
    "ListObjects": (*_LISTING, "marker"),
    "ListObjectsV2": (*_LISTING, "continuation-token", "start-after", "fetch-owner"),
    "ListMultipartUploads": (
        "prefix", "delimiter", "encoding-type", "max-uploads", "key-marker", "upload-id-marker",
    ),
    "ListParts": ("max-parts", "part-number-marker"),
    "GetObject": ("partNumber", *_OVERRIDES),
    "HeadObject": ("partNumber", *_OVERRIDES),
}  # fmt: skip
"""Operation → query parameters that it may take beside those that select it."""

HEADERS: dict[str, tuple[str, ...]] = {
    "CreateBucket": _BUCKET_GRANTS,
    "PutBucketAcl": (*_BUCKET_GRANTS, "Content-MD5"),
    "PutObjectAcl": (*_GRANTS, "Content-MD5"),
    "PutObject": (*_CONTENT, *_GRANTS, *_IF, *_BODY),
    "GetObject": _READ,
    "HeadObject": _READ,
    "DeleteObject": ("If-Match",),
    "DeleteObjects": ("x-amz-sdk-checksum-algorithm",),
    "CopyObject": (
        "x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-checksum-algorithm",
        *_CONTENT, *_GRANTS, *_IF, *_SOURCE,
    ),
    "UploadPartCopy": ("x-amz-copy-source-range", *_SOURCE),
    "UploadPart": _BODY,
    "CreateMultipartUpload": (
        *_CONTENT, *_GRANTS, "x-amz-checksum-algorithm", "x-amz-checksum-type",
    ),
    "CompleteMultipartUpload": (
        *_CHECKSUMS, "x-amz-checksum-type", "x-amz-mp-object-size", *_IF,
    ),
    "GetObjectAttributes": ("x-amz-max-parts", "x-amz-part-number-marker"),
}  # fmt: skip
"""Operation → headers that it may take; every operation on a bucket or an object takes
``x-amz-expected-bucket-owner`` too, but for CreateBucket."""

_INTEGERS = frozenset(
    {"max-buckets", "max-keys", "max-uploads", "max-parts", "part-number-marker", "partNumber"}
)
_EMPTY = frozenset({"CreateBucket", "HeadBucket", "PutBucketAcl", "PutObjectAcl", "HeadObject"})
_NO_CONTENT = frozenset({"DeleteBucket", "DeleteObject", "AbortMultipartUpload"})
_REQUIRED_HEADERS = {"GetObjectAttributes": "x-amz-object-attributes"}
_OWNED = "x-amz-expected-bucket-owner"
_ERROR_ELEMENTS = ("Code", "Message", "Resource", "RequestId", "HostId")
_ERROR = {"$ref": "#/components/responses/Error"}


def openapi_document() -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(openapi())


def openapi() -> Document:
    """The document."""
    paths: dict[str, Document] = {}
    for operation in OPERATIONS:
        if operation.served:
            item = paths.setdefault(path_of(operation), {"parameters": _of_path(operation.level)})
            if not item["parameters"]:
                del item["parameters"]
            item[operation.method.lower()] = _operation(operation)
    paths.update(_pages())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BleepStore",
            "version": __version__,
            "summary": "The Amazon S3 API as this server serves it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"sigv4": []}, {"sigv4Query": []}, {}],
        "tags": [
            {"name": "service"}, {"name": "bucket"}, {"name": "object"}, {"name": "system"},
        ],
        "paths": paths,
        "components": _components(),
    }  # fmt: skip


def path_of(operation: Operation) -> str:
    """The path item of an operation: no two that share one share a method."""
    path = TEMPLATES[operation.level]
    names = [name for name in (operation.parameter, operation.subresource) if name]
    if names:
        path += "?" + "&".join("list-type=2" if name == "list-type" else name for name in names)
    return path + "#x-amz-copy-source" if operation.copies else path


def _of_path(level: Level) -> list[Document]:
    names = {Level.SERVICE: (), Level.BUCKET: ("bucket",), Level.OBJECT: ("bucket", "key")}[level]
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _operation(operation: Operation) -> Document:
    described: Document = {
        "operationId": operation.name,
        "tags": [operation.level.value],
        "summary": operation.name,
        "externalDocs": {
            "url": f"https://docs.aws.amazon.com/AmazonS3/latest/API/API_{operation.name}.html"
        },
        "parameters": _parameters(operation),
        "responses": {**_success(operation), "default": _ERROR},
    }
    if operation.note:
        described["description"] = operation.note
    if operation.permission is not None:
        described["x-acl-permission"] = operation.permission.value
    described["x-iam-action"] = operation.action
    if operation.body is not Body.NONE:
        kind = "application/xml" if operation.body is Body.XML else "application/octet-stream"
        described["requestBody"] = {
            "content": {kind: {}},
            "required": operation.name in ("DeleteObjects", "CompleteMultipartUpload"),
        }
    return described


def _parameters(operation: Operation) -> list[Document]:
    parameters = []
    selecting = [name for name in (operation.subresource, operation.parameter) if name]
    for name in selecting:
        parameters.append(_parameter(name, "query", required=True, schema=_selector(name)))
    if operation.versioned:
        parameters.append(_parameter("versionId", "query"))
    for name in QUERY.get(operation.name, ()):
        parameters.append(_parameter(name, "query"))
    if operation.copies:
        parameters.append(_parameter("x-amz-copy-source", "header", required=True))
    required = _REQUIRED_HEADERS.get(operation.name)
    if required is not None:
        parameters.append(_parameter(required, "header", required=True))
    for name in HEADERS.get(operation.name, ()):
        parameters.append(_parameter(name, "header"))
    if operation.level is not Level.SERVICE and operation.name != "CreateBucket":
        parameters.append(_parameter(_OWNED, "header"))
    return parameters


def _parameter(
    name: str, place: str, *, required: bool = False, schema: Document | None = None
) -> Document:
    if schema is None:
        schema = {"type": "integer" if name in _INTEGERS else "string"}
    parameter: Document = {"name": name, "in": place, "schema": schema}
    if required:
        parameter["required"] = True
    return parameter


def _selector(name: str) -> Document:
    """What a selecting query parameter may be: nothing at all, unless it says which."""
    if name == "list-type":
        return {"const": "2"}
    if name == "partNumber":
        return {"type": "integer", "minimum": 1, "maximum": 10_000}
    return {"type": "string"} if name == "uploadId" else {"const": ""}


def _success(operation: Operation) -> Document:
    if operation.name in _NO_CONTENT:
        return {"204": {"description": "Done."}}
    if operation.name == "GetObject":
        whole: Document = {"description": "The object.", "content": {"*/*": {}}}
        part = {"description": "The range or part asked for.", "content": {"*/*": {}}}
        return {"200": whole, "206": part, "304": {"description": "Not modified."}}
    if operation.name == "HeadObject":
        found = {"description": "Its headers."}
        return {"200": found, "206": found, "304": {"description": "Not modified."}}
    if operation.name in _EMPTY or operation.body is Body.OBJECT:
        return {"200": {"description": "Done."}}
    return {"200": {"description": "The result.", "content": {"application/xml": {}}}}


def _pages() -> dict[str, Document]:
    def page(name: str, summary: str, content: str, *, fails: str = "") -> Document:
        answer: Document = {"description": summary}
        if content:
            answer["content"] = {content: {}}
        responses: Document = {"200": answer}
        if fails:
            responses["503"] = {"description": fails}
        return {
            "get": {
                "operationId": name,
                "tags": ["system"],
                "summary": summary,
                "security": [{}],
                "responses": responses,
            }
        }

    return {
        "/health": page("health", "The state of the stores.", "application/json",
                        fails="A store cannot be used."),
        "/healthz": page("healthz", "The process lives.", ""),
        "/readyz": page("readyz", "Requests can be served.", "", fails="A store cannot be used."),
        "/metrics": page("metrics", "Prometheus' text format.", "text/plain"),
        "/docs": page("docs", "This document, to read.", "text/html"),
        "/openapi.json": page("openapi", "This document.", "application/json"),
    }  # fmt: skip


def _components() -> Document:
    text = {"type": "string"}
    return {
        "parameters": {
            "bucket": {"name": "bucket", "in": "path", "required": True, "schema": text},
            "key": {
                "name": "key",
                "in": "path",
                "required": True,
                "schema": text,
                "description": "1 to 1,024 bytes of UTF-8; slashes in it are sent as they are.",
            },
        },
        "responses": {
            "Error": {
                "description": "A refusal; to HEAD without its body.",
                "content": {"application/xml": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
        },
        "schemas": {
            "Error": {
                "type": "object",
                "required": list(_ERROR_ELEMENTS),
                "properties": dict.fromkeys(_ERROR_ELEMENTS, text),
                "xml": {"name": "Error"},
            }
        },
        "securitySchemes": {
            "sigv4": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "AWS Signature Version 4 (AWS4-HMAC-SHA256) in the header.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            },
            "sigv4Query": {
                "type": "apiKey",
                "in": "query",
                "name": "X-Amz-Signature",
                "description": "AWS Signature Version 4 in the query: a presigned request.",
            },
        },
    }
