"""Whose MD5 it is that a body gets: the cloud's, as long as that is one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bleepstore.blobs.aws_calls import AwsCalls
from bleepstore.blobs.cloud_digests import CloudDigests
from bleepstore.errors import InternalError, ServiceUnavailable
from bleepstore.remote.requests import Origin, Upload
from tests.objectstore.driving import run

MD5 = hashlib.md5(b"body").hexdigest()
OTHER = hashlib.md5(b"other").hexdigest()


def test_nothing_is_taken_on_trust() -> None:
    digests = CloudDigests()
    assert not digests.told
    with pytest.raises(ServiceUnavailable):
        digests.agreed(MD5, "")


def test_what_has_agreed_is_believed() -> None:
    digests = CloudDigests()
    assert digests.agreed(MD5, MD5) == MD5
    assert digests.told
    assert digests.agreed(OTHER, "") == OTHER


@pytest.mark.parametrize("there", ["", "etag", OTHER, MD5.upper(), f"{MD5}-1"])
def test_what_the_cloud_says_need_not_be_an_md5(there: str) -> None:
    digests = CloudDigests()
    assert digests.agreed(there, MD5) == MD5
    assert not digests.told


@pytest.mark.parametrize("there", ["", "etag", f"{MD5}-1"])
def test_a_body_that_was_left_to_the_cloud_is_to_be_sent_again_if_it_says_nothing(
    there: str,
) -> None:
    digests = CloudDigests()
    digests.seen(MD5, MD5)
    with pytest.raises(ServiceUnavailable):
        digests.agreed(there, "")
    assert not digests.told


def test_a_body_that_was_left_to_the_cloud_is_to_be_sent_again_if_it_is_doubted_by_then() -> None:
    digests = CloudDigests()
    digests.seen(MD5, MD5)
    digests.doubt()
    with pytest.raises(ServiceUnavailable):
        digests.agreed(MD5, "")


def test_other_bytes_are_noticed_once_it_is_known_that_these_are_md5s() -> None:
    digests = CloudDigests()
    digests.seen(MD5, MD5)
    with pytest.raises(InternalError, match="other bytes"):
        digests.agreed(OTHER, MD5)
    assert digests.agreed(OTHER, MD5) == MD5  # so it means something else from now on


class Answers:
    """S3 as its service: every PUT is answered with an ETag."""

    def __init__(self) -> None:
        self.fields = {b"etag": f'"{MD5}"'}

    async def call(self, request: Any) -> Any:
        return self

    @property
    def body(self) -> Any:
        return self

    def close(self) -> None: ...

    def header(self, name: bytes) -> str:
        return self.fields.get(name, "")


@pytest.mark.parametrize("encryption", ["", "AES256", "aws:kms", "aws:kms:dsse"])
def test_s3s_etag_is_the_md5_unless_it_is_encrypted_by_kms(encryption: str) -> None:
    answers = Answers()
    calls = AwsCalls(answers, Origin("http", "localhost", 80), "", "bucket")  # type: ignore[arg-type]
    run(calls.put("name", b"body", (), ""))
    assert calls.digests.told
    answers.fields[b"x-amz-server-side-encryption"] = encryption
    run(calls.put_part("name", "id", 1, Upload(lambda: answers, 4)))  # type: ignore[arg-type,return-value]
    assert calls.digests.told == ("kms" not in encryption)


def test_s3s_etag_of_another_kind_is_noticed() -> None:
    answers = Answers()
    calls = AwsCalls(answers, Origin("http", "localhost", 80), "", "bucket")  # type: ignore[arg-type]
    run(calls.put("name", b"body", (), ""))
    run(calls.put_part("name", "id", 1, b"another body"))
    assert not calls.digests.told
