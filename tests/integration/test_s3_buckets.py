"""Buckets: names, creation, places, listing, deletion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError

from tests.integration.world import World, refused


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.mark.parametrize(
    "name",
    [
        "ab", "x" * 64, "Upper", "under_score", ".dot", "dot.", "-dash", "dash-", "a..b",
        "192.168.5.4", "xn--punycode", "sthree-x", "sthree-configurator-x", "amzn-s3-demo-x",
        "x-s3alias", "x--ol-s3", "x.mrap", "x--x-s3", "bücket", "a b", "a*b", "a\nb", "health",
        "healthz", "readyz", "metrics", "openapi.json",
    ],
)  # fmt: skip
def test_invalid_names(world: World, name: str) -> None:
    answer = world.raw("alice").request("PUT", f"/{quote(name)}")
    assert answer.error == (400, "InvalidBucketName")
    assert answer.text("Message") == "The specified bucket is not valid."
    assert (answer.text("BucketName") or "").replace("\n", " ") == name.replace("\n", " ")


@pytest.mark.parametrize("name", ["abc", "x" * 63, "1.2.3", "a-b.c-d", "0aa", "a--b", "docs-x"])
def test_valid_names(world: World, alice: Any, name: str) -> None:
    answer = world.raw("alice").request("PUT", f"/{name}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["location"] == f"/{name}"
    alice.delete_bucket(Bucket=name)
    with refused(404):
        alice.head_bucket(Bucket=name)


def test_creating_a_bucket_again(world: World, alice: Any) -> None:
    bucket = world.bucket()
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    alice.create_bucket(Bucket=bucket)  # in us-east-1 alone
    assert alice.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with refused(409, "BucketAlreadyExists") as told:
        world.client("bob").create_bucket(Bucket=bucket)
    assert told.error["BucketName"] == bucket
    # It "resets the bucket access control lists" (API reference, CreateBucket).
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read")
    alice.create_bucket(Bucket=bucket)
    assert len(alice.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


def test_one_of_many_accounts_gets_the_name(world: World) -> None:
    def create(name: str) -> str:
        try:
            world.client(name).create_bucket(Bucket="contended-name")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    names = ["alice", "bob", "carol"]
    with ThreadPoolExecutor(3) as pool:
        created = list(pool.map(create, names))
    assert sorted(created) == ["BucketAlreadyExists"] * 2 + ["created"]
    world.client(names[created.index("created")]).delete_bucket(Bucket="contended-name")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 200, ""),
        (b"<CreateBucketConfiguration/>", 200, ""),
        (
            b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"</CreateBucketConfiguration>",
            200, "",
        ),
        (
            b"<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>",
            400, "InvalidLocationConstraint",
        ),
        (
            b"<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint>"
            b"</CreateBucketConfiguration>",
            200, "",
        ),
        (
            b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
            b"</CreateBucketConfiguration>",
            400, "IllegalLocationConstraintException",
        ),
        (
            b"<CreateBucketConfiguration><LocationConstraint>moon</LocationConstraint>"
            b"</CreateBucketConfiguration>",
            400, "InvalidLocationConstraint",
        ),
        (b"<CreateBucketConfiguration>", 400, "MalformedXML"),
        (b"<Other/>", 400, "MalformedXML"),
        (b"nonsense", 400, "MalformedXML"),
    ],
)  # fmt: skip
def test_location_constraints(world: World, body: bytes, status: int, code: str) -> None:
    raw = world.raw("alice")
    answer = raw.request("PUT", "/located-bucket", {}, body)
    if code:
        assert answer.error == (status, code)
        assert raw.request("HEAD", "/located-bucket").status == 404
    else:
        assert answer.status == status
        assert raw.request("DELETE", "/located-bucket").status == 204


def test_where_a_bucket_is(world: World, alice: Any) -> None:
    bucket = world.bucket()
    assert alice.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    answer = world.raw("alice").request("GET", f"/{bucket}?location")
    assert answer.xml().tag == "LocationConstraint"
    assert not answer.xml().text
    with refused(404, "NoSuchBucket"):
        alice.get_bucket_location(Bucket="there-is-no-such-bucket")


def test_head_bucket(world: World, alice: Any) -> None:
    bucket = world.bucket()
    answer = world.raw("alice").request("HEAD", f"/{bucket}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["x-amz-bucket-region"] == "us-east-1"
    assert answer.headers["x-amz-bucket-arn"] == f"arn:aws:s3:::{bucket}"
    assert alice.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    for target, status in (("/there-is-no-such-bucket", 404), (f"/{bucket}", 403)):
        answer = world.raw("bob").request("HEAD", target)
        assert (answer.status, answer.body) == (status, b"")


def test_deleting_buckets(world: World, alice: Any) -> None:
    bucket = world.bucket()
    alice.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused(409, "BucketNotEmpty") as told:
        alice.delete_bucket(Bucket=bucket)
    assert told.error["BucketName"] == bucket
    with refused(403, "AccessDenied"):
        world.client("bob").delete_bucket(Bucket=bucket)
    alice.delete_object(Bucket=bucket, Key="k")
    answer = world.raw("alice").request("DELETE", f"/{bucket}")
    assert (answer.status, answer.body) == (204, b"")
    with refused(404, "NoSuchBucket"):
        alice.delete_bucket(Bucket=bucket)
    with refused(404, "NoSuchBucket"):
        alice.list_objects_v2(Bucket=bucket)
    world.client("bob").create_bucket(Bucket=bucket)  # the name is free again
    world.client("bob").delete_bucket(Bucket=bucket)


def test_everyone_lists_the_buckets_of_their_own(world: World) -> None:
    dave = world.client("dave")
    names = [f"dave-{letter}" for letter in "dbca"]
    for name in names:
        dave.create_bucket(Bucket=name, ACL="public-read")
    listed = dave.list_buckets()
    assert [bucket["Name"] for bucket in listed["Buckets"]] == sorted(names)
    assert listed["Owner"] == {"ID": world.id_of("dave"), "DisplayName": "dave"}
    assert all(bucket["CreationDate"] for bucket in listed["Buckets"])
    assert not {bucket["Name"] for bucket in world.client("bob").list_buckets()["Buckets"]} & {
        *names
    }
    pages = dave.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 3})
    assert [[b["Name"] for b in page["Buckets"]] for page in pages] == [
        ["dave-a", "dave-b", "dave-c"], ["dave-d"],
    ]  # fmt: skip
    page = dave.list_buckets(Prefix="dave-b")
    assert ([b["Name"] for b in page["Buckets"]], page["Prefix"]) == (["dave-b"], "dave-b")
    assert dave.list_buckets(BucketRegion="us-east-1")["Buckets"]
    with refused(400, "InvalidArgument") as told:
        dave.list_buckets(BucketRegion="eu-west-1")
    assert told.error["ArgumentName"] == "bucket-region"
    assert page["Buckets"][0]["BucketRegion"] == "us-east-1"
    assert "BucketRegion" not in listed["Buckets"][0]
    assert listed["Buckets"][0]["BucketArn"] == "arn:aws:s3:::dave-a"
    assert dave.list_buckets(Prefix="", MaxBuckets=1)["Prefix"] == ""
    assert dave.list_buckets(ContinuationToken="")["Buckets"]
    for name in names:
        dave.delete_bucket(Bucket=name)
    assert dave.list_buckets()["Buckets"] == []


@pytest.mark.parametrize("query", ["max-buckets=0", "max-buckets=10001", "max-buckets=x"])
def test_pages_of_buckets(world: World, query: str) -> None:
    assert world.raw("alice").request("GET", f"/?{query}").error == (400, "InvalidArgument")


def test_anonymous_callers_have_no_buckets(world: World) -> None:
    assert world.raw("anonymous").request("GET", "/").error == (403, "AccessDenied")
    assert world.raw("anonymous").request("PUT", "/anonymous-bucket").error == (403, "AccessDenied")


def test_object_ownership(world: World, alice: Any) -> None:
    """ObjectWriter is what it is anyway; the others switch ACLs off, which is not served."""
    bucket = world.bucket(ObjectOwnership="ObjectWriter")
    alice.delete_bucket(Bucket=bucket)
    for ownership in ("BucketOwnerEnforced", "BucketOwnerPreferred"):
        with refused(501, "NotImplemented"):
            alice.create_bucket(Bucket="owned-otherwise", ObjectOwnership=ownership)
    with refused(404):
        alice.head_bucket(Bucket="owned-otherwise")


def test_the_expected_owner(world: World, alice: Any) -> None:
    bucket = world.bucket()
    mine, other = world.id_of("alice"), world.id_of("bob")
    alice.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=mine)
    name = {"Bucket": bucket, "ExpectedBucketOwner": other}
    key = {**name, "Key": "k"}
    upload = alice.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    calls: list[Any] = [
        lambda: alice.put_object(**key, Body=b"y"),
        lambda: alice.get_object(**key),
        lambda: alice.delete_object(**key),
        lambda: alice.delete_objects(**name, Delete={"Objects": [{"Key": "k"}]}),
        lambda: alice.list_objects(**name),
        lambda: alice.list_objects_v2(**name),
        lambda: alice.get_bucket_acl(**name),
        lambda: alice.put_bucket_acl(**name, ACL="public-read"),
        lambda: alice.get_object_acl(**key),
        lambda: alice.put_object_acl(**key, ACL="public-read"),
        lambda: alice.get_bucket_location(**name),
        lambda: alice.delete_bucket(**name),
        lambda: alice.create_multipart_upload(**key),
        lambda: alice.upload_part(**key, UploadId=upload, PartNumber=1, Body=b""),
        lambda: alice.list_parts(**key, UploadId=upload),
        lambda: alice.abort_multipart_upload(**key, UploadId=upload),
        lambda: alice.list_multipart_uploads(**name),
        lambda: alice.get_object_attributes(**key, ObjectAttributes=["ETag"]),
        lambda: alice.copy_object(**key, CopySource=f"{bucket}/k", MetadataDirective="REPLACE"),
        lambda: alice.copy_object(
            Bucket=bucket, Key="k2", CopySource=f"{bucket}/k", ExpectedSourceBucketOwner=other
        ),
    ]
    for call in calls:
        with refused(403, "AccessDenied"):
            call()
    with refused(403):
        alice.head_object(**key)
    with refused(403):
        alice.head_bucket(**name)
    assert alice.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner=mine)["Body"].read() == b"x"
