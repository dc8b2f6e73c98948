"""Access control lists: how they are set and shown, and that they are in force."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.world import ALL_USERS, AUTHENTICATED_USERS, World, refused

LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
CALLERS = ("bob", "carol", "anonymous")


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    return world.bucket()


def person(name: str) -> dict[str, str]:
    return {"Type": "CanonicalUser", "ID": name[0] * 64, "DisplayName": name}


def group(uri: str) -> dict[str, str]:
    return {"Type": "Group", "URI": uri}


def shown(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Grantee and permission of each grant."""
    return [
        (grant["Grantee"].get("DisplayName") or grant["Grantee"]["URI"].split("/")[-1],
         grant["Permission"])
        for grant in answer["Grants"]
    ]  # fmt: skip


def allowed(call: Any) -> bool:
    """Whether a call is; what is not must be refused for want of permission."""
    try:
        call()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        if error.response["Error"]["Code"] not in ("403", "AccessDenied"):
            raise
        return False
    return True


OWNER = ("alice", "FULL_CONTROL")
CANNED = {
    "private": [OWNER],
    "public-read": [OWNER, ("AllUsers", "READ")],
    "public-read-write": [OWNER, ("AllUsers", "READ"), ("AllUsers", "WRITE")],
    "authenticated-read": [OWNER, ("AuthenticatedUsers", "READ")],
}


@pytest.mark.parametrize("canned", sorted(CANNED))
def test_canned_lists(alice: Any, world: World, canned: str) -> None:
    bucket = world.bucket(ACL=canned)
    assert shown(alice.get_bucket_acl(Bucket=bucket)) == CANNED[canned]
    key = {"Bucket": bucket, "Key": "k"}
    alice.put_object(**key, Body=b"", ACL=canned)
    assert shown(alice.get_object_acl(**key)) == CANNED[canned]
    alice.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", ACL=canned)
    assert shown(alice.get_object_acl(Bucket=bucket, Key="copy")) == CANNED[canned]
    for other in ("private", canned):
        alice.put_bucket_acl(Bucket=bucket, ACL=other)
        assert shown(alice.get_bucket_acl(Bucket=bucket)) == CANNED[other]
        alice.put_object_acl(**key, ACL=other)
        assert shown(alice.get_object_acl(**key)) == CANNED[other]


def test_log_delivery(alice: Any, world: World) -> None:
    bucket = world.bucket(ACL="log-delivery-write")
    assert shown(alice.get_bucket_acl(Bucket=bucket)) == [
        OWNER, ("LogDelivery", "WRITE"), ("LogDelivery", "READ_ACP"),
    ]  # fmt: skip


def test_an_unknown_canned_list(alice: Any, shared: str) -> None:
    for call in (
        lambda: alice.put_object(Bucket=shared, Key="never", Body=b"", ACL="public-ish"),
        lambda: alice.put_bucket_acl(Bucket=shared, ACL="public-ish"),
    ):
        with refused(400, "InvalidArgument") as told:
            call()
        assert (told.error["ArgumentName"], told.error["ArgumentValue"]) == (
            "x-amz-acl", "public-ish",
        )  # fmt: skip
    with refused(404, "NoSuchKey"):
        alice.get_object(Bucket=shared, Key="never")


def test_the_shape_of_a_list(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="shape", Body=b"", ACL="public-read")
    answer = alice.get_object_acl(Bucket=shared, Key="shape")
    assert answer["Owner"] == {"ID": world.id_of("alice"), "DisplayName": "alice"}
    assert answer["Grants"] == [
        {"Grantee": person("alice"), "Permission": "FULL_CONTROL"},
        {"Grantee": group(ALL_USERS), "Permission": "READ"},
    ]


