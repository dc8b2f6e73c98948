"""Settings of a gateway: what is missing, and what contradicts itself."""

from __future__ import annotations

import pytest

from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError

AWS = {"STORAGE__BACKEND": "aws", "STORAGE__AWS__BUCKET": "backing"}


def problems(**settings: str) -> str:
    environ = {f"BLEEPSTORE__{name}": value for name, value in settings.items()}
    try:
        load(environ=environ, directory="/nonexistent")
    except ConfigError as error:
        return "\n".join(error.problems)
    return ""


def test_a_bucket_is_all_that_a_gateway_needs() -> None:
    assert problems(**AWS) == ""
    assert "storage.aws.bucket: must be given" in problems(STORAGE__BACKEND="aws")


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "host:9000", "http://", "http://host?query", "http://host:0",
     "http://host:nonsense", "http://user:secret@host"],
)  # fmt: skip
def test_an_endpoint_is_a_url_of_a_host(url: str) -> None:
    said = problems(**AWS, STORAGE__AWS__ENDPOINT_URL=url)
    assert "storage.aws.endpoint_url: must be an http or https URL of a host" in said
    assert "secret" not in said
    assert problems(**AWS, STORAGE__AWS__ENDPOINT_URL="http://127.0.0.1:9000/path") == ""


def test_a_key_has_two_halves() -> None:
    said = problems(**AWS, STORAGE__AWS__ACCESS_KEY_ID="id")
    assert "storage.aws.secret_access_key: must be given with the other one" in said
    said = problems(**AWS, STORAGE__AWS__SECRET_ACCESS_KEY="hunter2")
    assert "storage.aws.access_key_id: must be given with the other one" in said
    assert "hunter2" not in said


def test_a_bucket_that_cannot_serve_is_refused() -> None:
    aws = {"STORAGE__BACKEND": "aws"}
    said = problems(**aws, STORAGE__AWS__BUCKET="fast--use1-az4--x-s3")
    assert "storage.aws.bucket: is a directory bucket" in said
    said = problems(**aws, STORAGE__AWS__BUCKET="arn:aws:s3:us-east-1:1:accesspoint/name")
    assert "an ARN is not supported" in said


def test_a_gateway_to_google() -> None:
    gcp = {"STORAGE__BACKEND": "gcp", "STORAGE__GCP__BUCKET": "backing"}
    assert problems(**gcp) == ""
    assert "storage.gcp.bucket: must be given" in problems(STORAGE__BACKEND="gcp")
    said = problems(**gcp, STORAGE__GCP__ENDPOINT_URL="host:9000")
    assert "storage.gcp.endpoint_url: must be an http or https URL of a host" in said


def test_a_gateway_to_azure() -> None:
    azure = {"STORAGE__BACKEND": "azure", "STORAGE__AZURE__CONTAINER": "backing"}
    assert problems(**azure) == ""
    assert "storage.azure.container: must be given" in problems(STORAGE__BACKEND="azure")
    said = problems(**azure, STORAGE__AZURE__ENDPOINT_URL="host:9000")
    assert "storage.azure.endpoint_url: must be an http or https URL of a host" in said
    said = problems(
        **azure,
        STORAGE__AZURE__USE_MANAGED_IDENTITY="true",
        STORAGE__AZURE__CONNECTION_STRING="AccountName=a;AccountKey=hunter2",
    )
    assert "storage.azure.connection_string: has a key of its own" in said
    assert "hunter2" not in said


def test_what_is_not_used_is_not_looked_at() -> None:
    assert problems(STORAGE__AWS__ENDPOINT_URL="nonsense") == ""


def test_a_cache_is_for_a_cloud() -> None:
    assert "storage.cache.dir: is for" in problems(STORAGE__CACHE__DIR="cache")
    assert problems(**AWS, STORAGE__CACHE__DIR="cache") == ""
    assert "at least" in problems(**AWS, STORAGE__CACHE__MAX_BYTES="1000")
