"""Who may do what, from the signature to the ACL."""

from __future__ import annotations

import hmac
from base64 import b64encode
from hashlib import sha256
from urllib.parse import quote

import pytest

from bleepstore.auth.signing import Signer
from bleepstore.model.accounts import Credential
from tests.s3.harness import ALICE, BOB, ROOT, FakeRequest, Server, refusal

READ = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'


@pytest.fixture
def server() -> Server:
    server = Server()
    assert server.signed("PUT", "/bucket").status == 200
    assert server.signed("PUT", "/bucket/key", body=b"content").status == 200
    return server


def _answer(request: FakeRequest) -> tuple[int, str]:
    return request.status, request.code


_PRIVATE = [
    ("GET", "/bucket"),
    ("GET", "/bucket/key"),
    ("GET", "/bucket/absent"),
    ("GET", "/bucket?acl"),
    ("GET", "/bucket?location"),
    ("GET", "/bucket?uploads"),
    ("PUT", "/bucket/key"),
    ("DELETE", "/bucket/key"),
    ("POST", "/bucket/key?uploads"),
    ("DELETE", "/bucket"),
]


@pytest.mark.parametrize(("method", "target"), [*_PRIVATE, ("GET", "/"), ("PUT", "/new")])
def test_the_anonymous_may_nothing(server: Server, method: str, target: str) -> None:
    request = server.raw(method, target, {"content-length": "0"})
    assert _answer(request) == (403, "AccessDenied")
    assert server.signed("GET", "/bucket/key").sent == b"content"


@pytest.mark.parametrize(("method", "target"), _PRIVATE)
def test_what_is_private_is_no_other_accounts(server: Server, method: str, target: str) -> None:
    request = server.signed(method, target, {"content-length": "0"}, by=ALICE)
    assert _answer(request) == (403, "AccessDenied")
    assert server.signed("GET", "/bucket/key").sent == b"content"


def test_grants_open_what_they_say_and_no_more(server: Server) -> None:
    alice = f'id="{ALICE.account.id}"'
    assert server.signed("PUT", "/bucket/key?acl", {"x-amz-grant-read": alice}).status == 200
    assert server.signed("GET", "/bucket/key", by=ALICE).sent == b"content"
    assert _answer(server.signed("GET", "/bucket/key", by=BOB)) == (403, "AccessDenied")
    assert _answer(server.signed("GET", "/bucket/key?acl", by=ALICE)) == (403, "AccessDenied")
    assert _answer(server.raw("GET", "/bucket/key")) == (403, "AccessDenied")
    assert server.signed("PUT", "/bucket/key?acl", {"x-amz-grant-read": READ}).status == 200
    assert server.raw("GET", "/bucket/key").sent == b"content"


def test_authenticated_users_are_not_the_anonymous(server: Server) -> None:
    server.signed("PUT", "/bucket/key?acl", {"x-amz-acl": "authenticated-read"})
    assert server.signed("GET", "/bucket/key", by=BOB).status == 200
    assert _answer(server.raw("GET", "/bucket/key")) == (403, "AccessDenied")


def test_the_anonymous_may_not_override_headers(server: Server) -> None:
    server.signed("PUT", "/bucket/key?acl", {"x-amz-acl": "public-read"})
    request = server.raw("GET", "/bucket/key?response-content-type=text/html")
    assert _answer(request) == (400, "InvalidRequest")
    assert request.detail("Message") == (
        "Request specific response headers cannot be used for anonymous GET requests."
    )
    assert server.raw("GET", "/bucket/key?x-id=GetObject").sent == b"content"
    allowed = server.signed("GET", "/bucket/key?response-content-type=text/html")
    assert allowed.answered("content-type") == "text/html"


def test_the_expected_owner(server: Server) -> None:
    right = {"x-amz-expected-bucket-owner": ROOT.account.id}
    wrong = {"x-amz-expected-bucket-owner": ALICE.account.id}
    assert server.signed("GET", "/bucket/key", right).status == 200
    assert _answer(server.signed("GET", "/bucket/key", wrong)) == (403, "AccessDenied")
    put = server.signed("PUT", "/bucket/key", wrong, b"new")
    assert _answer(put) == (403, "AccessDenied")
    copy = {
        "x-amz-copy-source": "/bucket/key",
        "x-amz-source-expected-bucket-owner": ALICE.account.id,
        "content-length": "0",
    }
    assert _answer(server.signed("PUT", "/bucket/copy", copy)) == (403, "AccessDenied")
    for name in ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"):
        nobody = server.signed("PUT", "/bucket/copy", {**copy, name: ""})
        assert _answer(nobody) == (400, "InvalidBucketOwnerAWSAccountID")


