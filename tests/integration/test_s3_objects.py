"""Single objects: what is put comes back, with what was said of it."""

from __future__ import annotations

import hashlib
import socket
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.world import World, refused

LARGE = 3 * 1024 * 1024 + 17
"""Bytes of an object that is no inline one and comes in several pieces."""


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    """A bucket for all tests of this module; each has keys of its own."""
    return world.bucket()


@pytest.mark.parametrize(
    "size",
    [0, 1, 16 * 1024, 16 * 1024 + 1, 65_536, pytest.param(LARGE, marks=pytest.mark.large_objects)],
)
def test_round_trip(alice: Any, shared: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    put = alice.put_object(Bucket=shared, Key=f"size {size}", Body=body)
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    assert put["ETag"] == etag
    got = alice.get_object(Bucket=shared, Key=f"size {size}")
    assert got["Body"].read() == body
    head = alice.head_object(Bucket=shared, Key=f"size {size}")
    for answer in (got, head):
        assert answer["ContentLength"] == size
        assert answer["ETag"] == etag
        assert answer["AcceptRanges"] == "bytes"
        assert answer["ContentType"] == "binary/octet-stream"
        assert answer["Metadata"] == {}
        assert (datetime.now(UTC) - answer["LastModified"]).total_seconds() < 300
        assert "StorageClass" not in answer


def test_what_was_said_of_an_object_comes_back(alice: Any, shared: str) -> None:
    said = {
        "CacheControl": "public, max-age=14400",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "ContentType": "text/x-test; charset=utf-8",
        "StorageClass": "ONEZONE_IA",
        "Metadata": {"one": "1", "with-dash": "a,b;c", "blank": ""},
    }
    alice.put_object(
        Bucket=shared, Key="described", Body=b"x", Expires=datetime(2030, 1, 2, tzinfo=UTC), **said
    )
    for answer in (
        alice.get_object(Bucket=shared, Key="described"),
        alice.head_object(Bucket=shared, Key="described"),
    ):
        assert {name: answer[name] for name in said} == said
        assert answer["ExpiresString"] == "Wed, 02 Jan 2030 00:00:00 GMT"


def test_a_replacement_keeps_nothing_of_what_was_there(alice: Any, shared: str) -> None:
    alice.put_object(
        Bucket=shared, Key="r", Body=b"1", Metadata={"a": "1"}, ContentType="a/b",
        CacheControl="x", StorageClass="GLACIER_IR",
    )  # fmt: skip
    alice.put_object(Bucket=shared, Key="r", Body=b"2", Metadata={"b": "2"})
    head = alice.head_object(Bucket=shared, Key="r")
    assert head["Metadata"] == {"b": "2"}
    assert head["ContentType"] == "binary/octet-stream"
    assert "CacheControl" not in head
    assert "StorageClass" not in head


def test_names_of_metadata_are_lower_case(world: World, shared: str) -> None:
    raw = world.raw("alice")
    raw.request("PUT", f"/{shared}/meta", {"X-Amz-Meta-MiXed": "Value  kept", "x-amz-meta-x": "é"})
    headers = raw.request("HEAD", f"/{shared}/meta").headers
    assert headers["x-amz-meta-mixed"] == "Value  kept"


def test_metadata_beyond_ascii_is_made_mail_safe(world: World, shared: str) -> None:
    raw = world.raw("alice")
    value = "grüße ✓".encode().decode("latin-1")
    assert raw.request("PUT", f"/{shared}/utf8", {"x-amz-meta-a": value}).status == 200
    assert raw.request("HEAD", f"/{shared}/utf8").headers["x-amz-meta-a"] == (
        "=?UTF-8?B?Z3LDvMOfZSDinJM=?="
    )


def test_metadata_of_two_kilobytes_and_more(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="meta-2k", Metadata={"ab": "x" * 2046})
    assert alice.head_object(Bucket=shared, Key="meta-2k")["Metadata"]["ab"] == "x" * 2046
    with refused(400, "MetadataTooLarge") as told:
        alice.put_object(Bucket=shared, Key="meta-2k", Metadata={"ab": "x" * 2047})
    assert (told.error["Size"], told.error["MaxSizeAllowed"]) == ("2049", "2048")


def test_aws_chunked_is_no_encoding_of_the_object(world: World, shared: str) -> None:
    raw = world.raw("alice")
    for sent, kept in {
        "aws-chunked": None,
        "gzip, aws-chunked": "gzip",
        "aws-chunked,gzip": "gzip",
        "gzip": "gzip",
    }.items():
        raw.request("PUT", f"/{shared}/coded", {"content-encoding": sent}, b"x")
        assert raw.request("HEAD", f"/{shared}/coded").headers.get("content-encoding") == kept


@pytest.mark.parametrize(
    "key",
    [
        "..", ".", "../x", "a/../b", "a/./b", "//", "/", "/leading", "a//b", "trailing/",
        "trailing.", "%", "%2F", "%25", "+", "a b", "a+b", "?", "#", "&=;", "\U0001f600/é", "\\",
        "\n", "\r\n", "\x01\x1f\x7f", "\u2028", "x" * 1024, "é" * 512, "~user", "-", "_", "*",
        "soap", "acl", "uploads", "health", "index.html?acl", ":", "<k>&amp;",
    ],
)  # fmt: skip
def test_any_key(alice: Any, shared: str, key: str) -> None:
    key_bytes = key.encode()
    alice.put_object(Bucket=shared, Key=key, Body=key_bytes)
    assert alice.get_object(Bucket=shared, Key=key)["Body"].read() == key_bytes
    assert alice.head_object(Bucket=shared, Key=key)["ContentLength"] == len(key_bytes)
    listed = alice.list_objects_v2(Bucket=shared, Prefix=key, MaxKeys=1)["Contents"]
    assert [entry["Key"] for entry in listed] == [key]
    copied = alice.copy_object(
        Bucket=shared, Key="copy of a hard key", CopySource={"Bucket": shared, "Key": key}
    )
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(key_bytes).hexdigest()}"'
    assert alice.get_object_acl(Bucket=shared, Key=key)["Owner"]["DisplayName"] == "alice"
    alice.delete_object(Bucket=shared, Key=key)
    with refused(404, "NoSuchKey") as told:
        alice.get_object(Bucket=shared, Key=key)
    if not any(character < " " for character in key):  # XML would refuse or change those
        assert told.error["Key"] == key


