"""Refusals: S3's own code and status for each, with the fields S3 adds, and nothing touched."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5, sha256

import pytest
from twisted.logger import capturedLogs

from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.model.accounts import Credential
from bleepstore.wire.operations import OPERATIONS, Level, Operation
from tests.s3.harness import ALICE, ROOT, FakeBody, FakeRequest, Server

EMPTY = EMPTY_SHA256.decode()


@pytest.fixture
def server() -> Server:
    server = Server(max_object_size=1000)
    assert server.signed("PUT", "/bucket").status == 200
    assert server.signed("PUT", "/bucket/key", body=b"content").status == 200
    return server


def _refused(request: FakeRequest, status: int, code: str) -> FakeRequest:
    assert (request.status, request.code) == (status, code), request.sent
    assert request.finished
    assert request.detail("RequestId") == request.answered("x-amz-request-id")
    assert request.detail("HostId") == request.answered("x-amz-id-2")
    assert request.answered("content-type") == "application/xml"
    return request


def test_what_was_never_routed_is_named_as_it_was_sent(server: Server) -> None:
    for target in ("/bucket/%ff", "/bucket/key", "/bucket/" + "k" * 1025):
        refused = server.signed("POST", f"{target}?x=y")
        assert refused.detail("Resource") == target


@pytest.mark.parametrize(
    ("target", "host", "resource"),
    [
        ("/bucket/a%20b", "localhost", "/bucket/a b"),
        ("/a%20b", "bucket.localhost", "/bucket/a b"),
        ("/absent?acl", "localhost", "/absent"),
        ("/?acl", "absent.localhost", "/absent"),
    ],
)
def test_the_resource_is_what_was_found_not_there(
    server: Server, target: str, host: str, resource: str
) -> None:
    refused = server.signed("GET", target, host=f"{host}:9000")
    assert (refused.status, refused.detail("Resource")) == (404, resource)


def _state(server: Server) -> tuple[bytes, bytes, bytes]:
    """All that a client can see of the bucket, as the operations that list it show it."""
    return (
        server.signed("GET", "/bucket/key").sent,
        server.signed("GET", "/bucket?list-type=2&fetch-owner=true").sent,
        server.signed("GET", "/bucket/key?acl").sent + server.signed("GET", "/bucket?acl").sent,
    )


UNSERVED = [row for row in OPERATIONS if not row.served and row.routable]


@pytest.mark.parametrize("row", UNSERVED, ids=lambda row: row.name)
def test_an_operation_that_is_not_served_touches_nothing(server: Server, row: Operation) -> None:
    before = _state(server)
    target = {Level.SERVICE: "/", Level.BUCKET: "/bucket", Level.OBJECT: "/bucket/key"}[row.level]
    names = [name for name in (row.subresource, row.parameter) if name]
    if names:
        target += "?" + "&".join(names)
    body = b"" if row.method in ("GET", "HEAD", "DELETE") else b"<x/>"
    request = server.signed(row.method, target, body=body)
    _refused(request, 501, "NotImplemented")
    assert request.body.reads == 0
    assert _state(server) == before


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("target", ["/bucket", "/bucket/key"])
def test_a_sub_resource_that_nobody_knows_touches_nothing(
    server: Server, method: str, target: str
) -> None:
    before = _state(server)
    request = server.signed(method, f"{target}?inventedLater", body=b"")
    assert request.status in (405, 501)
    assert _state(server) == before


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "code"),
    [
        ("GET", "/absent", {}, 404, "NoSuchBucket"),
        ("GET", "/bucket/absent", {}, 404, "NoSuchKey"),
        ("GET", "/bucket/key?uploadId=none", {}, 404, "NoSuchUpload"),
        ("PUT", "/Bad_Bucket", {}, 400, "InvalidBucketName"),
        ("PUT", "/health", {}, 400, "InvalidBucketName"),
        ("PUT", "/bucket/" + "k" * 1025, {}, 400, "KeyTooLongError"),
        ("GET", "/bucket/%ff", {}, 400, "InvalidURI"),
        ("GET", "/bucket/%2", {}, 400, "InvalidURI"),
        ("GET", "/bucket?list-type=2&max-keys=many", {}, 400, "InvalidArgument"),
        ("GET", "/bucket?list-type=2&encoding-type=base64", {}, 400, "InvalidArgument"),
        ("GET", "/bucket?list-type=2&continuation-token=x", {}, 400, "InvalidArgument"),
        ("GET", "/bucket/key?partNumber=0", {}, 400, "InvalidArgument"),
        ("GET", "/bucket/key?partNumber=2", {}, 416, "InvalidPartNumber"),
        ("GET", "/bucket/key?partNumber=1", {"Range": "bytes=0-1"}, 400, "InvalidRequest"),
        ("GET", "/bucket/key?versionId=none", {}, 400, "InvalidArgument"),
        ("PUT", "/bucket/key?versionId=null", {}, 400, "InvalidArgument"),
        ("GET", "/bucket/key", {"Range": "bytes=7-"}, 416, "InvalidRange"),
        ("GET", "/bucket/key", {"If-Match": '"other"'}, 412, "PreconditionFailed"),
        ("GET", "/bucket/key", {"x-amz-checksum-mode": "MAYBE"}, 400, "InvalidRequest"),
        ("GET", "/absent/key?versionId=" + "v" * 32, {}, 404, "NoSuchBucket"),
        ("GET", "/bucket/key?versionId=" + "v" * 32, {}, 404, "NoSuchVersion"),
        ("DELETE", "/bucket?versionId=null", {}, 400, "InvalidArgument"),
        ("GET", "/bucket?acl&uploads", {}, 400, "InvalidArgument"),
        ("GET", "/bucket/key?attributes", {}, 400, "InvalidRequest"),
        ("DELETE", "/bucket", {}, 409, "BucketNotEmpty"),
        ("POST", "/bucket/key", {}, 405, "MethodNotAllowed"),
        ("PUT", "/bucket?acl", {}, 400, "MissingSecurityHeader"),
        ("PUT", "/bucket?acl", {"x-amz-acl": "none-such"}, 400, "InvalidArgument"),
        (
            "PUT",
            "/bucket?acl",
            {"x-amz-acl": "private", "x-amz-grant-read": "id=1"},
            400,
            "InvalidRequest",
        ),
        (
            "PUT",
            "/bucket?acl",
            {"x-amz-grant-read": 'emailAddress="no@where"'},
            400,
            "UnresolvableGrantByEmailAddress",
        ),
        ("PUT", "/bucket/new", {"x-amz-copy-source": "/bucket"}, 400, "InvalidArgument"),
        ("PUT", "/bucket/new", {"x-amz-copy-source": "/bucket/absent"}, 404, "NoSuchKey"),
        ("PUT", "/bucket/key", {"x-amz-copy-source": "/bucket/key"}, 400, "InvalidRequest"),
        (
            "PUT",
            "/bucket/new",
            {"x-amz-copy-source": "/bucket/key", "x-amz-copy-source-if-match": "x"},
            412,
            "PreconditionFailed",
        ),
        ("GET", "/bucket", {"x-amz-expected-bucket-owner": "nobody"}, 403, "AccessDenied"),
    ],
)
def test_requests_without_a_body(
    server: Server, method: str, target: str, headers: dict[str, str], status: int, code: str
) -> None:
    if method == "PUT":
        headers = {"content-length": "0", **headers}
    _refused(server.signed(method, target, headers), status, code)


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"content-md5": "nonsense"}, b"x", 400, "InvalidDigest"),
        ({"content-md5": b64encode(md5(b"y").digest()).decode()}, b"x", 400, "BadDigest"),
        (
            {"x-amz-checksum-sha256": b64encode(sha256(b"y").digest()).decode()},
            b"x",
            400,
            "BadDigest",
        ),
        ({"x-amz-checksum-crc32": "?"}, b"x", 400, "InvalidRequest"),
        (
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AA=="},
            b"x",
            400,
            "InvalidRequest",
        ),
        ({}, b"x" * 1001, 400, "EntityTooLarge"),
        ({"x-amz-meta-big": "x" * 3000}, b"x", 400, "MetadataTooLarge"),
        ({"x-amz-storage-class": "PAPER"}, b"x", 400, "InvalidStorageClass"),
        ({"x-amz-server-side-encryption": "AES256"}, b"x", 501, "NotImplemented"),
        ({"x-amz-tagging": "a=b"}, b"x", 501, "NotImplemented"),
        ({"if-none-match": "*"}, b"x", 412, "PreconditionFailed"),
        ({"if-match": '"other"'}, b"x", 412, "PreconditionFailed"),
        ({"if-none-match": '"etag"'}, b"x", 501, "NotImplemented"),
        ({"x-amz-acl": "sloppy"}, b"x", 400, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://nowhere"}, b"x", 400, "InvalidArgument"),
    ],
)
def test_puts_that_leave_nothing(
    server: Server, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    before = _state(server)
    _refused(server.signed("PUT", "/bucket/key", headers, body), status, code)
    assert _state(server) == before


def test_a_body_that_is_not_what_was_signed(server: Server) -> None:
    signed = sha256(b"signed").hexdigest()
    request = server.signed("PUT", "/bucket/key", {}, b"forged", payload=signed)
    _refused(request, 400, "XAmzContentSHA256Mismatch")
    assert request.detail("ClientComputedContentSHA256") == signed
    assert server.signed("GET", "/bucket/key").sent == b"content"


def test_a_body_that_ends_early(server: Server) -> None:
    request = server.signed("PUT", "/bucket/key", {"content-length": "9"}, FakeBody(b"short", 9))
    _refused(request, 400, "IncompleteBody")


def test_a_put_without_any_length(server: Server) -> None:
    _refused(server.signed("PUT", "/bucket/key", {}, FakeBody(b"", 0)), 411, "MissingContentLength")


def _post(server: Server, target: str, body: bytes, **headers: str) -> FakeRequest:
    digest = {"content-md5": b64encode(md5(body).digest()).decode()}
    return server.signed("POST", target, {**digest, **headers}, body)


def _upload(server: Server) -> str:
    created = server.signed("POST", "/bucket/up?uploads", {"content-length": "0"})
    upload_id = created.document.findtext("{*}UploadId")
    assert upload_id
    return upload_id


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        (b"<CompleteMultipartUpload/>", 400, "MalformedXML"),
        (b"not xml", 400, "MalformedXML"),
        (b"<!DOCTYPE x><CompleteMultipartUpload/>", 400, "MalformedXML"),
        (b"1", 400, "InvalidPart"),
        (b"2,1", 400, "InvalidPartOrder"),
        (b"1 small,2 small", 400, "EntityTooSmall"),
        (b"0", 400, "InvalidArgument"),
    ],
)
def test_completions(server: Server, parts: bytes, status: int, code: str) -> None:
    upload = _upload(server)
    etag = md5(b"small").hexdigest()
    if b"small" in parts:
        for number in (1, 2):
            target = f"/bucket/up?partNumber={number}&uploadId={upload}"
            assert server.signed("PUT", target, body=b"small").status == 200
    if parts[:1].isdigit():
        rows = b"".join(
            b"<Part><PartNumber>%b</PartNumber><ETag>%b</ETag></Part>"
            % (part.split()[0], etag.encode())
            for part in parts.split(b",")
        )
        parts = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % rows
    _refused(_post(server, f"/bucket/up?uploadId={upload}", parts), status, code)
    assert server.signed("GET", "/bucket/up").status == 404


def test_a_part_needs_a_number_in_range(server: Server) -> None:
    upload = _upload(server)
    for number in ("0", "10001", "x"):
        request = server.signed(
            "PUT", f"/bucket/up?partNumber={number}&uploadId={upload}", body=b""
        )
        assert request.status in (400, 411)
    request = server.signed(
        "PUT", f"/bucket/up?partNumber=10001&uploadId={upload}", {"content-length": "0"}
    )
    _refused(request, 400, "InvalidArgument")
    assert request.detail("ArgumentName") == "partNumber"


DELETE = b"<Delete><Object><Key>key</Key></Object></Delete>"


def test_multi_deletes(server: Server) -> None:
    missing = server.signed("POST", "/bucket?delete", {}, DELETE)
    _refused(missing, 400, "InvalidRequest")
    assert missing.detail("Message") == (
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    )
    wrong = _post(server, "/bucket?delete", DELETE, **{"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    _refused(wrong, 400, "BadDigest")
    checksum = {"x-amz-checksum-sha256": b64encode(sha256(b"other").digest()).decode()}
    _refused(server.signed("POST", "/bucket?delete", checksum, DELETE), 400, "BadDigest")
    _refused(_post(server, "/bucket?delete", b"<Delete/>"), 400, "MalformedXML")
    entity = b'<!DOCTYPE d [<!ENTITY e "key">]><Delete><Object><Key>&e;</Key></Object></Delete>'
    _refused(_post(server, "/bucket?delete", entity), 400, "MalformedXML")
    assert server.signed("GET", "/bucket/key").status == 200


def test_no_lock_is_bypassed_where_there_is_none(server: Server) -> None:
    """A client that sends this believes its objects locked; the words are those of S3."""
    name = "x-amz-bypass-governance-retention"
    one = server.signed("DELETE", "/bucket/key", {name: "true"})
    for refused in (one, _post(server, "/bucket?delete", DELETE, **{name: "true"})):
        _refused(refused, 400, "InvalidArgument")
        assert refused.detail("Message") == (
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."
        )
        assert refused.detail("ArgumentName") == name
    assert server.signed("GET", "/bucket/key").status == 200
    assert server.signed("DELETE", "/bucket/key", {name: "false"}).status == 204


def test_documents_are_bounded(server: Server) -> None:
    large = b"<Delete>" + b" " * (1024 * 1024) + b"</Delete>"
    announced = _post(server, "/bucket?delete", large)
    _refused(announced, 400, "MaxMessageLengthExceeded")
    assert announced.body.reads == 0
    headers = {
        "transfer-encoding": "chunked",
        "content-md5": b64encode(md5(large).digest()).decode(),
    }
    chunked = server.signed("POST", "/bucket?delete", headers, FakeBody(large, None))
    _refused(chunked, 400, "MaxMessageLengthExceeded")
    # 10,000 parts with their checksums take more.
    _refused(server.signed("POST", "/bucket/key?uploadId=u", {}, large), 400, "MalformedXML")
    larger = large * 4
    answer = server.signed("POST", "/bucket/key?uploadId=u", {}, larger)
    _refused(answer, 400, "MaxMessageLengthExceeded")


def test_the_hash_of_a_document_is_checked(server: Server) -> None:
    request = server.signed(
        "POST",
        "/bucket?delete",
        {"content-md5": b64encode(md5(DELETE).digest()).decode()},
        DELETE,
        payload=EMPTY,
    )
    _refused(request, 400, "XAmzContentSHA256Mismatch")


def test_buckets_are_listed_of_this_region_alone(server: Server) -> None:
    for region in ("us-east-1", "US-East-1", ""):
        here = server.signed("GET", f"/?bucket-region={region}")
        assert b"<BucketRegion>us-east-1</BucketRegion>" in here.sent
    for region in ("eu-west-1", "us-gov-east-1", "eusc-de-east-1"):
        elsewhere = server.signed("GET", f"/?bucket-region={region}")
        refused = _refused(elsewhere, 400, "InvalidArgument")
        assert "must be made to the corresponding regional endpoint" in refused.detail("Message")
    refused = _refused(server.signed("GET", "/?bucket-region=abc"), 400, "InvalidArgument")
    assert refused.detail("Message") == "Argument value abc is not a valid AWS Region"
    assert refused.detail("ArgumentName") == "bucket-region"


def test_location_constraints(server: Server) -> None:
    def create(location: str, bucket: str = "new") -> FakeRequest:
        body = (
            "<CreateBucketConfiguration><LocationConstraint>"
            f"{location}</LocationConstraint></CreateBucketConfiguration>"
        )
        return server.signed("PUT", f"/{bucket}", {}, body.encode())

    _refused(create("nowhere"), 400, "InvalidLocationConstraint")
    empty = _refused(create(""), 400, "InvalidLocationConstraint")
    assert empty.detail("LocationConstraint") == ""
    _refused(create("eu-west-1"), 400, "IllegalLocationConstraintException")
    _refused(server.signed("PUT", "/new", {}, b"<Wrong/>"), 400, "MalformedXML")
    elsewhere = server.signed("PUT", "/bucket", {}, by=ALICE)
    _refused(elsewhere, 409, "BucketAlreadyExists")


def test_an_acl_comes_by_header_or_by_body(server: Server) -> None:
    policy = (
        f"<AccessControlPolicy><Owner><ID>{ROOT.account.id}</ID></Owner>"
        "<AccessControlList/></AccessControlPolicy>"
    ).encode()
    both = server.signed("PUT", "/bucket/key?acl", {"x-amz-acl": "private"}, policy)
    _refused(both, 400, "UnexpectedContent")
    _refused(server.signed("PUT", "/bucket/key?acl", {}, b"<Acl/>"), 400, "MalformedACLError")
    given = policy.replace(ROOT.account.id.encode(), ALICE.account.id.encode())
    _refused(server.signed("PUT", "/bucket/key?acl", {}, given), 403, "AccessDenied")


def test_a_defect_is_an_internal_error_that_tells_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr(server.store.objects, "head", broken)
    with capturedLogs() as events:
        request = server.signed("GET", "/bucket/key", {"if-none-match": "*"})
    _refused(request, 500, "InternalError")
    [failure] = [event["log_failure"] for event in events if "log_failure" in event]
    assert str(failure.value) == "secret detail"
    assert b"secret" not in request.sent
    assert server.counted("GetObject", "error") == 1


def test_errors_on_head_have_headers_and_no_body(server: Server) -> None:
    request = server.signed("HEAD", "/bucket/absent")
    assert (request.status, request.sent) == (404, b"")
    assert request.answered("x-amz-request-id")
    forged = Credential(ROOT.access_key, "guess", ROOT.account)
    for request, status in (
        (server.signed("HEAD", "/absent"), 404),
        (server.signed("HEAD", "/bucket", by=ALICE), 403),
        (server.signed("HEAD", "/bucket", by=forged), 403),
    ):
        assert request.status == status
        assert request.answered("x-amz-bucket-region") == "us-east-1"
