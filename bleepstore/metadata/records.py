"""The stored form of values: MessagePack, or a few columns where SQL needs to see them.

Decoded buckets and ACLs are kept in caches by their *bytes*, not by name: what another process
has changed has other bytes, so a cache can never be stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from bleepstore.model.accounts import Credential
from bleepstore.model.acl import Acl, private_acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.intents import Intent
from bleepstore.model.objects import (
    Bucket,
    Description,
    Extent,
    Manifest,
    ObjectVersion,
    Part,
    Upload,
)

_encode = msgspec.msgpack.Encoder().encode
_decode_acl = msgspec.msgpack.Decoder(Acl).decode
_decode_bucket = msgspec.msgpack.Decoder(Bucket).decode
_decode_words = msgspec.msgpack.Decoder(tuple[dict[str, str], dict[str, str]]).decode

encode_bucket = encode_upload = encode_credential = encode_manifest = encode_extents = _encode
encode_intent = _encode
decode_upload = msgspec.msgpack.Decoder(Upload).decode
decode_credential = msgspec.msgpack.Decoder(Credential).decode
decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
decode_intent = msgspec.msgpack.Decoder(Intent).decode
decode_extents = msgspec.msgpack.Decoder(tuple[Extent, ...]).decode


@lru_cache(maxsize=4096)
def decode_bucket(raw: bytes) -> Bucket:
    """The bucket of a record; the same bytes give the same value."""
    return _decode_bucket(raw)


@lru_cache(maxsize=4096)
def access_of(raw: bytes) -> bytes:
    """What tells a bucket's record, and so who may do what with it, from any other."""
    return blake2b(raw, digest_size=8).digest()


# ACLs

_private_acl = lru_cache(maxsize=4096)(private_acl)
_shared_acl = lru_cache(maxsize=4096)(_decode_acl)


def encode_acl(acl: Acl, owner_id: str) -> bytes:
    """Nothing at all for the ACL that nearly every object has: private to its owner."""
    return b"" if acl == _private_acl(owner_id) else _encode(acl)


def decode_acl(raw: bytes, owner_id: str) -> Acl:
    """The inverse of :func:`encode_acl`."""
    return _shared_acl(raw) if raw else _private_acl(owner_id)


# Checksums: (kind, value); these numbers are stored and never change their meaning.

_ALGORITHMS = (
    ChecksumAlgorithm.CRC32,
    ChecksumAlgorithm.CRC32C,
    ChecksumAlgorithm.CRC64NVME,
    ChecksumAlgorithm.SHA1,
    ChecksumAlgorithm.SHA256,
    ChecksumAlgorithm.MD5,
    ChecksumAlgorithm.SHA512,
    ChecksumAlgorithm.XXHASH64,
    ChecksumAlgorithm.XXHASH3,
    ChecksumAlgorithm.XXHASH128,
)
CHECKSUM_KINDS: dict[int, tuple[ChecksumAlgorithm, ChecksumType]] = {
    2 * number + offset: (algorithm, type_)
    for number, algorithm in enumerate(_ALGORITHMS, 1)
    for offset, type_ in enumerate((ChecksumType.FULL_OBJECT, ChecksumType.COMPOSITE))
}
"""What the column ``checksum_kind`` means; 0 stands for no checksum."""

_KIND_OF = {pair: kind for kind, pair in CHECKSUM_KINDS.items()}


def checksum_columns(checksum: Checksum | None) -> tuple[int, str]:
    """The columns ``checksum_kind`` and ``checksum``."""
    if checksum is None:
        return 0, ""
    return _KIND_OF[checksum.algorithm, checksum.type], checksum.value


def checksum_of(kind: int, value: str) -> Checksum | None:
    """The inverse of :func:`checksum_columns`."""
    if not kind:
        return None
    algorithm, type_ = CHECKSUM_KINDS[kind]
    return Checksum(algorithm, value, type_)


# Descriptions: the storage class is a column, since listings show it.


def encode_description(description: Description) -> bytes:
    """All of it but the storage class."""
    return _encode((description.headers, description.metadata))


# Rows

VERSION_COLUMNS = (
    "v.version_id, v.content_id, v.size, v.etag, v.last_modified, v.owner_id, v.storage_class,"
    " v.checksum_kind, v.checksum, v.part_count, v.acl, v.description"
)


def version_of(key: str, row: Sequence[Any]) -> ObjectVersion:
    """The version of a row of :data:`VERSION_COLUMNS`."""
    (
        version_id,
        content_id,
        size,
        etag,
        last_modified,
        owner_id,
        storage_class,
        checksum_kind,
        checksum,
        part_count,
        acl,
        description,
    ) = row
    headers, metadata = _decode_words(description)
    return ObjectVersion(
        key=key,
        version_id=version_id,
        size=size,
        etag=etag,
        last_modified=last_modified,
        owner_id=owner_id,
        acl=_shared_acl(acl) if acl else _private_acl(owner_id),
        description=Description(headers, metadata, storage_class),
        checksum=checksum_of(checksum_kind, checksum) if checksum_kind else None,
        content_id=content_id,
        part_count=part_count,
    )


def part_of(row: Sequence[Any]) -> Part:
    """The part of number, size, etag, last_modified, checksum_kind, checksum."""
    number, size, etag, last_modified, kind, checksum = row
    return Part(
        number=number,
        size=size,
        etag=etag,
        last_modified=last_modified,
        checksum=checksum_of(kind, checksum),
    )