def test_grants_by_header(world: World, alice: Any, shared: str) -> None:
    bob, carol = world.id_of("bob"), world.id_of("carol")
    alice.put_object(
        Bucket=shared, Key="granted", Body=b"",
        GrantRead=f'id="{bob}", emailAddress="Carol@example.com"',
        GrantReadACP=f"id={carol}",
        GrantWriteACP=f'uri="{AUTHENTICATED_USERS}"',
        GrantFullControl=f'id="{world.id_of("alice")}"',
    )  # fmt: skip
    assert sorted(shown(alice.get_object_acl(Bucket=shared, Key="granted"))) == [
        ("AuthenticatedUsers", "WRITE_ACP"), OWNER, ("bob", "READ"), ("carol", "READ"),
        ("carol", "READ_ACP"),
    ]  # fmt: skip
    bucket = world.bucket(GrantWrite=f"id={bob}")
    assert shown(alice.get_bucket_acl(Bucket=bucket)) == [("bob", "WRITE")]
    with refused(403, "AccessDenied"):  # the owner did not name itself
        alice.list_objects_v2(Bucket=bucket)
    alice.put_bucket_acl(Bucket=bucket, ACL="private")  # but may always change the list


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("x-amz-grant-read", 'id="nobody"', "InvalidArgument"),
        ("x-amz-grant-read", 'id=""', "InvalidArgument"),
        ("x-amz-grant-read", 'uri="http://example.com/group"', "InvalidArgument"),
        ("x-amz-grant-read", 'emailAddress="x@example.com"', "UnresolvableGrantByEmailAddress"),
        ("x-amz-grant-read", "nonsense", "InvalidArgument"),
        ("x-amz-grant-read", 'name="bob"', "InvalidArgument"),
    ],
)
def test_grants_to_nobody(world: World, shared: str, header: str, value: str, code: str) -> None:
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{shared}/k", {header: value}, b"x").error == (400, code)
    assert raw.request("PUT", f"/{shared}?acl", {header: value}).error == (400, code)
    assert raw.request("PUT", "/never-made", {header: value}).error == (400, code)
    assert raw.request("HEAD", "/never-made").status == 404
    assert raw.request("GET", f"/{shared}/k").status == 404


def test_one_way_of_saying_it(world: World, alice: Any, shared: str) -> None:
    raw = world.raw("alice")
    both = {"x-amz-acl": "private", "x-amz-grant-read": f"id={world.id_of('bob')}"}
    assert raw.request("PUT", f"/{shared}/k", both, b"x").error == (400, "InvalidRequest")
    answer = raw.request(
        "PUT", f"/{shared}?acl", {"x-amz-acl": "private"}, b"<AccessControlPolicy/>"
    )
    assert answer.error == (400, "UnexpectedContent")
    answer = raw.request("PUT", f"/{shared}?acl")
    assert answer.error == (400, "MissingSecurityHeader")
    assert answer.text("MissingHeaderName") == "x-amz-acl"


def policy(owner: str, *grants: tuple[dict[str, str], str]) -> dict[str, Any]:
    return {
        "Owner": {"ID": owner},
        "Grants": [{"Grantee": grantee, "Permission": what} for grantee, what in grants],
    }


def test_grants_by_xml(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="xml", Body=b"")
    mine = world.id_of("alice")
    full = [
        (person("alice"), "FULL_CONTROL"),
        (person("bob"), "READ"),
        ({"Type": "AmazonCustomerByEmail", "EmailAddress": "carol@example.com"}, "READ_ACP"),
        (group(AUTHENTICATED_USERS), "READ"),
    ]
    alice.put_object_acl(Bucket=shared, Key="xml", AccessControlPolicy=policy(mine, *full))
    assert shown(alice.get_object_acl(Bucket=shared, Key="xml")) == [
        OWNER, ("bob", "READ"), ("carol", "READ_ACP"), ("AuthenticatedUsers", "READ"),
    ]  # fmt: skip
    again = alice.get_object_acl(Bucket=shared, Key="xml")  # what is shown can be sent back
    alice.put_object_acl(
        Bucket=shared, Key="xml",
        AccessControlPolicy={"Owner": again["Owner"], "Grants": again["Grants"]},
    )  # fmt: skip
    assert alice.get_object_acl(Bucket=shared, Key="xml")["Grants"] == again["Grants"]
    alice.put_object_acl(Bucket=shared, Key="xml", AccessControlPolicy=policy(mine))
    assert shown(alice.get_object_acl(Bucket=shared, Key="xml")) == []
    with refused(403, "AccessDenied"):
        alice.get_object(Bucket=shared, Key="xml")
    alice.put_object_acl(Bucket=shared, Key="xml", ACL="private")


