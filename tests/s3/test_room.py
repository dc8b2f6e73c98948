"""A server whose disk has little room left: nothing new, but all else."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bleepstore.errors import InsufficientStorage
from tests.s3.harness import FakeBody, FakeRequest, Server

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Disk:
    """Room until it is scarce."""

    def __init__(self) -> None:
        self.scarce = False

        self.sizes: list[int | None] = []

    def require(self, size: int | None) -> None:
        self.sizes.append(size)
        if self.scarce:
            raise InsufficientStorage


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def server(disk: Disk) -> Server:
    server = Server(require_room=disk.require)
    assert server.signed("PUT", "/bucket").status == 200
    assert server.signed("PUT", "/bucket/key", body=b"content").status == 200
    return server


def upload(server: Server) -> str:
    answer = server.signed("POST", "/bucket/large?uploads=")
    upload_id = ElementTree.fromstring(answer.sent).findtext(f"{NAMESPACE}UploadId")
    assert upload_id
    return upload_id


def test_what_stores_something_is_refused_before_its_body_is_read(
    server: Server, disk: Disk
) -> None:
    upload_id = upload(server)
    part = f"/bucket/large?partNumber=1&uploadId={upload_id}"
    copied = {"x-amz-copy-source": "/bucket/key"}
    disk.scarce = True
    body = FakeBody(b"content", 7)
    refused: list[FakeRequest] = [
        server.signed("PUT", "/other"),
        server.signed("PUT", "/bucket/new", {"content-length": "7"}, body),
        server.signed("PUT", "/bucket/new", copied),
        server.signed("POST", "/bucket/new?uploads="),
        server.signed("PUT", part, body=b"part"),
        server.signed("PUT", part, copied),
    ]
    assert [(each.status, each.code) for each in refused] == [(507, "InsufficientStorage")] * 6
    assert body.reads == 0
    assert disk.sizes[-6:] == [0, 7, 0, 0, 4, 0]
    disk.scarce = False
    assert server.signed("GET", "/bucket/new").code == "NoSuchKey"
    assert server.signed("HEAD", "/other").status == 404
    assert server.signed("PUT", "/bucket/new", body=b"content").status == 200


def test_what_makes_room_or_needs_none_goes_on(server: Server, disk: Disk) -> None:
    aborted, completed = upload(server), upload(server)
    part = server.signed("PUT", f"/bucket/large?partNumber=1&uploadId={completed}", body=b"part")
    disk.scarce = True
    document = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.answered('etag')}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    done = server.signed("POST", f"/bucket/large?uploadId={completed}", body=document)
    assert done.status == 200
    assert server.signed("DELETE", f"/bucket/large?uploadId={aborted}").status == 204
    assert server.signed("GET", "/bucket/key").sent == b"content"
    assert server.signed("GET", "/bucket").status == 200
    assert server.signed("DELETE", "/bucket/key").status == 204
    assert server.signed("DELETE", "/bucket/large").status == 204
    assert server.signed("DELETE", "/bucket").status == 204


def test_who_may_not_is_told_that_first(server: Server, disk: Disk) -> None:
    disk.scarce = True
    assert server.raw("PUT", "/bucket/new", body=b"x").code == "AccessDenied"
