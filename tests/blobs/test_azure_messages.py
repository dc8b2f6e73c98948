"""What is said to Azure Blob Storage, and what it answers."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.blobs.azure_blocks import crc64
from bleepstore.blobs.azure_messages import (
    LARGEST_BLOCK,
    MOST_BLOCKS,
    RUN,
    Run,
    allowed_name,
    block_id,
    block_list,
    crc64_text,
    cut,
    description_headers,
    expectation,
    listed_page,
    metadata_name,
    native_object,
    query,
    user_name,
)
from bleepstore.errors import EntityTooLarge, InternalError
from bleepstore.interfaces.in_place import ListedName
from bleepstore.model.objects import Description

IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*")
TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", min_size=1)
"""RFC 9110, section 5.6.2, in lower case."""


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("bucket/key", True),
        ("bucket/a//b", True),
        ("bucket/%2F+&?#=~'\"<> ünï", True),
        ("bucket/" + "x" * 1017, True),
        ("bucket/" + "x" * 1018, False),
        ("bucket/" + "\U0001f600" * 509, False),  # two characters each, twelve bytes in a URL
        ("bucket/" + "ü" * 240, False),  # too long for the URL of a source
        ("bucket/" + "x/" * 253 + "x", False),
        ("bucket/" + "x/" * 252 + "x", True),
        ("bucket/folder/", False),
        ("bucket/../key", False),
        ("bucket/name./key", False),
        ("bucket/name.", False),
        ("bucket/.name", True),
        ("bucket/a\\b", False),
        ("bucket/a\x01b", False),
        ("bucket/a\x7fb", False),
        ("bucket/\ufffe", False),
    ],
)
def test_which_names_a_blob_can_have(name: str, allowed: bool) -> None:
    assert allowed_name(name) is allowed


@given(TOKENS)
def test_names_of_metadata_are_identifiers_and_come_back(name: str) -> None:
    encoded = metadata_name(name)
    assert IDENTIFIER.fullmatch(encoded)
    assert user_name(encoded) == name
    assert user_name(encoded.upper()) == name  # Azure takes them for the same


@pytest.mark.parametrize("name", ["hdi_isfolder", "a_zz", "_", "plain", "_41bc", "a_62"])
def test_a_name_that_another_program_gave_stays(name: str) -> None:
    """A letter is never escaped by us."""
    assert user_name(name) == name


@given(st.dictionaries(TOKENS, st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_a_description_survives_its_headers(metadata: dict[str, str]) -> None:
    described = Description({"content-type": "a/b", "expires": "never"}, metadata)
    found = native_object("name", dict(description_answer(described)), 7)
    assert found.description == described
    assert found.blob_id == "blob"


def description_answer(description: Description) -> list[tuple[bytes, bytes]]:
    """The headers that come back of those that were sent."""
    return [
        (name.removeprefix(b"x-ms-blob-"), value)
        for name, value in description_headers(description, "blob")
    ]


def test_what_is_sent_survives_its_signature() -> None:
    """SharedKey makes one blank of several, and so may what is in between."""
    headers = description_headers(
        Description(
            {"content-disposition": "ü", "cache-control": "a  b"}, {"a": " x  y ", "b": ""}
        ),
        "blob",
    )
    for _, value in headers:
        assert value.isascii()
        assert value == b" ".join(value.split()) != b""
    found = native_object("name", dict(headers), 0)
    assert found.description.headers == {"content-disposition": "ü", "cache-control": "a  b"}


def test_metadata_that_leaves_no_room_for_the_id_is_left_to_the_index() -> None:
    ours = (b"x-ms-meta-bleepstore_blob", b"blob")
    room = 8192 - len("bleepstore_blob") - len("blob")
    assert len(description_headers(Description({}, {"m": "x" * (room - 1)}), "blob")) == 2
    assert description_headers(Description({}, {"m": "x" * room}), "blob") == [ours]
    lie = native_object(
        "name", dict(description_headers(Description({}, {"bleepstore_blob": "lie"}), "blob")), 0
    )
    assert lie.blob_id == "blob"
    assert lie.description.metadata == {"bleepstore_blob": "lie"}


def test_a_blob_of_another_program() -> None:
    found = native_object(
        "name",
        {
            b"etag": b'"0x8D"',
            b"content-md5": b64encode(bytes(16)),
            b"content-type": b"a/b",
            b"last-modified": b"Tue, 14 Nov 2023 22:13:20 GMT",
            b"x-ms-meta-Colour": b"blue",
            b"x-ms-meta-word": b"=?UTF-8?B?!?=",
        },
        7,
    )
    assert (found.blob_id, found.tag, found.etag) == ("", "0x8D", "0" * 32)
    assert (found.size, found.last_modified) == (7, 1_700_000_000_000)
    assert found.description == Description(
        {"content-type": "a/b"}, {"colour": "blue", "word": "=?UTF-8?B?!?="}
    )
    assert native_object("name", {b"etag": b'"0x8D"', b"content-md5": b"?"}, None).etag == "0x8D"


def test_an_expectation_is_a_precondition() -> None:
    assert expectation("") == (b"if-none-match", b"*")
    assert expectation("0x8D") == (b"if-match", b'"0x8D"')


def test_a_query() -> None:
    assert query(comp="block", blockid="a+/=", prefix="") == b"comp=block&blockid=a%2B%2F%3D"


def test_the_crc_is_azures() -> None:
    """A known answer: the one that Microsoft's own client library for C++ is tested with."""
    assert crc64_text(crc64(b"Hello Azure!")) == b"DtjZpL9/o8c="
    assert crc64_text(crc64(b"Azure!", crc64(b"Hello "))) == b"DtjZpL9/o8c="
    assert crc64_text(crc64(b"")) == b"AAAAAAAAAAA="


