"""ListObjects, ListObjectsV2 and ListBuckets, as a client sees them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest

from tests.integration.world import World, refused

TREE = ("a", "dir/b", "dir/c", "dir/sub/d", "dirx", "z/1", "z/2")
HARD_KEYS = (
    "\x01control",
    " leading blank",
    "a+b & c<d>",
    "a//b",
    "end.",
    "line\r\nfeed",
    "percent%20",
    "quote'\"",
    "zz/../x",
    "ünï/ключ",
    "\ufffe not a character",
    "\U0001f600",
)
"""In the order of their UTF-8 bytes."""


def fill(world: World, keys: Any) -> str:
    bucket = world.bucket()
    client = world.client("alice")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    return bucket


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def tree(world: World) -> str:
    return fill(world, TREE)


@pytest.fixture(scope="module")
def many(world: World) -> tuple[str, list[str]]:
    """A bucket of 1,500 keys, and the keys."""
    keys = [f"{number % 3}/key {number:04}" for number in range(1500)]
    return fill(world, keys), sorted(keys)


def keys_of(page: dict[str, Any]) -> list[str]:
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes_of(page: dict[str, Any]) -> list[str]:
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def both(alice: Any, bucket: str, **options: Any) -> tuple[list[str], list[str]]:
    """Keys and common prefixes, which both versions of the listing must agree on."""
    first = alice.list_objects(Bucket=bucket, **options)
    second = alice.list_objects_v2(Bucket=bucket, **options)
    assert keys_of(first) == keys_of(second)
    assert prefixes_of(first) == prefixes_of(second)
    assert first["IsTruncated"] == second["IsTruncated"]
    assert second["KeyCount"] == len(keys_of(second)) + len(prefixes_of(second))
    return keys_of(first), prefixes_of(first)


@pytest.mark.parametrize(
    ("options", "keys", "prefixes"),
    [
        ({}, list(TREE), []),
        ({"Prefix": ""}, list(TREE), []),
        ({"Prefix": "dir/"}, ["dir/b", "dir/c", "dir/sub/d"], []),
        ({"Prefix": "dir/b"}, ["dir/b"], []),
        ({"Prefix": "nothing"}, [], []),
        ({"Delimiter": "/"}, ["a", "dirx"], ["dir/", "z/"]),
        ({"Delimiter": "/", "Prefix": "dir"}, ["dirx"], ["dir/"]),
        ({"Delimiter": "/", "Prefix": "dir/"}, ["dir/b", "dir/c"], ["dir/sub/"]),
        ({"Delimiter": "/", "Prefix": "/"}, [], []),
        ({"Delimiter": "ir/"}, ["a", "dirx", "z/1", "z/2"], ["dir/"]),
        ({"Delimiter": "/sub/d"}, ["a", "dir/b", "dir/c", "dirx", "z/1", "z/2"], ["dir/sub/d"]),
        ({"Delimiter": "r", "Prefix": "d"}, [], ["dir"]),
        ({"Delimiter": "%"}, list(TREE), []),
        ({"Delimiter": "\n"}, list(TREE), []),
        ({"Delimiter": ""}, list(TREE), []),
        ({"MaxKeys": 0}, [], []),
    ],
)
def test_prefix_and_delimiter(
    alice: Any, tree: str, options: dict[str, Any], keys: list[str], prefixes: list[str]
) -> None:
    assert both(alice, tree, **options) == (keys, prefixes)


def test_a_listing_shows_what_each_object_is(world: World, alice: Any) -> None:
    bucket = world.bucket()
    put = alice.put_object(Bucket=bucket, Key="k", Body=b"hello", StorageClass="STANDARD_IA")
    (entry,) = alice.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert abs(datetime.now(UTC) - entry.pop("LastModified")) < timedelta(minutes=5)
    assert entry == {
        "Key": "k",
        "ETag": put["ETag"],
        "Size": 5,
        "StorageClass": "STANDARD_IA",
        "ChecksumAlgorithm": ["CRC32"],
        "ChecksumType": "FULL_OBJECT",
        "Owner": {"DisplayName": "alice", "ID": world.id_of("alice")},
    }


def test_every_answer_has_the_same_time(world: World, alice: Any) -> None:
    bucket = world.bucket()
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    (entry,) = alice.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["LastModified"] == alice.head_object(Bucket=bucket, Key="k")["LastModified"]
    copied = alice.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
    head = alice.head_object(Bucket=bucket, Key="c")
    assert copied["CopyObjectResult"]["LastModified"] == head["LastModified"]


def test_the_owner_is_shown_by_the_first_version_and_on_demand_by_the_second(
    alice: Any, tree: str
) -> None:
    assert all("Owner" in entry for entry in alice.list_objects(Bucket=tree)["Contents"])
    for wanted in (True, False):
        page = alice.list_objects_v2(Bucket=tree, FetchOwner=wanted)
        assert all(("Owner" in entry) is wanted for entry in page["Contents"])


def test_a_page_repeats_what_was_asked_for(alice: Any, tree: str) -> None:
    options = {"Prefix": "d", "Delimiter": "/", "MaxKeys": 1}
    page = alice.list_objects(Bucket=tree, Marker="b", **options)
    assert page["Name"] == tree
    assert (page["Prefix"], page["Delimiter"], page["MaxKeys"]) == ("d", "/", 1)
    assert (page["Marker"], page["IsTruncated"], page["NextMarker"]) == ("b", True, "dir/")
    assert page["EncodingType"] == "url"  # botocore asks for it
    page = alice.list_objects_v2(Bucket=tree, StartAfter="b", **options)
    assert (page["Prefix"], page["Delimiter"], page["MaxKeys"]) == ("d", "/", 1)
    assert (page["StartAfter"], page["KeyCount"], page["IsTruncated"]) == ("b", 1, True)
    assert page["NextContinuationToken"]
    assert "Marker" not in page
    assert "ContinuationToken" not in page


def test_an_empty_bucket(world: World, alice: Any) -> None:
    bucket = world.bucket()
    page = alice.list_objects(Bucket=bucket)
    assert (page["IsTruncated"], page["Marker"], page["Prefix"], page["MaxKeys"]) == (
        False, "", "", 1000,
    )  # fmt: skip
    assert "Contents" not in page
    assert "NextMarker" not in page
    page = alice.list_objects_v2(Bucket=bucket)
    assert (page["IsTruncated"], page["KeyCount"]) == (False, 0)
    assert "NextContinuationToken" not in page


@pytest.mark.parametrize(
    ("marker", "keys", "prefixes"),
    [
        ("a", ["dirx"], ["dir/", "z/"]),
        ("d", ["dirx"], ["dir/", "z/"]),
        ("dir/", ["dirx"], ["z/"]),
        ("dir/b", ["dirx"], ["z/"]),
        ("dirx", [], ["z/"]),
        ("zz", [], []),
        ("\U0001f600", [], []),
    ],
)
def test_marker_and_start_after_need_not_be_keys(
    alice: Any, tree: str, marker: str, keys: list[str], prefixes: list[str]
) -> None:
    page = alice.list_objects(Bucket=tree, Delimiter="/", Marker=marker)
    assert (keys_of(page), prefixes_of(page)) == (keys, prefixes)
    page = alice.list_objects_v2(Bucket=tree, Delimiter="/", StartAfter=marker)
    assert (keys_of(page), prefixes_of(page)) == (keys, prefixes)
    assert page["StartAfter"] == marker


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_with_a_delimiter_give_each_entry_once(alice: Any, tree: str, size: int) -> None:
    found: list[str] = []
    marker = ""
    for _page in range(len(TREE)):
        page = alice.list_objects(Bucket=tree, Delimiter="/", MaxKeys=size, Marker=marker)
        entries = keys_of(page) + prefixes_of(page)
        assert len(entries) == size or not page["IsTruncated"]
        found += entries
        assert ("NextMarker" in page) is page["IsTruncated"]
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert sorted(found) == ["a", "dir/", "dirx", "z/"]
    pages = alice.get_paginator("list_objects_v2").paginate(
        Bucket=tree, Delimiter="/", PaginationConfig={"PageSize": size}
    )
    found = [entry for page in pages for entry in keys_of(page) + prefixes_of(page)]
    assert sorted(found) == ["a", "dir/", "dirx", "z/"]


def test_without_a_delimiter_there_is_no_next_marker(alice: Any, tree: str) -> None:
    page = alice.list_objects(Bucket=tree, MaxKeys=2)
    assert page["IsTruncated"]
    assert "NextMarker" not in page


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_many_keys_by_pages(alice: Any, many: tuple[str, list[str]], operation: str) -> None:
    bucket, keys = many
    pages = list(alice.get_paginator(operation).paginate(Bucket=bucket))
    assert [len(keys_of(page)) for page in pages] == [1000, 500]
    assert [key for page in pages for key in keys_of(page)] == keys
    pages = list(
        alice.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 700})
    )
    assert [len(keys_of(page)) for page in pages] == [700, 700, 100]
    assert [key for page in pages for key in keys_of(page)] == keys


def test_more_than_a_thousand_is_a_thousand(alice: Any, many: tuple[str, list[str]]) -> None:
    for page in (
        alice.list_objects(Bucket=many[0], MaxKeys=2**31 - 1),
        alice.list_objects_v2(Bucket=many[0], MaxKeys=2**31 - 1),
    ):
        assert (len(keys_of(page)), page["IsTruncated"]) == (1000, True)
        assert page["MaxKeys"] == 2**31 - 1  # as it was asked for


def test_the_last_full_page_is_not_truncated(alice: Any, tree: str) -> None:
    page = alice.list_objects_v2(Bucket=tree, MaxKeys=len(TREE))
    assert not page["IsTruncated"]
    assert "NextContinuationToken" not in page


def test_a_token_continues_whatever_start_after_says(alice: Any, tree: str) -> None:
    page = alice.list_objects_v2(Bucket=tree, MaxKeys=2, StartAfter="a")
    token = page["NextContinuationToken"]
    following = alice.list_objects_v2(
        Bucket=tree, MaxKeys=2, StartAfter="z", ContinuationToken=token
    )
    assert keys_of(following) == ["dir/sub/d", "dirx"]
    assert following["ContinuationToken"] == token


def test_an_empty_token_is_the_beginning(alice: Any, tree: str) -> None:
    page = alice.list_objects_v2(Bucket=tree, ContinuationToken="")
    assert keys_of(page) == list(TREE)
    assert page["ContinuationToken"] == ""


@pytest.mark.parametrize("token", ["nonsense", "ab cd", "%", "dir/b", "é"])
def test_a_token_that_no_page_gave(alice: Any, tree: str, token: str) -> None:
    with refused(400, "InvalidArgument") as told:
        alice.list_objects_v2(Bucket=tree, ContinuationToken=token)
    assert told.message == "The continuation token provided is incorrect"
    assert told.error["ArgumentName"] == "continuation-token"


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("max-keys=blah", "max-keys"),
        ("max-keys=-1", "maxKeys"),
        ("max-keys=2147483648", "max-keys"),
        ("max-keys=1.5", "max-keys"),
        ("list-type=2&max-keys=blah", "max-keys"),
        ("encoding-type=base64", "encoding-type"),
        ("list-type=2&encoding-type=base64", "encoding-type"),
    ],
)
def test_invalid_parameters(world: World, tree: str, query: str, argument: str) -> None:
    answer = world.raw("alice").request("GET", f"/{tree}?{query}")
    assert answer.error == (400, "InvalidArgument")
    assert answer.text("ArgumentName") == argument
    assert answer.text("ArgumentValue") is not None


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("start-after=b", "start-after"),
        ("continuation-token=b", "continuation-token"),
        ("list-type=1&start-after=b", "start-after"),
        ("list-type=2&marker=b", "marker"),
    ],
)
def test_a_marker_of_the_other_version_is_refused(
    world: World, tree: str, query: str, argument: str
) -> None:
    answer = world.raw("alice").request("GET", f"/{tree}?{query}")
    assert answer.error == (400, "InvalidArgument")
    assert (answer.text("ArgumentName"), answer.text("ArgumentValue")) == (argument, None)


def test_what_was_sent_is_shown_again(world: World, tree: str) -> None:
    raw = world.raw("alice")
    page = raw.request("GET", f"/{tree}?list-type=2&start-after=&encoding-type=URL&fetch-owner=x")
    assert (page.text("StartAfter"), page.text("EncodingType")) == ("", "URL")
    assert page.text("Contents/Owner") is None
    page = raw.request("GET", f"/{tree}?list-type=7&max-keys=1001")
    assert (page.text("Marker"), page.text("MaxKeys"), page.text("KeyCount")) == ("", "1001", None)


def test_an_empty_max_keys_is_the_default(world: World, tree: str) -> None:
    answer = world.raw("alice").request("GET", f"/{tree}?max-keys=&delimiter=&prefix=&marker=")
    assert answer.status == 200
    assert answer.text("MaxKeys") == "1000"
    assert len(answer.xml().findall("Contents")) == len(TREE)


def test_a_bare_question_mark_lists(world: World, tree: str) -> None:
    assert len(world.raw("alice").request("GET", f"/{tree}?").xml().findall("Contents")) == 7
    assert len(world.raw("alice").request("GET", f"/{tree}/").xml().findall("Contents")) == 7


def test_keys_that_hurt_come_back_as_they_were(world: World, alice: Any) -> None:
    bucket = fill(world, HARD_KEYS)
    assert both(alice, bucket)[0] == list(HARD_KEYS)
    for key in HARD_KEYS:
        assert both(alice, bucket, Prefix=key)[0] == [key]
        assert alice.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    after = alice.list_objects_v2(Bucket=bucket, StartAfter=HARD_KEYS[4])
    assert keys_of(after) == list(HARD_KEYS[5:])
    pages = alice.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    assert [key for page in pages for key in keys_of(page)] == list(HARD_KEYS)
    pages = alice.get_paginator("list_objects").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    assert [key for page in pages for key in keys_of(page)] == list(HARD_KEYS)


def test_url_encoding_is_of_every_name_in_the_page(world: World, alice: Any) -> None:
    bucket = fill(world, ("a b/1", "a b/2", "a+b/\x01", "plain"))
    raw = world.raw("alice")
    page = raw.request(
        "GET", f"/{bucket}?encoding-type=url&delimiter=%20&prefix=a&marker=a%01&max-keys=1"
    ).xml()
    assert page.findtext("EncodingType") == "url"
    assert page.findtext("Delimiter") == "+"
    assert page.findtext("Marker") == "a%01"
    assert page.findtext("NextMarker") == "a+"
    assert page.findtext("CommonPrefixes/Prefix") == "a+"
    page = raw.request("GET", f"/{bucket}?encoding-type=url&list-type=2").xml()
    assert [key.text for key in page.findall("Contents/Key")] == [
        "a+b/1", "a+b/2", "a%2Bb/%01", "plain",
    ]  # fmt: skip


def test_without_encoding_an_unreadable_key_is_a_character_reference(
    world: World, alice: Any
) -> None:
    """As S3 does it, although XML 1.0 has no such reference: the reason for encoding-type."""
    bucket = fill(world, ("x\x01y",))
    answer = world.raw("alice").request("GET", f"/{bucket}")
    assert b"<Key>x&#x1;y</Key>" in answer.body
    assert b"EncodingType" not in answer.body
    with pytest.raises(ElementTree.ParseError):
        answer.xml()


def test_a_null_byte_in_a_key(world: World) -> None:
    bucket = world.bucket()
    raw = world.raw("alice")
    assert raw.request("PUT", f"/{bucket}/a%00b/c", body=b"x").status == 200
    assert raw.request("GET", f"/{bucket}/a%00b/c").body == b"x"
    page = raw.request("GET", f"/{bucket}?encoding-type=url").xml()
    assert [key.text for key in page.findall("Contents/Key")] == ["a%00b/c"]
    page = raw.request("GET", f"/{bucket}?encoding-type=url&delimiter=/").xml()
    assert page.findtext("CommonPrefixes/Prefix") == "a%00b/"


def test_keys_are_listed_in_the_order_of_their_bytes(world: World, alice: Any) -> None:
    """UTF-8's, where \U00010000 is after \uffff; UTF-16 would have it the other way round."""
    keys = ["A", "B", "_", "a", "a!", "a-", "a/", "a/a", "a0", "é", "\uff5e", "\U00010000"]
    assert keys == sorted(keys, key=str.encode)
    bucket = fill(world, reversed(keys))
    assert both(alice, bucket)[0] == keys