def test_keys_are_as_long_as_1024_bytes(alice: Any, shared: str) -> None:
    for key in ("x" * 1025, "é" * 513):
        with refused(400, "KeyTooLongError") as told:
            alice.put_object(Bucket=shared, Key=key, Body=b"")
        assert told.error["MaxSizeAllowed"] == "1024"
        assert told.error["Size"] == str(len(key.encode()))


def test_a_key_that_is_not_utf8(world: World, shared: str) -> None:
    assert world.raw("alice").request("PUT", f"/{shared}/%ff").error == (400, "InvalidURI")


def test_missing_objects_and_buckets(world: World, alice: Any, shared: str) -> None:
    with refused(404, "NoSuchKey") as told:
        alice.get_object(Bucket=shared, Key="not there")
    assert told.message == "The specified key does not exist."
    assert told.error["Key"] == "not there"
    with refused(404, "NoSuchBucket"):
        alice.get_object(Bucket="not-there-at-all", Key="k")
    with refused(404, "NoSuchBucket"):
        alice.put_object(Bucket="not-there-at-all", Key="k", Body=b"x")
    with refused(404, "NoSuchBucket"):
        alice.delete_object(Bucket="not-there-at-all", Key="k")
    with refused(404):
        alice.head_object(Bucket=shared, Key="not there")
    answer = world.raw("alice").request("HEAD", f"/{shared}/not-there")
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["x-amz-request-id"]


def test_an_error_document(world: World, shared: str) -> None:
    answer = world.raw("alice").request("GET", f"/{shared}/a%20%3Ckey%3E")
    root = answer.xml()
    assert answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>')
    assert [child.tag for child in root] == [
        "Code", "Message", "Key", "Resource", "RequestId", "HostId",
    ]  # fmt: skip
    assert root.findtext("Key") == "a <key>"
    assert root.findtext("Resource") == f"/{shared}/a <key>"
    assert root.findtext("RequestId") == answer.headers["x-amz-request-id"]
    assert root.findtext("HostId") == answer.headers["x-amz-id-2"]


def test_deleting_twice_succeeds(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="gone", Body=b"x")
    for _ in range(2):
        answer = world.raw("alice").request("DELETE", f"/{shared}/gone")
        assert (answer.status, answer.body) == (204, b"")
        assert "x-amz-delete-marker" not in answer.headers


# Ranges


