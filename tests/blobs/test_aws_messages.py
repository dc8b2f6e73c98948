"""What is said to S3 and what it answers."""

from __future__ import annotations

import pytest

from bleepstore.blobs.aws_messages import (
    complete_document,
    copy_source,
    description_headers,
    etag_of,
    expectation,
    listed_page,
    native_object,
    query,
)
from bleepstore.errors import InternalError
from bleepstore.interfaces.in_place import ListedName
from bleepstore.model.objects import Description

DESCRIPTION = Description(
    {"content-type": "a/b", "expires": "never"}, {"plain": "value", "greeting": "Grüße"}
)


def test_a_description_survives_its_headers() -> None:
    headers = dict(description_headers(DESCRIPTION, "blob"))
    assert headers[b"x-amz-meta-greeting"] == b"=?UTF-8?B?R3LDvMOfZQ==?="
    found = native_object(
        "name",
        {
            **headers,
            b"etag": b'"e-1"',
            b"last-modified": b"Tue, 14 Nov 2023 22:13:20 GMT",
        },
        7,
    )
    assert found.description == DESCRIPTION
    assert (found.name, found.tag, found.etag, found.size) == ("name", "e-1", "e-1", 7)
    assert (found.blob_id, found.last_modified) == ("blob", 1_700_000_000_000)


def test_metadata_that_leaves_no_room_for_the_id_is_left_to_the_index() -> None:
    ours = (b"x-amz-meta-bleepstore-blob", b"blob")
    room = 2048 - len("bleepstore-blob") - len("blob")
    fits = Description({}, {"m": "x" * (room - 1)})
    assert len(description_headers(fits, "blob")) == 2
    assert description_headers(Description({}, {"m": "x" * room}), "blob") == [ours]
    assert description_headers(Description({}, {"bleepstore-blob": "a lie"}), "blob") == [ours]


def test_an_object_of_another_program_has_no_blob_id() -> None:
    found = native_object("name", {b"x-amz-meta-m": b"=?UTF-8?B?!?=", b"etag": b'"e"'}, None)
    assert (found.blob_id, found.size, found.last_modified) == ("", 0, 0)
    assert found.description.metadata == {"m": "=?UTF-8?B?!?="}


def test_an_expectation_is_a_precondition() -> None:
    assert expectation("") == (b"if-none-match", b"*")
    assert expectation("e-1") == (b"if-match", b'"e-1"')


def test_names_are_encoded_once() -> None:
    assert copy_source("b", "a b/ü%+") == b"b/a%20b/%C3%BC%25%2B"
    assert query(uploads="", prefix="a b/&") == b"uploads=&prefix=a%20b%2F%26"
    assert query(list_type="2") == b"list-type=2"


def test_documents() -> None:
    assert complete_document([(1, "a"), (10000, 'b"<')]) == (
        b"<CompleteMultipartUpload>"
        b"<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
        b"<Part><PartNumber>10000</PartNumber><ETag>&quot;b&quot;&lt;&quot;</ETag></Part>"
        b"</CompleteMultipartUpload>"
    )
    answer = b'<CopyObjectResult xmlns="x"><ETag>&quot;e&quot;</ETag></CopyObjectResult>'
    assert etag_of(answer, "CopyObjectResult") == "e"
    for wrong in (b"", b"<CopyObjectResult/>", b"<Other><ETag>e</ETag></Other>", b"<a"):
        with pytest.raises(InternalError):
            etag_of(wrong, "CopyObjectResult")


def test_a_listing() -> None:
    document = (
        b"<ListBucketResult><Name>b</Name><NextContinuationToken>t</NextContinuationToken>"
        b"<Contents><Key>a+b%2F%C3%BC%2B</Key><LastModified>2023-11-14T22:13:20.000Z"
        b"</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size></Contents></ListBucketResult>"
    )
    page = listed_page(document)
    assert page.names == (ListedName("a b/ü+", "e", 7, "e", 1_700_000_000_000),)
    assert page.token == "t"
    assert listed_page(b"<ListBucketResult/>").token == ""
    with pytest.raises(InternalError):
        listed_page(b"<html>")
