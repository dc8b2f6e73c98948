"""The source and the directives of a copy."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.wire.copying import (
    AnnotationDirective,
    CopySource,
    Directive,
    annotation_directive,
    metadata_directive,
    parse_copy_source,
    tagging_directive,
)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (b"b/k", CopySource("b", "k")),
        (b"/b/k", CopySource("b", "k")),
        (b"/b//k", CopySource("b", "/k")),
        (b"b/a%20b%2Fc", CopySource("b", "a b/c")),
        (b"b/a+b", CopySource("b", "a b")),
        (b"b/a%2Bb", CopySource("b", "a+b")),
        (b"b%2Fa+b%2B", CopySource("b", "a b+")),
        (b"b%2Fa%2520", CopySource("b", "a%20")),
        (b"%2Fb%2Fa", CopySource("b", "a")),
        (b"b/k?versionId=null", CopySource("b", "k", "null")),
        (b"b/what?", CopySource("b", "what?")),
        (b"b/%C3%A9", CopySource("b", "é")),
        ("b/é".encode(), CopySource("b", "é")),
    ],
)
def test_a_source_is_a_bucket_and_a_key(value: bytes, source: CopySource) -> None:
    assert parse_copy_source(value) == source


@pytest.mark.parametrize(
    "value",
    [b"", b"/", b"b", b"b/", b"/b/", b"//k", b"b/%zz", b"b/%ff", b"b/k?versionId=x",
     b"b/k?versionId=", b"?versionId=null", b"arn:aws:s3:::b/k", b"https://b.example.com/k",
     b"b%2Fk/l"],
)  # fmt: skip
def test_a_malformed_source_is_an_invalid_argument(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument):
        parse_copy_source(value)


@pytest.mark.parametrize("value", [b"", b"//k", b"arn:aws:s3:::b/k"])
def test_a_source_without_a_bucket_is_told_so(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument, match="Invalid copy source bucket name"):
        parse_copy_source(value)


@pytest.mark.parametrize("value", [b"b/%zz", b"b/%ff", b"%zz", b"%2fb%2f%ff"])
def test_a_source_of_another_encoding_is_told_so(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"Invalid copy source encoding\."):
        parse_copy_source(value)


@pytest.mark.parametrize("value", [b"b", b"/b/", b"b/?versionId=null"])
def test_a_source_without_a_key_is_told_so(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument, match="Invalid copy source object key"):
        parse_copy_source(value)


def test_any_version_can_be_the_source() -> None:
    found = parse_copy_source(b"b/k?versionId=" + b"a" * 32)
    assert found == CopySource("b", "k", "a" * 32)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_any_key_survives(key: str) -> None:
    for encoded in (quote(key), quote(key, safe=""), quote_plus(key)):
        assert parse_copy_source(f"/b/{encoded}".encode()) == CopySource("b", key)


@given(st.binary())
def test_only_refusals_come_out(value: bytes) -> None:
    try:
        assert parse_copy_source(value).key
    except errors.StoreError:
        return


def test_directives() -> None:
    assert metadata_directive({}) is Directive.COPY
    assert metadata_directive({b"x-amz-metadata-directive": b"REPLACE"}) is Directive.REPLACE
    assert tagging_directive({b"x-amz-tagging-directive": b"COPY"}) is Directive.COPY
    with pytest.raises(errors.InvalidArgument, match="Unknown metadata directive"):
        metadata_directive({b"x-amz-metadata-directive": b"MOVE"})
    with pytest.raises(errors.InvalidArgument, match="Unknown tagging directive"):
        tagging_directive({b"x-amz-tagging-directive": b""})
    annotations = b"x-amz-object-annotation-directive"
    assert annotation_directive({}) is AnnotationDirective.COPY
    assert annotation_directive({annotations: b"EXCLUDE"}) is AnnotationDirective.EXCLUDE
    with pytest.raises(errors.InvalidArgument, match="Unknown annotation directive") as caught:
        annotation_directive({annotations: b"REPLACE"})
    assert caught.value.details["ArgumentName"] == annotations.decode()
