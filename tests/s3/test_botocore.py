"""Every served operation, through botocore's own serialiser, signer and parser."""

from __future__ import annotations

import gzip
import io
from hashlib import md5
from typing import Any

import pytest

from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.wire.operations import OPERATIONS
from tests.s3.harness import ALICE, ROOT, Server, refusal

MIB = 1024 * 1024


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def s3(server: Server) -> Any:
    client = server.client()
    client.create_bucket(Bucket="bucket")
    return client


def test_buckets(server: Server, s3: Any) -> None:
    created = s3.create_bucket(Bucket="another")
    assert created["Location"] == "/another"
    assert created["BucketArn"] == "arn:aws:s3:::another"
    head = s3.head_bucket(Bucket="bucket")
    assert (head["BucketRegion"], head["BucketArn"]) == ("us-east-1", "arn:aws:s3:::bucket")
    listed = s3.list_buckets()
    assert listed["Buckets"][0]["BucketArn"] == "arn:aws:s3:::another"
    assert "BucketRegion" not in listed["Buckets"][0]
    assert [bucket["Name"] for bucket in listed["Buckets"]] == ["another", "bucket"]
    assert listed["Owner"]["ID"] == ROOT.account.id
    assert s3.get_bucket_location(Bucket="bucket").get("LocationConstraint") is None
    s3.delete_bucket(Bucket="another")
    assert refusal(lambda: s3.head_bucket(Bucket="another"))[0] == 404


def test_buckets_are_listed_by_pages(server: Server, s3: Any) -> None:
    for name in ("aaa", "bbb", "ccc"):
        s3.create_bucket(Bucket=name)
    first = s3.list_buckets(MaxBuckets=2)
    assert [bucket["Name"] for bucket in first["Buckets"]] == ["aaa", "bbb"]
    second = s3.list_buckets(MaxBuckets=2, ContinuationToken=first["ContinuationToken"])
    assert [bucket["Name"] for bucket in second["Buckets"]] == ["bucket", "ccc"]
    assert "ContinuationToken" not in second
    assert [b["Name"] for b in s3.list_buckets(Prefix="b")["Buckets"]] == ["bbb", "bucket"]
    assert refusal(lambda: s3.list_buckets(BucketRegion="eu-west-1"))[0] == 400


def test_another_region_has_its_constraint() -> None:
    server = Server(region="eu-central-1")
    s3 = server.client()
    s3.create_bucket(
        Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-central-1"
    assert s3.head_bucket(Bucket="bucket")["BucketRegion"] == "eu-central-1"


def test_put_get_head_delete(s3: Any) -> None:
    put = s3.put_object(
        Bucket="bucket",
        Key="a/b c+d%2F/ü😀",
        Body=b"hello world",
        ContentType="text/plain",
        CacheControl="max-age=5",
        ContentDisposition="attachment",
        ContentLanguage="de",
        Metadata={"colour": "blue"},
        StorageClass="STANDARD_IA",
    )
    etag = f'"{md5(b"hello world").hexdigest()}"'
    assert put["ETag"] == etag
    assert put["ChecksumType"] == "FULL_OBJECT"
    assert put["ChecksumCRC32"]
    got = s3.get_object(Bucket="bucket", Key="a/b c+d%2F/ü😀", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello world"
    for answer in (got, s3.head_object(Bucket="bucket", Key="a/b c+d%2F/ü😀")):
        assert answer["ContentLength"] == 11
        assert answer["ETag"] == etag
        assert answer["ContentType"] == "text/plain"
        assert answer["CacheControl"] == "max-age=5"
        assert answer["ContentDisposition"] == "attachment"
        assert answer["ContentLanguage"] == "de"
        assert answer["Metadata"] == {"colour": "blue"}
        assert answer["StorageClass"] == "STANDARD_IA"
        assert answer["AcceptRanges"] == "bytes"
        assert "VersionId" not in answer
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert got["ChecksumType"] == "FULL_OBJECT"
    deleted = s3.delete_object(Bucket="bucket", Key="a/b c+d%2F/ü😀")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    status, code, error = refusal(lambda: s3.get_object(Bucket="bucket", Key="a/b c+d%2F/ü😀"))
    assert (status, code) == (404, "NoSuchKey")
    assert error["Error"]["Key"] == "a/b c+d%2F/ü😀"


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 3 * MIB + 17])
def test_bodies_of_any_size(s3: Any, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    s3.put_object(Bucket="bucket", Key="k", Body=body)
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body
    assert s3.head_object(Bucket="bucket", Key="k")["ContentLength"] == size


@pytest.mark.parametrize(
    "algorithm",
    [each.value for each in ChecksumAlgorithm if each is not ChecksumAlgorithm.MD5],
)
def test_a_stream_is_sent_with_its_checksum_in_the_trailer(s3: Any, algorithm: str) -> None:
    """By every algorithm that botocore computes; MD5 is the one that it does not."""
    body = b"streamed" * 20_000
    put = s3.put_object(
        Bucket="bucket", Key="k", Body=io.BytesIO(body), ChecksumAlgorithm=algorithm
    )
    name = "Checksum" + algorithm
    got = s3.get_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body  # botocore verifies the checksum, too
    assert got[name] == put[name]


def test_a_content_encoding_of_the_clients_own_is_kept(s3: Any) -> None:
    packed = gzip.compress(b"text")
    s3.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(packed), ContentEncoding="gzip")
    assert s3.head_object(Bucket="bucket", Key="k")["ContentEncoding"] == "gzip"
    s3.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(packed))
    assert "ContentEncoding" not in s3.head_object(Bucket="bucket", Key="k")