@pytest.mark.parametrize(
    ("asked", "content_range", "expected"),
    [
        ("bytes=0-0", "bytes 0-0/10", b"0"),
        ("bytes=4-7", "bytes 4-7/10", b"4567"),
        ("bytes=4-", "bytes 4-9/10", b"456789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=-100", "bytes 0-9/10", b"0123456789"),
        ("bytes=0-1000", "bytes 0-9/10", b"0123456789"),
        ("bytes=9-9", "bytes 9-9/10", b"9"),
    ],
)
def test_ranges(
    world: World, alice: Any, shared: str, asked: str, content_range: str, expected: bytes
) -> None:
    alice.put_object(Bucket=shared, Key="digits", Body=b"0123456789")
    got = alice.get_object(Bucket=shared, Key="digits", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == content_range
    assert got["ContentLength"] == len(expected)
    assert got["Body"].read() == expected
    head = world.raw("alice").request("HEAD", f"/{shared}/digits", {"range": asked})
    assert (head.status, head.headers["content-range"]) == (206, content_range)
    assert head.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999-"])
def test_unsatisfiable_ranges(world: World, alice: Any, shared: str, asked: str) -> None:
    alice.put_object(Bucket=shared, Key="digits", Body=b"0123456789")
    answer = world.raw("alice").request("GET", f"/{shared}/digits", {"range": asked})
    assert answer.error == (416, "InvalidRange")
    assert answer.text("ActualObjectSize") == "10"
    assert answer.text("RangeRequested") == asked
    assert answer.headers["content-range"] == "bytes */10"
    assert world.raw("alice").request("HEAD", f"/{shared}/digits", {"range": asked}).status == 416


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,3-4", "bytes=4-2", "bytes=a-b", "lines=1-2", "bytes", "bytes=-", ""]
)
def test_ranges_that_are_ignored(world: World, alice: Any, shared: str, asked: str) -> None:
    alice.put_object(Bucket=shared, Key="digits", Body=b"0123456789")
    answer = world.raw("alice").request("GET", f"/{shared}/digits", {"range": asked})
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert "content-range" not in answer.headers


def test_ranges_of_an_empty_object(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="empty", Body=b"")
    raw = world.raw("alice")
    for asked in ("bytes=0-", "bytes=0-10", "bytes=-5"):
        answer = raw.request("GET", f"/{shared}/empty", {"range": asked})
        assert answer.error == (416, "InvalidRange")
        assert answer.text("ActualObjectSize") == "0"