def test_an_unknown_key_and_a_wrong_secret(server: Server) -> None:
    stranger = Credential("stranger", "secret", ROOT.account)
    unknown = server.signed("GET", "/bucket/key", by=stranger)
    assert _answer(unknown) == (403, "InvalidAccessKeyId")
    assert unknown.detail("AWSAccessKeyId") == "stranger"
    impostor = Credential(ROOT.access_key, "guess", ROOT.account)
    wrong = server.signed("GET", "/bucket/key", by=impostor)
    assert _answer(wrong) == (403, "SignatureDoesNotMatch")
    assert wrong.detail("StringToSign")
    assert f" {ROOT.access_key} GetObject " in server.lines.text


def test_the_clock_must_agree(server: Server) -> None:
    signed = server.sign("GET", "/bucket/key", {}, "UNSIGNED-PAYLOAD")
    pairs = [(name.decode(), value.decode()) for name, value in signed.headers]
    server.skew = 16 * 60 * 1000
    late = server.raw("GET", "/bucket/key", pairs)
    assert _answer(late) == (403, "RequestTimeTooSkewed")
    assert late.detail("MaxAllowedSkewMilliseconds") == "900000"


@pytest.mark.parametrize("target", ["/", "/bucket", "/bucket/key"])
def test_another_region_is_named(server: Server, target: str) -> None:
    request = _signed_elsewhere(server, "GET", target)
    assert _answer(request) == (400, "AuthorizationHeaderMalformed")
    assert request.detail("Region") == "us-east-1"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("target", ["/bucket", "/bucket/key"])
def test_a_header_says_in_which_region_the_bucket_is(
    server: Server, method: str, target: str
) -> None:
    """From it the SDKs for Java learn where to send the request again; they read no ``Region``."""
    request = _signed_elsewhere(server, method, target)
    assert request.status == 400
    assert request.answered("x-amz-bucket-region") == "us-east-1"


def test_no_header_says_where_a_bucket_is_when_none_was_asked_for(server: Server) -> None:
    request = _signed_elsewhere(server, "GET", "/")
    assert request.answered("x-amz-bucket-region") is None
    other = server.signed("GET", "/bucket/absent")
    assert (other.code, other.answered("x-amz-bucket-region")) == ("NoSuchKey", None)


def _signed_elsewhere(server: Server, method: str, target: str) -> FakeRequest:
    elsewhere = Server(region="eu-west-1")
    elsewhere.metadata = server.metadata
    signed = elsewhere.sign(method, target, {}, "UNSIGNED-PAYLOAD")
    pairs = [(name.decode(), value.decode()) for name, value in signed.headers]
    return server.raw(method, target, pairs)


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("AWS key:signature", 400, "InvalidRequest"),
        ("Bearer token", 400, "InvalidArgument"),
        ("AWS4-HMAC-SHA256 nonsense", 400, "AuthorizationHeaderMalformed"),
    ],
)
def test_other_mechanisms(server: Server, authorization: str, status: int, code: str) -> None:
    request = server.raw("GET", "/bucket/key", {"authorization": authorization})
    assert _answer(request) == (status, code)


def test_a_presigned_request_expires(server: Server) -> None:
    s3 = server.client(signature_version="s3v4")
    url = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"}, 60)
    target = url.removeprefix("http://localhost:9000")
    assert server.raw("GET", target).status == 200
    server.skew = 61_000
    expired = server.raw("GET", target)
    assert _answer(expired) == (403, "AccessDenied")
    assert expired.detail("Message") == "Request has expired"
    broken = server.raw("GET", target.replace("X-Amz-Expires=60", "X-Amz-Expires=604801"))
    assert _answer(broken) == (400, "AuthorizationQueryParametersError")


def _by_version_2(
    server: Server, method: str, resource: str, amz: str = "", by: Credential = ROOT
) -> str:
    """The query that signs a request by Signature Version 2.

    :param amz: the lines of its x-amz-* headers.
    """
    expires = server.now() // 1000 + 60
    text = f"{method}\n\n\n{expires}\n{amz}{resource}"
    signature = b64encode(hmac.digest(by.secret_key.encode(), text.encode(), "sha1")).decode()
    return f"?AWSAccessKeyId={by.access_key}&Expires={expires}&Signature={quote(signature)}"


