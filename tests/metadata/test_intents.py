"""Intents: remembered, rehearsed, and ended with the command they were recorded for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bleepstore.errors import (
    BucketNotEmpty,
    InvalidPart,
    NoSuchBucket,
    OperationAborted,
    PreconditionFailed,
)
from bleepstore.metadata.database import open_in_memory
from bleepstore.metadata.digest import digest
from bleepstore.metadata.machine import StateMachine
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.model.commands import (
    AbortUpload,
    AnyCommand,
    DeleteBucket,
    DeleteObject,
    ForgetIntent,
    RecordIntent,
    encode,
)
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.intents import Intent
from bleepstore.model.objects import Extent, PlacedPart
from tests.contract.metadata_engines import ENGINES, Turns, end
from tests.metadata.values import MIB, bucket, complete, part, put, upload

LOCATOR = "00000001-00000001 object tag bucket/key"


class Engine:
    def __init__(self, make: Any, directory: Path) -> None:
        self.turns = Turns()
        self.store = make(directory, self.turns.clock)
        self.turns.run(self.store.start())
        self.submit(bucket())

    def submit(self, command: AnyCommand) -> Any:
        return self.turns.run(self.store.submit(command))

    def digest(self) -> str:
        """Of all content; a replicated engine's has its sessions too, which every command moves."""
        if isinstance(self.store, ReplicatedMetadata):
            return ""
        digest: str = self.turns.run(self.store.digest())
        return digest

    def intents(self) -> list[str]:
        return [intent.intent_id for intent in self.turns.run(self.store.intents())]

    def released(self) -> list[str]:
        return list(self.turns.run(self.store.released_blobs()))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    _, make = ENGINES[request.param]
    engine = Engine(make, tmp_path)
    yield engine
    end(engine.store, engine.turns)


def record(
    command: AnyCommand | None = None, intent_id: str = "i", key: str = "key", **more: Any
) -> RecordIntent:
    fields: dict[str, Any] = {"bucket": "bucket", "name": f"bucket/{key}", **more}
    return RecordIntent(
        at=1,
        intent=Intent(
            intent_id=intent_id,
            blob_id="b",
            key=key,
            command=b"" if command is None else encode(command),
            **fields,
        ),
    )


def test_an_intent_is_remembered_until_it_is_forgotten(engine: Engine) -> None:
    before = engine.digest()
    engine.submit(record(begun="b upload u bucket/key"))
    (intent,) = engine.turns.run(engine.store.intents())
    assert intent == record(begun="b upload u bucket/key").intent
    engine.submit(record(put("key"), intent_id="j"))
    assert engine.intents() == ["i", "j"]
    assert engine.turns.run(engine.store.intents("i", 1))[0].intent_id == "j"
    assert engine.turns.run(engine.store.intents(limit=1))[0].intent_id == "i"
    engine.submit(ForgetIntent(at=1, intent_id="i"))
    engine.submit(ForgetIntent(at=1, intent_id="i"))
    engine.submit(ForgetIntent(at=1, intent_id="j"))
    assert engine.digest() == before


def test_a_rehearsal_changes_nothing(engine: Engine) -> None:
    engine.submit(put("key", b"old", blob="old"))
    engine.submit(upload())
    engine.submit(part(1))
    before = engine.digest()
    engine.submit(record(put("key", b"new", blob="b")))
    engine.submit(record(put("new key", b"new", blob="b")))
    engine.submit(record(complete((1,)), intent_id="u1"))
    engine.submit(ForgetIntent(at=1, intent_id="i"))
    engine.submit(ForgetIntent(at=1, intent_id="u1"))
    assert engine.digest() == before
    totals = engine.turns.run(engine.store.totals())
    assert (totals.buckets, totals.objects) == (1, 1)


def test_what_the_command_would_refuse_is_refused_at_once(engine: Engine) -> None:
    engine.submit(put("key"))
    engine.submit(record(put("key"), begun="begun"))
    refused = put("key", conditions=WriteConditions(if_none_match=True))
    before = engine.digest()
    with pytest.raises(PreconditionFailed):
        engine.submit(record(refused))
    with pytest.raises(PreconditionFailed):
        engine.submit(record(refused, intent_id="j"))
    engine.submit(upload())
    with pytest.raises(InvalidPart):
        engine.submit(record(complete((1,)), intent_id="u1"))
    engine.submit(AbortUpload(at=1, bucket="bucket", key="big", upload_id="u1"))
    with pytest.raises(NoSuchBucket):
        engine.submit(record(bucket="missing", name="missing/key"))
    assert engine.digest() == before


def test_the_command_ends_its_intent_and_only_once(engine: Engine) -> None:
    engine.submit(put("key", b"old", blob="old"))
    final = put("key", b"new", blob=LOCATOR, intent="i", displaced="old")
    with pytest.raises(OperationAborted):
        engine.submit(final)
    engine.submit(record(final))
    engine.submit(final)
    assert engine.intents() == []
    assert engine.released() == []
    before = engine.digest()
    with pytest.raises(OperationAborted):
        engine.submit(final)
    assert engine.digest() == before