@pytest.mark.large_objects
def test_ranges_of_a_large_object(alice: Any, shared: str) -> None:
    body = hashlib.sha256(b"seed").digest() * (LARGE // 32)
    alice.put_object(Bucket=shared, Key="large", Body=body)
    for first, last in ((0, 0), (1, 70_000), (65_535, 65_536), (len(body) - 3, len(body) - 1)):
        got = alice.get_object(Bucket=shared, Key="large", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == body[first : last + 1]
    assert (
        alice.get_object(Bucket=shared, Key="large", Range="bytes=-5")["Body"].read() == body[-5:]
    )


# Overrides of the response


def test_response_overrides(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="o", Body=b"x", ContentType="a/b", CacheControl="no")
    overrides = {
        "ResponseCacheControl": "max-age=1",
        "ResponseContentDisposition": 'attachment; filename="x y"',
        "ResponseContentEncoding": "br",
        "ResponseContentLanguage": "fr",
        "ResponseContentType": "text/plain; charset=x",
    }
    for answer in (
        alice.get_object(Bucket=shared, Key="o", ResponseExpires=datetime(2031, 1, 1), **overrides),
        alice.head_object(
            Bucket=shared, Key="o", ResponseExpires=datetime(2031, 1, 1), **overrides
        ),
    ):
        for name, value in overrides.items():
            assert answer[name.removeprefix("Response")] == value
        assert answer["ExpiresString"] == "Wed, 01 Jan 2031 00:00:00 GMT"
    assert alice.head_object(Bucket=shared, Key="o")["ContentType"] == "a/b"


def test_anonymous_callers_may_not_override(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="public", Body=b"x", ACL="public-read")
    anonymous = world.raw("anonymous")
    assert anonymous.request("GET", f"/{shared}/public").body == b"x"
    for query in ("response-content-type=text/plain", "response-cache-control=x"):
        answer = anonymous.request("GET", f"/{shared}/public?{query}")
        assert answer.error == (400, "InvalidRequest")


def test_an_override_cannot_add_headers(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="o", Body=b"x")
    answer = world.raw("alice").request(
        "GET", f"/{shared}/o?response-content-type=a%0d%0ax-evil:%201"
    )
    assert answer.error == (400, "InvalidArgument")
    assert "x-evil" not in answer.headers


# Copies


def test_a_copy_keeps_what_was_said_of_its_source(alice: Any, shared: str) -> None:
    alice.put_object(
        Bucket=shared, Key="src", Body=b"body", Metadata={"a": "1"}, ContentType="a/b",
        CacheControl="c", StorageClass="STANDARD_IA", ACL="public-read",
    )  # fmt: skip
    copied = alice.copy_object(
        Bucket=shared, Key="dst", CopySource=f"{shared}/src", Metadata={"x": "ignored"},
        ContentType="ignored/too",
    )["CopyObjectResult"]  # fmt: skip
    assert copied["ETag"] == f'"{hashlib.md5(b"body").hexdigest()}"'
    assert copied["LastModified"]
    got = alice.get_object(Bucket=shared, Key="dst")
    assert got["Body"].read() == b"body"
    assert (got["Metadata"], got["ContentType"], got["CacheControl"]) == ({"a": "1"}, "a/b", "c")
    assert "StorageClass" not in got
    grants = alice.get_object_acl(Bucket=shared, Key="dst")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]


def test_a_copy_may_replace_what_is_said(alice: Any, shared: str) -> None:
    alice.put_object(
        Bucket=shared, Key="src", Body=b"body", Metadata={"a": "1"}, ContentType="a/b",
        CacheControl="c",
    )  # fmt: skip
    alice.copy_object(
        Bucket=shared, Key="dst", CopySource=f"/{shared}/src", Metadata={"b": "2"},
        MetadataDirective="REPLACE", ContentType="c/d", StorageClass="STANDARD_IA",
    )  # fmt: skip
    head = alice.head_object(Bucket=shared, Key="dst")
    assert (head["Metadata"], head["ContentType"]) == ({"b": "2"}, "c/d")
    assert "CacheControl" not in head
    assert head["StorageClass"] == "STANDARD_IA"


def test_a_copy_onto_itself(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="self", Body=b"body", Metadata={"a": "1"})
    with refused(400, "InvalidRequest"):
        alice.copy_object(Bucket=shared, Key="self", CopySource=f"{shared}/self")
    alice.copy_object(
        Bucket=shared, Key="self", CopySource=f"{shared}/self", MetadataDirective="REPLACE",
        Metadata={"b": "2"},
    )  # fmt: skip
    alice.copy_object(
        Bucket=shared, Key="self", CopySource=f"{shared}/self", StorageClass="STANDARD"
    )  # the class that it has
    got = alice.get_object(Bucket=shared, Key="self")
    assert (got["Body"].read(), got["Metadata"]) == (b"body", {"b": "2"})


@pytest.mark.large_objects
def test_a_copy_outlives_its_source(alice: Any, shared: str) -> None:
    body = b"y" * LARGE
    alice.put_object(Bucket=shared, Key="short-lived", Body=body)
    alice.copy_object(Bucket=shared, Key="heir", CopySource=f"{shared}/short-lived")
    alice.delete_object(Bucket=shared, Key="short-lived")
    assert alice.get_object(Bucket=shared, Key="heir")["Body"].read() == body


def test_copies_between_buckets(world: World, alice: Any, shared: str) -> None:
    other = world.bucket()
    alice.put_object(Bucket=other, Key="k", Body=b"1")
    alice.copy_object(Bucket=shared, Key="from other", CopySource={"Bucket": other, "Key": "k"})
    assert alice.get_object(Bucket=shared, Key="from other")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("nothing", 400, "InvalidArgument"),
        ("/", 400, "InvalidArgument"),
        ("BUCKET/", 400, "InvalidArgument"),
        ("BUCKET/missing", 404, "NoSuchKey"),
        ("there-is-no-such-bucket/k", 404, "NoSuchBucket"),
        ("BUCKET/%zz", 400, "InvalidArgument"),
        ("BUCKET/src?versionId=nonsense", 400, "InvalidArgument"),
        ("BUCKET/src?versionId=" + "x" * 32, 404, "NoSuchVersion"),
    ],
)
def test_sources_that_cannot_be_copied(
    world: World, alice: Any, shared: str, source: str, status: int, code: str
) -> None:
    alice.put_object(Bucket=shared, Key="src", Body=b"body")
    answer = world.raw("alice").request(
        "PUT", f"/{shared}/never", {"x-amz-copy-source": source.replace("BUCKET", shared)}
    )
    assert answer.error == (status, code)
    assert world.raw("alice").request("GET", f"/{shared}/never").status == 404