def test_xml_that_cannot_be(world: World, alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="xml2", Body=b"")
    mine = world.id_of("alice")

    def put(given: dict[str, Any]) -> None:
        alice.put_object_acl(Bucket=shared, Key="xml2", AccessControlPolicy=given)

    nobody = {"Type": "CanonicalUser", "ID": "nobody"}
    with refused(400, "InvalidArgument") as told:
        put(policy(mine, (nobody, "READ")))
    assert told.message == "Invalid id"
    assert told.error["ArgumentValue"] == "nobody"
    with refused(400, "InvalidArgument"):
        put(policy(mine, (group("http://example.com/"), "READ")))
    with refused(400, "UnresolvableGrantByEmailAddress"):
        put(policy(mine, ({"Type": "AmazonCustomerByEmail", "EmailAddress": "x@y"}, "READ")))
    with refused(400, "MalformedACLError"):
        put(policy(mine, (person("bob"), "EVERYTHING")))
    with refused(400, "MalformedACLError"):
        put(policy(mine, *[(person("bob"), "READ")] * 101))
    with refused(403, "AccessDenied"):  # what is another's is not given away
        put(policy(world.id_of("bob"), (person("bob"), "FULL_CONTROL")))
    for body in (b"<AccessControlPolicy>", b"<Other/>", b"nonsense"):
        answer = world.raw("alice").request("PUT", f"/{shared}/xml2?acl", {}, body)
        assert answer.error == (400, "MalformedACLError")
    assert shown(alice.get_object_acl(Bucket=shared, Key="xml2")) == [OWNER]


# In force

BUCKET_GRANTS = {
    # permission: what it allows on the bucket
    "READ": {"list", "head", "uploads"},
    "WRITE": {"put", "delete", "delete many", "copy into"},
    "READ_ACP": {"get acl"},
    "WRITE_ACP": {"put acl"},
}
BUCKET_GRANTS["FULL_CONTROL"] = set().union(*BUCKET_GRANTS.values())


