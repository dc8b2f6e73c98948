"""Small values of the query, the queries of listings, and continuation tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.wire.list_queries import (
    BucketsQuery,
    ObjectsQuery,
    PartsQuery,
    UploadsQuery,
    buckets_query,
    objects_query,
    objects_v2_query,
    parts_query,
    uploads_query,
)
from bleepstore.wire.operations import BY_NAME
from bleepstore.wire.parameters import (
    attributes_page,
    deleted_version_id,
    object_attributes,
    part_number,
    version_id,
)
from bleepstore.wire.tokens import decode_token, encode_token


def test_any_version_can_be_asked_for_but_no_nonsense() -> None:
    get = BY_NAME["GetObject"]
    assert version_id(get, {}) == ""
    assert version_id(get, {"versionId": "null"}) == "null"
    other = "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"
    assert version_id(get, {"versionId": other}) == other
    for value in ("", "x", "a" * 31 + "/"):
        with pytest.raises(errors.InvalidArgument) as caught:
            version_id(get, {"versionId": value})
        assert caught.value.details == {"ArgumentName": "versionId", "ArgumentValue": value}


def test_a_write_takes_no_version() -> None:
    with pytest.raises(errors.InvalidArgument, match="does not accept a version-id"):
        version_id(BY_NAME["PutObject"], {"versionId": "null"})
    assert version_id(BY_NAME["ListObjects"], {"versionId": "x"}) == ""


def test_part_numbers() -> None:
    assert part_number({}) is None
    assert part_number({"partNumber": "1"}) == 1
    assert part_number({"partNumber": "10000"}) == 10000
    for value in ("0", "10001", "-1", "", "a", "1.0", "\u0661", " 1", "9" * 5000):
        with pytest.raises(errors.InvalidArgument, match="between 1 and 10000") as caught:
            part_number({"partNumber": value})
        assert caught.value.details["ArgumentName"] == "partNumber"


@pytest.mark.parametrize(
    ("value", "limit"), [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000),
                         ("", 1000)]
)  # fmt: skip
def test_a_page_is_cut_to_1000(value: str, limit: int) -> None:
    assert objects_query({"max-keys": value}).limit == limit
    assert objects_v2_query({"max-keys": value}).limit == limit
    assert uploads_query({"max-uploads": value}).limit == limit
    assert parts_query({"max-parts": value}).limit == limit


@pytest.mark.parametrize("value", ["-1", "a", "1.5", "2147483648", "\u0661", "+1", "9" * 5000])
def test_other_limits_are_invalid(value: str) -> None:
    for name, read in (
        ("max-keys", objects_query),
        ("max-keys", objects_v2_query),
        ("max-uploads", uploads_query),
        ("max-parts", parts_query),
        ("max-buckets", buckets_query),
        ("part-number-marker", parts_query),
    ):
        with pytest.raises(errors.InvalidArgument) as caught:
            read({name: value})
        called = "maxKeys" if (name, value) == ("max-keys", "-1") else name  # as S3 has it
        assert caught.value.details == {"ArgumentName": called, "ArgumentValue": value}


def test_a_negative_limit_is_told_as_it_was_understood() -> None:
    with pytest.raises(errors.InvalidArgument, match="Argument max-uploads must be") as caught:
        uploads_query({"max-uploads": "-01"})
    assert caught.value.details["ArgumentValue"] == "-1"


def test_the_limit_that_was_asked_for_is_shown_again() -> None:
    for read in (objects_query, objects_v2_query):
        assert (read({"max-keys": "1001"}).max_keys, read({}).max_keys) == (1001, 1000)


def test_max_buckets_is_refused_outside_1_to_10000() -> None:
    for value in ("0", "10001"):
        with pytest.raises(errors.InvalidArgument):
            buckets_query({"max-buckets": value})


UPLOAD_ID = "u" * 64


def test_list_queries() -> None:
    everything = {
        "prefix": "p", "delimiter": "/", "encoding-type": "URL", "max-keys": "5",
        "fetch-owner": "TRUE", "key-marker": "k", "upload-id-marker": UPLOAD_ID,
        "max-uploads": "6", "uploadId": "i", "part-number-marker": "7", "max-parts": "8",
        "max-buckets": "9", "bucket-region": "r",
    }  # fmt: skip
    assert buckets_query(everything) == BucketsQuery("p", "", 9, "r", True)
    assert objects_query({**everything, "marker": "m"}) == ObjectsQuery(
        "p", "/", "m", 5, "URL", marker="m", fetch_owner=True
    )
    assert objects_v2_query({**everything, "start-after": "s"}) == ObjectsQuery(
        "p", "/", "s", 5, "URL", start_after="s", fetch_owner=True
    )
    assert uploads_query(everything) == UploadsQuery("p", "/", "k", UPLOAD_ID, 6, "URL")
    assert parts_query(everything) == PartsQuery("i", 7, 8, "URL")
    assert buckets_query({"x-id": "ListBuckets"}) == BucketsQuery()
    assert objects_v2_query({}) == ObjectsQuery()


def test_a_token_overrides_start_after() -> None:
    token = encode_token("t")
    found = objects_v2_query({"continuation-token": token, "start-after": "z"})
    assert (found.after, found.start_after, found.token) == ("t", "z", token)
    assert buckets_query({"continuation-token": token}).after == "t"
    assert buckets_query({"continuation-token": ""}) == BucketsQuery(paged=True)


@pytest.mark.parametrize(
    ("read", "name", "message"),
    [
        (objects_query, "continuation-token",
         "continuation-token only supported in REST.GET.BUCKET with list-type=2"),
        (objects_query, "start-after",
         "startAfter only supported in REST.GET.BUCKET with list-type=2"),
        (objects_v2_query, "marker", "Marker unsupported with REST.GET.BUCKET in list-type=2"),
    ],
)  # fmt: skip
def test_a_listing_is_not_begun_again_for_a_marker_of_the_other_version(
    read: Callable[[dict[str, str]], ObjectsQuery], name: str, message: str
) -> None:
    for value in ("", "k"):
        with pytest.raises(errors.InvalidArgument) as caught:
            read({name: value})
        assert caught.value.message == message
        assert caught.value.details == {"ArgumentName": name}


def test_an_empty_token_is_none_but_is_shown_again() -> None:
    found = objects_v2_query({"continuation-token": "", "start-after": "z"})
    assert (found.after, found.token) == ("z", "")


def test_an_upload_id_marker_needs_a_key_marker() -> None:
    assert uploads_query({"upload-id-marker": "u"}).upload_id_marker == ""
    with pytest.raises(errors.InvalidArgument, match="Invalid uploadId marker"):
        uploads_query({"key-marker": "k", "upload-id-marker": "u"})


@pytest.mark.parametrize(
    "query", [{"encoding-type": "base64"}, {"continuation-token": "x"}, {"max-keys": "many"}]
)
def test_other_values_are_invalid(query: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidArgument):
        objects_v2_query(query)


@pytest.mark.parametrize("value", ["", "false", "yes", "1"])
def test_owners_are_fetched_for_true_alone(value: str) -> None:
    assert not objects_v2_query({"fetch-owner": value}).fetch_owner


def test_any_version_id_can_be_deleted_but_no_nonsense() -> None:
    for value in ("null", "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH"):
        assert deleted_version_id({"versionId": value}) == value
    assert deleted_version_id({}) == ""
    for value in ("", "nonsense"):
        with pytest.raises(errors.InvalidArgument):
            deleted_version_id({"versionId": value})


def test_object_attributes() -> None:
    name = b"x-amz-object-attributes"
    assert object_attributes({name: b"ETag, ObjectSize ,ETag,,"}) == {"ETag", "ObjectSize"}
    for value, wrong in ((b"Etag", "Etag"), (b"ETag,Foo,Bar", "Foo"), (b"ETag,,ETag", "")):
        with pytest.raises(errors.InvalidArgument) as caught:
            object_attributes({name: value})
        assert caught.value.details["ArgumentValue"] == wrong
    for headers in ({}, {name: b""}, {name: b","}):
        with pytest.raises(errors.InvalidRequest, match="either missing or empty"):
            object_attributes(headers)
    assert attributes_page({}) == (0, 1000)
    assert attributes_page({b"x-amz-part-number-marker": b"3", b"x-amz-max-parts": b"2"}) == (3, 2)
    for value in (b"", b"-1", b"many", b"2147483648"):
        assert attributes_page({b"x-amz-max-parts": value}) == (0, 1000)
    with pytest.raises(errors.InvalidArgument):
        attributes_page({b"x-amz-part-number-marker": b"x"})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_tokens_come_back(after: str) -> None:
    token = encode_token(after)
    assert decode_token(token) == after
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.data())
def test_a_changed_token_is_incorrect(after: str, data: st.DataObject) -> None:
    token = encode_token(after)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("Aa0-_=.é").filter(lambda c: c != token[at]))
    for changed in (token[:at] + other + token[at + 1 :], token[:at], token + other, token + "\n"):
        with pytest.raises(errors.InvalidArgument, match="token provided is incorrect"):
            decode_token(changed)


@given(st.text())
def test_any_text_is_a_token_or_incorrect(token: str) -> None:
    try:
        assert encode_token(decode_token(token)) == token
    except errors.InvalidArgument:
        return


QUERIES = st.dictionaries(
    st.sampled_from(
        ["prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token",
         "start-after", "fetch-owner", "key-marker", "upload-id-marker", "max-uploads", "uploadId",
         "part-number-marker", "max-parts", "max-buckets", "partNumber", "versionId"]
    ),
    st.one_of(st.text(max_size=20), st.integers().map(str)),
)  # fmt: skip


@given(QUERIES)
def test_only_refusals_come_out(query: dict[str, str]) -> None:
    for read in (buckets_query, objects_query, objects_v2_query, uploads_query, parts_query,
                 part_number, lambda query: version_id(BY_NAME["GetObject"], query)):  # fmt: skip
        try:
            read(query)
        except errors.StoreError:
            continue
