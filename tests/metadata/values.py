"""Values for tests of metadata: short ways to name commands."""

from __future__ import annotations

from hashlib import md5
from typing import Any

from bleepstore.model.acl import private_acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import (
    CompletedPart,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    PutObject,
    PutPart,
)
from bleepstore.model.objects import NULL_VERSION, Description, Extent, Manifest, Upload

OWNER = "a" * 64
OTHER = "b" * 64
ACL = private_acl(OWNER)
MIB = 1024 * 1024


def etag_of(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


def bucket(name: str = "bucket", *, at: int = 1, owner: str = OWNER, **more: Any) -> CreateBucket:
    fields: dict[str, Any] = {"region": "us-east-1", "acl": private_acl(owner), **more}
    return CreateBucket(at=at, bucket=name, owner_id=owner, **fields)


def put(
    key: str,
    data: bytes = b"data",
    *,
    blob: str = "",
    at: int = 10,
    to: str = "bucket",
    **more: Any,
) -> PutObject:
    """Inline bytes, or as many bytes in a blob."""
    if blob:
        extents: tuple[Extent, ...] = (Extent(len(data), blob),)
    else:
        extents = (Extent(len(data), data=data),) if data else ()
    fields: dict[str, Any] = {
        "version_id": NULL_VERSION,
        "size": len(data),
        "etag": etag_of(data),
        "owner_id": OWNER,
        "acl": ACL,
        "description": Description({"content-type": "text/plain"}, {"colour": "blue"}),
        "checksum": None,
        "manifest": Manifest(extents),
        **more,
    }
    return PutObject(at=at, bucket=to, key=key, **fields)


def copy(
    source: str,
    key: str,
    content_id: int,
    *,
    at: int = 20,
    source_bucket: str = "bucket",
    to: str = "bucket",
    **more: Any,
) -> CopyObject:
    fields: dict[str, Any] = {
        "version_id": NULL_VERSION,
        "owner_id": OWNER,
        "acl": ACL,
        "description": Description(),
        "checksum": None,
        **more,
    }
    return CopyObject(
        at=at,
        source_bucket=source_bucket,
        source_key=source,
        source_content_id=content_id,
        bucket=to,
        key=key,
        **fields,
    )


def upload(
    upload_id: str = "u1", key: str = "big", *, at: int = 30, to: str = "bucket", **more: Any
) -> CreateUpload:
    fields: dict[str, Any] = {
        "owner_id": OWNER,
        "initiator_id": OWNER,
        "acl": ACL,
        "description": Description({"content-type": "video/mp4"}),
        **more,
    }
    return CreateUpload(
        at=at, upload=Upload(upload_id=upload_id, bucket=to, key=key, initiated=at, **fields)
    )


def part(
    number: int,
    *,
    upload_id: str = "u1",
    key: str = "big",
    size: int = 5 * MIB,
    etag: str = "",
    blob: str = "",
    at: int = 40,
    to: str = "bucket",
    **more: Any,
) -> PutPart:
    fields: dict[str, Any] = {
        "checksum": None,
        "extents": (Extent(size, blob or f"blob-{upload_id}-{number}"),),
        **more,
    }
    return PutPart(
        at=at,
        bucket=to,
        key=key,
        upload_id=upload_id,
        number=number,
        size=size,
        etag=etag or etag_of(b"%d" % number),
        **fields,
    )


def complete(
    numbers: tuple[int, ...],
    *,
    upload_id: str = "u1",
    key: str = "big",
    at: int = 50,
    to: str = "bucket",
    **more: Any,
) -> CompleteUpload:
    fields: dict[str, Any] = {
        "parts": tuple(CompletedPart(number, etag_of(b"%d" % number)) for number in numbers),
        **more,
    }
    return CompleteUpload(
        at=at, bucket=to, key=key, upload_id=upload_id, version_id=NULL_VERSION, **fields
    )


def crc64(value: str) -> Checksum:
    return Checksum(ChecksumAlgorithm.CRC64NVME, value, ChecksumType.FULL_OBJECT)