def test_listings(s3: Any) -> None:
    keys = ["a", "a/b", "a/c", "b//", "..", "é", "z"]
    for key in keys:
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    listed = s3.list_objects_v2(Bucket="bucket")
    assert [entry["Key"] for entry in listed["Contents"]] == sorted(keys)
    assert listed["KeyCount"] == 7
    assert "Owner" not in listed["Contents"][0]
    assert listed["Contents"][0]["ETag"] == f'"{md5(b"..").hexdigest()}"'
    owned = s3.list_objects_v2(Bucket="bucket", FetchOwner=True, StartAfter="b//")
    assert [entry["Key"] for entry in owned["Contents"]] == ["z", "é"]
    assert owned["Contents"][0]["Owner"]["ID"] == ROOT.account.id
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="bucket", PaginationConfig={"PageSize": 2}
    )
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == sorted(keys)
    grouped = s3.list_objects_v2(Bucket="bucket", Delimiter="/")
    assert [entry["Prefix"] for entry in grouped["CommonPrefixes"]] == ["a/", "b/"]
    first = s3.list_objects(Bucket="bucket", MaxKeys=2)
    assert first["IsTruncated"]
    assert "NextMarker" not in first
    assert first["Contents"][0]["Owner"]["ID"] == ROOT.account.id
    delimited = s3.list_objects(Bucket="bucket", MaxKeys=2, Delimiter="/")
    assert delimited["NextMarker"] == "a"
    assert s3.list_objects_v2(Bucket="bucket", MaxKeys=0).get("Contents", []) == []


