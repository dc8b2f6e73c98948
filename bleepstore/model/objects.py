"""Buckets, object versions, uploads and where their bytes are."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from bleepstore.model.acl import Acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType

NULL_VERSION = "null"
"""The version id of an object written while its bucket was not versioned."""


class Bucket(Struct, frozen=True):
    """A bucket.

    :ivar created: milliseconds since the epoch.
    """

    name: str
    owner_id: str
    created: int
    region: str
    acl: Acl


class Extent(Struct, frozen=True, array_like=True):
    """A run of an object's bytes: ``length`` bytes of a blob from ``offset``, or ``data`` itself.

    Exactly one of ``blob_id`` and ``data`` is not empty (both are, for an empty object's
    single extent of length 0, which need not be there at all).

    :ivar data: inline bytes, kept beside the metadata; ``len(data) == length``.
    """

    length: int
    blob_id: str = ""
    offset: int = 0
    data: bytes = b""


class PartInfo(Struct, frozen=True, array_like=True):
    """What is remembered of a part after its upload was completed.

    :ivar number: the number it was completed under, 1 to 10,000, ascending.
    """

    number: int
    size: int
    checksum: Checksum | None = None


class Manifest(Struct, frozen=True, array_like=True):
    """The content of an object version: its extents in order, and its parts if it was multipart."""

    extents: tuple[Extent, ...] = ()
    parts: tuple[PartInfo, ...] = ()


class Description(Struct, frozen=True, omit_defaults=True):
    """What a client says about an object, apart from its bytes and its ACL.

    :ivar headers: lower-case HTTP header name → value, of those S3 keeps: content-type,
        content-encoding, content-disposition, content-language, cache-control, expires.
    :ivar metadata: user metadata, lower-case names without ``x-amz-meta-``.
    :ivar storage_class: one of ``names.STORAGE_CLASSES``.
    """

    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"


class ObjectVersion(Struct, frozen=True, kw_only=True):
    """One version of one key, as metadata holds it.

    :ivar size: bytes, 0 to 48.8 TiB (10,000 parts of 5 GiB).
    :ivar etag: without quotes.
    :ivar last_modified: milliseconds since the epoch.
    :ivar content_id: the identity of its bytes in this store, never used twice; two versions
        with the same one have the same bytes (a copy), and it changes whenever bytes do.
    :ivar part_count: number of parts if it was made by a multipart upload, else 0.
    """

    key: str
    version_id: str
    size: int
    etag: str
    last_modified: int
    owner_id: str
    acl: Acl
    description: Description
    checksum: Checksum | None
    content_id: int
    part_count: int = 0


class ListedObject(Struct, frozen=True):
    """What a listing shows of an object: a narrow row, read a thousand at a time."""

    key: str
    size: int
    etag: str
    last_modified: int
    storage_class: str
    owner_id: str
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None


class Upload(Struct, frozen=True, kw_only=True):
    """A multipart upload in progress.

    :ivar initiated: milliseconds since the epoch.
    :ivar checksum_algorithm: what every part carries; None if the client chose none, in which
        case parts get CRC64NVME and the object a full-object CRC64NVME.
    :ivar native: where a cloud keeps the upload in progress (a locator, see ``model.locators``);
        unset, and no part of the stored form, where parts are blobs like others.
    """

    upload_id: str
    bucket: str
    key: str
    initiated: int
    owner_id: str
    initiator_id: str
    acl: Acl
    description: Description
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None
    native: str | UnsetType = UNSET


class PlacedPart(Struct, frozen=True):
    """Where the bytes of a part are."""

    number: int
    extents: tuple[Extent, ...]


class Part(Struct, frozen=True, kw_only=True):
    """An uploaded part of an upload in progress.

    :ivar number: 1 to 10,000.
    :ivar etag: hex MD5 of its bytes.
    """

    number: int
    size: int
    etag: str
    last_modified: int
    checksum: Checksum | None = None
