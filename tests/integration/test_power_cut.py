"""No acknowledged write is lost by a power cut, whatever the disk made of what was not synced.

SIGKILL leaves what the kernel was told; a power cut does not.  So the system calls of a server
under load are written down and replayed on a model of a disk (``power``), which is cut at random
instants; a server is started on what is left, and every key compared.  Half the cuts keep nothing
that was not synced, the others what chance leaves of it.  ``--crash-rounds`` says how many.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cluster import FAST, Ports
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon
from tests.integration.power import ANSWERS, SYNCS, Call, Disk, Traced, calls
from tests.integration.test_crash import BUCKET, Content, Ledger, Writer, bytes_of, verify

WRITES = 150
SIZES = (0, 1, 900, 16_384, 16_385, 70_000)
DATA = "data/"
_REQUEST_ID = re.compile(rb"x-amz-request-id: (\w+)", re.IGNORECASE)


class History(Ledger):
    """All that was written, key by key, and by which requests."""

    def __init__(self) -> None:
        super().__init__()
        self.kill_at = WRITES
        self.writes: dict[str, list[tuple[Content, str]]] = {}

    def end(self, key: str, answer: Any) -> None:
        request_id = answer["ResponseMetadata"]["RequestId"]
        self.writes.setdefault(key, []).append((self.under_way[key], request_id))
        super().end(key, answer)

    def requests(self) -> set[str]:
        """All that wrote something."""
        return {request_id for writes in self.writes.values() for _, request_id in writes}

    def after(self, sent: set[str]) -> Ledger:
        """What is known of each key when these requests, and no others, have been answered."""
        ledger = Ledger()
        for key, writes in self.writes.items():
            for content, request_id in writes:
                if request_id not in sent:
                    ledger.under_way[key] = content
                    break
                ledger.acknowledged[key] = content
        return ledger


class SmallWriter(Writer):
    """Its objects and parts are small: strace writes down every byte."""

    sizes = SIZES

    def _multipart(self, key: str, seed: str) -> None:
        content = (seed, self.sizes[-1])
        name = {"Bucket": BUCKET, "Key": key}
        upload = self.s3.create_multipart_upload(**name)["UploadId"]
        etag = self.s3.upload_part(**name, UploadId=upload, PartNumber=1, Body=bytes_of(content))[
            "ETag"
        ]
        self.ledger.begin(key, content)
        answer = self.s3.complete_multipart_upload(
            **name,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
        )
        self.ledger.end(key, answer)


def answered(call: Call) -> set[str]:
    """The requests whose answers a call sent."""
    if call.name not in ANSWERS:
        return set()
    return {found.decode() for text in call.strings for found in _REQUEST_ID.findall(text)}


@dataclass
class Recording:
    """The life of one server, from its first start to its stop.

    :ivar bucket: the request that made the bucket.
    """

    settings: Mapping[str, Any]
    directory: Path
    calls: list[Call]
    history: History
    bucket: str

    def require_all(self, kept: Path, ledger: Ledger, when: str) -> None:
        """A server starts on what was left, and has all that was acknowledged."""
        kept.mkdir(exist_ok=True)
        with Daemon(kept, self.settings) as daemon:
            s3 = client_of(daemon)
            try:
                verify(s3, ledger)
            except pytest.fail.Exception as failure:
                pytest.fail(f"{when}: {failure}")
            finally:
                s3.close()
        wrong = [line for line in daemon.log if " error " in line or "Traceback" in line]
        assert not wrong, f"{when}: {wrong}"


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture(scope="module", params=["local", "sqlite", "cluster"])
def recording(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, ports: Ports
) -> Recording:
    """A server with files, one with all in SQLite, and a cluster of one node."""
    seed: int = request.config.getoption("--crash-seed")
    directory = tmp_path_factory.mktemp("power")
    settings: dict[str, Any] = {}
    if request.param == "sqlite":
        settings = {"storage": {"backend": "sqlite"}}
    if request.param == "cluster":
        address = f"127.0.0.1:{ports.take()}"
        settings = {
            "metadata": {"engine": "raft"},
            "cluster": {**FAST, "bind_addr": address, "snapshot_interval": 40},
        }
    history = History()
    with Traced(directory, settings) as daemon:
        s3 = client_of(daemon)
        made = s3.create_bucket(Bucket=BUCKET)["ResponseMetadata"]
        s3.close()
        writers = [SmallWriter(n, daemon, history, random.Random(f"{seed}/{n}")) for n in range(4)]
        for writer in writers:
            if request.param == "cluster":
                writer.sizes = SIZES[:4]  # what is small enough to travel in its log
            writer.start()
        for writer in writers:
            writer.join(timeout=120)
            assert writer.failure is None, writer.failure
    return Recording(settings, directory, list(calls(daemon.trace)), history, made["RequestId"])


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in (directory / DATA).rglob("*")
        if path.is_file()
    }


def test_the_model_saw_all_that_was_done(recording: Recording) -> None:
    disk = Disk(recording.directory)
    sent: set[str] = set()
    for call in recording.calls:
        disk.replay(call)
        sent |= answered(call)
    there = {path: body for path, body in disk.contents().items() if path.startswith(DATA)}
    assert there == files_of(recording.directory)
    assert sum(call.name in SYNCS for call in recording.calls) > 20
    assert recording.history.requests() <= sent


def test_a_power_cut_at_random_instants(
    recording: Recording, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rounds = max(2, request.config.getoption("--crash-rounds") // 5)
    seed: int = request.config.getoption("--crash-seed")
    dice = random.Random(seed)
    first = next(n for n, call in enumerate(recording.calls) if recording.bucket in answered(call))
    cuts = set(dice.sample(range(first, len(recording.calls)), rounds))
    disk = Disk(recording.directory)
    sent: set[str] = set()
    for number, call in enumerate(recording.calls):
        disk.replay(call)
        sent |= answered(call)
        if number in cuts:
            kept = tmp_path / str(number)
            disk.write_to(kept, dice if dice.random() < 0.5 else None)
            ledger = recording.history.after(sent)
            recording.require_all(kept, ledger, f"seed {seed}, after call {number}, a {call.name}")
    assert len(list(tmp_path.iterdir())) == rounds


def test_a_disk_that_lies_is_found_out(recording: Recording, tmp_path: Path) -> None:
    """So the other test can fail: nothing is kept here of what was synced in vain."""
    disk = Disk(recording.directory, heeds_syncs=False)
    for call in recording.calls:
        disk.replay(call)
    disk.write_to(tmp_path / "kept", None)
    everything = recording.history.after(recording.history.requests())
    with pytest.raises(Exception, match="NoSuchBucket"):
        recording.require_all(tmp_path / "kept", everything, "")