def test_a_copy_of_the_null_version(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="src", Body=b"body")
    source = {"Bucket": shared, "Key": "src", "VersionId": "null"}
    alice.copy_object(Bucket=shared, Key="dst", CopySource=source)


def test_an_unknown_metadata_directive(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="src", Body=b"body")
    answer = world.raw("alice").request(
        "PUT", f"/{shared}/d",
        {"x-amz-copy-source": f"{shared}/src", "x-amz-metadata-directive": "MERGE"},
    )  # fmt: skip
    assert answer.error == (400, "InvalidArgument")


def test_an_unknown_storage_class(alice: Any, shared: str) -> None:
    with refused(400, "InvalidStorageClass"):
        alice.put_object(Bucket=shared, Key="k", Body=b"", StorageClass="FAST")


# DeleteObjects


def test_deleting_many(alice: Any, shared: str) -> None:
    keys = ["m/1", "m/2 & <3>", "m/\r\n", "m/é"]
    for key in keys:
        alice.put_object(Bucket=shared, Key=key, Body=b"")
    keys.append("m/never there")
    deleted = alice.delete_objects(Bucket=shared, Delete={"Objects": [{"Key": k} for k in keys]})
    assert [entry["Key"] for entry in deleted["Deleted"]] == keys
    assert "Errors" not in deleted
    assert "Contents" not in alice.list_objects_v2(Bucket=shared, Prefix="m/")


def test_deleting_many_quietly(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="q", Body=b"")
    answer = alice.delete_objects(
        Bucket=shared,
        Delete={"Quiet": True, "Objects": [{"Key": "q"}, {"Key": "n", "VersionId": "nonsense"}]},
    )
    assert "Deleted" not in answer
    (error,) = answer["Errors"]
    assert (error["Key"], error["Code"]) == ("n", "NoSuchVersion")


def test_deleting_a_thousand_and_one(alice: Any, shared: str) -> None:
    objects = [{"Key": f"t/{number}"} for number in range(1001)]
    with refused(400, "MalformedXML"):
        alice.delete_objects(Bucket=shared, Delete={"Objects": objects})
    answer = alice.delete_objects(Bucket=shared, Delete={"Objects": objects[:1000]})
    assert len(answer["Deleted"]) == 1000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingRequestBodyError"),
        (b"<Delete/>", "MalformedXML"),
        (b"<Delete><Object/></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key></Key></Object></Delete>", "UserKeyMustBeSpecified"),
        (b"<Delete><Object><Key>a</Key></Object>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"nonsense", "MalformedXML"),
        (b"<!DOCTYPE x><Delete><Object><Key>a</Key></Object></Delete>", "MalformedXML"),
    ],
)
def test_malformed_multi_deletes(world: World, shared: str, body: bytes, code: str) -> None:
    md5 = b64encode(hashlib.md5(body).digest()).decode()
    answer = world.raw("alice").request("POST", f"/{shared}?delete", {"content-md5": md5}, body)
    assert answer.error == (400, code)


