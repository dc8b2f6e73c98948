"""The table is total over the S3 API and agrees with botocore's model of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleepstore.wire.compatibility import compatibility_markdown
from bleepstore.wire.operations import BY_NAME, OPERATIONS, Body, Level
from tests.wire.oracle import MODEL

SERVED = {
    "ListBuckets", "CreateBucket", "HeadBucket", "DeleteBucket", "GetBucketLocation", "PutObject",
    "GetObject", "HeadObject", "DeleteObject", "DeleteObjects", "CopyObject", "GetObjectAttributes",
    "ListObjects", "ListObjectsV2", "CreateMultipartUpload", "UploadPart", "UploadPartCopy",
    "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts", "ListMultipartUploads",
    "GetBucketAcl", "PutBucketAcl", "GetObjectAcl", "PutObjectAcl",
}  # fmt: skip


def test_every_operation_of_the_model_is_in_the_table_and_the_html_form_upload() -> None:
    assert set(BY_NAME) == {*MODEL.operation_names, "PostObject"}
    assert len(BY_NAME) == len(OPERATIONS)


def test_the_core_is_served_and_nothing_else() -> None:
    assert {row.name for row in OPERATIONS if row.served} == SERVED


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_a_row_agrees_with_the_model(name: str) -> None:
    row, operation = BY_NAME[name], MODEL.operation_model(name)
    path, _, query = operation.http["requestUri"].partition("?")
    assert row.method == operation.http["method"]
    if name != "WriteGetObjectResponse":
        levels = {"/": Level.SERVICE, "/{Bucket}": Level.BUCKET, "/{Bucket}/{Key+}": Level.OBJECT}
        assert row.level is levels[path]
    names = {
        member.serialization.get("name")
        for member in operation.input_shape.members.values()
        if member.serialization.get("location") == "querystring"
    }
    if query:
        assert row.subresource == query.partition("&")[0].partition("=")[0]
    else:
        assert row.subresource == ("uploadId" if "uploadId" in names else "")
    assert row.parameter == "" or row.parameter in names
    if row.served:
        assert row.versioned is ("versionId" in names)
        assert row.copies is ("CopySource" in operation.input_shape.members)
        payload = operation.input_shape.serialization.get("payload")
        if payload is None:
            assert row.body is Body.NONE
        elif payload == "Body":
            assert row.body is Body.OBJECT
        else:
            assert row.body is Body.XML


def test_every_row_names_an_action_and_has_a_note() -> None:
    for row in OPERATIONS:
        assert row.action.startswith(("s3:", "s3express:", "s3-object-lambda:")), row.name
        assert row.note, row.name


def test_the_committed_compatibility_table_is_the_generated_one() -> None:
    document = Path(__file__).parents[2] / "docs" / "s3-compatibility.md"
    assert document.read_text() == compatibility_markdown()


def test_the_compatibility_table_has_every_operation_once() -> None:
    lines = compatibility_markdown().splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert sorted(set(names) - {"operation"}) == sorted(BY_NAME)
    assert len(names) == len(BY_NAME) + 2
