"""A full disk gives the client an error, loses nothing, and the server goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(s3: Any, prefix: str, size: int) -> dict[str, bytes]:
    """Put objects until one is refused; those that were acknowledged."""
    kept: dict[str, bytes] = {}
    for n in range(100_000):
        key, body = f"{prefix}/{n}", os.urandom(size)
        try:
            s3.put_object(Bucket="full", Key=key, Body=body)
        except ClientError as error:
            refusal = error.response
            break
        kept[key] = body
    else:
        raise AssertionError("the disk never filled")
    assert refusal["ResponseMetadata"]["HTTPStatusCode"] in (500, 503, 507)
    assert refusal["Error"]["Code"] != "InternalError", "a full disk is no defect"
    return kept


def test_large_and_small_objects_on_a_full_disk(small_disk: Path) -> None:
    config = Config(retries={"total_max_attempts": 1})
    settings = {"storage": {"min_free_bytes": 0}}  # to its last byte
    with Daemon(small_disk, settings) as daemon:
        s3 = client_of(daemon, config=config)
        s3.create_bucket(Bucket="full")
        kept = fill(s3, "large", 3 * MIB)
        kept |= fill(s3, "small", 10_000)
        assert kept

        def verify() -> None:
            listed = s3.get_paginator("list_objects_v2").paginate(Bucket="full")
            assert {e["Key"] for page in listed for e in page["Contents"]} == set(kept)
            for key, body in kept.items():
                assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body

        verify()
        daemon.kill()
        (daemon.directory / "bleepstore.yaml").unlink()
        s3.close()
    # What a full disk could prevent is a start; room is what an operator makes first.
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    with Daemon(small_disk, settings) as daemon:
        s3 = client_of(daemon, config=config)
        verify()
        body = os.urandom(3 * MIB)
        s3.put_object(Bucket="full", Key="after", Body=body)
        kept["after"] = body
        verify()
        s3.close()


def test_small_objects_leave_room_to_delete_them(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=112m", str(small_disk)], check=True)
    config = Config(retries={"total_max_attempts": 1})
    with Daemon(small_disk) as daemon:
        s3 = client_of(daemon, config=config)
        s3.create_bucket(Bucket="full")
        kept = fill(s3, "small", 16_000)
        assert len(kept) > 1000
        with pytest.raises(ClientError, match="InsufficientStorage"):
            s3.put_object(Bucket="full", Key="large", Body=bytes(MIB))
        for key, body in kept.items():
            assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body
            s3.delete_object(Bucket="full", Key=key)
        s3.delete_bucket(Bucket="full")
        s3.close()
    assert any("storage.min_free_bytes" in line for line in daemon.log)