def bucket_calls(world: World, bucket: str, caller: str) -> dict[str, Any]:
    """Everything that can be done to a bucket; an object of the caller's own is copied into it."""
    client = world.client(caller)
    if caller == "anonymous":
        alice = world.client("alice")
        source = world.bucket()
        alice.put_object(Bucket=source, Key="src", Body=b"", ACL="public-read")
    else:
        source = world.bucket(caller)
        client.put_object(Bucket=source, Key="src", Body=b"")

    def delete_many() -> None:
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "none"}]})
        for error in answer.get("Errors", []):
            raise ClientError(
                {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "DeleteObjects"
            )

    return {
        "list": lambda: client.list_objects_v2(Bucket=bucket),
        "head": lambda: client.head_bucket(Bucket=bucket),
        "uploads": lambda: client.list_multipart_uploads(Bucket=bucket),
        "put": lambda: client.put_object(Bucket=bucket, Key="theirs", Body=b""),
        "delete": lambda: client.delete_object(Bucket=bucket, Key="none"),
        "delete many": delete_many,
        "copy into": lambda: client.copy_object(
            Bucket=bucket, Key="copied", CopySource=f"{source}/src"
        ),
        "get acl": lambda: client.get_bucket_acl(Bucket=bucket),
        "put acl": lambda: client.put_bucket_acl(Bucket=bucket, ACL="private"),
        "location": lambda: client.get_bucket_location(Bucket=bucket),
        "read object": lambda: client.get_object(Bucket=bucket, Key="hers"),
        "remove": lambda: client.delete_bucket(Bucket=bucket),
    }


@pytest.mark.parametrize("permission", [*sorted(BUCKET_GRANTS), ""])
@pytest.mark.parametrize("grantee", ["bob", "AuthenticatedUsers", "AllUsers"])
def test_what_a_grant_on_a_bucket_allows(
    world: World, alice: Any, grantee: str, permission: str
) -> None:
    to = {
        "bob": person("bob"),
        "AuthenticatedUsers": group(AUTHENTICATED_USERS),
        "AllUsers": group(ALL_USERS),
    }[grantee]
    granted_to = {
        "bob": {"bob"}, "AuthenticatedUsers": {"bob", "carol"}, "AllUsers": set(CALLERS)
    }[grantee]  # fmt: skip
    grants = [(person("alice"), "FULL_CONTROL")] + ([(to, permission)] if permission else [])
    given = policy(world.id_of("alice"), *grants)
    bucket = world.bucket()
    alice.put_object(Bucket=bucket, Key="hers", Body=b"")
    for caller in CALLERS:
        expected = BUCKET_GRANTS[permission] if permission and caller in granted_to else set()
        found = set()
        for what, call in bucket_calls(world, bucket, caller).items():
            alice.put_bucket_acl(Bucket=bucket, AccessControlPolicy=given)
            if allowed(call):
                found.add(what)
        if caller == "anonymous":
            expected = expected - {"copy into"}  # S3: "Anonymous users cannot copy objects"
        assert found == expected, caller


OBJECT_GRANTS = {
    "READ": {"get", "head", "attributes", "copy from", "copy part from"},
    "READ_ACP": {"get acl"},
    "WRITE_ACP": {"put acl"},
    "WRITE": set(),
}
OBJECT_GRANTS["FULL_CONTROL"] = set().union(*OBJECT_GRANTS.values())


def object_calls(world: World, bucket: str, caller: str) -> dict[str, Any]:
    """Everything that can be done to the object ``k``; what takes an upload needs an account."""
    client = world.client(caller)
    key = {"Bucket": bucket, "Key": "k"}
    calls: dict[str, Any] = {
        "get": lambda: client.get_object(**key),
        "head": lambda: client.head_object(**key),
        "attributes": lambda: client.get_object_attributes(**key, ObjectAttributes=["ETag"]),
        "get acl": lambda: client.get_object_acl(**key),
        "put acl": lambda: client.put_object_acl(**key, ACL="private"),
        "replace": lambda: client.put_object(**key, Body=b"y"),
        "delete": lambda: client.delete_object(**key),
    }
    if caller != "anonymous":
        name = {"Bucket": world.bucket(caller), "Key": "p"}
        upload = client.create_multipart_upload(**name)["UploadId"]
        source = f"{bucket}/k"
        calls["copy from"] = lambda: client.copy_object(**name, CopySource=source)
        calls["copy part from"] = lambda: client.upload_part_copy(
            **name, UploadId=upload, PartNumber=1, CopySource=source
        )
    return calls


@pytest.mark.parametrize("permission", [*sorted(OBJECT_GRANTS), ""])
@pytest.mark.parametrize("grantee", ["bob", "AuthenticatedUsers", "AllUsers"])
def test_what_a_grant_on_an_object_allows(
    world: World, alice: Any, grantee: str, permission: str
) -> None:
    to = {
        "bob": person("bob"),
        "AuthenticatedUsers": group(AUTHENTICATED_USERS),
        "AllUsers": group(ALL_USERS),
    }[grantee]
    granted_to = {
        "bob": {"bob"}, "AuthenticatedUsers": {"bob", "carol"}, "AllUsers": set(CALLERS)
    }[grantee]  # fmt: skip
    grants = [(person("alice"), "FULL_CONTROL")] + ([(to, permission)] if permission else [])
    given = policy(world.id_of("alice"), *grants)
    bucket = world.bucket()
    key = {"Bucket": bucket, "Key": "k"}
    alice.put_object(**key, Body=b"x")
    for caller in CALLERS:
        calls = object_calls(world, bucket, caller)
        expected = OBJECT_GRANTS[permission] if permission and caller in granted_to else set()
        found = set()
        for what, call in calls.items():
            alice.put_object_acl(**key, AccessControlPolicy=given)
            if allowed(call):
                found.add(what)
        assert found == expected & calls.keys(), caller


def test_a_missing_key_is_told_only_to_who_may_list(world: World) -> None:
    closed, open_ = world.bucket(), world.bucket(ACL="public-read")
    for caller in ("bob", "anonymous"):
        with refused(403, "AccessDenied"):
            world.client(caller).get_object(Bucket=closed, Key="none")
        with refused(404, "NoSuchKey"):
            world.client(caller).get_object(Bucket=open_, Key="none")
        with refused(404, "NoSuchBucket"):
            world.client(caller).get_object(Bucket="there-is-no-such-bucket", Key="none")


def test_an_object_is_its_writers(world: World, alice: Any) -> None:
    """Object ownership is ObjectWriter: the bucket's owner reads it only by a grant."""
    bucket = world.bucket(ACL="public-read-write")
    bob = world.client("bob")
    key = {"Bucket": bucket, "Key": "bobs"}
    bob.put_object(**key, Body=b"bob's")
    (entry,) = alice.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert entry["Owner"] == {"ID": world.id_of("bob"), "DisplayName": "bob"}
    assert shown(bob.get_object_acl(**key)) == [("bob", "FULL_CONTROL")]
    assert bob.get_object(**key)["Body"].read() == b"bob's"
    with refused(403, "AccessDenied"):
        alice.get_object(**key)
    with refused(403, "AccessDenied"):
        alice.get_object_acl(**key)
    with refused(403, "AccessDenied"):
        alice.put_object_acl(**key, ACL="private")
    bob.put_object_acl(**key, ACL="bucket-owner-read")
    assert shown(bob.get_object_acl(**key)) == [("bob", "FULL_CONTROL"), ("alice", "READ")]
    assert alice.get_object(**key)["Body"].read() == b"bob's"
    bob.put_object(**key, Body=b"2", ACL="bucket-owner-full-control")
    assert shown(alice.get_object_acl(**key)) == [
        ("bob", "FULL_CONTROL"), ("alice", "FULL_CONTROL"),
    ]  # fmt: skip
    bob.put_object_acl(**key, ACL="private")
    alice.delete_object(**key)  # the bucket's owner may always
    with refused(404, "NoSuchKey"):
        bob.get_object(**key)


def test_bucket_owner_lists_of_the_owner_are_private(alice: Any, shared: str) -> None:
    for canned in ("bucket-owner-read", "bucket-owner-full-control"):
        alice.put_object(Bucket=shared, Key="own", Body=b"", ACL=canned)
        assert shown(alice.get_object_acl(Bucket=shared, Key="own")) == [OWNER]


def test_what_anonymous_callers_upload(world: World, alice: Any) -> None:
    bucket = world.bucket(ACL="public-read-write")
    anonymous = world.client("anonymous")
    anonymous.put_object(Bucket=bucket, Key="nobodys", Body=b"x")
    (entry,) = alice.list_objects(Bucket=bucket)["Contents"]
    assert entry["Owner"]["ID"] == ANONYMOUS_ID
    for client in (anonymous, alice):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=bucket, Key="nobodys")
    anonymous.put_object(Bucket=bucket, Key="nobodys", Body=b"x", ACL="public-read")
    assert anonymous.get_object(Bucket=bucket, Key="nobodys")["Body"].read() == b"x"
    with refused(403, "AccessDenied"):
        anonymous.create_multipart_upload(Bucket=bucket, Key="nobodys")
    anonymous.delete_object(Bucket=bucket, Key="nobodys")


