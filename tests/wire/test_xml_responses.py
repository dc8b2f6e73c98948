"""Every XML response is parsed by botocore to exactly what was meant, member by member."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import botocore.handlers
import pytest
from botocore.compat import unquote_str
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleepstore.model.accounts import Account
from bleepstore.model.acl import ALL_USERS, Acl, Grant, Permission, private_acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import DeleteTarget, Refusal, Written
from bleepstore.model.listing import BucketPage, ObjectPage, PartPage, UploadPage
from bleepstore.model.objects import (
    Bucket,
    Description,
    ListedObject,
    ObjectVersion,
    Part,
    PartInfo,
    Upload,
)
from bleepstore.wire.grants import resolve_acl
from bleepstore.wire.list_queries import BucketsQuery, ObjectsQuery, PartsQuery, UploadsQuery
from bleepstore.wire.tokens import encode_token
from bleepstore.wire.urls import url_encoded
from bleepstore.wire.xml_listings import (
    list_buckets,
    list_objects,
    list_objects_v2,
    list_parts,
    list_uploads,
)
from bleepstore.wire.xml_requests import parse_access_control_policy
from bleepstore.wire.xml_results import (
    access_control_policy,
    complete_upload_result,
    copy_object_result,
    copy_part_result,
    delete_result,
    initiate_upload_result,
    location_constraint,
    object_attributes_result,
)
from bleepstore.wire.xml_text import DECLARATION
from tests.wire.oracle import NAMESPACE, parsed

TIME = 1_138_985_109_123
MOMENT = datetime(2006, 2, 3, 16, 45, 9, tzinfo=UTC)  # whole seconds, as in headers
ME = Account("0" * 64, "Me & <mine>")
NAMES = {ME.id: ME.display_name}
OWNER = {"ID": ME.id, "DisplayName": ME.display_name}
CRC32, COMPOSITE = ChecksumAlgorithm.CRC32, ChecksumType.COMPOSITE
CHECKSUM = Checksum(CRC32, "AAAAAA==-2", COMPOSITE)
WEIRD = "a/b c+d%&<>\"'\u00e9\U0001f600\t\n"


def listed(key: str, **changes: Any) -> ListedObject:
    fields: dict[str, Any] = {
        "size": 3, "etag": "e" * 32, "last_modified": TIME, "storage_class": "STANDARD",
        "owner_id": ME.id,
    }  # fmt: skip
    return ListedObject(key=key, **{**fields, **changes})


def shown(key: str, **changes: Any) -> dict[str, Any]:
    return {
        "Key": key, "Size": 3, "ETag": f'"{"e" * 32}"', "LastModified": MOMENT,
        "StorageClass": "STANDARD", **changes,
    }  # fmt: skip


def test_list_buckets() -> None:
    buckets = tuple(Bucket(n, ME.id, TIME, "eu-central-1", private_acl(ME.id)) for n in ("a", "b"))
    expected: dict[str, Any] = {
        "Owner": OWNER,
        "Buckets": [
            {
                "Name": name,
                "CreationDate": MOMENT,
                "BucketArn": "arn:aws:s3:::" + name,
                "BucketRegion": "eu-central-1",
            }
            for name in ("a", "b")
        ],
    }
    listing = list_buckets(ME, BucketsQuery(paged=True), BucketPage(buckets))
    assert parsed("ListBuckets", listing) == expected
    page = BucketPage(buckets, "b")
    assert parsed("ListBuckets", list_buckets(ME, BucketsQuery(prefix="<", paged=True), page)) == {
        **expected, "Prefix": "<", "ContinuationToken": encode_token("b"),
    }  # fmt: skip
    assert parsed("ListBuckets", list_buckets(ME, BucketsQuery(), BucketPage(())))["Buckets"] == []


def test_list_objects() -> None:
    query = ObjectsQuery(prefix="p&", delimiter="/", marker="m<", after="m<", max_keys=5,
                         fetch_owner=True)  # fmt: skip
    page = ObjectPage((listed(WEIRD), listed("b", owner_id="x")), ("c/", "d&/"), "d&/")
    assert parsed("ListObjects", list_objects("bucket", query, page, NAMES)) == {
        "Name": "bucket",
        "Prefix": "p&",
        "Marker": "m<",
        "NextMarker": "d&/",
        "MaxKeys": 5,
        "Delimiter": "/",
        "IsTruncated": True,
        "Contents": [shown(WEIRD, Owner=OWNER), shown("b", Owner={"ID": "x"})],
        "CommonPrefixes": [{"Prefix": "c/"}, {"Prefix": "d&/"}],
    }


def test_an_empty_list_has_all_that_s3_always_shows() -> None:
    assert parsed("ListObjects", list_objects("b", ObjectsQuery(), ObjectPage(), NAMES)) == {
        "Name": "b", "Prefix": "", "Marker": "", "MaxKeys": 1000, "IsTruncated": False,
    }  # fmt: skip
    assert parsed("ListObjectsV2", list_objects_v2("b", ObjectsQuery(), ObjectPage(), NAMES)) == {
        "Name": "b", "Prefix": "", "MaxKeys": 1000, "KeyCount": 0, "IsTruncated": False,
    }  # fmt: skip


def test_without_a_delimiter_there_is_no_next_marker() -> None:
    page = ObjectPage((listed("a"),), (), "a")
    found = parsed("ListObjects", list_objects("b", ObjectsQuery(), page, NAMES))
    assert "NextMarker" not in found
    assert found["IsTruncated"] is True


def test_list_objects_v2() -> None:
    query = ObjectsQuery(prefix="p", delimiter="&&", start_after="s<", token="t<", max_keys=2)
    page = ObjectPage(
        (listed("a", checksum_algorithm=CRC32, checksum_type=COMPOSITE, storage_class="GLACIER"),
         listed("b")),
        ("c&&",),
        "c&&",
    )  # fmt: skip
    assert parsed("ListObjectsV2", list_objects_v2("bucket", query, page, NAMES)) == {
        "Name": "bucket",
        "Prefix": "p",
        "Delimiter": "&&",
        "ContinuationToken": "t<",
        "NextContinuationToken": encode_token("c&&"),
        "KeyCount": 3,
        "MaxKeys": 2,
        "IsTruncated": True,
        "Contents": [
            shown("a", StorageClass="GLACIER", ChecksumAlgorithm=["CRC32"],
                  ChecksumType="COMPOSITE"),
            shown("b"),
        ],
        "CommonPrefixes": [{"Prefix": "c&&"}],
    }  # fmt: skip


def test_fetch_owner_shows_owners() -> None:
    query = ObjectsQuery(fetch_owner=True)
    found = parsed("ListObjectsV2", list_objects_v2("b", query, ObjectPage((listed("a"),)), NAMES))
    assert found["Contents"][0]["Owner"] == OWNER


def test_url_encoding_is_undone_by_botocore() -> None:
    control = "\x01\x00 +/é%&"
    query = ObjectsQuery(prefix=control, delimiter=control, marker=control, start_after=control,
                         encoding="url")  # fmt: skip
    page = ObjectPage((listed(control),), (control,), control)
    v1 = parsed("ListObjects", list_objects("b", query, page, NAMES))
    assert v1["Contents"][0]["Key"] == "%01%00+%2B/%C3%A9%25%26"
    assert v1["EncodingType"] == "url"
    context = {"encoding_type_auto_set": True}
    botocore.handlers.decode_list_object(v1, context)
    assert v1["Contents"][0]["Key"] == v1["NextMarker"] == control
    assert unquote_str(v1["Prefix"]) == control  # which botocore leaves encoded in version 1
    assert v1["Marker"] == v1["Delimiter"] == v1["CommonPrefixes"][0]["Prefix"] == control
    v2 = parsed("ListObjectsV2", list_objects_v2("b", query, page, NAMES))
    assert v2["EncodingType"] == "url"
    botocore.handlers.decode_list_object_v2(v2, context)
    assert v2["Contents"][0]["Key"] == v2["Prefix"] == v2["StartAfter"] == control
    assert v2["Delimiter"] == v2["CommonPrefixes"][0]["Prefix"] == control
    assert v2["NextContinuationToken"] == encode_token(control)


def test_url_encoding_is_that_of_the_api_reference() -> None:
    page = ObjectPage((listed("test_file(3).png"),))
    body = list_objects("b", ObjectsQuery(encoding="url"), page, NAMES)
    assert b"<Key>test_file%283%29.png</Key>" in body
    assert url_encoded("-_.*/ ~!'(),;:@=\"<>|%한") == (
        "-_.*/+%7E%21%27%28%29%2C%3B%3A%40%3D%22%3C%3E%7C%25%ED%95%9C"
    )


def test_without_url_encoding_control_characters_are_references_as_in_s3() -> None:
    page = ObjectPage((listed("a\x01\r"),))
    assert b"<Key>a&#x1;&#xd;</Key>" in list_objects("b", ObjectsQuery(), page, NAMES)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(st.lists(KEYS, max_size=4), KEYS)
def test_any_key_comes_back_url_encoded(keys: list[str], prefix: str) -> None:
    query = ObjectsQuery(prefix=prefix, encoding="url")
    page = ObjectPage(tuple(listed(key) for key in keys), (prefix,))
    found = parsed("ListObjectsV2", list_objects_v2("b", query, page, NAMES))
    assert [unquote_str(entry["Key"]) for entry in found.get("Contents", [])] == keys
    assert unquote_str(found["CommonPrefixes"][0]["Prefix"]) == prefix


def upload(**changes: Any) -> Upload:
    fields: dict[str, Any] = {
        "upload_id": "u<1>", "bucket": "b", "key": WEIRD, "initiated": TIME, "owner_id": ME.id,
        "initiator_id": "x", "acl": private_acl(ME.id), "description": Description(),
        "checksum_algorithm": CRC32, "checksum_type": COMPOSITE,
    }  # fmt: skip
    return Upload(**{**fields, **changes})


def test_list_uploads() -> None:
    query = UploadsQuery("p&", "/", "k<", "u>", 7)
    plain = upload(key="z", checksum_algorithm=None, checksum_type=None)
    page = UploadPage((upload(), plain), ("c/",), "z<", "n&")
    common = {
        "UploadId": "u<1>", "Initiated": MOMENT, "StorageClass": "STANDARD", "Owner": OWNER,
        "Initiator": {"ID": "x"},
    }  # fmt: skip
    expected = {
        "Bucket": "b",
        "KeyMarker": "k<",
        "UploadIdMarker": "u>",
        "NextKeyMarker": "z<",
        "NextUploadIdMarker": "n&",
        "Prefix": "p&",
        "Delimiter": "/",
        "MaxUploads": 7,
        "IsTruncated": True,
        "Uploads": [
            {"Key": WEIRD, "ChecksumAlgorithm": "CRC32", "ChecksumType": "COMPOSITE", **common},
            {"Key": "z", **common},
        ],
        "CommonPrefixes": [{"Prefix": "c/"}],
    }
    assert parsed("ListMultipartUploads", list_uploads("b", query, page, NAMES)) == expected
    encoded = UploadsQuery("p&", "/", "k<", "u>", 7, "URL")
    found = parsed("ListMultipartUploads", list_uploads("b", encoded, page, NAMES))
    assert found["EncodingType"] == "URL"  # as it was sent
    assert unquote_str(found["Uploads"][0]["Key"]) == WEIRD
    assert (found["Prefix"], found["KeyMarker"], found["NextKeyMarker"]) == ("p%26", "k%3C", "z%3C")


def test_no_uploads() -> None:
    found = parsed("ListMultipartUploads", list_uploads("b", UploadsQuery(), UploadPage(), NAMES))
    assert found == {
        "Bucket": "b", "KeyMarker": "", "UploadIdMarker": "", "NextKeyMarker": "",
        "NextUploadIdMarker": "", "MaxUploads": 1000, "IsTruncated": False,
    }  # fmt: skip


def test_the_last_page_of_uploads_names_its_last_one() -> None:
    page = UploadPage((upload(key="a"), upload(key="b", upload_id="last")), ("c/",))
    found = parsed("ListMultipartUploads", list_uploads("b", UploadsQuery(), page, NAMES))
    assert (found["NextKeyMarker"], found["NextUploadIdMarker"]) == ("b", "last")
    assert found["IsTruncated"] is False
    of_prefixes = list_uploads("b", UploadsQuery(delimiter="/"), UploadPage((), ("c/",)), NAMES)
    assert parsed("ListMultipartUploads", of_prefixes)["NextKeyMarker"] == ""


def test_list_parts() -> None:
    parts = (
        Part(number=3, size=5, etag="e", last_modified=TIME, checksum=Checksum(CRC32, "AAAAAA==")),
        Part(number=9, size=6, etag="f", last_modified=TIME),
    )
    found = parsed(
        "ListParts", list_parts(upload(), PartsQuery("u<1>", 2, 2), PartPage(parts, 9), NAMES)
    )
    assert found == {
        "Bucket": "b",
        "Key": WEIRD,
        "UploadId": "u<1>",
        "PartNumberMarker": 2,
        "NextPartNumberMarker": 9,
        "MaxParts": 2,
        "IsTruncated": True,
        "Parts": [
            {"PartNumber": 3, "Size": 5, "ETag": '"e"', "LastModified": MOMENT,
             "ChecksumCRC32": "AAAAAA=="},
            {"PartNumber": 9, "Size": 6, "ETag": '"f"', "LastModified": MOMENT},
        ],
        "Initiator": {"ID": "x"},
        "Owner": OWNER,
        "StorageClass": "STANDARD",
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "COMPOSITE",
    }  # fmt: skip


def test_the_last_page_of_parts_names_its_last_part() -> None:
    part = Part(number=3, size=5, etag="e", last_modified=TIME)
    query = PartsQuery("u")
    found = parsed("ListParts", list_parts(upload(), query, PartPage((part,)), NAMES))
    assert (found["NextPartNumberMarker"], found["IsTruncated"]) == (3, False)
    found = parsed("ListParts", list_parts(upload(), query, PartPage(()), NAMES))
    assert (found["NextPartNumberMarker"], "Parts" in found) == (0, False)


@pytest.mark.parametrize(
    ("region", "text"), [("us-east-1", None), ("eu-central-1", "eu-central-1")]
)
def test_location(region: str, text: str | None) -> None:
    root = ElementTree.fromstring(location_constraint(region))
    assert (root.tag, root.text) == (NAMESPACE + "LocationConstraint", text)


def written(checksum: Checksum | None = CHECKSUM) -> Written:
    return Written(version_id="null", etag="e", size=1, last_modified=TIME, checksum=checksum)


def test_copies() -> None:
    assert parsed("CopyObject", copy_object_result(written())) == {
        "CopyObjectResult": {
            "ETag": '"e"', "LastModified": MOMENT, "ChecksumCRC32": "AAAAAA==-2",
            "ChecksumType": "COMPOSITE",
        }
    }  # fmt: skip
    part = Part(number=1, size=5, etag="e", last_modified=TIME)
    assert parsed("UploadPartCopy", copy_part_result(part)) == {
        "CopyPartResult": {"ETag": '"e"', "LastModified": MOMENT}
    }
    part = structs.replace(part, checksum=Checksum(CRC32, "AAAAAA=="))
    assert parsed("UploadPartCopy", copy_part_result(part)) == {
        "CopyPartResult": {"ETag": '"e"', "LastModified": MOMENT, "ChecksumCRC32": "AAAAAA=="}
    }


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_every_checksum_has_its_element(algorithm: ChecksumAlgorithm) -> None:
    found = parsed("CopyObject", copy_object_result(written(Checksum(algorithm, "v"))))
    assert found["CopyObjectResult"]["Checksum" + algorithm.value] == "v"
    assert found["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"


def test_uploads() -> None:
    assert parsed("CreateMultipartUpload", initiate_upload_result("b", WEIRD, "u<")) == {
        "Bucket": "b", "Key": WEIRD, "UploadId": "u<",
    }  # fmt: skip
    body = complete_upload_result("http://h/b/k?&", "b", WEIRD, written())
    assert body.startswith(DECLARATION.encode())
    assert parsed("CompleteMultipartUpload", body) == {
        "Location": "http://h/b/k?&", "Bucket": "b", "Key": WEIRD, "ETag": '"e"',
        "ChecksumCRC32": "AAAAAA==-2", "ChecksumType": "COMPOSITE",
    }  # fmt: skip


def test_blanks_may_stand_between_the_declaration_and_the_rest() -> None:
    body = complete_upload_result("l", "b", "k", written())
    late = DECLARATION.encode() + b"  \n " + body[len(DECLARATION) :]
    assert parsed("CompleteMultipartUpload", late)["Key"] == "k"


def test_delete_result() -> None:
    targets = (DeleteTarget(WEIRD), DeleteTarget("v", "null"), DeleteTarget("no", "x"))
    outcomes = (None, None, Refusal("AccessDenied", "Access <Denied>"))
    refused = {"Key": "no", "VersionId": "x", "Code": "AccessDenied", "Message": "Access <Denied>"}
    assert parsed("DeleteObjects", delete_result(targets, outcomes, quiet=False)) == {
        "Deleted": [{"Key": WEIRD}, {"Key": "v", "VersionId": "null"}], "Errors": [refused],
    }  # fmt: skip
    assert parsed("DeleteObjects", delete_result(targets, outcomes, quiet=True)) == {
        "Errors": [refused]
    }


def test_a_version_id_that_is_none_deletes_nothing_and_says_so() -> None:
    targets = (DeleteTarget("k", "nonsense"), DeleteTarget("k", "a" * 32))
    result = parsed("DeleteObjects", delete_result(targets, (None, None), quiet=True))
    (error,) = result["Errors"]
    assert (error["VersionId"], error["Code"]) == ("nonsense", "NoSuchVersion")
    assert "Deleted" not in result


VERSION = ObjectVersion(
    key="k", version_id="null", size=11, etag="e-2", last_modified=TIME, owner_id=ME.id,
    acl=private_acl(ME.id), description=Description(storage_class="GLACIER"), checksum=CHECKSUM,
    content_id=1, part_count=2,
)  # fmt: skip
PARTS = (PartInfo(2, 5, Checksum(CRC32, "AAAAAA==")), PartInfo(5, 6))
ALL = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}


def test_object_attributes() -> None:
    assert parsed("GetObjectAttributes", object_attributes_result(VERSION, PARTS, ALL)) == {
        "ETag": "e-2",
        "Checksum": {"ChecksumCRC32": "AAAAAA==-2", "ChecksumType": "COMPOSITE"},
        "ObjectParts": {
            "TotalPartsCount": 2,
            "PartNumberMarker": 0,
            "NextPartNumberMarker": 5,
            "MaxParts": 1000,
            "IsTruncated": False,
            "Parts": [
                {"PartNumber": 2, "Size": 5, "ChecksumCRC32": "AAAAAA=="},
                {"PartNumber": 5, "Size": 6},
            ],
        },
        "StorageClass": "GLACIER",
        "ObjectSize": 11,
    }


def test_only_the_attributes_asked_for() -> None:
    for name in ALL:
        assert set(
            parsed("GetObjectAttributes", object_attributes_result(VERSION, PARTS, {name}))
        ) == {name}
    assert (
        parsed("GetObjectAttributes", object_attributes_result(VERSION, (), {"ObjectParts"})) == {}
    )


def test_object_parts_are_paged() -> None:
    first = parsed("GetObjectAttributes",
                   object_attributes_result(VERSION, PARTS, {"ObjectParts"}, limit=1))  # fmt: skip
    assert first["ObjectParts"]["IsTruncated"] is True
    assert first["ObjectParts"]["NextPartNumberMarker"] == 2
    second = parsed("GetObjectAttributes",
                    object_attributes_result(VERSION, PARTS, {"ObjectParts"}, 2, 1))  # fmt: skip
    assert [part["PartNumber"] for part in second["ObjectParts"]["Parts"]] == [5]
    assert second["ObjectParts"]["IsTruncated"] is False
    assert second["ObjectParts"]["PartNumberMarker"] == 2


@pytest.mark.parametrize("operation", ["GetBucketAcl", "GetObjectAcl"])
def test_access_control_policy(operation: str) -> None:
    acl = Acl(
        ME.id,
        (
            Grant(Permission.FULL_CONTROL, account_id=ME.id),
            Grant(Permission.WRITE, account_id="x"),
            Grant(Permission.READ, group=ALL_USERS),
        ),
    )
    assert parsed(operation, access_control_policy(acl, NAMES)) == {
        "Owner": OWNER,
        "Grants": [
            {"Grantee": {"Type": "CanonicalUser", **OWNER}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"Type": "CanonicalUser", "ID": "x"}, "Permission": "WRITE"},
            {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
        ],
    }


def test_an_acl_that_was_shown_can_be_put_again() -> None:
    acl = Acl(ME.id, (Grant(Permission.READ, group=ALL_USERS), Grant(Permission.WRITE, "x")))
    requested = parse_access_control_policy(access_control_policy(acl, NAMES))
    assert resolve_acl(requested, requested.owner_id, ME.id, {}) == acl
