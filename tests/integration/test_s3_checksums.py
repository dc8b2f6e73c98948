"""Integrity: Content-MD5 and the additional checksums, of objects, of parts and of wholes.

The values are computed here by other code than the server's: hashlib, zlib, awscrt and xxhash.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest
import xxhash
from awscrt import checksums as crt

from tests.integration.world import PART, World, refused

DATA = b"The quick brown fox" * 1000


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


SUMS: dict[str, Callable[[bytes], str]] = {
    "CRC32": lambda data: _base64(zlib.crc32(data).to_bytes(4, "big")),
    "CRC32C": lambda data: _base64(crt.crc32c(data).to_bytes(4, "big")),
    "CRC64NVME": lambda data: _base64(crt.crc64nvme(data).to_bytes(8, "big")),
    "MD5": lambda data: _base64(hashlib.md5(data).digest()),
    "SHA1": lambda data: _base64(hashlib.sha1(data).digest()),
    "SHA256": lambda data: _base64(hashlib.sha256(data).digest()),
    "SHA512": lambda data: _base64(hashlib.sha512(data).digest()),
    "XXHASH64": lambda data: _base64(xxhash.xxh64(data).digest()),
    "XXHASH3": lambda data: _base64(xxhash.xxh3_64(data).digest()),
    "XXHASH128": lambda data: _base64(xxhash.xxh3_128(data).digest()),
}
FULL = ("CRC32", "CRC32C", "CRC64NVME")
COMPOSITE = tuple(name for name in SUMS if name != "CRC64NVME")


def computed(algorithm: str, body: bytes) -> dict[str, str]:
    """What to tell boto3, so that it sends a checksum; that of MD5 it does not compute."""
    if algorithm == "MD5":
        return {"ChecksumMD5": SUMS["MD5"](body)}
    return {"ChecksumAlgorithm": algorithm}


def composite(algorithm: str, *parts: bytes) -> str:
    """The checksum of the checksums, and how many there are."""
    sums = b"".join(b64decode(SUMS[algorithm](part)) for part in parts)
    return f"{SUMS[algorithm](sums)}-{len(parts)}"


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    return world.bucket()


@pytest.mark.parametrize("algorithm", sorted(SUMS))
@pytest.mark.parametrize("given", [True, False])
def test_checksums_of_objects(alice: Any, shared: str, algorithm: str, given: bool) -> None:
    """Given by value in a header, or by algorithm: then boto3 computes it, and sends it behind
    the body where it can."""
    name = f"Checksum{algorithm}"
    value = SUMS[algorithm](DATA)
    key = {"Bucket": shared, "Key": f"{algorithm}{given}"}
    said = {name: value} if given else computed(algorithm, DATA)
    put = alice.put_object(**key, Body=DATA, **said)
    assert (put[name], put["ChecksumType"]) == (value, "FULL_OBJECT")
    for read in (alice.get_object, alice.head_object):
        assert name not in read(**key)["ResponseMetadata"]["HTTPHeaders"]
        answer = read(**key, ChecksumMode="ENABLED")
        assert (answer[name], answer["ChecksumType"]) == (value, "FULL_OBJECT")
    part = alice.get_object(**key, ChecksumMode="ENABLED", Range="bytes=0-1")
    assert name not in part  # it is not that of the range
    attributes = alice.get_object_attributes(**key, ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == {name: value, "ChecksumType": "FULL_OBJECT"}
    (listed,) = alice.list_objects_v2(Bucket=shared, Prefix=key["Key"])["Contents"]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", sorted(SUMS))
@pytest.mark.parametrize("size", [100, pytest.param(3_000_000, marks=pytest.mark.large_objects)])
def test_checksums_that_are_not_those_of_the_body(
    world: World, shared: str, algorithm: str, size: int
) -> None:
    header = f"x-amz-checksum-{algorithm.lower()}"
    raw = world.raw("alice")
    body = b"x" * size
    wrong = {header: SUMS[algorithm](b"other")}
    answer = raw.request("PUT", f"/{shared}/wrong", wrong, body)
    assert answer.error == (400, "BadDigest")
    assert answer.text("Message") == (
        f"The {algorithm} you specified did not match the calculated checksum."
    )
    for malformed in ("nonsense", "", SUMS[algorithm](b"")[:-4]):
        answer = raw.request("PUT", f"/{shared}/wrong", {header: malformed}, body)
        assert answer.error == (400, "InvalidRequest")
        assert answer.text("Message") == f"Value for {header} header is invalid."
    assert raw.request("GET", f"/{shared}/wrong").status == 404


def test_without_a_checksum_there_is_one_all_the_same(
    world: World, alice: Any, shared: str
) -> None:
    """CRC64NVME, as S3 adds it since December 2024."""
    answer = world.raw("alice").request("PUT", f"/{shared}/default", {}, DATA)
    assert answer.headers["x-amz-checksum-crc64nvme"] == SUMS["CRC64NVME"](DATA)
    assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    head = alice.head_object(Bucket=shared, Key="default", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == SUMS["CRC64NVME"](DATA)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (
            {
                "x-amz-checksum-crc32": SUMS["CRC32"](DATA),
                "x-amz-checksum-sha1": SUMS["SHA1"](DATA),
            },
            400, "InvalidRequest",
        ),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, 400, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "MD4"}, 400, "InvalidRequest"),
        (
            {
                "x-amz-sdk-checksum-algorithm": "SHA1",
                "x-amz-checksum-crc32": SUMS["CRC32"](DATA),
            },
            400, "InvalidRequest",
        ),
        ({"x-amz-checksum-sha384": "AAAA"}, 400, "InvalidRequest"),
        ({"content-md5": "nonsense"}, 400, "InvalidDigest"),
        ({"content-md5": ""}, 400, "InvalidDigest"),
        ({"content-md5": b64encode(b"short").decode()}, 400, "InvalidDigest"),
        ({"content-md5": hashlib.md5(DATA).hexdigest()}, 400, "InvalidDigest"),
        ({"content-md5": b64encode(bytes(16)).decode()}, 400, "BadDigest"),
    ],
)  # fmt: skip
def test_digests_that_are_refused(
    world: World, shared: str, headers: dict[str, str], status: int, code: str
) -> None:
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{shared}/refused", headers, DATA).error == (status, code)
    assert raw.request("GET", f"/{shared}/refused").status == 404


def test_content_md5(world: World, shared: str) -> None:
    right = {"content-md5": b64encode(hashlib.md5(DATA).digest()).decode()}
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{shared}/md5", right, DATA).status == 200
    answer = raw.request("PUT", f"/{shared}/md5", right, b"other")
    assert answer.error == (400, "BadDigest")
    assert answer.text("ExpectedDigest") == right["content-md5"]
    assert answer.text("CalculatedDigest") == b64encode(hashlib.md5(b"other").digest()).decode()
    assert raw.request("GET", f"/{shared}/md5").body == DATA


def test_checksum_mode_has_one_value(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="mode", Body=b"x")
    answer = world.raw("alice").request("GET", f"/{shared}/mode", {"x-amz-checksum-mode": "x"})
    assert answer.error == (400, "InvalidRequest")


def test_copies_keep_or_change_the_checksum(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="src", Body=DATA, ChecksumAlgorithm="SHA1")
    copy = {"Bucket": shared, "Key": "dst", "CopySource": f"{shared}/src"}
    result = alice.copy_object(**copy)["CopyObjectResult"]
    assert result["ChecksumSHA1"] == SUMS["SHA1"](DATA)
    for algorithm in sorted(SUMS):
        result = alice.copy_object(**copy, ChecksumAlgorithm=algorithm)["CopyObjectResult"]
        assert result[f"Checksum{algorithm}"] == SUMS[algorithm](DATA)
        assert result["ChecksumType"] == "FULL_OBJECT"
        head = alice.head_object(Bucket=shared, Key="dst", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"] == SUMS[algorithm](DATA)


BODIES = (b"1" * PART, b"2" * PART, b"three")


class Upload:
    """An upload of :data:`BODIES`, up to its completion."""

    def __init__(self, alice: Any, bucket: str, algorithm: str, **options: Any) -> None:
        self.alice = alice
        self.name = {"Bucket": bucket, "Key": f"multipart {algorithm} {options}"}
        self.created = alice.create_multipart_upload(
            **self.name, ChecksumAlgorithm=algorithm, **options
        )
        self.name["UploadId"] = self.created["UploadId"]
        self.parts = []
        for number, body in enumerate(BODIES, 1):
            answer = alice.upload_part(
                **self.name, PartNumber=number, Body=body, **computed(algorithm, body)
            )
            value = answer[f"Checksum{algorithm}"]
            assert value == SUMS[algorithm](body)
            self.parts.append(
                {"PartNumber": number, "ETag": answer["ETag"], f"Checksum{algorithm}": value}
            )

    def complete(self, **options: Any) -> Any:
        return self.alice.complete_multipart_upload(
            **self.name, MultipartUpload={"Parts": self.parts}, **options
        )


@pytest.mark.large_objects
@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [*[(name, "COMPOSITE") for name in COMPOSITE], *[(name, "FULL_OBJECT") for name in FULL]],
)
def test_checksums_of_multipart_objects(alice: Any, shared: str, algorithm: str, kind: str) -> None:
    upload = Upload(alice, shared, algorithm, ChecksumType=kind)
    assert upload.created["ChecksumAlgorithm"] == algorithm
    assert upload.created["ChecksumType"] == kind
    (listed,) = [
        entry
        for entry in alice.list_multipart_uploads(Bucket=shared)["Uploads"]
        if entry["UploadId"] == upload.name["UploadId"]
    ]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    page = alice.list_parts(**upload.name)
    assert (page["ChecksumAlgorithm"], page["ChecksumType"]) == (algorithm, kind)
    assert [part[f"Checksum{algorithm}"] for part in page["Parts"]] == [
        SUMS[algorithm](body) for body in BODIES
    ]
    expected = (
        composite(algorithm, *BODIES) if kind == "COMPOSITE" else SUMS[algorithm](b"".join(BODIES))
    )
    wrong = SUMS[algorithm](b"wrong")
    with refused(400, "BadDigest"):
        upload.complete(**{f"Checksum{algorithm}": wrong, "ChecksumType": kind})
    other = "FULL_OBJECT" if kind == "COMPOSITE" else "COMPOSITE"
    with refused(400, "InvalidRequest"):
        upload.complete(ChecksumType=other)
    done = upload.complete(**{f"Checksum{algorithm}": expected, "ChecksumType": kind})
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, kind)
    key = {"Bucket": shared, "Key": upload.name["Key"]}
    head = alice.head_object(**key, ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, kind)
    got = alice.get_object(**key, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(BODIES)  # and botocore compares it, where it can
    attributes = alice.get_object_attributes(**key, ObjectAttributes=["Checksum", "ObjectParts"])
    assert attributes["Checksum"] == {f"Checksum{algorithm}": expected, "ChecksumType": kind}
    assert [part[f"Checksum{algorithm}"] for part in attributes["ObjectParts"]["Parts"]] == [
        SUMS[algorithm](body) for body in BODIES
    ]


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
        ("XXHASH3", "COMPOSITE"),
        ("CRC64NVME", "FULL_OBJECT"),
    ],
)
def test_every_algorithm_has_a_default_type(
    alice: Any, shared: str, algorithm: str, kind: str
) -> None:
    upload = alice.create_multipart_upload(Bucket=shared, Key="k", ChecksumAlgorithm=algorithm)
    assert upload["ChecksumType"] == kind
    alice.abort_multipart_upload(Bucket=shared, Key="k", UploadId=upload["UploadId"])


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("SHA1", "FULL_OBJECT"),
        ("SHA256", "FULL_OBJECT"),
        ("MD5", "FULL_OBJECT"),
        ("XXHASH128", "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE"),
    ],
)
def test_types_that_an_algorithm_does_not_have(
    alice: Any, shared: str, algorithm: str, kind: str
) -> None:
    with refused(400, "InvalidRequest"):
        alice.create_multipart_upload(
            Bucket=shared, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
        )


@pytest.mark.large_objects
def test_uploads_without_an_algorithm(world: World, shared: str) -> None:
    """As old clients make them: the whole gets the default checksum."""
    raw = world.raw("alice")
    upload = raw.request("POST", f"/{shared}/old?uploads").text("UploadId")
    parts = ""
    for number, body in enumerate(BODIES, 1):
        target = f"/{shared}/old?partNumber={number}&uploadId={upload}"
        etag = raw.request("PUT", target, {}, body).headers["etag"]
        parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    done = raw.request("POST", f"/{shared}/old?uploadId={upload}", {}, document)
    assert done.text("ChecksumCRC64NVME") == SUMS["CRC64NVME"](b"".join(BODIES))
    assert done.text("ChecksumType") == "FULL_OBJECT"


def test_parts_of_another_algorithm(alice: Any, shared: str) -> None:
    name = {"Bucket": shared, "Key": "other"}
    name["UploadId"] = alice.create_multipart_upload(**name, ChecksumAlgorithm="SHA1")["UploadId"]
    with refused(400, "InvalidRequest"):
        alice.upload_part(**name, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    etag = alice.upload_part(**name, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA1")["ETag"]
    with refused(400, "InvalidPart"):
        alice.complete_multipart_upload(
            **name,
            MultipartUpload={
                "Parts": [{"PartNumber": 1, "ETag": etag, "ChecksumSHA1": SUMS["SHA1"](b"y")}]
            },
        )
    alice.abort_multipart_upload(**name)


def test_an_unknown_algorithm(world: World, shared: str) -> None:
    answer = world.raw("alice").request(
        "POST", f"/{shared}/k?uploads", {"x-amz-checksum-algorithm": "MD4"}
    )
    assert answer.error == (400, "InvalidRequest")


def test_an_empty_object(alice: Any, shared: str) -> None:
    for algorithm in SUMS:
        put = alice.put_object(Bucket=shared, Key="empty", Body=b"", **computed(algorithm, b""))
        assert put[f"Checksum{algorithm}"] == SUMS[algorithm](b"")


def test_deletes_by_checksum(world: World, shared: str) -> None:
    body = b"<Delete><Object><Key>none</Key></Object></Delete>"
    raw = world.raw("alice")
    for algorithm, value in SUMS.items():
        header = f"x-amz-checksum-{algorithm.lower()}"
        answer = raw.request("POST", f"/{shared}?delete", {header: value(body)}, body)
        assert answer.status == 200
        answer = raw.request("POST", f"/{shared}?delete", {header: value(b"")}, body)
        assert answer.error == (400, "BadDigest")