def test_uploads_are_their_initiators_and_the_bucket_owners(world: World, alice: Any) -> None:
    bucket = world.bucket(ACL="public-read-write")
    bob, carol = world.client("bob"), world.client("carol")
    name = {"Bucket": bucket, "Key": "k"}
    name["UploadId"] = bob.create_multipart_upload(**name)["UploadId"]
    bob.upload_part(**name, PartNumber=1, Body=b"bob's")
    for call in (
        lambda: carol.upload_part(**name, PartNumber=1, Body=b"carol's"),
        lambda: carol.list_parts(**name),
        lambda: carol.abort_multipart_upload(**name),
        lambda: carol.complete_multipart_upload(
            **name, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]}
        ),
    ):
        with refused(403, "AccessDenied"):
            call()
    (part,) = alice.list_parts(**name)["Parts"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    bob.complete_multipart_upload(**name, MultipartUpload=parts)
    assert bob.get_object(Bucket=bucket, Key="k")["Body"].read() == b"bob's"
    assert bob.get_object_acl(Bucket=bucket, Key="k")["Owner"]["DisplayName"] == "bob"
    name["UploadId"] = bob.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    alice.abort_multipart_upload(**name)


def test_deleting_many_without_permission(world: World) -> None:
    bucket = world.bucket()
    world.client("alice").put_object(Bucket=bucket, Key="a", Body=b"")
    answer = world.client("bob").delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]}
    )
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [
        ("a", "AccessDenied"), ("b", "AccessDenied"),
    ]  # fmt: skip
    assert "Deleted" not in answer
    assert world.client("alice").list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_copies_need_both_permissions(world: World, alice: Any) -> None:
    bucket, bobs = world.bucket(), world.bucket("bob")
    alice.put_object(Bucket=bucket, Key="private", Body=b"x")
    alice.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    bob = world.client("bob")
    with refused(403, "AccessDenied"):
        bob.copy_object(Bucket=bobs, Key="c", CopySource=f"{bucket}/private")
    bob.copy_object(Bucket=bobs, Key="c", CopySource=f"{bucket}/public")
    assert bob.get_object_acl(Bucket=bobs, Key="c")["Owner"]["DisplayName"] == "bob"
    with refused(403, "AccessDenied"):
        bob.copy_object(Bucket=bucket, Key="c", CopySource=f"{bobs}/c")


def test_acls_of_what_is_not_there(alice: Any, shared: str) -> None:
    with refused(404, "NoSuchKey"):
        alice.get_object_acl(Bucket=shared, Key="none")
    with refused(404, "NoSuchKey"):
        alice.put_object_acl(Bucket=shared, Key="none", ACL="private")
    with refused(404, "NoSuchBucket"):
        alice.get_bucket_acl(Bucket="there-is-no-such-bucket")
    with refused(404, "NoSuchBucket"):
        alice.put_bucket_acl(Bucket="there-is-no-such-bucket", ACL="private")


def test_an_acl_goes_with_its_object(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="acl", Body=b"1", ACL="public-read")
    alice.put_object(Bucket=shared, Key="acl", Body=b"2")
    assert shown(alice.get_object_acl(Bucket=shared, Key="acl")) == [OWNER]