def test_many_are_deleted_at_once(s3: Any) -> None:
    for key in ("a", "b", "c"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"")
    deleted = s3.delete_objects(
        Bucket="bucket", Delete={"Objects": [{"Key": "a"}, {"Key": "nothing"}]}
    )
    assert [entry["Key"] for entry in deleted["Deleted"]] == ["a", "nothing"]
    quiet = s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert [e["Key"] for e in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["c"]


def test_copies(s3: Any) -> None:
    s3.put_object(
        Bucket="bucket", Key="from ü", Body=b"data", ContentType="text/x", Metadata={"a": "1"}
    )
    copied = s3.copy_object(
        Bucket="bucket", Key="to", CopySource={"Bucket": "bucket", "Key": "from ü"}
    )
    assert copied["CopyObjectResult"]["ETag"] == f'"{md5(b"data").hexdigest()}"'
    assert copied["CopyObjectResult"]["LastModified"]
    assert "CopySourceVersionId" not in copied
    head = s3.head_object(Bucket="bucket", Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"a": "1"})
    s3.copy_object(
        Bucket="bucket", Key="to", CopySource="bucket/to",
        MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="text/y",
    )  # fmt: skip
    head = s3.head_object(Bucket="bucket", Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/y", {"b": "2"})


def test_a_multipart_upload_from_begin_to_end(s3: Any) -> None:
    created = s3.create_multipart_upload(
        Bucket="bucket", Key="big", ContentType="text/x", ChecksumAlgorithm="CRC32"
    )
    assert created["ChecksumAlgorithm"] == "CRC32"
    assert created["ChecksumType"] == "COMPOSITE"
    upload = {"Bucket": "bucket", "Key": "big", "UploadId": created["UploadId"]}
    one, two = b"1" * (5 * MIB), b"2" * 100
    parts = []
    for number, body in ((1, one), (2, two)):
        done = s3.upload_part(
            **upload, PartNumber=number, Body=io.BytesIO(body), ChecksumAlgorithm="CRC32"
        )
        parts.append(
            {"PartNumber": number, "ETag": done["ETag"], "ChecksumCRC32": done["ChecksumCRC32"]}
        )
    [pending] = s3.list_multipart_uploads(Bucket="bucket")["Uploads"]
    assert (pending["Key"], pending["UploadId"]) == ("big", created["UploadId"])
    listed = s3.list_parts(**upload)
    assert [part["Size"] for part in listed["Parts"]] == [len(one), len(two)]
    assert listed["Initiator"]["ID"] == ROOT.account.id
    completed = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert completed["Location"] == "http://localhost:9000/bucket/big"
    assert completed["ETag"].endswith('-2"')
    assert completed["ChecksumType"] == "COMPOSITE"
    got = s3.get_object(Bucket="bucket", Key="big")
    assert got["Body"].read() == one + two
    second = s3.get_object(Bucket="bucket", Key="big", PartNumber=2)
    assert second["Body"].read() == two
    assert second["PartsCount"] == 2
    assert second["ContentRange"] == f"bytes {len(one)}-{len(one) + 99}/{len(one) + 100}"
    assert second["ResponseMetadata"]["HTTPStatusCode"] == 206
    attributes = s3.get_object_attributes(
        Bucket="bucket", Key="big",
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"],
    )  # fmt: skip
    assert attributes["ObjectSize"] == len(one) + 100
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    assert attributes["LastModified"]
    assert s3.list_multipart_uploads(Bucket="bucket").get("Uploads", []) == []


def test_parts_by_copy_and_an_aborted_upload(s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="source", Body=b"0123456789")
    created = s3.create_multipart_upload(Bucket="bucket", Key="big")
    upload = {"Bucket": "bucket", "Key": "big", "UploadId": created["UploadId"]}
    part = s3.upload_part_copy(
        **upload, PartNumber=1, CopySource="bucket/source", CopySourceRange="bytes=2-5"
    )["CopyPartResult"]
    assert part["ETag"] == f'"{md5(b"2345").hexdigest()}"'
    s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert s3.get_object(Bucket="bucket", Key="big")["Body"].read() == b"2345"
    other = s3.create_multipart_upload(Bucket="bucket", Key="gone")
    gone = {"Bucket": "bucket", "Key": "gone", "UploadId": other["UploadId"]}
    s3.abort_multipart_upload(**gone)
    assert refusal(lambda: s3.list_parts(**gone))[:2] == (404, "NoSuchUpload")


def test_acls(s3: Any) -> None:
    s3.put_bucket_acl(Bucket="bucket", ACL="public-read")
    acl = s3.get_bucket_acl(Bucket="bucket")
    assert {grant["Permission"] for grant in acl["Grants"]} == {"FULL_CONTROL", "READ"}
    s3.put_object(Bucket="bucket", Key="k", Body=b"", GrantRead=f"id={ALICE.account.id}")
    grants = s3.get_object_acl(Bucket="bucket", Key="k")["Grants"]
    assert [grant["Grantee"]["ID"] for grant in grants] == [ALICE.account.id]
    s3.put_object_acl(
        Bucket="bucket",
        Key="k",
        AccessControlPolicy={
            "Owner": {"ID": ROOT.account.id},
            "Grants": [
                {
                    "Grantee": {
                        "Type": "AmazonCustomerByEmail",
                        "EmailAddress": "alice@example.com",
                    },
                    "Permission": "WRITE_ACP",
                }
            ],
        },
    )
    [grant] = s3.get_object_acl(Bucket="bucket", Key="k")["Grants"]
    assert grant["Permission"] == "WRITE_ACP"
    assert grant["Grantee"]["DisplayName"] == "alice"


@pytest.mark.parametrize("version", ["s3v4", None], ids=["version 4", "the default"])
def test_presigned_urls(server: Server, s3: Any, version: str | None) -> None:
    signer = server.client() if version is None else server.client(signature_version=version)

    def target(operation: str, **parameters: Any) -> str:
        url = signer.generate_presigned_url(operation, {"Bucket": "bucket", **parameters}, 60)
        return str(url).removeprefix("http://localhost:9000")

    assert server.raw("PUT", target("put_object", Key="k"), body=b"by url").status == 200
    got = server.raw("GET", target("get_object", Key="k", ResponseContentType="text/z"))
    assert (got.status, got.sent) == (200, b"by url")
    assert got.answered("content-type") == "text/z"
    assert b"<Key>k</Key>" in server.raw("GET", target("list_objects_v2")).sent
    assert server.raw("HEAD", target("head_bucket")).status == 200


def test_a_presigned_copy_is_a_copy(server: Server, s3: Any) -> None:
    s3.put_object(Bucket="bucket", Key="k", Body=b"data")
    url = server.client(signature_version="s3v4").generate_presigned_url(
        "copy_object", {"Bucket": "bucket", "Key": "copy", "CopySource": "bucket/k"}, 60
    )
    target = url.removeprefix("http://localhost:9000")
    headers = {"content-length": "0", "x-amz-copy-source": "bucket/k"}  # it is signed
    assert server.raw("PUT", target, headers).status == 200
    assert s3.get_object(Bucket="bucket", Key="copy")["Body"].read() == b"data"


def test_virtual_hosts(server: Server) -> None:
    s3 = server.client(addressing_style="virtual")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="health", Body=b"an object")
    assert s3.get_object(Bucket="bucket", Key="health")["Body"].read() == b"an object"


