"""What is served beside S3, and that it shadows no bucket."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.s3.harness import Server

PAGES = ("/health", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")


async def _broken() -> None:
    raise OSError("gone")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pages_need_no_signature(path: str, method: str) -> None:
    request = Server().raw(method, path)
    assert request.status == 200
    assert request.answered("x-amz-request-id")
    assert (request.sent == b"") is (method == "HEAD" or path in ("/healthz", "/readyz"))
    assert int(request.answered("content-length") or 0) >= len(request.sent)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_pages_take_no_other_method(path: str, method: str) -> None:
    request = Server().raw(method, path)
    assert (request.status, request.code) == (405, "MethodNotAllowed")
    assert request.answered("allow") == "GET, HEAD"


@pytest.mark.parametrize("path", PAGES)
def test_no_bucket_of_such_a_name_can_be_made(path: str) -> None:
    request = Server().signed("PUT", path)
    assert (request.status, request.code) == (400, "InvalidBucketName")


def test_a_key_of_a_buckets_own_host_is_no_page() -> None:
    request = Server().raw("GET", "/health", host="bucket.localhost:9000")
    assert (request.status, request.code) == (404, "NoSuchBucket")
    with_query = Server().raw("GET", "/health?verbose=1")
    assert with_query.status == 200


def test_health_tells_which_store_fails() -> None:
    server = Server(checks={"metadata": _broken, "storage": _broken})
    request = server.raw("GET", "/health")
    assert request.status == 503
    assert request.answered("content-type") == "application/json"
    assert json.loads(request.sent)["checks"]["metadata"]["status"] == "error"
    assert request.answered("retry-after") == "1"
    assert server.raw("GET", "/readyz").status == 503
    assert server.raw("GET", "/readyz").answered("retry-after") == "1"
    assert server.raw("GET", "/healthz").status == 200


def test_health_checks_can_be_switched_off() -> None:
    server = Server(health=False)
    assert json.loads(server.raw("GET", "/health").sent) == {"status": "ok"}
    assert server.raw("GET", "/healthz").status == 404
    assert server.raw("GET", "/readyz").status == 404


def test_metrics_can_be_switched_off() -> None:
    server = Server(metrics=False)
    assert server.raw("GET", "/metrics").status == 404


def test_metrics_show_requests_by_template_and_the_totals() -> None:
    server = Server()
    server.signed("PUT", "/bucket")
    server.signed("PUT", "/bucket/secret-key", body=b"12345")
    server.raw("GET", "/health")
    request = server.raw("GET", "/metrics")
    assert (request.answered("content-type") or "").startswith("text/plain")
    text = request.sent.decode()
    assert "secret-key" not in text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["bleepstore_http_requests_total", "/{bucket}/{key}", "200", "PUT"] == 1
    assert samples["bleepstore_http_requests_total", "/health", "200", "GET"] == 1
    assert samples["bleepstore_s3_operations_total", "PutObject", "success"] == 1
    assert samples[("bleepstore_objects_total",)] == 1
    assert samples[("bleepstore_buckets_total",)] == 1
    assert samples[("bleepstore_bytes_received_total",)] == 5


def test_the_documentation_is_whole_and_keeps_to_itself() -> None:
    server = Server()
    page = server.raw("GET", "/docs")
    assert page.answered("content-type") == "text/html; charset=utf-8"
    policy = page.answered("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert b"http" not in page.sent.replace(b"http-equiv", b"")
    for name, kind in (
        ("docs.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
    ):
        assert f"/docs/{name}".encode() in page.sent or name == "docs.js"
        asset = server.raw("GET", f"/docs/{name}")
        assert asset.status == 200
        assert (asset.answered("content-type") or "").startswith(kind)
        assert asset.answered("x-content-type-options") == "nosniff"
        assert asset.sent == files("bleepstore.s3").joinpath("static", name).read_bytes()
    assert server.raw("GET", "/docs/README.md").status == 404