def test_a_multi_delete_needs_a_digest(world: World, shared: str) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    raw = world.raw("alice")
    answer = raw.request("POST", f"/{shared}?delete", {}, body)
    assert answer.error == (400, "InvalidRequest")
    answer = raw.request(
        "POST", f"/{shared}?delete", {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, body
    )
    assert answer.error == (400, "BadDigest")


# GetObjectAttributes


def test_object_attributes(alice: Any, shared: str) -> None:
    put = alice.put_object(Bucket=shared, Key="attr", Body=b"hello", StorageClass="GLACIER_IR")
    names = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = alice.get_object_attributes(Bucket=shared, Key="attr", ObjectAttributes=names)
    assert found["ETag"] == put["ETag"].strip('"')
    assert found["Checksum"] == {
        "ChecksumCRC32": put["ChecksumCRC32"],
        "ChecksumType": "FULL_OBJECT",
    }
    assert (found["StorageClass"], found["ObjectSize"]) == ("GLACIER_IR", 5)
    assert "ObjectParts" not in found
    assert found["LastModified"]
    found = alice.get_object_attributes(Bucket=shared, Key="attr", ObjectAttributes=["ObjectSize"])
    assert found["ObjectSize"] == 5
    assert "ETag" not in found
    with refused(400, "InvalidArgument"):
        alice.get_object_attributes(Bucket=shared, Key="attr", ObjectAttributes=["Colour"])
    with refused(404, "NoSuchKey"):
        alice.get_object_attributes(Bucket=shared, Key="none", ObjectAttributes=["ETag"])


# Versions that are not there


def test_version_ids_of_an_unversioned_bucket(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="v", Body=b"1")
    assert alice.get_object(Bucket=shared, Key="v", VersionId="null")["Body"].read() == b"1"
    with refused(404, "NoSuchVersion") as told:
        alice.get_object(Bucket=shared, Key="v", VersionId="a" * 32)
    assert (told.error["Key"], told.error["VersionId"]) == ("v", "a" * 32)
    with refused(404, "NoSuchVersion"):
        alice.get_object_acl(Bucket=shared, Key="v", VersionId="a" * 32)
    with refused(404, "NoSuchBucket"):
        alice.get_object(Bucket="there-is-no-such-bucket", Key="v", VersionId="a" * 32)
    with refused(400, "InvalidArgument"):
        alice.get_object(Bucket=shared, Key="v", VersionId="nonsense")
    alice.delete_object(Bucket=shared, Key="v", VersionId="null")
    with refused(404, "NoSuchKey"):
        alice.get_object(Bucket=shared, Key="v")


def test_an_absent_version_tells_strangers_nothing(world: World, shared: str) -> None:
    with refused(403, "AccessDenied"):
        world.client("bob").get_object(Bucket=shared, Key="v", VersionId="a" * 32)


def test_writes_choose_no_version(world: World, shared: str) -> None:
    raw = world.raw("alice")
    for headers in ({}, {"x-amz-copy-source": f"{shared}/v"}):
        answer = raw.request("PUT", f"/{shared}/versioned?versionId=null", headers)
        assert answer.error == (400, "InvalidArgument")
        assert answer.text("Message") == "This operation does not accept a version-id."
    assert raw.request("GET", f"/{shared}/versioned").status == 404


# What is not served touches nothing


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("DELETE", "tagging"), ("PUT", "tagging"), ("GET", "tagging"), ("GET", "torrent"),
        ("PUT", "retention"), ("PUT", "legal-hold"), ("POST", "restore"), ("POST", "select"),
        ("DELETE", "some-new-subresource"), ("PUT", "some-new-subresource"),
    ],
)  # fmt: skip
def test_unserved_object_operations(
    world: World, alice: Any, shared: str, method: str, query: str
) -> None:
    alice.put_object(Bucket=shared, Key="safe", Body=b"safe")
    answer = world.raw("alice").request(method, f"/{shared}/safe?{query}", body=b"<X/>")
    assert answer.error == (501, "NotImplemented")
    assert alice.get_object(Bucket=shared, Key="safe")["Body"].read() == b"safe"


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("DELETE", "policy"), ("DELETE", "lifecycle"), ("DELETE", "cors"), ("DELETE", "tagging"),
        ("PUT", "versioning"), ("PUT", "website"), ("GET", "versioning"), ("GET", "versions"),
        ("POST", ""), ("GET", "policy"),
    ],
)  # fmt: skip
def test_unserved_bucket_operations(world: World, method: str, query: str) -> None:
    bucket = world.bucket()
    answer = world.raw("alice").request(method, f"/{bucket}?{query}")
    assert answer.error == (501, "NotImplemented")
    assert world.raw("alice").request("HEAD", f"/{bucket}").status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-write-offset-bytes", "0"),
    ],
)
def test_headers_for_what_is_not_served(world: World, shared: str, name: str, value: str) -> None:
    answer = world.raw("alice").request("PUT", f"/{shared}/unserved", {name: value}, b"x")
    assert answer.error == (501, "NotImplemented")
    assert answer.text("Header") == name
    assert world.raw("alice").request("GET", f"/{shared}/unserved").status == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [("PATCH", "/BUCKET/k"), ("POST", "/"), ("DELETE", "/"), ("POST", "/BUCKET/k")],
)
def test_methods_that_a_resource_does_not_have(
    world: World, shared: str, method: str, target: str
) -> None:
    answer = world.raw("alice").request(method, target.replace("BUCKET", shared))
    assert answer.error == (405, "MethodNotAllowed")
    assert answer.headers["allow"]
    assert answer.text("Resource") == target.replace("BUCKET", shared)


