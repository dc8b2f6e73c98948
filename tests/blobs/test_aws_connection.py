"""From settings to a server and a path."""

from __future__ import annotations

from typing import Any

import pytest

from bleepstore.blobs.aws_connection import aws_origin
from bleepstore.config.storage_sections import AwsStorageConfig


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("https://backing.s3.eu-west-1.amazonaws.com", "")),
        ({"region": "cn-north-1"}, ("https://backing.s3.cn-north-1.amazonaws.com.cn", "")),
        ({"use_path_style": True}, ("https://s3.eu-west-1.amazonaws.com", "/backing")),
        ({"bucket": "a.b"}, ("https://s3.eu-west-1.amazonaws.com", "/a.b")),
        ({"endpoint_url": "http://127.0.0.1:9000"}, ("http://127.0.0.1:9000", "/backing")),
        ({"endpoint_url": "http://localhost:9000/"}, ("http://localhost:9000", "/backing")),
        ({"endpoint_url": "http://[::1]:9000"}, ("http://[::1]:9000", "/backing")),
        ({"endpoint_url": "https://s3.example"}, ("https://backing.s3.example", "")),
        (
            {"endpoint_url": "https://example/s3/", "use_path_style": True},
            ("https://example", "/s3/backing"),
        ),
    ],
)
def test_where_a_bucket_is(settings: dict[str, Any], expected: tuple[str, str]) -> None:
    config = AwsStorageConfig(**{"bucket": "backing", "region": "eu-west-1", **settings})
    origin, base = aws_origin(config)
    assert (str(origin), base) == expected
