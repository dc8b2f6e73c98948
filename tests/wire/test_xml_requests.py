"""XML bodies are read strictly, safely, and as botocore writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.model.acl import ALL_USERS, Permission
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.wire import xml_reader
from bleepstore.wire.grants import RequestedAcl, RequestedGrant
from bleepstore.wire.xml_reader import MAX_BODY, MAX_COMPLETE_BODY, parse_xml
from bleepstore.wire.xml_requests import (
    DeleteRequest,
    parse_access_control_policy,
    parse_complete_upload,
    parse_create_bucket,
    parse_delete,
)
from tests.wire.oracle import MODEL

NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def written(operation: str, **members: Any) -> bytes:
    """The body that botocore writes."""
    request = create_serializer("rest-xml").serialize_to_request(
        members, MODEL.operation_model(operation)
    )
    body = request["body"]
    assert isinstance(body, bytes)
    return body


def test_create_bucket() -> None:
    body = written(
        "CreateBucket",
        Bucket="b",
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    assert parse_create_bucket(body) == "eu-central-1"
    assert parse_create_bucket(b"") == ""
    assert parse_create_bucket(b"<CreateBucketConfiguration/>") == ""


@pytest.mark.parametrize("name", ["Location", "Bucket", "Tags"])
def test_other_kinds_of_buckets_are_not_implemented(name: str) -> None:
    with pytest.raises(errors.NotImplemented):
        parse_create_bucket(
            f"<CreateBucketConfiguration><{name}/></CreateBucketConfiguration>".encode()
        )


def test_delete() -> None:
    body = written(
        "DeleteObjects",
        Bucket="b",
        Delete={
            "Objects": [
                {"Key": " a&b/<c>\u00e9 "},
                {"Key": "k", "VersionId": "null", "ETag": '"e"', "Size": 3,
                 "LastModifiedTime": "2006-02-03T16:45:09Z"},
            ],
            "Quiet": True,
        },
    )  # fmt: skip
    assert parse_delete(body) == DeleteRequest(
        (
            DeleteTarget(" a&b/<c>\u00e9 "),
            DeleteTarget("k", "null", "e", 1_138_985_109_000, 3),
        ),
        quiet=True,
    )


@pytest.mark.parametrize("value", ["2006-02-03T16:45:09.000Z", "Fri, 03 Feb 2006 16:45:09 GMT"])
def test_a_condition_takes_either_kind_of_date(value: str) -> None:
    condition = f"<LastModifiedTime>{value}</LastModifiedTime>"
    body = f"<Delete><Object><Key>k</Key>{condition}</Object></Delete>"
    assert parse_delete(body.encode()).targets[0].if_last_modified == 1_138_985_109_000


def test_a_delete_has_1_to_1000_objects() -> None:
    one = "<Object><Key>k</Key></Object>"
    assert len(parse_delete(f"<Delete>{one * 1000}</Delete>".encode()).targets) == 1000
    for content in ("", one * 1001, "<Quiet>true</Quiet>"):
        with pytest.raises(errors.MalformedXML):
            parse_delete(f"<Delete>{content}</Delete>".encode())
    with pytest.raises(errors.MissingRequestBodyError):
        parse_delete(b"")
    with pytest.raises(errors.UserKeyMustBeSpecified):
        parse_delete(b"<Delete><Object><Key></Key></Object></Delete>")


@pytest.mark.parametrize(
    ("value", "quiet"), [("true", True), (" TRUE ", True), ("false", False), ("maybe", False)]
)
def test_whatever_is_not_true_is_not_quiet(value: str, quiet: bool) -> None:
    body = f"<Delete><Object><Key>k</Key></Object><Quiet>{value}</Quiet></Delete>"
    assert parse_delete(body.encode()).quiet is quiet


@pytest.mark.parametrize(
    "content",
    [
        "<Object/>",
        "<Object><Key>a</Key></Object>x",
        "<Object><Key>a</Key><Key>b</Key></Object>",
        "<Object><Key>a<b/></Key></Object>",
        "<Object>x<Key>a</Key></Object>",
        "<Object><Key>a</Key><Unless>b</Unless></Object>",
        "<Object><Key>a</Key><Size>-1</Size></Object>",
        "<Object><Key>a</Key><Size>1e3</Size></Object>",
        "<Object><Key>a</Key><LastModifiedTime>now</LastModifiedTime></Object>",
        "<Object><Key>a</Key></Object><Quiet>true</Quiet><Quiet>true</Quiet>",
        "<Object><Key>a</Key></Object><Loud/>",
    ],
)
def test_a_delete_that_is_not_understood_deletes_nothing(content: str) -> None:
    with pytest.raises(errors.MalformedXML):
        parse_delete(f"<Delete>{content}</Delete>".encode())


def test_complete() -> None:
    body = written(
        "CompleteMultipartUpload",
        Bucket="b",
        Key="k",
        UploadId="u",
        MultipartUpload={
            "Parts": [
                {"PartNumber": 2, "ETag": '"e"', "ChecksumCRC32": "AAAAAA=="},
                {"PartNumber": 1, "ETag": "f"},
            ]
        },
    )
    assert parse_complete_upload(body) == (
        CompletedPart(2, "e", {ChecksumAlgorithm.CRC32: "AAAAAA=="}),
        CompletedPart(1, "f"),
    )


def test_complete_takes_10000_parts_of_any_checksum() -> None:
    checksum = f"<ChecksumSHA512>{'A' * 88}</ChecksumSHA512>"
    part = "<Part><PartNumber>%d</PartNumber><ETag>&quot;{}&quot;</ETag>{}</Part>".format(
        "e" * 32, checksum
    )
    body = "".join(part % number for number in range(1, 10_001))
    document = f"<CompleteMultipartUpload {NS}>{body}</CompleteMultipartUpload>".encode()
    assert MAX_BODY < len(document) < MAX_COMPLETE_BODY
    assert len(parse_complete_upload(document)) == 10_000
    longer = document.replace(b"</CompleteM", part.encode() % 1 + b"</CompleteM")
    with pytest.raises(errors.MalformedXML):
        parse_complete_upload(longer)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<Part/>",
        "x<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>",
        "<Part><PartNumber>1</PartNumber></Part>",
        "<Part><ETag>e</ETag></Part>",
        "<Part><PartNumber>1</PartNumber><ETag></ETag></Part>",
        "<Part><PartNumber>one</PartNumber><ETag>e</ETag></Part>",
        "<Part><PartNumber>1</PartNumber><ETag>e</ETag><Other/></Part>",
        "<Piece><PartNumber>1</PartNumber><ETag>e</ETag></Piece>",
    ],
)
def test_a_complete_that_is_not_understood_is_malformed(content: str) -> None:
    with pytest.raises(errors.MalformedXML):
        parse_complete_upload(
            f"<CompleteMultipartUpload>{content}</CompleteMultipartUpload>".encode()
        )


def numbered(number: str) -> bytes:
    return (
        f"<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>"
        "</CompleteMultipartUpload>"
    ).encode()


@pytest.mark.parametrize("number", ["0", "-1", "-0"])
def test_a_part_number_below_one_is_an_invalid_argument(number: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="PartNumber must be >= 1"):
        parse_complete_upload(numbered(number))


def test_a_part_number_above_10000_is_that_of_no_part() -> None:
    assert parse_complete_upload(numbered("10001")) == (CompletedPart(10_001, "e"),)


def test_an_empty_complete_has_no_part() -> None:
    with pytest.raises(errors.InvalidRequest, match="at least one part"):
        parse_complete_upload(b"")


def test_an_access_control_policy() -> None:
    body = written(
        "PutBucketAcl",
        Bucket="b",
        AccessControlPolicy={
            "Owner": {"ID": "me", "DisplayName": "Me"},
            "Grants": [
                {"Grantee": {"Type": "CanonicalUser", "ID": "x", "DisplayName": "X"},
                 "Permission": "FULL_CONTROL"},
                {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
                {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@b.c"},
                 "Permission": "WRITE_ACP"},
            ],
        },
    )  # fmt: skip
    assert parse_access_control_policy(body) == RequestedAcl(
        grants=(
            RequestedGrant(Permission.FULL_CONTROL, account_id="x"),
            RequestedGrant(Permission.READ, group=ALL_USERS),
            RequestedGrant(Permission.WRITE_ACP, email="a@b.c"),
        ),
        owner_id="me",
    )


XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def policy(grants: str, owner: str = "<Owner><ID>me</ID></Owner>") -> bytes:
    return (
        f"<AccessControlPolicy {XSI}>{owner}<AccessControlList>{grants}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


def grant(grantee: str, permission: str = "READ") -> str:
    return f"<Grant>{grantee}<Permission>{permission}</Permission></Grant>"


USER = '<Grantee xsi:type="CanonicalUser"><ID>x</ID></Grantee>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<AccessControlPolicy/>",
        policy(grant(USER), ""),  # boto3 leaves it to its users to know that S3 wants it
        policy("", "<Owner/>"),
        policy(grant(USER, "EVERYTHING")),
        policy(grant("")),
        policy(grant("<Grantee><ID>x</ID></Grantee>")),
        policy(grant('<Grantee xsi:type="Robot"><ID>x</ID></Grantee>')),
        policy(grant('<Grantee xsi:type="CanonicalUser"/>')),
        policy(grant('<Grantee xsi:type="Group"><ID>x</ID></Grantee>')),
        policy("<Gift/>"),
        policy(grant(USER) * 101),
        policy("x"),
        b"<AccessControlPolicy>",
    ],
)
def test_a_malformed_policy_is_a_malformed_acl(body: bytes) -> None:
    with pytest.raises(errors.MalformedACLError):
        parse_access_control_policy(body)


def test_a_policy_may_grant_nothing() -> None:
    assert parse_access_control_policy(policy("")) == RequestedAcl(owner_id="me")
    assert len(parse_access_control_policy(policy(grant(USER) * 100)).grants) == 100


def test_an_unknown_group_is_an_invalid_argument() -> None:
    with pytest.raises(errors.InvalidArgument, match="Invalid group uri"):
        parse_access_control_policy(
            policy(grant('<Grantee xsi:type="Group"><URI>http://x</URI></Grantee>'))
        )


@pytest.mark.parametrize("namespace", ["", NS, 'xmlns="http://example.com/other"'])
def test_any_namespace_or_none(namespace: str) -> None:
    body = f"<?xml version='1.0'?><Delete {namespace}><Object><Key>k</Key></Object></Delete>"
    assert parse_delete(body.encode()).targets == (DeleteTarget("k"),)


def test_utf16_is_known_by_its_byte_order_mark() -> None:
    body = "<Delete><Object><Key>é</Key></Object></Delete>".encode("utf-16")
    assert parse_delete(body).targets == (DeleteTarget("é"),)


def test_prefixed_elements_and_processing_instructions() -> None:
    body = (
        f"<?a b?><s:Delete {NS.replace('xmlns', 'xmlns:s')}><!-- c -->"
        "<s:Object><s:Key>k</s:Key></s:Object></s:Delete>"
    )
    assert parse_delete(body.encode()).targets == (DeleteTarget("k"),)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE Delete><Delete><Object><Key>k</Key></Object></Delete>",
        b'<!DOCTYPE Delete [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd"><Delete/>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/"> %x;]><Delete/>',
        b"<Delete><Object><Key>&a;</Key></Object></Delete>",
        b"<Delete><Object><Key>k</Key></Object>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
        b"<Delete><Object><Key>\x01</Key></Object></Delete>",
        b"<Delete><Object><Key>&#1;</Key></Object></Delete>",
        b"<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
        b"<Erase><Object><Key>k</Key></Object></Erase>",
        b"<a:Delete/>",
        b"not xml",
        b"\x00",
        b'<?xml version="1.0" encoding="bogus"?><Delete>\xff</Delete>',
    ],
)
def test_what_is_not_plain_xml_is_malformed(body: bytes) -> None:
    with pytest.raises(errors.MalformedXML):
        parse_delete(body)


def test_depth_and_number_of_elements_are_bounded() -> None:
    with pytest.raises(errors.MalformedXML):
        parse_xml(b"<a>" * 9 + b"</a>" * 9, "a")
    assert parse_xml(b"<a>" * 8 + b"</a>" * 8, "a").name == "a"
    assert len(parse_xml(b"<a>" + b"<b/>" * 99_999 + b"</a>", "a").children) == 99_999
    with pytest.raises(errors.MalformedXML):
        parse_xml(b"<a>" + b"<b/>" * 100_000 + b"</a>", "a")
    assert len(parse_xml(b"<a><b/><b/></a>", "a", 3).children) == 2
    with pytest.raises(errors.MalformedXML):
        parse_xml(b"<a><b/><b/></a>", "a", 2)


def test_attributes_are_bounded_as_elements_are() -> None:
    """Each costs as much, and nothing that S3 defines has more than one."""
    assert len(parse_xml(b'<a b="" c=""/>', "a", 3).attributes) == 2
    with pytest.raises(errors.MalformedXML):
        parse_xml(b'<a b="" c="" d=""/>', "a", 3)


def test_a_tag_is_refused_that_is_too_long_to_be_read_before_it_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def padded(size: int) -> bytes:
        return b"<a>" * 3 + b"</a" + b" " * (size - 3) + b"></a></a>"

    assert len(parse_xml(padded(xml_reader.MAX_PIECE), "a").children) == 1
    monkeypatch.setattr(xml_reader.expat, "ParserCreate", None)
    with pytest.raises(errors.MalformedXML):
        parse_xml(padded(xml_reader.MAX_PIECE + 1), "a")
    with pytest.raises(errors.MalformedXML):
        parse_xml(b"<a>" * 20_000 + b" " * xml_reader.MAX_PIECE, "a")


def test_the_longest_key_is_not_too_long_for_a_tag() -> None:
    body = b"<Delete><Object><Key>" + b"&#x10ffff;" * 1024 + b"</Key></Object></Delete>"
    assert len(parse_delete(body).targets[0].key) == 1024
    assert len(parse_delete(body.replace(b"<Object>", b"\n" * 9_000 + b"<Object>")).targets) == 1


@pytest.mark.parametrize(
    ("parse", "root", "most"),
    [
        (parse_create_bucket, "CreateBucketConfiguration", 1_000),
        (parse_access_control_policy, "AccessControlPolicy", 1_000),
        (parse_delete, "Delete", 7_000),
    ],
)
def test_a_document_is_given_up_when_it_has_more_than_it_may_hold(
    monkeypatch: pytest.MonkeyPatch, parse: Callable[[bytes], object], root: str, most: int
) -> None:
    """It is read before anybody knows whether its sender may ask for anything."""
    ended = 0
    end = xml_reader._Builder.end

    def count(builder: Any, name: str) -> None:
        nonlocal ended
        ended += 1
        end(builder, name)

    monkeypatch.setattr(xml_reader._Builder, "end", count)
    with pytest.raises(errors.StoreError):
        parse(f"<{root}>{'<a/>' * 90_000}</{root}>".encode())
    assert 0 < ended <= most


def test_a_delete_of_1000_objects_with_all_conditions_is_taken() -> None:
    one = (
        "<Object><Key>k</Key><VersionId>null</VersionId><ETag>e</ETag><Size>1</Size>"
        "<LastModifiedTime>2026-01-01T00:00:00Z</LastModifiedTime></Object>"
    )
    assert len(parse_delete(f"<Delete>{one * 1000}<Quiet>true</Quiet></Delete>".encode()).targets)


PIECES = st.lists(
    st.sampled_from(
        ["<Delete>", "</Delete>", "<Object>", "</Object>", "<Key>", "</Key>", "k", "<Quiet>",
         "</Quiet>", "true", "<Part>", "</Part>", "<PartNumber>", "1", "</PartNumber>", "<ETag>",
         "</ETag>", "&amp;", "&x;", "<![CDATA[", "]]>", "<!DOCTYPE a>", "<CompleteMultipartUpload>",
         "</CompleteMultipartUpload>", "<AccessControlPolicy>", "</AccessControlPolicy>", " ",
         "<CreateBucketConfiguration>", "</CreateBucketConfiguration>", "<?xml version='1.0'?>"]
    )
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


@given(st.one_of(st.binary(), PIECES))
def test_only_refusals_come_out(body: bytes) -> None:
    for parse in (parse_create_bucket, parse_delete, parse_complete_upload,
                  parse_access_control_policy):  # fmt: skip
        try:
            parse(body)
        except errors.StoreError:
            continue