# The body and its length


def test_a_put_needs_a_length(world: World, shared: str) -> None:
    answer = world.raw("alice").request("PUT", f"/{shared}/no-length", length=False)
    assert answer.error == (411, "MissingContentLength")
    assert world.raw("alice").request("GET", f"/{shared}/no-length").status == 404


def test_expect_100_continue(world: World, shared: str) -> None:
    """The body is asked for once the head was accepted, and never when it was refused."""
    raw = world.raw("alice")
    for key, allowed in (("yes", True), ("no", False)):
        target = raw.presigned("PUT", f"/{shared}/expect-{key}")
        if not allowed:
            target = target[:-1] + ("0" if target[-1] != "0" else "1")
        with socket.create_connection(("127.0.0.1", world.port), timeout=30) as connection:
            connection.sendall(
                f"PUT {target} HTTP/1.1\r\nHost: {raw.host}\r\nContent-Length: 5\r\n"
                "Expect: 100-continue\r\n\r\n".encode()
            )
            first = connection.recv(65536)
            if not allowed:
                assert first.startswith(b"HTTP/1.1 403 ")
                continue
            assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"hello")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert raw.request("GET", f"/{shared}/expect-yes").body == b"hello"


# Addressing


def test_virtual_host_style(world: World, alice: Any, shared: str) -> None:
    raw = world.raw("alice")
    host = {"host": f"{shared}.localhost:{world.port}"}
    assert raw.request("PUT", "/vhost//key", host, b"v").status == 200
    assert raw.request("GET", "/vhost//key", host).body == b"v"
    assert alice.get_object(Bucket=shared, Key="vhost//key")["Body"].read() == b"v"
    assert raw.request("GET", "/?prefix=vhost", host).text("Contents/Key") == "vhost//key"
    assert raw.request("GET", "/health", host).error == (404, "NoSuchKey")
    missing = {"host": "there-is-no-such-bucket.localhost"}
    assert raw.request("GET", "/", missing).error == (404, "NoSuchBucket")


# Many at a time


@pytest.mark.large_objects
def test_parallel_overwrites_are_never_mixed(alice: Any, shared: str) -> None:
    bodies = [bytes([65 + number]) * 200_000 for number in range(8)]

    def put(number: int) -> str:
        etag: str = alice.put_object(
            Bucket=shared, Key="contended", Body=bodies[number], Metadata={"n": str(number)}
        )["ETag"]
        return etag

    def get(_number: int) -> None:
        got = alice.get_object(Bucket=shared, Key="contended")
        assert got["Body"].read() == bodies[int(got["Metadata"]["n"])]

    put(0)
    with ThreadPoolExecutor(16) as pool:
        writes = [pool.submit(put, number % 8) for number in range(40)]
        reads = [pool.submit(get, number) for number in range(40)]
        for write, read in zip(writes, reads, strict=True):
            write.result()
            read.result()
    listed = alice.list_objects_v2(Bucket=shared, Prefix="contended")["Contents"]
    assert len(listed) == 1
    assert listed[0]["ETag"] == alice.head_object(Bucket=shared, Key="contended")["ETag"]


def test_a_write_is_seen_by_every_read_after_it(alice: Any, shared: str) -> None:
    def work(number: int) -> None:
        key = f"seen/{number}"
        for turn in range(3):
            body = f"{number} {turn}".encode()
            etag = alice.put_object(Bucket=shared, Key=key, Body=body)["ETag"]
            assert alice.get_object(Bucket=shared, Key=key)["Body"].read() == body
            (listed,) = alice.list_objects_v2(Bucket=shared, Prefix=key)["Contents"]
            assert listed["ETag"] == etag
        alice.delete_object(Bucket=shared, Key=key)
        assert "Contents" not in alice.list_objects_v2(Bucket=shared, Prefix=key)
        with refused(404):
            alice.head_object(Bucket=shared, Key=key)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(10, 34)))


def test_a_target_of_raw_bytes(world: World, shared: str) -> None:
    """A path that is encoded more or less than SDKs do names the same key."""
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{shared}/%61%2fb", body=b"1").status == 200
    assert raw.request("GET", f"/{shared}/a/b").body == b"1"
    assert raw.request("GET", f"/{shared}/{quote('a/b', safe='')}").body == b"1"
