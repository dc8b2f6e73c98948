"""Targets, hosts and methods lead to one operation, or to S3's refusal."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.wire.errors import error_headers
from bleepstore.wire.operations import BY_NAME, OPERATIONS, Level, Operation
from bleepstore.wire.routing import UNKNOWN, Route, Router
from tests.wire.oracle import MODEL

ROUTER = Router(["localhost", "S3.example.com."])
COPY = {b"x-amz-copy-source": b"/a/b"}


def route(method: str, target: str | bytes, host: str = "127.0.0.1:9000", **headers: str) -> Route:
    raw = target.encode() if isinstance(target, str) else target
    map_ = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return ROUTER.route(method.encode(), raw, {b"host": host.encode(), **map_})


@pytest.mark.parametrize("row", [row for row in OPERATIONS if row.routable], ids=lambda r: r.name)
def test_every_operation_is_reached_by_its_own_selector(row: Operation) -> None:
    path = {Level.SERVICE: "/", Level.BUCKET: "/b", Level.OBJECT: "/b/k"}[row.level]
    value = "=2" if row.subresource == "list-type" else ""
    pieces = [p for p in (row.subresource + value, row.parameter and f"{row.parameter}=1") if p]
    target = path + ("?" + "&".join(pieces) if pieces else "")
    headers = {"x_amz_copy_source": "/a/b"} if row.copies else {}
    assert route(row.method, target, **headers).operation is row


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_what_botocore_sends_for_an_operation_leads_to_it(name: str) -> None:
    operation = MODEL.operation_model(name)
    parameters: dict[str, object] = {}
    for member in operation.input_shape.required_members:
        shape = operation.input_shape.members[member]
        located = shape.serialization.get("location") in ("uri", "querystring")
        if located or shape.serialization.get("hostLabel"):
            parameters[member] = 1 if shape.type_name == "integer" else "x"
    serializer = create_serializer("rest-xml", include_validation=False)
    request = serializer.serialize_to_request(parameters, operation)
    query = urlencode(request["query_string"])
    join = "&" if "?" in request["url_path"] else "?"
    target = request["url_path"] + (join + query if query else "")
    headers = {"x_amz_copy_source": "a/b"} if BY_NAME[name].copies else {}
    found = route(request["method"], target, **headers).operation
    if BY_NAME[name].routable:
        assert found.name == name
    else:
        assert found.served is (name == "ListDirectoryBuckets")


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/b/k", "k"),
        ("/b//k", "/k"),
        ("/b///", "//"),
        ("/b/a//b", "a//b"),
        ("/b/../x", "../x"),
        ("/b/.", "."),
        ("/b/a/./b/", "a/./b/"),
        ("/b/a.", "a."),
        ("/b/a%2Fb", "a/b"),
        ("/b/%2F", "/"),
        ("/b/a+b", "a+b"),
        ("/b/a%2Bb%20c", "a+b c"),
        ("/b/%25zz", "%zz"),
        ("/b/%2525", "%25"),
        ("/b/%F0%9F%98%80", "\U0001f600"),
        ("/b/%01%00", "\x01\x00"),
        ("/b/a%3Ftagging", "a?tagging"),
        ("/b/a#b", "a#b"),
        ("/b/é", "é"),
    ],
)
def test_a_key_is_decoded_once_and_byte_for_byte(target: str, key: str) -> None:
    found = route("GET", target)
    assert (found.bucket, found.key, found.operation.name) == ("b", key, "GetObject")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda key: len(key.encode()) <= 1024
    )
)
def test_any_key_survives_encoding(key: str) -> None:
    for encoded in (quote(key, safe=""), quote(key)):
        assert route("GET", "/b/" + encoded).key == key
        assert route("GET", "/" + encoded, "b.localhost").key == key


def test_bucket_with_and_without_a_slash_are_the_same() -> None:
    for target in ("/b", "/b/", "/b?max-keys=1", "/b/?max-keys=1"):
        found = route("GET", target)
        assert (found.operation.name, found.bucket, found.key) == ("ListObjects", "b", "")


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("b.localhost", "/k", "b", "k"),
        ("b.localhost:9000", "/k/l", "b", "k/l"),
        ("B.LocalHost:9000", "/k", "b", "k"),
        ("my.dotted.bucket.s3.example.com", "/k", "my.dotted.bucket", "k"),
        ("b.localhost", "/", "b", ""),
        ("b.localhost", "//k", "b", "/k"),
        ("localhost:9000", "/b/k", "b", "k"),
        ("s3.example.com", "/", "", ""),
        ("example.com", "/b/k", "b", "k"),
        ("b.other.example.com", "/x/y", "x", "y"),
        ("127.0.0.1", "/b/k", "b", "k"),
        ("[::1]:9000", "/b/k", "b", "k"),
        ("[::1]", "/b/k", "b", "k"),
        ("notlocalhost", "/b/k", "b", "k"),
        ("", "/b/k", "b", "k"),
    ],
)
def test_the_host_decides_between_virtual_host_and_path_style(
    host: str, target: str, bucket: str, key: str
) -> None:
    for _ in range(2):  # the second time from the cache
        found = route("GET", target, host)
        assert (found.bucket, found.key) == (bucket, key)


def test_the_longest_domain_wins() -> None:
    router = Router(["example.com", "s3.example.com"])
    found = router.route(b"GET", b"/k", {b"host": b"b.s3.example.com"})
    assert (found.bucket, found.key) == ("b", "k")


def test_an_absolute_target_overrides_the_host() -> None:
    found = route("GET", "http://b.localhost:9000/k?x-id=GetObject", "other.localhost")
    assert (found.bucket, found.key, found.query) == ("b", "k", {"x-id": "GetObject"})
    assert route("GET", "HTTPS://localhost").operation.name == "ListBuckets"
    assert route("GET", "http://localhost?prefix=a").query == {"prefix": "a"}


@pytest.mark.parametrize("target", ["", "*", "localhost:80", "ftp://h/b", "b/k", "?acl"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(errors.InvalidURI):
        route("GET", target)


@pytest.mark.parametrize(
    "target",
    [
        b"/b/%",
        b"/b/%1",
        b"/b/%zz",
        b"/b/%ff",
        b"/b/\xff",
        b"/%ff",
        b"/b?a=%",
        b"/b?%ff=a",
        b"/b?\xff",
    ],
)
def test_bad_escapes_and_bad_utf8_are_an_invalid_uri(target: bytes) -> None:
    with pytest.raises(errors.InvalidURI):
        route("GET", target)


def test_a_key_has_at_most_1024_bytes() -> None:
    assert len(route("GET", "/b/" + "%C3%A9" * 512).key) == 512
    with pytest.raises(errors.KeyTooLongError) as caught:
        route("GET", "/b/" + "%C3%A9" * 512 + "a")
    assert caught.value.details == {"Size": "1025", "MaxSizeAllowed": "1024"}


def test_an_empty_bucket_before_a_key_is_no_bucket() -> None:
    with pytest.raises(errors.InvalidBucketName):
        route("GET", "//k")


def test_of_repeated_parameters_the_first_counts_and_a_plus_is_a_space() -> None:
    found = route("GET", "/b?prefix=a+b%2Bc&prefix=z&&delimiter&max-keys=1=2")
    assert found.query == {"prefix": "a b+c", "delimiter": "", "max-keys": "1=2"}


@pytest.mark.parametrize(
    "query",
    [
        "x-id=GetObject",
        "X-Amz-Signature=a&X-Amz-Date=b",
        "response-content-type=a",
        "versionId=null",
        "12345",
        "foo=bar",
        "partNumber=1",
    ],
)
def test_parameters_that_are_no_subresource_do_not_select(query: str) -> None:
    assert route("GET", "/b/k?" + query).operation.name == "GetObject"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "query",
    ["x-id=PutObject", "x-amz-acl=", "X-Amz-Acl=", "versionId", "a=b", "X-Amz-Signature=a"],
)
def test_a_plain_write_stays_what_it_is(method: str, query: str) -> None:
    assert (
        route(method, "/b/k?" + query).operation.name
        == {"PUT": "PutObject", "DELETE": "DeleteObject"}[method]
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/b", "/b/k"])
@pytest.mark.parametrize(
    "subresource", sorted({row.subresource for row in OPERATIONS if row.subresource} | {"newThing"})
)
@pytest.mark.parametrize("form", ["{}", "{}=", "{}&x-id=DeleteObject", "%{:x}{}"])
def test_a_subresource_never_becomes_a_plain_write(
    method: str, path: str, subresource: str, form: str
) -> None:
    if form.startswith("%"):
        query = f"%{ord(subresource[0]):x}{subresource[1:]}"
    else:
        query = form.format(subresource)
    try:
        operation = route(method, f"{path}?{query}").operation
    except (errors.InvalidArgument, errors.MethodNotAllowed):
        return
    assert not operation.served or operation.subresource == subresource


def test_a_part_number_without_an_upload_is_refused() -> None:
    for method, target in [
        ("PUT", "/b/k?partNumber=1"),
        ("DELETE", "/b/k?partNumber=1"),
    ]:
        with pytest.raises(errors.InvalidArgument, match="partNumber without uploadId") as caught:
            route(method, target, x_amz_copy_source="/a/b")
        assert caught.value.details == {
            "ArgumentName": "partNumber",
            "ArgumentValue": "partNumber",
        }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_bucket_has_neither_parts_nor_versions(method: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="must have a valid key name"):
        route(method, "/b?partNumber=1&versionId=null")
    for value in ("null", "", "x"):
        with pytest.raises(errors.InvalidArgument, match="does not accept a version-id") as caught:
            route(method, f"/b?versionId={value}")
        assert caught.value.details == {"ArgumentName": "versionId", "ArgumentValue": value}
    with pytest.raises(errors.InvalidArgument, match="Invalid version id specified"):
        route("GET", "/b?acl&versionId=null")


def test_an_upload_is_not_put_without_a_part_number() -> None:
    for source in ({}, {"x_amz_copy_source": "/a/b"}):
        with pytest.raises(errors.MethodNotAllowed) as caught:
            route("PUT", "/b/k?uploadId=x", **source)
        assert caught.value.details == {"Method": "PUT", "ResourceType": "UPLOAD"}
        assert error_headers(caught.value) == [(b"Allow", b"DELETE, GET, POST")]


def test_conflicting_subresources_are_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match=r"Conflicting.*acl, tagging"):
        route("DELETE", "/b/k?tagging&acl")


@pytest.mark.parametrize("value", ["", "=", "=1", "=3", "=02", "=bogus"])
def test_any_other_list_type_is_the_first(value: str) -> None:
    assert route("GET", "/b?list-type" + value).operation.name == "ListObjects"


def test_the_copy_header_selects_only_copies() -> None:
    assert route("PUT", "/b/k", x_amz_copy_source="/a/b").operation.name == "CopyObject"
    assert route("PUT", "/b/k?acl", x_amz_copy_source="/a/b").operation.name == "PutObjectAcl"
    assert route("GET", "/b", x_amz_copy_source="/a/b").operation.name == "ListObjects"


@pytest.mark.parametrize(
    ("method", "query"),
    [("GET", ""), ("HEAD", ""), ("DELETE", ""), ("POST", "?uploadId=u"), ("DELETE", "?uploadId=u")],
)
def test_the_copy_header_is_refused_where_nothing_is_copied(method: str, query: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="only specify a copy source header") as caught:
        route(method, "/b/k" + query, x_amz_copy_source="/a/b")
    assert caught.value.details == {"ArgumentName": "x-amz-copy-source", "ArgumentValue": "/a/b"}


def test_a_presigned_copy_carries_its_source_in_the_query() -> None:
    for signature in ("X-Amz-Signature=s", "AWSAccessKeyId=a"):
        found = route("PUT", f"/b/k?x-amz-copy-source=a%2Fb&{signature}")
        assert found.operation.name == "CopyObject"
        assert found.headers[b"x-amz-copy-source"] == b"a/b"
    unsigned = route("PUT", "/b/k?x-amz-copy-source=a%2Fb", x_amz_acl="private")
    assert unsigned.operation.name == "PutObject"
    assert set(unsigned.headers) == {b"host", b"x-amz-acl"}


@pytest.mark.parametrize(
    ("method", "target", "resource"),
    [
        ("PATCH", "/b/k", "OBJECT"),
        ("POST", "/b/k", "OBJECT"),
        ("HEAD", "/", "SERVICE"),
        ("PUT", "/", "SERVICE"),
        ("PUT", "/?partNumber=1", "SERVICE"),
        ("DELETE", "/b?acl", "ACL"),
        ("HEAD", "/b/k?acl", "ACL"),
        ("HEAD", "/b?location", "LOCATION"),
        ("HEAD", "/b?uploads", "UPLOADS"),
        ("GET", "/b?delete", "MULTI_OBJECT_DELETE"),
        ("HEAD", "/b/k?attributes", "OBJECT_ATTRIBUTES"),
        ("PUT", "/b?list-type=2", "BUCKET"),
        ("get", "/b/k", "OBJECT"),
        ("OPTIONS", "/", "SERVICE"),
    ],
)
def test_a_method_without_an_operation_is_not_allowed(
    method: str, target: str, resource: str
) -> None:
    with pytest.raises(errors.MethodNotAllowed) as caught:
        route(method, target)
    assert caught.value.details == {"Method": method, "ResourceType": resource}


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", "/b/k?policy"), ("HEAD", "/b?tagging"), ("POST", "/b/k?cors"), ("GET", "/?policy")],
)
def test_a_known_subresource_in_a_wrong_place_is_unknown_not_plain(
    method: str, target: str
) -> None:
    assert route(method, target).operation is UNKNOWN
    assert not UNKNOWN.served


def test_a_preflight_is_forbidden_as_s3_does_without_cors() -> None:
    with pytest.raises(errors.AccessForbidden, match="CORS is not enabled") as caught:
        route("OPTIONS", "/b/k", origin="http://a", access_control_request_method="PUT")
    assert caught.value.details == {"Method": "PUT", "ResourceType": "OBJECT"}
    with pytest.raises(errors.BadRequest):
        route("OPTIONS", "/b/k")
    with pytest.raises(errors.BadRequest):
        route("OPTIONS", "/b/k", origin="http://a")
    with pytest.raises(errors.BadRequest):
        route("OPTIONS", "/b/k", access_control_request_method="PUT")


def test_hosts_are_remembered_for_a_bounded_number_only() -> None:
    router = Router(["localhost"])
    for number in range(3000):
        found = router.route(b"GET", b"/k", {b"host": b"b%d.localhost" % number})
        assert found.bucket == f"b{number}"
    assert len(router._hosts) <= 1024


@given(
    st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"]),
    st.one_of(
        st.binary(),
        st.binary().map(lambda raw: b"/b/" + raw),
        st.lists(
            st.sampled_from(
                [
                    b"/",
                    b"?",
                    b"&",
                    b"=",
                    b"%",
                    b"%2F",
                    b"acl",
                    b"uploads",
                    b"a",
                    b"list-type",
                    b"2",
                    b"+",
                    b"://",
                    b"http",
                    b"uploadId",
                ]
            )
        ).map(b"".join),
    ),
    st.binary(max_size=40),
)
def test_only_refusals_come_out_of_routing(method: bytes, target: bytes, host: bytes) -> None:
    try:
        found = ROUTER.route(method, target, {b"host": host})
    except errors.StoreError:
        return
    assert isinstance(found, Route)