_OBJECT = {"Bucket": "bucket", "Key": "k"}
_COPY = {"Bucket": "bucket", "Key": "copy", "CopySource": "bucket/k"}
_PARTS = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": md5(b"part").hexdigest()}]}}
CALLS: dict[str, dict[str, Any]] = {
    "AbortMultipartUpload": {"Key": "up", "UploadId": ""},
    "CompleteMultipartUpload": {"Key": "up", "UploadId": "", **_PARTS},
    "CopyObject": _COPY,
    "CreateBucket": {"Bucket": "new"},
    "CreateMultipartUpload": _OBJECT,
    "DeleteBucket": {"Bucket": "empty"},
    "DeleteObject": _OBJECT,
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "k"}]}},
    "GetBucketAcl": {},
    "GetBucketLocation": {},
    "GetObject": _OBJECT,
    "GetObjectAcl": _OBJECT,
    "GetObjectAttributes": {**_OBJECT, "ObjectAttributes": ["ETag"]},
    "HeadBucket": {},
    "HeadObject": _OBJECT,
    "ListBuckets": {},
    "ListMultipartUploads": {},
    "ListObjects": {},
    "ListObjectsV2": {},
    "ListParts": {"Key": "up", "UploadId": ""},
    "PutBucketAcl": {"ACL": "private"},
    "PutObject": {**_OBJECT, "Body": b""},
    "PutObjectAcl": {**_OBJECT, "ACL": "private"},
    "UploadPart": {"Key": "up", "UploadId": "", "PartNumber": 1, "Body": b"x"},
    "UploadPartCopy": {**_COPY, "Key": "up", "UploadId": "", "PartNumber": 1},
}
"""Operation → a call of it that succeeds; the upload's id is filled in."""


def test_every_served_operation_is_called_below() -> None:
    assert CALLS.keys() == {row.name for row in OPERATIONS if row.served}


@pytest.mark.parametrize("operation", CALLS)
def test_each_operation_is_counted_under_its_name(server: Server, s3: Any, operation: str) -> None:
    s3.put_object(**_OBJECT, Body=b"data")
    s3.create_bucket(Bucket="empty")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="up")["UploadId"]
    s3.upload_part(Bucket="bucket", Key="up", UploadId=upload, PartNumber=1, Body=b"part")
    arguments = dict(CALLS[operation])
    if operation != "ListBuckets":
        arguments.setdefault("Bucket", "bucket")
    if "UploadId" in arguments:
        arguments["UploadId"] = upload
    before = server.counted(operation)
    answer = s3._make_api_call(operation, arguments)
    assert server.counted(operation) == before + 1
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-request-id"] in server.lines.text
    assert f" rootkey {operation} " in server.lines.text
    assert headers["x-amz-id-2"]
