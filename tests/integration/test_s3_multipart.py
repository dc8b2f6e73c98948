"""Multipart uploads, from the first call to the object and beyond."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.world import PART, World, refused

A = b"a" * PART
B = b"b" * (PART + 3)
C = b"the end"


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    """A bucket for all tests of this module; each has keys of its own."""
    return world.bucket()


class Upload:
    """An upload under way."""

    def __init__(self, client: Any, bucket: str, key: str, **options: Any) -> None:
        self.client = client
        self.name = {"Bucket": bucket, "Key": key}
        self.created = client.create_multipart_upload(**self.name, **options)
        self.name["UploadId"] = self.created["UploadId"]

    def put(self, number: int, body: bytes, **options: Any) -> dict[str, Any]:
        answer = self.client.upload_part(**self.name, PartNumber=number, Body=body, **options)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def complete(self, *parts: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.complete_multipart_upload(
            **self.name, MultipartUpload={"Parts": list(parts)}, **options
        )
        return answer

    def numbers(self, **options: Any) -> list[int]:
        page = self.client.list_parts(**self.name, **options)
        return [part["PartNumber"] for part in page.get("Parts", [])]


def etag_of(*bodies: bytes) -> str:
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"'


@pytest.fixture(scope="module")
def assembled(alice: Any, shared: str) -> str:
    """The key of an object of three parts: A, B, C."""
    upload = Upload(alice, shared, "assembled")
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(upload.put, (1, 2, 3), (A, B, C)))
    upload.complete(*parts)
    return "assembled"


@pytest.mark.large_objects
def test_parts_become_an_object(world: World, alice: Any, shared: str) -> None:
    upload = Upload(
        alice, shared, "whole/key", ContentType="a/b", Metadata={"m": "1"}, CacheControl="c",
        ContentEncoding="gzip", StorageClass="STANDARD_IA", ACL="public-read",
        Expires=datetime(2030, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    assert (upload.created["Bucket"], upload.created["Key"]) == (shared, "whole/key")
    with refused(404, "NoSuchKey"):
        alice.get_object(Bucket=shared, Key="whole/key")
    last, first = upload.put(9, C), upload.put(2, A)  # in any order, with gaps
    done = upload.complete(first, last)
    assert done["ETag"] == etag_of(A, C)
    assert (done["Bucket"], done["Key"]) == (shared, "whole/key")
    assert done["Location"] == f"http://127.0.0.1:{world.port}/{shared}/whole/key"
    got = alice.get_object(Bucket=shared, Key="whole/key")
    assert got["Body"].read() == A + C
    assert got["ETag"] == etag_of(A, C)
    assert (got["ContentType"], got["Metadata"], got["CacheControl"]) == ("a/b", {"m": "1"}, "c")
    assert (got["ContentEncoding"], got["StorageClass"]) == ("gzip", "STANDARD_IA")
    assert got["ExpiresString"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    assert world.raw("anonymous").request("HEAD", f"/{shared}/whole/key").status == 200
    with refused(404, "NoSuchUpload"):
        alice.list_parts(**upload.name)
    with refused(404, "NoSuchUpload"):
        upload.put(3, b"late")


def test_one_small_part_is_enough(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "single")
    assert upload.complete(upload.put(1, b"x"))["ETag"] == etag_of(b"x")
    upload = Upload(alice, shared, "single empty")
    upload.complete(upload.put(1, b""))
    assert alice.get_object(Bucket=shared, Key="single empty")["Body"].read() == b""


@pytest.mark.large_objects
def test_a_part_that_is_sent_again_replaces_the_first(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "resent")
    old = upload.put(1, B)
    new = upload.put(1, A)
    end = upload.put(2, C)
    with refused(400, "InvalidPart") as told:
        upload.complete(old, end)
    assert told.error["PartNumber"] == "1"
    assert told.error["UploadId"] == upload.name["UploadId"]
    upload.complete(new, end)
    assert alice.get_object(Bucket=shared, Key="resent")["Body"].read() == A + C


@pytest.mark.large_objects
def test_parts_that_are_not_named_are_left_out(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "unnamed")
    one, _two, three = upload.put(1, A), upload.put(2, B), upload.put(3, C)
    upload.complete(one, three)
    assert alice.get_object(Bucket=shared, Key="unnamed")["Body"].read() == A + C


@pytest.mark.large_objects
def test_refused_completions_leave_the_upload_as_it_is(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "refused")
    one, two, three = upload.put(1, A), upload.put(2, C), upload.put(3, C)
    with refused(400, "InvalidPartOrder"):
        upload.complete(two, one)
    with refused(400, "InvalidPartOrder"):
        upload.complete(one, one)
    with refused(400, "InvalidPart"):
        upload.complete(one, {"PartNumber": 4, "ETag": one["ETag"]})
    with refused(400, "InvalidPart"):
        upload.complete({"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'})
    with refused(400, "EntityTooSmall") as told:
        upload.complete(one, two, three)
    assert told.error["PartNumber"] == "2"
    assert (told.error["ProposedSize"], told.error["MinSizeAllowed"]) == ("7", "5242880")
    with refused(400, "MalformedXML"):
        upload.complete()
    with refused(400, "InvalidRequest"):
        upload.complete(one, MpuObjectSize=1)
    assert upload.numbers() == [1, 2, 3]
    upload.complete({**one, "ETag": one["ETag"].strip('"')}, three, MpuObjectSize=PART + 7)


def test_completing_twice_is_completing_once(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "twice")
    part = upload.put(1, b"x")
    assert upload.complete(part)["ETag"] == upload.complete(part)["ETag"]
    alice.put_object(Bucket=shared, Key="twice", Body=b"something else")
    with refused(404, "NoSuchUpload"):
        upload.complete(part)


@pytest.mark.large_objects
def test_aborting(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "aborted")
    part = upload.put(1, A)
    alice.abort_multipart_upload(**upload.name)
    for call in (
        lambda: alice.abort_multipart_upload(**upload.name),
        lambda: alice.list_parts(**upload.name),
        lambda: upload.put(1, A),
        lambda: upload.complete(part),
    ):
        with refused(404, "NoSuchUpload"):
            call()
    with refused(404, "NoSuchKey"):
        alice.get_object(Bucket=shared, Key="aborted")


def test_an_upload_that_is_not_there(world: World, alice: Any, shared: str) -> None:
    name = {"Bucket": shared, "Key": "k", "UploadId": "there is/none+such"}
    with refused(404, "NoSuchUpload") as told:
        alice.list_parts(**name)
    assert told.error["UploadId"] == "there is/none+such"
    with refused(404, "NoSuchUpload"):
        alice.upload_part(**name, PartNumber=1, Body=b"x")
    with refused(404, "NoSuchUpload"):
        alice.complete_multipart_upload(
            **name, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]}
        )
    other = Upload(alice, shared, "other key")
    with refused(404, "NoSuchUpload"):  # an id is that of its key alone
        alice.upload_part(
            Bucket=shared, Key="k", UploadId=other.name["UploadId"], PartNumber=1, Body=b"x"
        )
    alice.abort_multipart_upload(**other.name)
    with refused(404, "NoSuchBucket"):
        alice.create_multipart_upload(Bucket="there-is-no-such-bucket", Key="k")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "99999999999999999999999"])
def test_part_numbers(world: World, alice: Any, shared: str, number: str) -> None:
    upload = Upload(alice, shared, "numbers")
    upload_id = upload.name["UploadId"]
    answer = world.raw("alice").request(
        "PUT", f"/{shared}/numbers?partNumber={number}&uploadId={upload_id}", body=b"x"
    )
    assert answer.error == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == "partNumber"
    assert answer.text("Message") == (
        "Part number must be an integer between 1 and 10000, inclusive"
    )
    alice.abort_multipart_upload(**upload.name)


def test_the_last_part_number(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "10000")
    upload.complete(upload.put(10_000, b"x"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidRequest"),
        (b"<CompleteMultipartUpload/>", "MalformedXML"),
        (b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"<CompleteMultipartUpload>", "MalformedXML"),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>e</ETag></Part>"
            b"</CompleteMultipartUpload>",
            "MalformedXML",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>e</ETag></Part>"
            b"</CompleteMultipartUpload>",
            "InvalidArgument",
        ),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part>"
            b"</CompleteMultipartUpload>",
            "MalformedXML",
        ),
    ],
)
def test_malformed_completions(
    world: World, alice: Any, shared: str, body: bytes, code: str
) -> None:
    upload = Upload(alice, shared, "malformed")
    upload_id = upload.name["UploadId"]
    answer = world.raw("alice").request(
        "POST", f"/{shared}/malformed?uploadId={upload_id}", {}, body
    )
    assert answer.error == (400, code)
    alice.abort_multipart_upload(**upload.name)


def test_a_completion_of_many_parts_is_larger_than_other_documents(
    world: World, alice: Any, shared: str
) -> None:
    """10,000 parts with their checksums need more than a MiB; what is refused is that they are
    not there."""
    upload = Upload(alice, shared, "large document")
    parts = "".join(
        f"<Part><ETag>&quot;{'0' * 32}&quot;</ETag><ChecksumSHA256>{'A' * 43}=</ChecksumSHA256>"
        f"<PartNumber>{number}</PartNumber></Part>"
        for number in range(1, 10_001)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    assert len(body) > 1024 * 1024
    upload_id = upload.name["UploadId"]
    target = f"/{shared}/large%20document?uploadId={upload_id}"
    assert world.raw("alice").request("POST", target, {}, body).error == (400, "InvalidPart")
    assert world.raw("alice").request("POST", target, {}, body * 4).error == (
        400, "MaxMessageLengthExceeded",
    )  # fmt: skip
    alice.abort_multipart_upload(**upload.name)


# Copies into parts


@pytest.mark.large_objects
def test_parts_may_be_copied(alice: Any, shared: str, assembled: str) -> None:
    source = A + B + C
    upload = Upload(alice, shared, "from copies")
    parts = []
    ranges = [(0, PART - 1), (PART, 2 * PART + 2), (len(source) - 1, len(source) - 1)]
    for number, (first, last) in enumerate(ranges, 1):
        copied = alice.upload_part_copy(
            **upload.name, PartNumber=number, CopySource=f"{shared}/{assembled}",
            CopySourceRange=f"bytes={first}-{last}",
        )["CopyPartResult"]  # fmt: skip
        piece = source[first : last + 1]
        assert copied["ETag"] == f'"{hashlib.md5(piece).hexdigest()}"'
        assert copied["LastModified"]
        parts.append({"PartNumber": number, "ETag": copied["ETag"]})
    upload.complete(*parts)
    expected = b"".join(source[first : last + 1] for first, last in ranges)
    assert alice.get_object(Bucket=shared, Key="from copies")["Body"].read() == expected


def test_a_whole_object_as_a_part(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="small source", Body=C)
    upload = Upload(alice, shared, "one copy")
    copied = alice.upload_part_copy(
        **upload.name, PartNumber=1, CopySource={"Bucket": shared, "Key": "small source"}
    )
    alice.delete_object(Bucket=shared, Key="small source")
    upload.complete({"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]})
    assert alice.get_object(Bucket=shared, Key="one copy")["Body"].read() == C


@pytest.mark.parametrize(
    ("range_", "code"),
    [
        ("bytes=0-7", "InvalidArgument"),
        ("bytes=7-7", "InvalidArgument"),
        ("bytes=3-2", "InvalidArgument"),
        ("bytes=0-", "InvalidArgument"),
        ("bytes=-2", "InvalidArgument"),
        ("0-2", "InvalidArgument"),
        ("bytes=0-1,3-4", "InvalidArgument"),
    ],
)
def test_ranges_that_cannot_be_copied(
    world: World, alice: Any, shared: str, range_: str, code: str
) -> None:
    alice.put_object(Bucket=shared, Key="seven", Body=C)
    upload = Upload(alice, shared, "bad range")
    upload_id = upload.name["UploadId"]
    answer = world.raw("alice").request(
        "PUT", f"/{shared}/bad%20range?partNumber=1&uploadId={upload_id}",
        {"x-amz-copy-source": f"{shared}/seven", "x-amz-copy-source-range": range_},
    )  # fmt: skip
    assert answer.error == (400, code)
    assert upload.numbers() == []
    alice.abort_multipart_upload(**upload.name)


def test_copying_a_part_of_what_is_not_there(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "no source")
    with refused(404, "NoSuchKey"):
        alice.upload_part_copy(**upload.name, PartNumber=1, CopySource=f"{shared}/none")
    alice.abort_multipart_upload(**upload.name)


@pytest.mark.large_objects
def test_copying_an_assembled_object(alice: Any, shared: str, assembled: str) -> None:
    alice.copy_object(Bucket=shared, Key="copied whole", CopySource=f"{shared}/{assembled}")
    got = alice.get_object(Bucket=shared, Key="copied whole")
    assert got["Body"].read() == A + B + C
    assert got["ETag"] == etag_of(A, B, C)  # docs/divergences.md


# Reading by parts


@pytest.mark.large_objects
def test_reading_by_part_number(alice: Any, shared: str, assembled: str) -> None:
    whole = {"Bucket": shared, "Key": assembled}
    for number, body, first in ((1, A, 0), (2, B, PART), (3, C, 2 * PART + 3)):
        got = alice.get_object(**whole, PartNumber=number, ChecksumMode="ENABLED")
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == body
        head = alice.head_object(**whole, PartNumber=number)
        for answer in (got, head):
            assert answer["PartsCount"] == 3
            assert answer["ContentLength"] == len(body)
            assert answer["ContentRange"] == (
                f"bytes {first}-{first + len(body) - 1}/{len(A + B + C)}"
            )
            assert answer["ETag"] == etag_of(A, B, C)
    with refused(416, "InvalidPartNumber") as told:
        alice.get_object(**whole, PartNumber=4)
    assert told.error["ActualPartCount"] == "3"
    with refused(416):
        alice.head_object(**whole, PartNumber=4)
    with refused(400, "InvalidArgument"):
        alice.get_object(**whole, PartNumber=0)
    with refused(400, "InvalidRequest"):
        alice.get_object(**whole, PartNumber=1, Range="bytes=0-1")


def test_an_object_put_whole_is_its_own_first_part(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="no parts", Body=b"hello")
    got = alice.get_object(Bucket=shared, Key="no parts", PartNumber=1)
    assert got["Body"].read() == b"hello"
    assert "PartsCount" not in got
    with refused(416, "InvalidPartNumber"):
        alice.get_object(Bucket=shared, Key="no parts", PartNumber=2)


@pytest.mark.large_objects
def test_a_part_is_shown_with_its_own_checksum(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "part sums", ChecksumAlgorithm="SHA256")
    parts, sums = [], []
    for number, body in ((1, A), (2, C)):
        answer = alice.upload_part(
            **upload.name, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256"
        )
        sums.append(answer["ChecksumSHA256"])
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sums[-1]})
    upload.complete(*parts)
    for number, value in enumerate(sums, 1):
        for read in (alice.get_object, alice.head_object):
            answer = read(Bucket=shared, Key="part sums", PartNumber=number, ChecksumMode="ENABLED")
            assert answer["ChecksumSHA256"] == value
            assert "ChecksumType" not in answer
    whole = alice.head_object(Bucket=shared, Key="part sums", ChecksumMode="ENABLED")
    assert (whole["ChecksumType"], whole["ChecksumSHA256"][-2:]) == ("COMPOSITE", "-2")
    attributes = alice.get_object_attributes(
        Bucket=shared, Key="part sums", ObjectAttributes=["ObjectParts"], MaxParts=1
    )["ObjectParts"]
    assert attributes["TotalPartsCount"] == 2
    assert (attributes["IsTruncated"], attributes["NextPartNumberMarker"]) == (True, 1)
    assert attributes["Parts"] == [{"PartNumber": 1, "Size": PART, "ChecksumSHA256": sums[0]}]
    attributes = alice.get_object_attributes(
        Bucket=shared, Key="part sums", ObjectAttributes=["ObjectParts"], PartNumberMarker=1
    )["ObjectParts"]
    assert (attributes["IsTruncated"], attributes["Parts"][0]["PartNumber"]) == (False, 2)


# Listing parts and uploads


def test_listing_parts(world: World, alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "parts/ü", StorageClass="STANDARD_IA")
    etags = [upload.put(number, b"x" * number)["ETag"] for number in (1, 2, 5)]
    page = alice.list_parts(**upload.name)
    assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in page["Parts"]] == [
        (1, 1, etags[0]), (2, 2, etags[1]), (5, 5, etags[2]),
    ]  # fmt: skip
    assert all(part["LastModified"] for part in page["Parts"])
    assert (page["Bucket"], page["Key"], page["UploadId"]) == tuple(upload.name.values())
    assert (page["IsTruncated"], page["MaxParts"], page["PartNumberMarker"]) == (False, 1000, 0)
    person = {"ID": world.id_of("alice"), "DisplayName": "alice"}
    assert (page["Owner"], page["Initiator"]) == (person, person)
    assert page["StorageClass"] == "STANDARD_IA"
    page = alice.list_parts(**upload.name, MaxParts=2)
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)
    assert upload.numbers(PartNumberMarker=2) == [5]
    assert upload.numbers(PartNumberMarker=5) == []
    pages = alice.get_paginator("list_parts").paginate(
        **upload.name, PaginationConfig={"PageSize": 1}
    )
    assert [part["PartNumber"] for page in pages for part in page.get("Parts", [])] == [1, 2, 5]
    for name in ("max-parts", "part-number-marker"):
        answer = world.raw("alice").request(
            "GET", f"/{shared}/parts/%C3%BC?uploadId={upload.name['UploadId']}&{name}=-1"
        )
        assert answer.error == (400, "InvalidArgument")
    alice.abort_multipart_upload(**upload.name)


def uploads_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]


def test_listing_uploads(world: World, alice: Any) -> None:
    bucket = world.bucket()
    names = [
        (key, Upload(alice, bucket, key).name["UploadId"])
        for key in ("a", "a", "a", "dir/x", "dir/y", "z é")
    ]
    page = alice.list_multipart_uploads(Bucket=bucket)
    assert sorted(uploads_of(page)) == sorted(names)
    assert [key for key, _ in uploads_of(page)] == [key for key, _ in names]
    assert (page["Bucket"], page["IsTruncated"], page["MaxUploads"]) == (bucket, False, 1000)
    assert (page["KeyMarker"], page["UploadIdMarker"]) == ("", "")
    assert page["Uploads"][0]["Initiated"]
    assert page["Uploads"][0]["StorageClass"] == "STANDARD"
    person = {"ID": world.id_of("alice"), "DisplayName": "alice"}
    assert page["Uploads"][0]["Owner"] == page["Uploads"][0]["Initiator"] == person
    for size in (1, 2, 5):
        pages = alice.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}
        )
        assert [name for page in pages for name in uploads_of(page)] == uploads_of(page)
    page = alice.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [key for key, _ in uploads_of(page)] == ["a", "a", "a", "z é"]
    assert page["CommonPrefixes"] == [{"Prefix": "dir/"}]
    page = alice.list_multipart_uploads(Bucket=bucket, Prefix="dir/")
    assert [key for key, _ in uploads_of(page)] == ["dir/x", "dir/y"]
    page = alice.list_multipart_uploads(Bucket=bucket, KeyMarker="a")
    assert [key for key, _ in uploads_of(page)] == ["dir/x", "dir/y", "z é"]
    page = alice.list_multipart_uploads(Bucket=bucket, UploadIdMarker=names[0][1])
    assert len(uploads_of(page)) == 6  # ignored without a key marker
    page = alice.list_multipart_uploads(Bucket=bucket, MaxUploads=0)
    assert (uploads_of(page), page["IsTruncated"]) == ([], False)
    answer = world.raw("alice").request("GET", f"/{bucket}?uploads&max-uploads=x")
    assert answer.error == (400, "InvalidArgument")
    alice.delete_bucket(Bucket=bucket)  # uploads in progress do not keep a bucket


@pytest.mark.large_objects
def test_uploads_do_not_show_as_objects(world: World, alice: Any) -> None:
    bucket = world.bucket()
    Upload(alice, bucket, "k").put(1, A)
    assert alice.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


# Many at a time


def test_two_uploads_of_a_key_do_not_meet(alice: Any, shared: str) -> None:
    first, second = Upload(alice, shared, "both"), Upload(alice, shared, "both")
    one, two = first.put(1, b"first"), second.put(1, b"second")
    second.complete(two)
    assert alice.get_object(Bucket=shared, Key="both")["Body"].read() == b"second"
    first.complete(one)
    assert alice.get_object(Bucket=shared, Key="both")["Body"].read() == b"first"


def test_one_of_many_completions_makes_the_object(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "raced")
    part = upload.put(1, b"x")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: upload.complete(part)["ETag"], range(8)))
    assert set(done) == {etag_of(b"x")}
    assert alice.get_object(Bucket=shared, Key="raced")["Body"].read() == b"x"


@pytest.mark.large_objects
def test_the_same_part_sent_many_times_at_once_is_one_of_them(alice: Any, shared: str) -> None:
    upload = Upload(alice, shared, "resent at once")
    bodies = [bytes([65 + number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: upload.put(1, body), bodies))
    (part,) = alice.list_parts(**upload.name)["Parts"]
    upload.complete({"PartNumber": 1, "ETag": part["ETag"]})
    body = alice.get_object(Bucket=shared, Key="resent at once")["Body"].read()
    assert body in bodies
    assert part["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'


def test_parts_of_the_wrong_requests(world: World, shared: str) -> None:
    """The part of a broken client must not become the object, nor a GET delete anything."""
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{shared}/k?partNumber=1", body=b"x").error == (
        400, "InvalidArgument",
    )  # fmt: skip
    assert raw.request("PUT", f"/{shared}/k?uploadId=u", body=b"x").error == (
        405, "MethodNotAllowed",
    )  # fmt: skip
    assert raw.request("GET", f"/{shared}/k").status == 404