def test_a_missing_bucket(alice: Any) -> None:
    for listing in (alice.list_objects, alice.list_objects_v2):
        with refused(404, "NoSuchBucket") as told:
            listing(Bucket="there-is-no-such-bucket")
        assert told.error["BucketName"] == "there-is-no-such-bucket"


def test_deleted_and_replaced_objects(world: World, alice: Any) -> None:
    bucket = fill(world, ("a", "b", "c"))
    alice.put_object(Bucket=bucket, Key="a", Body=b"longer")
    alice.delete_object(Bucket=bucket, Key="b")
    page = alice.list_objects_v2(Bucket=bucket)
    assert [(entry["Key"], entry["Size"]) for entry in page["Contents"]] == [("a", 6), ("c", 1)]


def test_listing_a_directory_marker_beside_what_is_in_it(world: World, alice: Any) -> None:
    bucket = fill(world, ("dir/", "dir/a", "dir"))
    assert both(alice, bucket, Delimiter="/") == (["dir"], ["dir/"])
    assert both(alice, bucket, Delimiter="/", Prefix="dir/") == (["dir/", "dir/a"], [])


def test_the_answer_is_xml_of_s3s_namespace(world: World, tree: str) -> None:
    answer = world.raw("alice").request("GET", f"/{tree}?list-type=2")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult ')
    assert b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' in answer.body
    assert answer.headers["x-amz-bucket-region"] == "us-east-1"
    assert len(answer.headers["x-amz-request-id"]) == 16


def test_quoting_of_the_target_changes_nothing(world: World, alice: Any) -> None:
    bucket = fill(world, ("a~b",))
    raw = world.raw("alice")
    assert raw.request("GET", f"/{bucket}/a%7Eb").body == b"x"
    assert raw.request("GET", f"/{bucket}/a~b").body == b"x"
    prefix = quote("a~", safe="")
    assert (
        unquote_plus(raw.request("GET", f"/{bucket}?prefix={prefix}").text("Prefix") or "") == "a~"
    )
