"""Gateways, and what is behind them: another BleepStore, a fake of Cloud Storage, or Azurite."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.fakes.fault_proxy import FaultProxy, Plan
from tests.integration import clients
from tests.integration.azurite import CONTAINER, connection_string
from tests.integration.daemon import Daemon

ROOT = Path(__file__).parents[2]
BUCKET = "backing"
PREFIX = "gateway/"


def backing_client(url: str) -> Any:
    """A client of the server behind, with the keys that the gateway has."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=clients.ACCESS_KEY,
        aws_secret_access_key=clients.SECRET_KEY,
        region_name=clients.REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def make_backing_bucket(url: str) -> None:
    client = backing_client(url)
    client.create_bucket(Bucket=BUCKET)
    client.close()


def gateway_settings(url: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a gateway to a server."""
    merged = dict(settings or {})
    merged["storage"] = {
        "backend": "aws",
        "aws": {
            "bucket": BUCKET,
            "prefix": PREFIX,
            "endpoint_url": url,
            "access_key_id": clients.ACCESS_KEY,
            "secret_access_key": clients.SECRET_KEY,
        },
        **merged.get("storage", {}),
    }
    return merged


@contextmanager
def cloud_storage(directory: Path) -> Iterator[dict[str, Any]]:
    """A process that is Cloud Storage with one bucket; the settings of a gateway to it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.gcs", BUCKET],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = re.fullmatch(r"listening on (\d+) (.+)\n", process.stdout.readline())
        assert found is not None, "the fake of Cloud Storage did not start"
        key = directory / "key.json"
        key.write_text(found[2])
        yield {
            "bucket": BUCKET,
            "prefix": PREFIX,
            "endpoint_url": f"http://127.0.0.1:{found[1]}",
            "credentials_file": str(key),
        }
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def google_gateway(directory: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Daemon]:
    """A gateway to Cloud Storage."""
    (directory / "front").mkdir()
    with cloud_storage(directory) as gcp:
        merged = dict(settings or {})
        merged["storage"] = {"backend": "gcp", "gcp": gcp, **merged.get("storage", {})}
        with Daemon(directory / "front", merged) as front:
            yield front


def azure_settings(
    url: str, settings: Mapping[str, Any] | None = None, prefix: str = PREFIX
) -> dict[str, Any]:
    """Settings of a gateway to an account of Azure Storage."""
    azure = {
        "container": CONTAINER,
        "prefix": prefix,
        "connection_string": connection_string(url),
    }
    merged = dict(settings or {})
    merged["storage"] = {"backend": "azure", "azure": azure, **merged.get("storage", {})}
    return merged


@contextmanager
def gateway(
    directory: Path, settings: Mapping[str, Any] | None = None, plan: Plan | None = None
) -> Iterator[tuple[Daemon, Daemon]]:
    """A gateway, and the server behind it.

    :param plan: of what goes wrong between the two.
    """
    (directory / "front").mkdir()
    (directory / "behind").mkdir()
    with Daemon(directory / "behind") as behind, ExitStack() as stack:
        make_backing_bucket(behind.url)
        url = behind.url
        if plan is not None:
            url = stack.enter_context(FaultProxy(behind.port, plan)).url
        with Daemon(directory / "front", gateway_settings(url, settings)) as front:
            yield front, behind
