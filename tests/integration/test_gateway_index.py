"""``bleepstore gateway import`` and ``check``: the index and what the cloud holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backing import (
    BUCKET,
    PREFIX,
    backing_client,
    gateway_settings,
    make_backing_bucket,
)
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

PROGRAM = Path(sys.executable).with_name("bleepstore")


class Place:
    """A cloud with objects of other programs, and a gateway that is not running."""

    def __init__(self, behind: Daemon, directory: Path) -> None:
        self.front = Daemon(directory, gateway_settings(behind.url))
        self.cloud = backing_client(behind.url)

    def put(self, name: str, body: bytes = b"data", **more: Any) -> None:
        self.cloud.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=body, **more)

    def gateway(self, *arguments: str) -> tuple[int, str]:
        """Run the command beside the gateway's configuration; status and all that it said."""
        if not (self.front.directory / "bleepstore.yaml").exists():
            self.front.start().stop()
        done = subprocess.run(
            [PROGRAM, "gateway", *arguments],
            cwd=self.front.directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    for folder in ("behind", "front"):
        (tmp_path / folder).mkdir()
    with Daemon(tmp_path / "behind") as behind:
        make_backing_bucket(behind.url)
        made = Place(behind, tmp_path / "front")
        yield made
        made.cloud.close()


def test_what_the_cloud_holds_is_indexed_and_served(place: Place) -> None:
    for number in range(20):
        place.put(f"photos/2024/{number:03}.jpg", b"%d" % number, ContentType="image/jpeg")
    place.put("films/film", b"film", Metadata={"colour": "no"})
    place.put("no bucket's name/x")
    place.put("without a slash")
    status, said = place.gateway("check")
    assert status == 1
    assert "unknown\tgateway/films/film" in said
    status, said = place.gateway("import", "--prefix", "films/")
    assert (status, said) == (0, "1 objects seen, 1 indexed (4 bytes)\n")
    status, said = place.gateway("import")
    assert status == 0
    assert "23 objects seen, 20 indexed" in said
    assert "2 passed over" in said
    status, said = place.gateway("import")
    assert "23 objects seen, 0 indexed" in said, "it knows them by now"
    with place.front as front:
        s3 = client_of(front)
        assert {b["Name"] for b in s3.list_buckets()["Buckets"]} == {"films", "photos"}
        listed = s3.list_objects_v2(Bucket="photos", Prefix="2024/")["Contents"]
        assert len(listed) == 20
        answer = s3.get_object(Bucket="photos", Key="2024/007.jpg")
        assert (answer["Body"].read(), answer["ContentType"]) == (b"7", "image/jpeg")
        film = s3.head_object(Bucket="films", Key="film")
        assert (film["Metadata"], film["ContentLength"]) == ({"colour": "no"}, 4)
        status, said = place.gateway("check")
        assert status == 1
        assert "in use by another BleepStore" in said
        s3.close()


def test_drift_is_reported(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.front as front:
        s3 = client_of(front)
        s3.create_bucket(Bucket="bucket")
        for key in ("a", "b", "c", "d", "x" * 1024):
            s3.put_object(Bucket="bucket", Key=key, Body=b"ours")
        s3.close()
    # An operator's shell may lack the server's environment, and so its accounts.
    monkeypatch.setenv("BLEEPSTORE_ACCESS_KEY", "another")
    monkeypatch.setenv("BLEEPSTORE_SECRET_KEY", "than the server's")
    status, said = place.gateway("check")
    assert (status, said) == (0, "5 objects compared: index and cloud agree\n")
    place.put("bucket/b", b"theirs")
    place.put("bucket/aa", b"theirs")
    place.cloud.delete_object(Bucket=BUCKET, Key=f"{PREFIX}bucket/c")
    status, said = place.gateway("check")
    assert status == 1
    assert said.splitlines() == [
        "unknown\tgateway/bucket/aa",
        "changed\tgateway/bucket/b",
        "missing\tgateway/bucket/c",
        "6 objects compared: 1 changed, 1 missing, 1 unknown",
    ]


def test_another_place_than_that_of_the_index_is_noticed(place: Place) -> None:
    with place.front as front:
        s3 = client_of(front)
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="key", Body=b"ours")
        s3.close()
    place.cloud.create_bucket(Bucket="copy")
    place.front.settings["storage"]["aws"]["bucket"] = "copy"
    with pytest.raises(RuntimeError, match="is the index of objects in aws:backing/gateway/"):
        place.front.start()
    for command in ("check", "import"):
        status, said = place.gateway(command)
        assert status == 1
        assert "run bleepstore gateway moved" in said
    name = f"{PREFIX}bucket/key"
    place.cloud.copy_object(Bucket="copy", Key=name, CopySource={"Bucket": BUCKET, "Key": name})
    status, said = place.gateway("moved")
    assert status == 0
    assert "taken to lie in aws:copy/gateway/" in said
    assert place.gateway("check") == (0, "1 objects compared: index and cloud agree\n")
    with place.front as front:
        s3 = client_of(front)
        assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"ours"
        s3.close()


def test_an_order_that_makes_no_sense_is_refused(place: Place) -> None:
    assert place.gateway("import", "--backend", "floppy")[0] == 2
    assert place.gateway("tidy")[0] == 2
    (place.front.directory / "bleepstore.yaml").write_text("storage: {backend: local}\n")
    status, said = place.gateway("check")
    assert status == 1
    assert said.startswith("bleepstore gateway: storage.backend is local, no cloud")
