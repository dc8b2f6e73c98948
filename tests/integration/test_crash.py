"""No acknowledged write is lost and none is half visible, whenever the server is killed.

Writers put, overwrite, copy, delete and upload in parts, each in keys of its own, so that what a
key may hold after a crash is known: what was acknowledged last, or the one write that was under
way.  After a random number of acknowledgements the server gets SIGKILL, is started again on the
same data, and every key is compared.  ``--crash-rounds`` says how often.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from tests.integration import backing
from tests.integration.backing import (
    PREFIX,
    backing_client,
    gateway_settings,
    make_backing_bucket,
)
from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

BUCKET = "crash"
WRITERS = 6
KEYS_EACH = 8
PART = 5 * 1024 * 1024
SIZES = (0, 1, 900, 16_384, 16_385, 70_000, 700_000)

Content = tuple[str, int] | None
"""What a key holds: seed and size of its bytes, or None for nothing."""


def bytes_of(content: tuple[str, int]) -> bytes:
    seed, size = content
    return random.Random(seed).randbytes(size)


class Ledger:
    """What was acknowledged for each key, and what was being tried when the server died."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.acknowledged: dict[str, Content] = {}
        self.under_way: dict[str, Content] = {}
        self.count = 0
        self.kill_at = 0
        self.kill = threading.Event()

    def begin(self, key: str, content: Content) -> None:
        with self.lock:
            self.under_way[key] = content

    def end(self, key: str, answer: Any) -> None:
        """:param answer: what said that it was done."""
        with self.lock:
            self.acknowledged[key] = self.under_way.pop(key)
            self.count += 1
            if self.count >= self.kill_at:
                self.kill.set()


