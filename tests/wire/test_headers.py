"""The header map, hoisted headers, descriptions, and what is refused rather than ignored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.model.objects import Description
from bleepstore.wire.description import description_headers, read_description, response_overrides
from bleepstore.wire.headers import header_text, refuse_unsupported
from bleepstore.wire.presigned import with_hoisted


def test_text_is_utf8_or_latin1() -> None:
    assert header_text({b"a": "é".encode()}, b"a") == "é"
    assert header_text({b"a": b"\xe9"}, b"a") == "é"
    assert header_text({}, b"a") is None


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-key", "x-amz-tagging",
        "x-amz-object-lock-mode", "x-amz-object-lock-legal-hold",
        "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership",
        "x-amz-website-redirect-location", "x-amz-write-offset-bytes", "x-amz-mfa",
        "x-amz-if-match-size",
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(errors.NotImplemented, match="A header you provided") as caught:
        refuse_unsupported({b"host": b"a", name.encode(): b"something"})
    assert caught.value.details == {"Header": name}


def test_what_asks_for_nothing_is_not_refused() -> None:
    refuse_unsupported(
        {
            b"x-amz-object-ownership": b"ObjectWriter",
            b"x-amz-bucket-object-lock-enabled": b"False",
            b"x-amz-tagging": b"",
            b"x-amz-request-payer": b"requester",
            b"x-amz-acl": b"private",
        }
    )


def test_hoisted_headers_count_as_headers_but_for_signature_and_checksum() -> None:
    query = {
        "X-Amz-Signature": "s",
        "X-Amz-Date": "d",
        "x-amz-acl": "public-read",
        "X-Amz-Meta-A": "é",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-checksum-sha512": "of nothing",  # as for all that are yet to come
        "x-amz-checksum-algorithm": "SHA1",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-checksum-mode": "ENABLED",
        "prefix": "x",
    }
    headers = {b"host": b"h", b"x-amz-storage-class": b"GLACIER"}
    assert with_hoisted(headers, query) == {
        b"host": b"h",
        b"x-amz-acl": b"public-read",
        b"x-amz-meta-a": "é".encode(),
        b"x-amz-storage-class": b"GLACIER",
        b"x-amz-checksum-algorithm": b"SHA1",
        b"x-amz-checksum-mode": b"ENABLED",
    }
    assert with_hoisted(headers, {"X-Amz-Signature": "s"}) is headers


def test_a_description_is_what_s3_keeps() -> None:
    found = read_description(
        {
            b"host": b"h",
            b"content-length": b"3",
            b"content-type": b"text/plain",
            b"content-encoding": b"aws-chunked, gzip",
            b"content-disposition": b"attachment",
            b"content-language": b"de",
            b"cache-control": b"no-cache",
            b"expires": b"0",
            b"x-amz-meta-color": b"blue",
            b"x-amz-meta-x-y": "grün".encode(),
            b"x-amz-storage-class": b"GLACIER",
        }
    )
    assert found == Description(
        {
            "content-type": "text/plain",
            "content-encoding": "gzip",
            "content-disposition": "attachment",
            "content-language": "de",
            "cache-control": "no-cache",
            "expires": "0",
        },
        {"color": "blue", "x-y": "grün"},
        "GLACIER",
    )


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"aws-chunked", None),
        (b"AWS-CHUNKED", None),
        (b"gzip,aws-chunked", "gzip"),
        (b"aws-chunked,gzip,br", "gzip, br"),
        (b"gzip,br", "gzip,br"),
    ],
)
def test_aws_chunked_is_not_kept(sent: bytes, kept: str | None) -> None:
    found = read_description({b"content-encoding": sent})
    assert found.headers.get("content-encoding") == kept


def test_metadata_holds_2_kib_of_names_and_values() -> None:
    name = b"x-amz-meta-" + b"n" * 48
    assert read_description({name: b"v" * 2000}).metadata
    with pytest.raises(errors.MetadataTooLarge) as caught:
        read_description({name: b"v" * 1000, b"x-amz-meta-b": "é".encode() * 500})
    assert caught.value.details == {"Size": "2049", "MaxSizeAllowed": "2048"}


@pytest.mark.parametrize("name", [b"COLD", b"standard", b"", b"EXPRESS_ONEZONE", b"OUTPOSTS"])
def test_another_storage_class_is_refused(name: bytes) -> None:
    with pytest.raises(errors.InvalidStorageClass) as caught:
        read_description({b"x-amz-storage-class": name})
    assert caught.value.details == {"StorageClassRequested": name.decode()}


def test_a_description_is_sent_with_a_content_type_always() -> None:
    assert description_headers(Description()) == [(b"Content-Type", b"binary/octet-stream")]
    assert description_headers(
        Description({"cache-control": "no-store"}, {"a": "b", "c": "é"}, "GLACIER")
    ) == [
        (b"Cache-Control", b"no-store"),
        (b"Content-Type", b"binary/octet-stream"),
        (b"x-amz-meta-a", b"b"),
        (b"x-amz-meta-c", b"=?UTF-8?B?w6k=?="),
        (b"x-amz-storage-class", b"GLACIER"),
    ]


def test_overrides_replace_what_is_kept() -> None:
    overrides = response_overrides(
        {"response-content-type": "a/b", "response-expires": "x", "p": "q"}
    )
    assert overrides == {"content-type": "a/b", "expires": "x"}
    sent = description_headers(Description({"content-type": "c/d"}), overrides)
    assert sent == [(b"Content-Type", b"a/b"), (b"Expires", b"x")]
    assert response_overrides({}) == {}


def test_other_headers_are_not_overridden() -> None:
    with pytest.raises(errors.InvalidArgument, match="not in the set of overridable") as caught:
        response_overrides({"response-content-type": "a/b", "response-etag": "y"})
    assert caught.value.details == {"ArgumentName": "response-etag", "ArgumentValue": "y"}


def test_overrides_are_sent_in_latin_1_and_what_is_kept_as_it_came() -> None:
    overrides = response_overrides({"response-content-disposition": 'attachment; filename="é"'})
    sent = description_headers(Description({"cache-control": "é"}), overrides)
    assert sent[:2] == [
        (b"Cache-Control", "é".encode()),
        (b"Content-Disposition", b'attachment; filename="\xe9"'),
    ]


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "\x00", "\x7f", "2016–2026", "倉"])
def test_an_override_cannot_begin_another_header_nor_leave_latin_1(value: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="cannot be represented using ISO-8859-1"):
        response_overrides({"response-content-disposition": value})


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([b"content-type", b"content-encoding", b"x-amz-storage-class"]),
            st.binary(max_size=20).map(lambda raw: b"x-amz-meta-" + raw),
        ),
        st.binary(max_size=60),
    )
)
def test_only_refusals_come_out_of_a_description(headers: dict[bytes, bytes]) -> None:
    try:
        found = read_description(headers)
    except errors.StoreError:
        return
    assert all(isinstance(value, bytes) for pair in description_headers(found) for value in pair)
