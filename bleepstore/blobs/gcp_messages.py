"""What is said to Cloud Storage's JSON API, and what it answers: targets and resources.  Pure.

Source: JSON API reference, Objects (insert, get, list, delete, compose, rewrite), Google Cloud.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bleepstore.auth.canonical import encode_component
from bleepstore.errors import InternalError
from bleepstore.interfaces.in_place import ListedName, NativeObject
from bleepstore.model.objects import Description
from bleepstore.wire.dates import parse_iso_date

BLOB = "bleepstore-blob"
"""The custom metadata by which an object of ours is recognised: the id of its blob."""

EXPIRES = "bleepstore-expires"
"""The custom metadata for the one header that S3 keeps and Cloud Storage does not."""

MOST_METADATA = 8192
"""Bytes of all custom metadata, names and values ("Quotas & limits")."""

MOST_SOURCES = 32
"""Of one composition ("Composite objects")."""

MOST_NAME = 1024
"""Bytes of UTF-8 of an object's name ("Object naming requirements")."""

_FIELDS = {
    "content-type": "contentType",
    "content-encoding": "contentEncoding",
    "content-disposition": "contentDisposition",
    "content-language": "contentLanguage",
    "cache-control": "cacheControl",
}

SHOWN = "name,generation,size,md5Hash,crc32c,updated,metadata," + ",".join(_FIELDS.values())
"""The fields of an object's resource that are asked for."""

Resource = dict[str, Any]


def allowed_name(name: str) -> bool:
    """Whether an object can have a name ("Object naming requirements")."""
    return (
        len(name.encode()) <= MOST_NAME
        and "\r" not in name
        and "\n" not in name
        and name not in (".", "..")
        and not name.startswith(".well-known/acme-challenge/")
    )


def object_path(bucket: str, name: str) -> bytes:
    """Path of an object's resource; its name is one segment."""
    return b"/storage/v1/b/%b/o/%b" % (
        encode_component(bucket.encode()),
        encode_component(name.encode()),
    )


def list_path(bucket: str) -> bytes:
    """Path of the collection of objects."""
    return b"/storage/v1/b/%b/o" % encode_component(bucket.encode())


def upload_path(bucket: str) -> bytes:
    """Path of the collection, for uploads."""
    return b"/upload" + list_path(bucket)


def rewrite_path(bucket: str, source: str, name: str) -> bytes:
    """Path of a copy within a bucket."""
    there = object_path(bucket, name).removeprefix(b"/storage/v1")
    return object_path(bucket, source) + b"/rewriteTo" + there


def compose_path(bucket: str, name: str) -> bytes:
    """Path of the composition of an object."""
    return object_path(bucket, name) + b"/compose"


def query(**parameters: str | None) -> bytes:
    """A query of the parameters that are not None, with its question mark."""
    pairs = [
        b"%b=%b" % (name.encode(), encode_component(value.encode()))
        for name, value in parameters.items()
        if value is not None
    ]
    return b"?" + b"&".join(pairs) if pairs else b""


def described(description: Description, blob_id: str) -> Resource:
    """The resource of an object that is made: its description's fields, and the blob's id.

    User metadata that leaves no room for our own is left out as a whole: the index has it.
    """
    resource: Resource = {
        _FIELDS[name]: value for name, value in description.headers.items() if name in _FIELDS
    }
    ours = {BLOB: blob_id}
    if expires := description.headers.get("expires"):
        ours[EXPIRES] = expires
    metadata = {**description.metadata, **ours}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    resource["metadata"] = metadata if size <= MOST_METADATA else ours
    return resource


def native_object(resource: Resource) -> NativeObject:
    """What a resource says of an object.

    :raises InternalError: it is no resource of an object.
    """
    listed = listed_name(resource)
    metadata = dict(resource.get("metadata") or {})
    headers = {name: resource[field] for name, field in _FIELDS.items() if resource.get(field)}
    if expires := metadata.pop(EXPIRES, ""):
        headers["expires"] = expires
    return NativeObject(
        name=listed.name,
        tag=listed.tag,
        size=listed.size,
        etag=listed.etag,
        blob_id=metadata.pop(BLOB, ""),
        last_modified=listed.last_modified,
        description=Description(headers, metadata),
    )


def listed_name(resource: Resource) -> ListedName:
    """The same, as a listing shows it.

    :raises InternalError: it is no resource of an object.
    """
    try:
        generation = str(resource["generation"])
        md5 = resource.get("md5Hash")  # a composite object has none
        return ListedName(
            resource["name"],
            generation,
            int(resource["size"]),
            b64decode(md5).hex() if md5 else generation,
            parse_iso_date(resource.get("updated", "")) or 0,
        )
    except (KeyError, ValueError, TypeError):
        raise InternalError("Cloud Storage answered without an object's resource") from None


def crc32c_text(value: int) -> str:
    """A CRC32C as resources have it: base64 of four bytes, the highest first."""
    return b64encode(value.to_bytes(4, "big")).decode()


def multipart_body(resource: Resource, data: bytes, boundary: str) -> bytes:
    """Resource and bytes in one body ("Multipart upload"; RFC 2387).

    :param boundary: must not be in ``data``; a blob's id with random digits is not.
    """
    mark = boundary.encode()
    return b"".join(
        (
            b"--%b\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n" % mark,
            msgspec.json.encode(resource),
            b"\r\n--%b\r\ncontent-type: application/octet-stream\r\n\r\n" % mark,
            data,
            b"\r\n--%b--\r\n" % mark,
        )
    )


def compose_body(sources: Sequence[tuple[str, str]], resource: Resource) -> bytes:
    """The body of a composition.

    :param sources: names and generations, in order.
    """
    return msgspec.json.encode(
        {
            "kind": "storage#composeRequest",
            "sourceObjects": [
                {"name": name, "objectPreconditions": {"ifGenerationMatch": generation}}
                for name, generation in sources
            ],
            "destination": resource,
        }
    )


class Page(Struct, frozen=True):
    """A page of a listing.

    :ivar token: of the next page; None: this is the last.
    """

    names: tuple[ListedName, ...]
    prefixes: tuple[str, ...]
    token: str | None


def listed_page(said: Resource) -> Page:
    """A page.

    :raises InternalError: it is none.
    """
    return Page(
        tuple(listed_name(item) for item in said.get("items", ())),
        tuple(said.get("prefixes", ())),
        said.get("nextPageToken"),
    )