class Writer(threading.Thread):
    """One client that writes until the server is gone.

    :cvar sizes: of what it writes, in bytes.
    """

    sizes = SIZES

    def __init__(self, number: int, daemon: Daemon, ledger: Ledger, dice: random.Random) -> None:
        super().__init__()
        self.keys = [f"writer-{number}/key-{n}" for n in range(KEYS_EACH)]
        self.ledger = ledger
        self.dice = dice
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        self.s3 = client_of(daemon, config=config)
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.ledger.kill.is_set():
                self._one()
        except (HTTPClientError, BotoCoreError):
            pass  # the server died under this request: that is the test
        except ClientError as error:
            self.failure = error
        finally:
            self.s3.close()

    def _one(self) -> None:
        key = self.dice.choice(self.keys)
        seed = f"{key}/{self.dice.random()}"
        steps: list[tuple[Callable[[str, str], None], int]] = [
            (self._put, 10),
            (self._remove, 3),
            (self._copy, 3),
            (self._multipart, 1),
        ]
        (step,) = self.dice.choices([s for s, _ in steps], [weight for _, weight in steps])
        step(key, seed)

    def _put(self, key: str, seed: str) -> None:
        content = (seed, self.dice.choice(self.sizes))
        self.ledger.begin(key, content)
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=bytes_of(content))
        self.ledger.end(key, answer)

    def _remove(self, key: str, _seed: str) -> None:
        self.ledger.begin(key, None)
        if self.dice.random() < 0.5:
            answer = self.s3.delete_object(Bucket=BUCKET, Key=key)
        else:
            answer = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
            assert "Errors" not in answer, answer
        self.ledger.end(key, answer)

    def _copy(self, key: str, _seed: str) -> None:
        sources = [k for k in self.keys if k != key and self.ledger.acknowledged.get(k)]
        if not sources:
            return
        source = self.dice.choice(sources)
        self.ledger.begin(key, self.ledger.acknowledged[source])
        answer = self.s3.copy_object(
            Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source}
        )
        self.ledger.end(key, answer)

    def _multipart(self, key: str, seed: str) -> None:
        content = (seed, PART + self.dice.choice((1, 20_000, 300_000)))
        body = bytes_of(content)
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        parts = []
        for number, piece in enumerate((body[:PART], body[PART:]), 1):
            done = self.s3.upload_part(
                Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=piece
            )
            parts.append({"PartNumber": number, "ETag": done["ETag"]})
        self.ledger.begin(key, content)
        answer = self.s3.complete_multipart_upload(
            Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        self.ledger.end(key, answer)


def held(s3: Any, key: str, size: int | None) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        assert size is None, f"{key} is listed but cannot be read"
        return None
    assert size == len(body), f"{key} is listed with {size} bytes and has {len(body)}"
    return body


def verify(s3: Any, ledger: Ledger) -> int:
    """Compare every key; what was under way is settled by what is there.  How many were made."""
    listed = {
        entry["Key"]: entry["Size"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for entry in page.get("Contents", ())
    }
    made = 0
    for key in sorted({*ledger.acknowledged, *ledger.under_way, *listed}):
        body = held(s3, key, listed.get(key))
        allowed = [ledger.acknowledged.get(key)]
        if key in ledger.under_way:
            allowed.append(ledger.under_way[key])
        for content in allowed:
            if body == (None if content is None else bytes_of(content)):
                made += key in ledger.under_way and content is allowed[-1]
                ledger.acknowledged[key] = content
                break
        else:
            size = None if body is None else len(body)
            pytest.fail(f"{key} holds {size} bytes, and may hold only {allowed}")
    ledger.under_way.clear()
    return made


def kill_again_and_again(
    daemon: Daemon, rounds: int, seed: int, check: Callable[[Any], None] = lambda s3: None
) -> None:
    """Load a server, kill it, start it again and compare every key; so many times.

    :param check: what else must hold after each start, given a client.
    """
    dice = random.Random(seed)
    ledger = Ledger()
    interrupted = made = 0
    daemon.start()
    try:
        s3 = client_of(daemon)
        s3.create_bucket(Bucket=BUCKET)
        for number in range(rounds):
            ledger.count, ledger.kill_at = 0, dice.randint(1, 120)
            ledger.kill.clear()
            writers = [
                Writer(n, daemon, ledger, random.Random(f"{seed}/{number}/{n}"))
                for n in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            ledger.kill.wait(timeout=120)
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            for writer in writers:
                writer.join(timeout=120)
                assert writer.failure is None, f"round {number}, seed {seed}: {writer.failure}"
            assert ledger.count >= ledger.kill_at, f"round {number}: nothing was acknowledged"
            interrupted += len(ledger.under_way)
            daemon.start()
            s3.close()
            s3 = client_of(daemon)
            made += verify(s3, ledger)
            check(s3)
        s3.close()
    finally:
        daemon.kill()
    assert interrupted >= rounds, "the kills must hit writes that are under way"
    print(f"{rounds} kills, {interrupted} writes under way, {made} of them had been made")


def test_sigkill_at_random_instants(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rounds: int = request.config.getoption("--crash-rounds")
    seed: int = request.config.getoption("--crash-seed")
    kill_again_and_again(Daemon(tmp_path), rounds, seed)


def test_sigkill_of_a_gateway(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Also, what the index describes is what lies in the cloud, to the byte, and no more."""
    rounds = max(1, request.config.getoption("--crash-rounds") // 5)
    seed: int = request.config.getoption("--crash-seed")
    (tmp_path / "behind").mkdir()
    (tmp_path / "front").mkdir()
    with Daemon(tmp_path / "behind") as behind:
        make_backing_bucket(behind.url)
        cloud = backing_client(behind.url)

        def require_agreement(s3: Any) -> None:
            """By now every key was read, and so settled; and a stop settles no more."""
            described = {
                f"{PREFIX}{BUCKET}/{entry['Key']}": entry["Size"]
                for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
                for entry in page.get("Contents", ())
            }
            lying = {
                entry["Key"]: entry["Size"]
                for page in cloud.get_paginator("list_objects_v2").paginate(Bucket=backing.BUCKET)
                for entry in page.get("Contents", ())
            }
            assert lying.items() >= described.items()
            for name in lying.keys() - described.keys():
                # A deletion that was committed is made good by the collector, a second later.
                key = name.removeprefix(f"{PREFIX}{BUCKET}/")
                with pytest.raises(s3.exceptions.ClientError, match="404"):
                    s3.head_object(Bucket=BUCKET, Key=key)

        front = Daemon(tmp_path / "front", gateway_settings(behind.url))
        kill_again_and_again(front, rounds, seed, require_agreement)
        cloud.close()