def test_a_completion_takes_the_place_where_the_cloud_has_joined_its_parts(
    engine: Engine,
) -> None:
    engine.submit(upload(native="b upload u bucket/big"))
    for number in (1, 2, 3):
        engine.submit(part(number, blob=f"p{number}"))
    parts = engine.turns.run(engine.store.part_extents("u1"))
    assert parts == [PlacedPart(n, (Extent(5 * MIB, f"p{n}"),)) for n in (1, 2, 3)]
    assert engine.turns.run(engine.store.part_extents("u1", 1, 1)) == parts[1:2]
    extents = (Extent(10 * MIB, LOCATOR),)
    final = complete((1, 2), extents=extents, intent="u1")
    engine.submit(record(final, intent_id="u1", key="big"))
    written = engine.submit(final)
    assert written.size == 10 * MIB
    found = engine.turns.run(engine.store.get_object("bucket", "big", "", True))
    assert found.manifest.extents == extents
    assert [each.number for each in found.manifest.parts] == [1, 2]
    assert engine.released() == ["p1", "p2", "p3"]
    assert engine.intents() == []
    assert engine.submit(final).etag == written.etag, "a repetition"
    engine.submit(DeleteObject(at=60, bucket="bucket", key="big"))
    assert engine.released() == [LOCATOR, "p1", "p2", "p3"]


def test_a_completion_whose_intent_has_ended_changes_nothing(engine: Engine) -> None:
    engine.submit(upload())
    engine.submit(part(1))
    final = complete((1,), extents=(Extent(5 * MIB, LOCATOR),), intent="u1")
    engine.submit(record(final, intent_id="u1", key="big"))
    engine.submit(ForgetIntent(at=1, intent_id="u1"))
    before = engine.digest()
    with pytest.raises(OperationAborted):
        engine.submit(final)
    assert engine.digest() == before


def test_an_upload_that_is_being_completed_is_not_aborted(engine: Engine) -> None:
    engine.submit(upload())
    engine.submit(part(1))
    engine.submit(record(complete((1,), intent="u1"), intent_id="u1", key="big"))
    abort = AbortUpload(at=1, bucket="bucket", key="big", upload_id="u1")
    with pytest.raises(OperationAborted):
        engine.submit(abort)
    engine.submit(ForgetIntent(at=1, intent_id="u1"))
    engine.submit(abort)


def test_what_the_cloud_keeps_of_an_upload_is_released_with_it(engine: Engine) -> None:
    engine.submit(upload("u1", native="native-1"))
    engine.submit(upload("u2", native="native-2"))
    engine.submit(AbortUpload(at=1, bucket="bucket", key="big", upload_id="u1"))
    assert engine.released() == ["native-1"]
    engine.submit(DeleteBucket(at=1, bucket="bucket"))
    assert engine.released() == ["native-1", "native-2"]


def test_what_the_cloud_keeps_of_an_upload_is_no_garbage_while_there_is_the_upload(
    engine: Engine,
) -> None:
    """The sweeper asks, after each start, of uploads that earlier processes began."""
    natives = ("completed", "aborted", "kept")
    for native in natives:
        engine.submit(upload(native, native=native))

    def referenced() -> set[str]:
        found: frozenset[str] = engine.turns.run(engine.store.referenced_blobs((*natives, "p1")))
        return set(found)

    assert referenced() == set(natives)
    engine.submit(part(1, upload_id="completed", blob="p1"))
    engine.submit(AbortUpload(at=1, bucket="bucket", key="big", upload_id="aborted"))
    assert referenced() == {"completed", "kept", "p1"}
    extents = (Extent(5 * MIB, LOCATOR),)
    final = complete((1,), upload_id="completed", extents=extents, intent="completed")
    engine.submit(record(final, intent_id="completed", key="big"))
    assert referenced() == {"completed", "kept", "p1"}, "a rehearsal leaves nothing"
    engine.submit(final)
    assert referenced() == {"kept"}
    assert sorted(engine.released()) == ["aborted", "p1"]


def test_a_bucket_with_an_intent_is_not_empty(engine: Engine) -> None:
    engine.submit(record(put("key", intent="i")))
    with pytest.raises(BucketNotEmpty):
        engine.submit(DeleteBucket(at=1, bucket="bucket"))
    engine.submit(ForgetIntent(at=1, intent_id="i"))
    engine.submit(DeleteBucket(at=1, bucket="bucket"))


@pytest.mark.parametrize("seed", range(20))
def test_a_rehearsal_leaves_the_rest_of_its_group_alone(seed: int) -> None:
    """However commands are grouped, every version has its content."""
    dice = random.Random(seed)
    databases = open_in_memory(), open_in_memory()
    grouped, single = StateMachine(lambda: databases[0]), StateMachine(lambda: databases[1])
    under_way: dict[str, AnyCommand] = {}
    serial = 0
    group: list[AnyCommand] = [bucket()]
    for _ in range(40):
        for _ in range(dice.randint(1, 6)):
            key = dice.choice("abc")
            if key in under_way:
                group.append(under_way.pop(key))
            elif dice.random() < 0.2:
                group.append(DeleteObject(at=1, bucket="bucket", key=key))
            else:
                serial += 1
                final = put(key, b"data", blob=f"b{serial}", intent=f"i{serial}")
                if dice.random() < 0.2:
                    first = WriteConditions(if_none_match=True)
                    final = msgspec.structs.replace(final, conditions=first)
                group.append(record(final, intent_id=f"i{serial}", key=key))
                under_way[key] = final
        grouped.apply_group(group)
        for command in group:
            single.apply_group([command])
        group = []
        assert digest(Reader(databases[0])) == digest(Reader(databases[1]))
        orphans = databases[0].execute(
            "SELECT key FROM versions WHERE content_id NOT IN (SELECT content_id FROM contents)"
        )
        assert orphans.fetchall() == []
