"""Whatever a client sends, it gets an answer of S3's, and never a 500."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bleepstore.wire.headers import Header
from bleepstore.wire.operations import OPERATIONS
from tests.s3.harness import FakeBody, FakeRequest, Server

_SUBRESOURCES = sorted({row.subresource for row in OPERATIONS})
_HEADERS = (
    b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-range", b"content-md5",
    b"content-length", b"content-type", b"content-encoding", b"transfer-encoding", b"authorization",
    b"x-amz-acl", b"x-amz-grant-read", b"x-amz-copy-source", b"x-amz-copy-source-range",
    b"x-amz-content-sha256", b"x-amz-decoded-content-length", b"x-amz-trailer", b"x-amz-meta-a",
    b"x-amz-checksum-crc32", b"x-amz-checksum-algorithm", b"x-amz-checksum-type",
    b"x-amz-checksum-mode", b"x-amz-sdk-checksum-algorithm", b"x-amz-mp-object-size",
    b"x-amz-metadata-directive", b"x-amz-object-attributes", b"x-amz-max-parts",
    b"x-amz-storage-class", b"x-amz-expected-bucket-owner", b"host",
)  # fmt: skip
_VALUES = (
    b"", b"*", b"0", b"-1", b"1", b"99999999999999999999", b"bytes=0-1", b"bytes=-0", b'"e"',
    b"/bucket/key", b"bucket/key?versionId=null", b"private", b'id="x"', b"SHA256", b"AAAAAA==",
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    b"UNSIGNED-PAYLOAD", b"x-amz-checksum-crc32", b"chunked", b"aws-chunked", b"REPLACE",
    b"FULL_OBJECT", b"ETag,ObjectParts", b"Sun, 06 Nov 1994 08:49:37 GMT", b"\xff\xfe",
    b"bucket.localhost",
    b"AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=x",
)  # fmt: skip
_NAMES = (
    "prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "uploadId",
    "partNumber", "versionId", "list-type", "start-after", "max-parts", "part-number-marker",
    "response-content-type", "X-Amz-Signature", "X-Amz-Algorithm", "x-id", "key-marker",
)  # fmt: skip
_ODD = st.sampled_from(("", "1", "2", "0", "url", "null", "%00", "%ff", "a%0d%0ab", "+", "😀", "/"))
_query = st.lists(
    st.tuples(st.sampled_from((*_SUBRESOURCES, *_NAMES)), _ODD) | st.tuples(_ODD, _ODD), max_size=3
).map(lambda pairs: "&".join(f"{name}={value}" if value else name for name, value in pairs))
_path = st.sampled_from(
    ("/", "/bucket", "/bucket/key", "/bucket/", "/bucket//", "/b%2f/k", "*", "")
)
_target = st.builds(
    lambda path, query: f"{path}?{query}" if query else path,
    _path | st.text(max_size=9),
    _query,
)
_headers = st.lists(
    st.tuples(
        st.sampled_from(_HEADERS),
        st.sampled_from(_VALUES) | st.binary(max_size=12).map(lambda value: value.strip()),
    ),
    max_size=4,
)
_body = st.binary(max_size=40) | st.sampled_from(
    (
        b"<Delete><Object><Key>k</Key></Object></Delete>",
        b"<!DOCTYPE x [<!ENTITY e 'e'>]><Delete>&e;</Delete>",
        b"<a>" * 2000,
        b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
    )
)
_method = st.sampled_from((b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"PATCH"))


def _server() -> Server:
    server = Server(auth=False)
    assert server.raw("PUT", "/bucket").status == 200
    assert server.raw("PUT", "/bucket/key", body=b"content").status == 200
    return server


@settings(max_examples=600)
@given(method=_method, target=_target, headers=_headers, body=_body)
def test_every_request_has_an_answer(
    method: bytes, target: str, headers: list[Header], body: bytes
) -> None:
    server = _SERVERS[0]
    uri = target.encode("utf-8", "replace")
    request = FakeRequest(method, uri, headers, FakeBody(body, len(body)))
    server.front.handle(request)
    assert request.finished or request.aborted
    assert request.status in range(200, 500) or request.status == 501, request.sent
    assert request.answered("x-amz-request-id")
    if request.status >= 400 and method != b"HEAD":
        assert request.code


_SERVERS = [_server()]
