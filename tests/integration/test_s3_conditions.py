"""Conditional requests: reads, writes, copies, completions and deletes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.world import World, refused

OTHER = '"' + "0" * 32 + '"'


@pytest.fixture(scope="module")
def alice(world: World) -> Any:
    return world.client("alice")


@pytest.fixture(scope="module")
def shared(world: World) -> str:
    return world.bucket()


@pytest.fixture(scope="module")
def there(alice: Any, shared: str) -> tuple[str, datetime]:
    """The ETag of the object ``there``, and when it was made."""
    etag = alice.put_object(Bucket=shared, Key="there", Body=b"body", CacheControl="c")["ETag"]
    return etag, alice.head_object(Bucket=shared, Key="there")["LastModified"]


def date(time: datetime, **later: int) -> str:
    return format_datetime((time + timedelta(**later)).astimezone(UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": "ETAG"}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f"{OTHER}, ETAG"}, 200),
        ({"if-match": OTHER}, 412),
        ({"if-none-match": OTHER}, 200),
        ({"if-none-match": "ETAG"}, 304),
        ({"if-none-match": "W/ETAG"}, 304),
        ({"if-none-match": f"{OTHER},ETAG"}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-modified-since": "BEFORE"}, 200),
        ({"if-modified-since": "AT"}, 304),
        ({"if-modified-since": "AFTER"}, 304),
        ({"if-modified-since": "no date"}, 200),
        ({"if-unmodified-since": "BEFORE"}, 412),
        ({"if-unmodified-since": "AT"}, 200),
        ({"if-unmodified-since": "AFTER"}, 200),
        ({"if-unmodified-since": "no date"}, 200),
        # RFC 9110, 13.2.2: an entity tag decides, and the date beside it is not looked at.
        ({"if-match": "ETAG", "if-unmodified-since": "BEFORE"}, 200),
        ({"if-match": OTHER, "if-unmodified-since": "AFTER"}, 412),
        ({"if-none-match": "ETAG", "if-modified-since": "BEFORE"}, 304),
        ({"if-none-match": OTHER, "if-modified-since": "AFTER"}, 200),
        ({"if-match": "ETAG", "if-none-match": "ETAG"}, 304),
        ({"if-match": OTHER, "if-none-match": "ETAG"}, 412),
        # and all of them before Range
        ({"if-match": OTHER, "range": "bytes=99-"}, 412),
        ({"if-none-match": "ETAG", "range": "bytes=0-1"}, 304),
        ({"if-match": "ETAG", "range": "bytes=0-1"}, 206),
        ({"if-range": "ETAG", "range": "bytes=0-1"}, 206),
        ({"if-range": "AT", "range": "bytes=0-1"}, 206),
        ({"if-range": OTHER, "range": "bytes=0-1"}, 200),
        ({"if-range": "AFTER", "range": "bytes=0-1"}, 200),
        ({"if-range": OTHER, "range": "bytes=99-"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads(
    world: World, shared: str, there: tuple[str, datetime], method: str,
    headers: dict[str, str], status: int,
) -> None:  # fmt: skip
    etag, time = there
    values = {
        "ETAG": etag, "BEFORE": date(time, hours=-1), "AT": date(time), "AFTER": date(time, hours=1)
    }  # fmt: skip
    sent = dict(headers)
    for word, value in values.items():
        sent = {name: text.replace(word, value) for name, text in sent.items()}
    answer = world.raw("alice").request(method, f"/{shared}/there", sent)
    assert answer.status == status
    if status == 304:
        assert answer.body == b""
        assert answer.headers["etag"] == etag
        assert answer.headers["last-modified"] == date(time)
        assert answer.headers["cache-control"] == "c"
        assert "content-range" not in answer.headers
    if status == 412 and method == "GET":
        assert answer.text("Code") == "PreconditionFailed"
        assert answer.text("Message") == (
            "At least one of the pre-conditions you specified did not hold"
        )
        assert answer.text("Condition") == (
            "If-Match" if "if-match" in headers else "If-Unmodified-Since"
        )


def test_conditions_on_what_is_not_there(alice: Any, shared: str) -> None:
    for condition in ({"IfMatch": "*"}, {"IfNoneMatch": "*"}):
        with refused(404, "NoSuchKey"):
            alice.get_object(Bucket=shared, Key="absent", **condition)


def test_create_only(alice: Any, shared: str) -> None:
    alice.put_object(Bucket=shared, Key="once", Body=b"1", IfNoneMatch="*")
    with refused(412, "PreconditionFailed") as told:
        alice.put_object(Bucket=shared, Key="once", Body=b"2", IfNoneMatch="*")
    assert told.error["Condition"] == "If-None-Match"
    assert alice.get_object(Bucket=shared, Key="once")["Body"].read() == b"1"
    alice.delete_object(Bucket=shared, Key="once")
    alice.put_object(Bucket=shared, Key="once", Body=b"3", IfNoneMatch="*")


def test_replace_only_what_is_known(alice: Any, shared: str) -> None:
    with refused(404, "NoSuchKey"):
        alice.put_object(Bucket=shared, Key="swap", Body=b"0", IfMatch=OTHER)
    etag = alice.put_object(Bucket=shared, Key="swap", Body=b"1")["ETag"]
    with refused(412, "PreconditionFailed") as told:
        alice.put_object(Bucket=shared, Key="swap", Body=b"2", IfMatch=OTHER)
    assert told.error["Condition"] == "If-Match"
    alice.put_object(Bucket=shared, Key="swap", Body=b"3", IfMatch=etag)
    alice.put_object(Bucket=shared, Key="swap", Body=b"4", IfMatch="*")
    with refused(412, "PreconditionFailed"):
        alice.put_object(Bucket=shared, Key="swap", Body=b"5", IfMatch=etag)
    assert alice.get_object(Bucket=shared, Key="swap")["Body"].read() == b"4"


@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": OTHER},
        {"if-none-match": "*", "if-match": "*"},
        {"if-match": f"{OTHER}, {OTHER}"},
    ],
)
def test_write_conditions_that_s3_does_not_have(
    world: World, shared: str, headers: dict[str, str]
) -> None:
    answer = world.raw("alice").request("PUT", f"/{shared}/unknown", headers, b"x")
    assert answer.error == (501, "NotImplemented")
    assert world.raw("alice").request("GET", f"/{shared}/unknown").status == 404


@pytest.mark.parametrize(
    ("condition", "copied"),
    [
        ({"CopySourceIfMatch": "ETAG"}, True),
        ({"CopySourceIfMatch": OTHER}, False),
        ({"CopySourceIfNoneMatch": OTHER}, True),
        ({"CopySourceIfNoneMatch": "ETAG"}, False),
        ({"CopySourceIfModifiedSince": -3600}, True),
        ({"CopySourceIfModifiedSince": 3600}, False),
        ({"CopySourceIfUnmodifiedSince": 3600}, True),
        ({"CopySourceIfUnmodifiedSince": -3600}, False),
        ({"CopySourceIfMatch": "ETAG", "CopySourceIfUnmodifiedSince": -3600}, True),
        ({"CopySourceIfNoneMatch": "ETAG", "CopySourceIfModifiedSince": -3600}, False),
    ],
)
def test_conditions_on_the_source_of_a_copy(
    alice: Any, shared: str, there: tuple[str, datetime], condition: dict[str, Any], copied: bool
) -> None:
    etag, time = there
    given = {
        name: time + timedelta(seconds=value)
        if isinstance(value, int)
        else value.replace("ETAG", etag)
        for name, value in condition.items()
    }
    upload = alice.create_multipart_upload(Bucket=shared, Key="part")["UploadId"]
    source = f"{shared}/there"
    calls: list[Any] = [
        lambda: alice.copy_object(Bucket=shared, Key="copy", CopySource=source, **given),
        lambda: alice.upload_part_copy(
            Bucket=shared, Key="part", UploadId=upload, PartNumber=1, CopySource=source, **given
        ),
    ]
    for call in calls:
        if copied:
            call()
        else:
            with refused(412, "PreconditionFailed"):
                call()
    alice.abort_multipart_upload(Bucket=shared, Key="part", UploadId=upload)


def test_conditions_on_the_destination_of_a_copy(
    alice: Any, shared: str, there: tuple[str, datetime]
) -> None:
    copy = {"Bucket": shared, "Key": "target", "CopySource": f"{shared}/there"}
    with refused(404, "NoSuchKey"):
        alice.copy_object(**copy, IfMatch=there[0])
    alice.copy_object(**copy, IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        alice.copy_object(**copy, IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        alice.copy_object(**copy, IfMatch=OTHER)
    alice.copy_object(**copy, IfMatch=there[0])


def test_conditional_completions(alice: Any, shared: str) -> None:
    def completed(**condition: str) -> Any:
        name = {"Bucket": shared, "Key": "completed"}
        name["UploadId"] = alice.create_multipart_upload(**name)["UploadId"]
        etag = alice.upload_part(**name, PartNumber=1, Body=b"x")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        try:
            return alice.complete_multipart_upload(**name, MultipartUpload=parts, **condition)
        except ClientError:
            alice.list_parts(**name)  # it is as it was, and can be tried again
            raise

    with refused(404, "NoSuchKey"):
        completed(IfMatch=OTHER)
    etag = completed(IfNoneMatch="*")["ETag"]
    with refused(412, "PreconditionFailed"):
        completed(IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        completed(IfMatch=OTHER)
    completed(IfMatch=etag)


def test_conditional_deletes(alice: Any, shared: str) -> None:
    etag = alice.put_object(Bucket=shared, Key="delete", Body=b"1")["ETag"]
    with refused(412, "PreconditionFailed"):
        alice.delete_object(Bucket=shared, Key="delete", IfMatch=OTHER)
    alice.delete_object(Bucket=shared, Key="delete", IfMatch=etag)
    with refused(404, "NoSuchKey"):
        alice.delete_object(Bucket=shared, Key="delete", IfMatch="*")
    etag = alice.put_object(Bucket=shared, Key="delete", Body=b"1")["ETag"]
    answer = alice.delete_objects(
        Bucket=shared,
        Delete={"Objects": [{"Key": "delete", "ETag": OTHER}, {"Key": "delete", "ETag": etag}]},
    )
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    assert [entry["Key"] for entry in answer["Deleted"]] == ["delete"]


@pytest.mark.parametrize("size", [10, pytest.param(300_000, marks=pytest.mark.large_objects)])
def test_one_of_many_creators_wins(alice: Any, shared: str, size: int) -> None:
    key = f"race {size}"

    def create(number: int) -> str:
        body = bytes([number]) * size
        try:
            alice.put_object(Bucket=shared, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(create, range(16)))
    assert set(outcomes) <= {"created", "PreconditionFailed"}
    assert outcomes.count("created") == 1
    winner = bytes([outcomes.index("created")])
    assert alice.get_object(Bucket=shared, Key=key)["Body"].read() == winner * size


def test_one_of_many_swappers_wins_each_time(alice: Any, shared: str) -> None:
    """Compare-and-swap: a counter that 8 writers count up, none of whose steps is lost."""
    alice.put_object(Bucket=shared, Key="counter", Body=b"0")

    def count(_number: int) -> None:
        while True:
            got = alice.get_object(Bucket=shared, Key="counter")
            following = str(int(got["Body"].read()) + 1).encode()
            try:
                alice.put_object(Bucket=shared, Key="counter", Body=following, IfMatch=got["ETag"])
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                    raise
            else:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert alice.get_object(Bucket=shared, Key="counter")["Body"].read() == b"40"
