"""Checksums in headers and trailers, and S3's refusals of them."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.wire.checksums import (
    ClaimedChecksum,
    ExpectedWhole,
    checksum_headers,
    claimed_checksum,
    content_md5,
    copy_algorithm,
    expected_whole,
    upload_checksum,
    wants_checksum,
)

CRC32 = ChecksumAlgorithm.CRC32
VALUES = {a: b64encode(bytes(range(a.size))).decode() for a in ChecksumAlgorithm}


def header(algorithm: ChecksumAlgorithm, value: str | None = None) -> dict[bytes, bytes]:
    return {algorithm.header.encode(): (value or VALUES[algorithm]).encode()}


def test_content_md5_is_16_bytes_of_base64() -> None:
    assert content_md5({}) is None
    assert content_md5({b"content-md5": b64encode(bytes(16))}) == bytes(16)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"a",
        b"YQ==",
        b64encode(bytes(17)),
        b"\xff" * 24,
        b64encode(bytes(16)) + b"\n",
        b64encode(bytes(16))[:-2],
    ],
)
def test_another_content_md5_is_an_invalid_digest(value: bytes) -> None:
    with pytest.raises(errors.InvalidDigest):
        content_md5({b"content-md5": value})


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_a_checksum_comes_as_header_or_trailer(algorithm: ChecksumAlgorithm) -> None:
    assert claimed_checksum(header(algorithm)) == ClaimedChecksum(algorithm, VALUES[algorithm])
    assert claimed_checksum({b"x-amz-sdk-checksum-algorithm": b""}) is None
    sdk = {b"x-amz-sdk-checksum-algorithm": algorithm.value.lower().encode()}
    assert claimed_checksum({**header(algorithm), **sdk}) is not None
    claim = claimed_checksum({**sdk, b"x-amz-trailer": algorithm.header.upper().encode()})
    assert claim == ClaimedChecksum(algorithm)


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_a_header_counts_though_a_trailer_is_announced_that_cannot_come(
    algorithm: ChecksumAlgorithm,
) -> None:
    both = {**header(algorithm), b"x-amz-trailer": algorithm.header.title().encode()}
    for payload in (b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"UNSIGNED-PAYLOAD"):
        claim = claimed_checksum({**both, b"x-amz-content-sha256": payload})
        assert claim == ClaimedChecksum(algorithm, VALUES[algorithm])


def test_no_checksum_is_none() -> None:
    assert claimed_checksum({b"host": b"a", b"x-amz-checksum-mode": b"ENABLED"}) is None


@pytest.mark.parametrize("value", ["", "AAAA", "AAAAAAA=", "AAAAAB==", "AAAAAA", "AAAAAA== "])
def test_a_malformed_value_is_refused_by_its_header(value: str) -> None:
    message = "Value for x-amz-checksum-crc32 header is invalid"
    with pytest.raises(errors.InvalidRequest, match=message):
        claimed_checksum({b"x-amz-checksum-crc32": value.encode()})


@pytest.mark.parametrize(
    "headers",
    [
        {**header(CRC32), **header(ChecksumAlgorithm.SHA1)},
        {**header(CRC32), b"x-amz-trailer": b"x-amz-checksum-sha1"},
        {
            **header(CRC32),
            b"x-amz-trailer": b"x-amz-checksum-crc32",
            b"x-amz-content-sha256": b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        },
        {**header(CRC32), b"x-amz-sdk-checksum-algorithm": b"SHA1"},
        {b"x-amz-sdk-checksum-algorithm": b"CRC32"},
        {b"x-amz-trailer": b"x-amz-meta-a"},
        {b"x-amz-trailer": b"x-amz-checksum-crc32,x-amz-checksum-sha1"},
    ],
)
def test_contradictions_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(errors.InvalidRequest):
        claimed_checksum(headers)


@pytest.mark.parametrize("more", [{}, header(CRC32)])
def test_a_checksum_that_s3_does_not_have_is_refused_rather_than_passed_over(
    more: dict[bytes, bytes],
) -> None:
    for read in (claimed_checksum, expected_whole):
        with pytest.raises(errors.InvalidRequest, match="algorithm type you specified"):
            read({**more, b"x-amz-checksum-sha256a": b"AAAA"})


@pytest.mark.parametrize(
    ("algorithm", "default", "refused"),
    [
        ("CRC32", ChecksumType.COMPOSITE, None),
        ("crc32c", ChecksumType.COMPOSITE, None),
        ("CRC64NVME", ChecksumType.FULL_OBJECT, "COMPOSITE"),
        ("SHA1", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("SHA256", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("SHA512", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("MD5", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("XXHASH64", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("xxhash3", ChecksumType.COMPOSITE, "FULL_OBJECT"),
        ("XXHASH128", ChecksumType.COMPOSITE, "FULL_OBJECT"),
    ],
)
def test_an_upload_has_a_type_that_its_algorithm_has(
    algorithm: str, default: ChecksumType, refused: str | None
) -> None:
    headers = {b"x-amz-checksum-algorithm": algorithm.encode()}
    expected = ChecksumAlgorithm(algorithm.upper())
    assert upload_checksum(headers) == (expected, default)
    assert copy_algorithm(headers) is expected
    for kind in ChecksumType:
        both = {**headers, b"x-amz-checksum-type": kind.value.encode()}
        if kind.value == refused:
            with pytest.raises(errors.InvalidRequest, match="cannot be used with"):
                upload_checksum(both)
        else:
            assert upload_checksum(both) == (expected, kind)


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-amz-checksum-algorithm": b"MD4"},
        {b"x-amz-checksum-type": b"COMPOSITE"},
        {b"x-amz-checksum-algorithm": b"CRC32", b"x-amz-checksum-type": b"HALF"},
    ],
)
def test_other_algorithms_and_types_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(errors.InvalidRequest):
        upload_checksum(headers)


def test_nothing_said_of_an_upload() -> None:
    assert upload_checksum({}) == (None, None)
    assert copy_algorithm({}) is None
    assert expected_whole({}) == ExpectedWhole()


def test_what_complete_says_of_the_whole() -> None:
    value = VALUES[CRC32]
    kind = {b"x-amz-checksum-type": b"FULL_OBJECT", b"x-amz-mp-object-size": b"12"}
    assert expected_whole({**header(CRC32), **kind}) == ExpectedWhole(
        Checksum(CRC32, value, ChecksumType.FULL_OBJECT), ChecksumType.FULL_OBJECT, 12
    )
    composite = Checksum(CRC32, value + "-3", ChecksumType.COMPOSITE)
    assert expected_whole(header(CRC32, value + "-3")) == ExpectedWhole(composite)


@pytest.mark.parametrize(
    ("algorithm", "said", "kind"),
    [
        (CRC32, None, ChecksumType.FULL_OBJECT),
        (CRC32, b"full_object", ChecksumType.FULL_OBJECT),
        (CRC32, b"COMPOSITE", ChecksumType.COMPOSITE),
        (ChecksumAlgorithm.CRC64NVME, None, ChecksumType.FULL_OBJECT),
        (ChecksumAlgorithm.SHA1, None, ChecksumType.COMPOSITE),
        (ChecksumAlgorithm.SHA1, b"composite", ChecksumType.COMPOSITE),
    ],
)
def test_a_whole_without_a_number_of_parts_has_the_type_that_is_said_or_implied(
    algorithm: ChecksumAlgorithm, said: bytes | None, kind: ChecksumType
) -> None:
    sent = {} if said is None else {b"x-amz-checksum-type": said}
    whole = expected_whole({**header(algorithm), **sent})
    assert whole.checksum == Checksum(algorithm, VALUES[algorithm], kind)


@pytest.mark.parametrize(
    "headers",
    [
        header(CRC32, VALUES[CRC32] + "-"),
        header(CRC32, VALUES[CRC32] + "-x"),
        header(CRC32, VALUES[CRC32] + "-100000"),
        header(ChecksumAlgorithm.CRC64NVME, VALUES[ChecksumAlgorithm.CRC64NVME] + "-2"),
        {**header(CRC32, VALUES[CRC32] + "-2"), b"x-amz-checksum-type": b"FULL_OBJECT"},
        {**header(ChecksumAlgorithm.SHA1), b"x-amz-checksum-type": b"FULL_OBJECT"},
        {**header(CRC32), **header(ChecksumAlgorithm.SHA1)},
        {b"x-amz-mp-object-size": b"-1"},
        {b"x-amz-mp-object-size": b"a"},
        {b"x-amz-mp-object-size": b"1" * 5000},
    ],
)
def test_complete_refuses_what_cannot_be(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(errors.InvalidRequest):
        expected_whole(headers)


def test_checksum_mode() -> None:
    assert wants_checksum({b"x-amz-checksum-mode": b"ENABLED"})
    assert wants_checksum({b"x-amz-checksum-mode": b"enabled"})
    assert not wants_checksum({})
    for value in (b"yes", b""):
        with pytest.raises(errors.InvalidRequest, match="x-amz-checksum-mode header is invalid"):
            wants_checksum({b"x-amz-checksum-mode": value})


def test_response_headers() -> None:
    checksum = Checksum(CRC32, "AAAAAA==-2", ChecksumType.COMPOSITE)
    assert checksum_headers(checksum) == [
        (b"x-amz-checksum-crc32", b"AAAAAA==-2"),
        (b"x-amz-checksum-type", b"COMPOSITE"),
    ]
    assert checksum_headers(checksum, with_type=False) == [(b"x-amz-checksum-crc32", b"AAAAAA==-2")]


NAMES = st.sampled_from(
    [b"content-md5", b"x-amz-checksum-crc32", b"x-amz-checksum-sha256", b"x-amz-trailer",
     b"x-amz-sdk-checksum-algorithm", b"x-amz-checksum-algorithm", b"x-amz-checksum-type",
     b"x-amz-checksum-md5", b"x-amz-mp-object-size", b"x-amz-checksum-mode"]
)  # fmt: skip
WORDS = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([b"CRC32", b"x-amz-checksum-crc32", b"AAAAAA==", b"COMPOSITE", b"AAAAAA==-1"]),
)


@given(st.dictionaries(NAMES, WORDS))
def test_only_refusals_come_out(headers: dict[bytes, bytes]) -> None:
    for read in (content_md5, claimed_checksum, upload_checksum, expected_whole, wants_checksum):
        try:
            read(headers)
        except errors.StoreError:
            continue
