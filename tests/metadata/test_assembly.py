"""ETags and checksums of wholes from those of parts, against the bytes themselves."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5, sha1, sha256, sha512

import pytest
import xxhash
from awscrt.checksums import crc32, crc32c, crc64nvme
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.metadata.assembly import checksum_kind_of, checksum_of_parts, etag_of_parts
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.objects import PartInfo
from tests.metadata.values import upload

FULL, COMPOSITE = ChecksumType.FULL_OBJECT, ChecksumType.COMPOSITE


def raw_of(algorithm: ChecksumAlgorithm, data: bytes) -> bytes:
    match algorithm:
        case ChecksumAlgorithm.CRC32:
            return bytes(crc32(data).to_bytes(4, "big"))
        case ChecksumAlgorithm.CRC32C:
            return bytes(crc32c(data).to_bytes(4, "big"))
        case ChecksumAlgorithm.CRC64NVME:
            return bytes(crc64nvme(data).to_bytes(8, "big"))
        case ChecksumAlgorithm.SHA1:
            return sha1(data, usedforsecurity=False).digest()
        case ChecksumAlgorithm.MD5:
            return md5(data, usedforsecurity=False).digest()
        case ChecksumAlgorithm.SHA512:
            return sha512(data).digest()
        case ChecksumAlgorithm.XXHASH64:
            return xxhash.xxh64(data).digest()
        case ChecksumAlgorithm.XXHASH3:
            return xxhash.xxh3_64(data).digest()
        case ChecksumAlgorithm.XXHASH128:
            return xxhash.xxh3_128(data).digest()
    return sha256(data).digest()


def parts_of(algorithm: ChecksumAlgorithm, pieces: list[bytes]) -> list[PartInfo]:
    return [
        PartInfo(n, len(data), Checksum(algorithm, b64encode(raw_of(algorithm, data)).decode()))
        for n, data in enumerate(pieces, 1)
    ]


PIECES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@given(algorithm=st.sampled_from([a for a in ChecksumAlgorithm if a.is_crc]), pieces=PIECES)
def test_a_full_object_crc_is_that_of_all_bytes(
    algorithm: ChecksumAlgorithm, pieces: list[bytes]
) -> None:
    whole = b64encode(raw_of(algorithm, b"".join(pieces))).decode()
    assert checksum_of_parts(algorithm, FULL, parts_of(algorithm, pieces)) == Checksum(
        algorithm, whole, FULL
    )


@given(algorithm=st.sampled_from(list(ChecksumAlgorithm)), pieces=PIECES)
def test_a_composite_checksum_is_that_of_the_raw_checksums(
    algorithm: ChecksumAlgorithm, pieces: list[bytes]
) -> None:
    raw = b"".join(raw_of(algorithm, data) for data in pieces)
    value = f"{b64encode(raw_of(algorithm, raw)).decode()}-{len(pieces)}"
    assert checksum_of_parts(algorithm, COMPOSITE, parts_of(algorithm, pieces)) == Checksum(
        algorithm, value, COMPOSITE
    )


def test_what_cannot_be_known_is_not_claimed() -> None:
    sha, crc = ChecksumAlgorithm.SHA256, ChecksumAlgorithm.CRC32
    assert checksum_of_parts(sha, FULL, parts_of(sha, [b"a"])) is None
    assert checksum_of_parts(sha, COMPOSITE, parts_of(crc, [b"a"])) is None
    assert checksum_of_parts(crc, FULL, [PartInfo(1, 1)]) is None
    assert checksum_of_parts(crc, FULL, [PartInfo(1, 1, Checksum(crc, "not base64!"))]) is None


def test_the_etag_is_the_md5_of_binary_md5s() -> None:
    digests = [md5(data, usedforsecurity=False) for data in (b"a", b"b")]
    whole = md5(b"".join(d.digest() for d in digests), usedforsecurity=False).hexdigest()
    assert etag_of_parts([d.hexdigest() for d in digests]) == f"{whole}-2"


@pytest.mark.parametrize(
    ("chosen", "type_", "expected"),
    [
        (None, None, (ChecksumAlgorithm.CRC64NVME, FULL)),
        (ChecksumAlgorithm.CRC64NVME, None, (ChecksumAlgorithm.CRC64NVME, FULL)),
        (ChecksumAlgorithm.CRC32, None, (ChecksumAlgorithm.CRC32, COMPOSITE)),
        (ChecksumAlgorithm.CRC32, FULL, (ChecksumAlgorithm.CRC32, FULL)),
        (ChecksumAlgorithm.SHA1, None, (ChecksumAlgorithm.SHA1, COMPOSITE)),
        (ChecksumAlgorithm.XXHASH3, None, (ChecksumAlgorithm.XXHASH3, COMPOSITE)),
    ],
)
def test_the_kind_of_checksum_follows_what_the_client_chose(
    chosen: ChecksumAlgorithm | None,
    type_: ChecksumType | None,
    expected: tuple[ChecksumAlgorithm, ChecksumType],
) -> None:
    command = upload(checksum_algorithm=chosen, checksum_type=type_)
    assert checksum_kind_of(command.upload) == expected