def test_a_presigned_request_of_version_2_is_verified(server: Server) -> None:
    query = _by_version_2(server, "GET", "/bucket/key")
    assert server.raw("GET", "/bucket/key" + query).sent == b"content"
    impostor = Credential(ROOT.access_key, "guess", ROOT.account)
    for method, target, sent in (
        ("GET", "/bucket/key", _by_version_2(server, "GET", "/bucket/key", by=impostor)),
        ("GET", "/bucket/other", query),
        ("DELETE", "/bucket/key", query),
        ("GET", "/bucket/key", query + "&acl"),
    ):
        request = server.raw(method, target + sent)
        assert _answer(request) == (403, "SignatureDoesNotMatch"), target
    assert server.raw("GET", "/bucket/key" + query).sent == b"content"


def test_version_2_signs_the_bucket_that_the_host_names(server: Server) -> None:
    assert server.signed("PUT", "/other").status == 200
    assert server.signed("PUT", "/other/key", body=b"other").status == 200
    query = _by_version_2(server, "GET", "/bucket/key")
    host = "bucket.localhost:9000"
    assert server.raw("GET", "/key" + query, host=host).sent == b"content"
    assert server.raw("GET", "/bucket/key" + query).sent == b"content"
    for target, at in (("/key", "other.localhost:9000"), ("/bucket/key", host)):
        request = server.raw("GET", target + query, host=at)
        assert _answer(request) == (403, "SignatureDoesNotMatch")


def _another_hash(server: Server, target: str, by: str) -> FakeRequest:
    """A body sent with the hash of another one, which is signed where anything is."""
    wrong = sha256(b"another body").hexdigest()
    if by == "version 2":
        target += _by_version_2(server, "PUT", target, f"x-amz-content-sha256:{wrong}\n")
    elif by == "version 4":
        return server.signed("PUT", target, body=b"body", payload=wrong)
    return server.raw("PUT", target, {"x-amz-content-sha256": wrong}, b"body")


@pytest.mark.parametrize("by", ["version 4", "version 2", "nobody"])
def test_a_body_has_the_hash_that_was_said_whoever_signed(server: Server, by: str) -> None:
    assert server.signed("PUT", "/bucket?acl", {"x-amz-acl": "public-read-write"}).status == 200
    request = _another_hash(server, "/bucket/new", by)
    assert _answer(request) == (400, "XAmzContentSHA256Mismatch")
    assert server.signed("GET", "/bucket/new").status == 404


@pytest.mark.parametrize("version", [2, 4])
def test_headers_that_a_presigned_query_holds_count(server: Server, version: int) -> None:
    target = "/bucket/new?x-amz-acl=public-read&x-amz-meta-colour=red"
    if version == 2:
        lines = "x-amz-acl:public-read\nx-amz-meta-colour:red\n"
        query = _by_version_2(server, "PUT", "/bucket/new", lines)
        presigned = (target + query.replace("?", "&")).encode()
    else:
        signer = Signer(ROOT.access_key, ROOT.secret_key, "us-east-1")
        host = (b"host", b"localhost:9000")
        presigned = signer.presign(b"PUT", target.encode(), [host], server.now(), 60)
    assert server.raw("PUT", presigned, body=b"new").status == 200
    public = server.raw("GET", "/bucket/new")
    assert (public.sent, public.answered("x-amz-meta-colour")) == (b"new", "red")


def test_without_authentication_everybody_is_root() -> None:
    server = Server(auth=False)
    assert server.raw("PUT", "/bucket").status == 200
    s3 = server.client(Credential("any", "thing", ALICE.account))
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert s3.list_objects(Bucket="bucket")["Contents"][0]["Owner"]["ID"] == ROOT.account.id


def test_accounts_do_not_see_each_others_buckets(server: Server) -> None:
    alice = server.client(ALICE)
    assert alice.list_buckets()["Buckets"] == []
    taken = refusal(lambda: alice.create_bucket(Bucket="bucket"))
    assert taken[:2] == (409, "BucketAlreadyExists")
    denied = refusal(lambda: alice.list_objects_v2(Bucket="bucket"))
    assert denied[:2] == (403, "AccessDenied")