def test_names_of_blocks_have_one_length_and_are_nobody_elses() -> None:
    ids = {block_id(blob, index) for blob in ("a", "a much longer one") for index in (0, 7, 49_999)}
    assert len(ids) == 6
    assert {len(each) for each in ids} == {60}
    assert max(len(b64decode(each)) for each in ids) <= 64
    with pytest.raises(EntityTooLarge, match="50000 blocks"):
        block_id("a", MOST_BLOCKS)


def test_a_list_of_blocks() -> None:
    assert block_list(["YQ==", "Yg=="]) == (
        b'<?xml version="1.0" encoding="utf-8"?>'
        b"<BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>"
    )


def test_runs_are_cut_into_as_many_blocks_as_a_blob_has() -> None:
    def run(length: int, offset: int = 0) -> Run:
        return Run("name", "tag", offset, length)

    assert cut([]) == cut([run(0)]) == []
    assert cut([run(10, 5)]) == [run(10, 5)]
    assert cut([run(RUN + 1, 5)]) == [run(RUN, 5), run(1, RUN + 5)]
    largest = cut([run(5 << 30)] * 10_000)  # the largest object of S3's multipart uploads
    assert len(largest) == MOST_BLOCKS
    assert sum(each.length for each in largest) == 10_000 * (5 << 30)
    assert max(each.length for each in cut([run(MOST_BLOCKS * LARGEST_BLOCK)])) == LARGEST_BLOCK
    with pytest.raises(EntityTooLarge, match="50000 blocks a blob, of 4194304000 bytes"):
        cut([run(MOST_BLOCKS * LARGEST_BLOCK + 1)])


def test_a_listing() -> None:
    document = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://a/" ContainerName="c"><Blobs>
<Blob><Name>a b/ü+%20</Name><Properties><Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified>
<Etag>0x8D</Etag><Content-Length>7</Content-Length><Content-MD5/></Properties></Blob>
<Blob><Name Encoded="true">a%01b</Name><Properties><Etag>"0x8E"</Etag>
<Content-Length>x</Content-Length><Content-MD5>AAAAAAAAAAAAAAAAAAAAAA==</Content-MD5></Properties>
</Blob><BlobPrefix><Name>p/</Name></BlobPrefix></Blobs><NextMarker>m</NextMarker>
</EnumerationResults>""".encode()
    page = listed_page(document)
    assert page.names == (
        ListedName("a b/ü+%20", "0x8D", 7, "0x8D", 1_700_000_000_000),
        ListedName("a\x01b", "0x8E", 0, "0" * 32, 0),
    )
    assert (page.prefixes, page.marker) == (("p/",), "m")
    assert (
        listed_page(b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>").marker == ""
    )
    for wrong in (b"<html>", b"<EnumerationResults><Blobs><Blob/></Blobs></EnumerationResults>"):
        with pytest.raises(InternalError):
            listed_page(wrong)
