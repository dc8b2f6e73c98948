"""Every refusal has a status and a body that botocore understands."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from botocore.parsers import RestXMLParser
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.wire.errors import STATUS, error_body, error_headers, status_of


def _classes(base: type[errors.StoreError]) -> set[type[errors.StoreError]]:
    return {
        cls
        for child in base.__subclasses__()
        for cls in (child, *_classes(child))
        if cls.__module__ == "bleepstore.errors"
    }


def test_every_error_has_a_status_and_every_status_an_error() -> None:
    assert set(STATUS) == {cls.__name__ for cls in _classes(errors.StoreError)}


def test_statuses_are_s3s() -> None:
    assert status_of(errors.NoSuchKey()) == 404
    assert status_of(errors.PreconditionFailed()) == 412
    assert status_of(errors.MissingContentLength()) == 411
    assert status_of(errors.NotModified()) == 304
    assert status_of(errors.InvalidRange()) == 416
    assert status_of(errors.RequestTimeTooSkewed()) == 403
    assert status_of(errors.RequestTimeout()) == 400
    assert status_of(errors.NotImplemented()) == 501


def test_the_body_has_s3s_elements_in_s3s_order_and_no_namespace() -> None:
    error = errors.NoSuchBucket(BucketName="a&b")
    body = error_body(error, "/a&b/<k>", "0123456789ABCDEF", "host")
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>')
    root = ElementTree.fromstring(body)
    assert [(child.tag, child.text) for child in root] == [
        ("Code", "NoSuchBucket"),
        ("Message", "The specified bucket does not exist"),
        ("BucketName", "a&b"),
        ("Resource", "/a&b/<k>"),
        ("RequestId", "0123456789ABCDEF"),
        ("HostId", "host"),
    ]


def test_botocore_reads_code_message_and_details() -> None:
    body = error_body(errors.InvalidArgument("bad", ArgumentName="a"), "/b", "id", "host")
    parsed = RestXMLParser().parse({"body": body, "headers": {}, "status_code": 400}, None)
    assert parsed["Error"]["Code"] == "InvalidArgument"
    assert parsed["Error"]["Message"] == "bad"
    assert parsed["Error"]["ArgumentName"] == "a"


def test_405_says_what_is_allowed_and_416_how_long_the_object_is() -> None:
    error: errors.StoreError = errors.MethodNotAllowed(Method="PATCH", ResourceType="OBJECT")
    assert error_headers(error) == [(b"Allow", b"DELETE, GET, HEAD, PUT")]
    error = errors.MethodNotAllowed(Method="POST", ResourceType="SERVICE")
    assert error_headers(error) == [(b"Allow", b"GET")]
    error = errors.InvalidRange(RangeRequested="bytes=9-", ActualObjectSize="5")
    assert error_headers(error) == [(b"Content-Range", b"bytes */5")]
    assert error_headers(errors.NoSuchKey()) == []


@pytest.mark.parametrize("error", [errors.ServiceUnavailable(), errors.SlowDown()])
def test_503_says_when_to_come_back(error: errors.StoreError) -> None:
    assert error_headers(error) == [(b"Retry-After", b"1")]


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    body = error_body(errors.NoSuchKey(Key="a\x01\x00\r\ud800\uffff"), "/", "", "")
    assert ElementTree.fromstring(body).findtext("Key") == "a\ufffd\ufffd\r\ufffd\ufffd"


@given(
    st.text(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
)
def test_any_text_is_safe_in_a_body(wild: str, tame: str) -> None:
    ElementTree.fromstring(error_body(errors.NoSuchKey(wild, Key=wild), wild, wild, wild))
    root = ElementTree.fromstring(error_body(errors.NoSuchKey(tame, Key=tame), tame, "", ""))
    assert root.findtext("Key") == tame
    assert root.findtext("Message") == tame


@pytest.mark.parametrize("text", ["<", "&", "]]>", '"', "a\tb\nc", "é", "\U0001f600", "plain"])
def test_text_comes_back(text: str) -> None:
    root = ElementTree.fromstring(error_body(errors.NoSuchKey(Key=text), "", "", ""))
    assert root.findtext("Key") == text
