"""Objects that lie in a cloud: the index never describes other bytes than are there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import md5
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from bleepstore.errors import (
    BadDigest,
    Displaced,
    IncompleteBody,
    InsufficientStorage,
    InternalError,
    InvalidPart,
    NoSuchKey,
    NoSuchUpload,
    OperationAborted,
    PreconditionFailed,
    ServiceUnavailable,
)
from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import Claims, PartCopyRequest, PutRequest, ReadRequest
from bleepstore.objectstore.sources import ATTEMPTS
from bleepstore.wire.copying import CopySource
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import Running, run
from tests.objectstore.world import ALICE, Payload, content, vanishing

LARGE = content(300_000)
PART = content(5 * 1024 * 1024)
DOWN = ServiceUnavailable("the cloud is away")


@pytest.fixture
def world() -> CloudWorld:
    return CloudWorld()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged, with its level."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(f"{event['log_level'].name} {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def putting(world: CloudWorld, key: str, body: bytes) -> Running[Any]:
    return Running(
        world.store.objects.put(
            world.caller(ALICE),
            PutRequest("bucket", key, Description()),
            Payload(body, length=len(body)),
        )
    )


def reading(world: CloudWorld, key: str) -> Running[Any]:
    async def read() -> bytes:
        found = await world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", key))
        body: bytes = found.inline if found.inline is not None else await found.read()
        found.close()
        return body

    return Running(read())


# What is in the cloud


@pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=len)
def test_an_object_lies_under_its_own_name(world: CloudWorld, body: bytes) -> None:
    description = Description({"content-type": "text/plain"}, {"colour": "blue"})
    world.put("a/key", body, description=description)
    lying = world.cloud.objects["bucket/a/key"]
    assert (lying.data, lying.description) == (body, description)
    assert world.get("a/key") == body
    world.require_agreement()


@pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=len)
def test_an_overwritten_object_leaves_nothing(world: CloudWorld, body: bytes) -> None:
    world.put("key", b"before")
    world.put("key", body)
    assert world.get("key") == body
    assert run(world.metadata.released_blobs()) == []
    world.require_agreement()


def test_a_deleted_object_is_gone_from_the_cloud_at_once(world: CloudWorld) -> None:
    world.put("key", b"data")
    world.delete("key")
    world.delete("key")
    assert not world.cloud.objects
    assert run(world.metadata.released_blobs()) == []


def test_many_are_deleted_at_once(world: CloudWorld) -> None:
    keys = [f"key-{number}" for number in range(40)]
    for key in keys:
        world.put(key, b"data")
    world.put("kept", b"data")
    targets = [DeleteTarget(key) for key in (*keys, "missing", keys[0])]
    targets.append(DeleteTarget("kept", if_match="another"))
    outcomes = run(world.store.objects.delete_many(world.caller(ALICE), "bucket", targets))
    assert [outcome is None for outcome in outcomes] == [True] * 42 + [False]
    assert set(world.cloud.objects) == {"bucket/kept"}
    world.require_agreement()


def test_what_cannot_be_deleted_at_once_is_collected_later(world: CloudWorld) -> None:
    world.put("key", b"data")
    world.cloud.lose_request("delete", DOWN)
    world.delete("key")
    assert world.cloud.objects
    with pytest.raises(NoSuchKey):
        world.get("key")
    run(world.collect())
    assert not world.cloud.objects
    assert run(world.metadata.released_blobs()) == []


def test_what_a_deletion_has_left_in_the_cloud_does_not_come_back(world: CloudWorld) -> None:
    world.put("key", b"before")
    world.cloud.lose_request("delete", DOWN)
    world.delete("key")
    world.put("key", b"after", conditions=WriteConditions(if_none_match=True))
    assert world.get("key") == b"after"
    run(world.collect())
    world.require_agreement()


def test_a_late_collection_spares_what_was_put_meanwhile(world: CloudWorld) -> None:
    world.put("key", b"data")
    world.cloud.lose_request("delete", DOWN)
    world.delete("key")
    del world.cloud.objects["bucket/key"]
    world.put("key", b"data")
    run(world.collect())
    assert world.get("key") == b"data"


# What is refused before the cloud is asked


@pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
def test_a_condition_is_decided_before_the_cloud_is_asked(world: CloudWorld, body: bytes) -> None:
    world.put("key", b"there")

    def replaced() -> None:
        world.put("other", b"meanwhile", conditions=WriteConditions(if_none_match=True))

    world.metadata.after("get_object", replaced)
    with pytest.raises(PreconditionFailed):
        world.put("other", body, conditions=WriteConditions(if_none_match=True))
    assert world.get("other") == b"meanwhile"
    world.require_agreement()


@pytest.mark.parametrize("body", [b"small", LARGE], ids=len)
def test_a_body_that_is_another_changes_nothing(world: CloudWorld, body: bytes) -> None:
    world.put("key", b"there")
    with pytest.raises(BadDigest):
        world.put("key", body, claims=Claims(md5=bytes(16)))
    with pytest.raises(IncompleteBody):
        world.put("key", vanishing(body))
    assert world.get("key") == b"there"
    world.require_agreement()


def test_a_bucket_with_a_write_under_way_is_not_empty(world: CloudWorld) -> None:
    gate = world.cloud.hold("put")
    writing = putting(world, "key", b"data")
    with pytest.raises(Exception, match="not empty"):
        run(world.store.buckets.delete(world.caller(ALICE), "bucket"))
    gate.callback(None)
    writing.result()
    assert world.get("key") == b"data"


# Doubt


@pytest.mark.parametrize(("body", "kind"), [(b"small", "put"), (LARGE, "complete")])
def test_a_write_whose_answer_was_lost_was_made(world: CloudWorld, body: bytes, kind: str) -> None:
    world.put("key", b"before")
    world.cloud.lose_answer(kind, DOWN)
    world.put("key", body)
    assert world.get("key") == body
    world.require_agreement()


@pytest.mark.parametrize(("body", "kind"), [(b"small", "put"), (LARGE, "complete")])
def test_a_write_that_never_arrived_changes_nothing(
    world: CloudWorld, body: bytes, kind: str
) -> None:
    world.put("key", b"before")
    world.cloud.lose_request(kind, DOWN)
    with pytest.raises(ServiceUnavailable):
        world.put("key", body)
    assert world.get("key") == b"before"
    world.require_agreement()


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize(("body", "kind"), [(b"small", "put"), (LARGE, "complete")])
def test_a_write_is_settled_when_the_cloud_is_back(
    world: CloudWorld, body: bytes, kind: str, arrived: bool
) -> None:
    world.put("key", b"before")
    (world.cloud.lose_answer if arrived else world.cloud.lose_request)(kind, DOWN)
    world.cloud.lose_request("look", DOWN)
    with pytest.raises(ServiceUnavailable):
        world.put("key", body)
    assert world.store.settling is not None
    assert len(world.store.settling.pending) == 1
    assert world.get("key") == (body if arrived else b"before")
    assert run(world.store.settling.settle_all())
    world.require_agreement()


@pytest.mark.parametrize(("error", "level"), [(DOWN, "warn"), (OSError("broken"), "critical")])
def test_a_cloud_that_is_away_is_a_warning_and_a_defect_is_critical(
    world: CloudWorld, log: list[str], error: Exception, level: str
) -> None:
    world.cloud.lose_request("put", DOWN)
    world.cloud.lose_request("look", error)
    with pytest.raises(ServiceUnavailable):
        world.put("doubtful", b"data")
    world.cloud.lose_request("delete", error)
    with pytest.raises(BadDigest):
        world.put("undone", LARGE, claims=Claims(md5=bytes(16)))
    world.cloud.lose_request("delete", error)
    world.cloud.after("begin", lambda: world.metadata.fail("submit", InsufficientStorage()))
    with pytest.raises(InsufficientStorage):
        world.upload("left")
    assert [" ".join(line.split(" ")[:5]) for line in log] == [
        f"{level} it is not known",
        f"{level} what was begun for",
        f"{level} what was staged as",
    ]


def test_the_next_write_settles_the_one_before(world: CloudWorld) -> None:
    world.cloud.lose_answer("put", DOWN)
    world.cloud.lose_request("look", DOWN)
    with pytest.raises(ServiceUnavailable):
        world.put("key", b"first")
    world.put("key", b"second")
    assert world.get("key") == b"second"
    world.require_agreement()


def test_a_write_that_cannot_be_committed_is_committed_later(world: CloudWorld) -> None:
    world.put("key", b"before")

    def full() -> None:
        world.metadata.fail("submit", InsufficientStorage())

    world.cloud.after("put", full)
    with pytest.raises(InsufficientStorage):
        world.put("key", b"after")
    assert world.get("key") == b"after"
    world.require_agreement()


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("lost", [ServiceUnavailable("undecided"), InternalError("the disk")])
def test_an_intent_of_which_it_is_not_known_whether_it_was_recorded_is_ended(
    world: CloudWorld, body: bytes, lost: Exception
) -> None:
    def lose() -> None:
        raise lost

    world.metadata.after("submit", lose)
    with pytest.raises(type(lost)):
        world.put("key", body)
    world.put("key", b"next")
    world.require_agreement()


def left_in_doubt(world: CloudWorld, key: str, body: bytes) -> None:
    """A write that has arrived, and nobody can say so for now."""
    world.cloud.lose_answer("put", DOWN)
    world.cloud.lose_request("look", DOWN)
    with pytest.raises(ServiceUnavailable):
        world.put(key, body)


def settle(world: CloudWorld) -> bool:
    assert world.store.settling is not None
    return run(world.store.settling.settle_all())


@pytest.mark.parametrize("error", [DOWN, OSError("broken")])
def test_what_cannot_be_settled_yet_does_not_hold_up_the_rest(
    world: CloudWorld, error: Exception
) -> None:
    for key in ("first", "second"):
        left_in_doubt(world, key, b"data")
    world.cloud.lose_request("look", error)
    assert not settle(world)
    assert world.store.settling is not None
    assert list(world.store.settling.pending) == ["bucket/first"]
    assert settle(world)
    assert world.get("first") == world.get("second") == b"data"
    world.require_agreement()


def test_a_commit_whose_answer_was_lost_is_not_made_twice(world: CloudWorld) -> None:
    def lose() -> None:
        raise InternalError("the disk")

    world.put("key", b"before")
    world.cloud.after("put", lambda: world.metadata.after("submit", lose))
    with pytest.raises(InternalError):
        world.put("key", b"after")
    assert settle(world)
    assert world.get("key") == b"after"
    assert run(world.metadata.released_blobs()) == []
    world.require_agreement()


@pytest.mark.parametrize(
    "error", [ServiceUnavailable("no quorum"), InternalError("x"), InsufficientStorage()]
)
def test_a_commit_that_fails_for_now_is_left_for_later(world: CloudWorld, error: Exception) -> None:
    left_in_doubt(world, "key", b"data")
    world.metadata.fail("submit", error)
    assert not settle(world)
    assert settle(world)
    assert world.get("key") == b"data"
    world.require_agreement()


def test_what_can_never_be_committed_is_taken_for_another_programs(
    world: CloudWorld, log: list[str]
) -> None:
    world.put("key", b"before")
    left_in_doubt(world, "key", b"data")
    world.metadata.fail("submit", PreconditionFailed())
    assert settle(world)
    assert "error what was written to bucket/key can no longer be committed" in log[-1]
    assert run(world.metadata.intents()) == []
    assert world.get("key") == b"data"
    world.require_agreement()


def test_what_cannot_be_undone_is_pending(world: CloudWorld) -> None:
    world.cloud.lose_request("delete", DOWN)
    with pytest.raises(BadDigest):
        world.put("key", LARGE, claims=Claims(md5=bytes(16)))
    assert world.store.settling is not None
    assert list(world.store.settling.pending) == ["bucket/key"]
    assert settle(world)
    assert not world.cloud.uploads
    world.require_agreement()


def test_settling_waits_for_a_commit_that_is_under_way(world: CloudWorld) -> None:
    gates: list[Deferred[None]] = []
    world.cloud.after("put", lambda: gates.append(world.metadata.hang("submit")))
    writing = putting(world, "key", b"data")
    assert world.store.settling is not None
    settling = Running(world.store.settling.settle_all())
    assert not settling.done
    gates[0].callback(None)
    writing.result()
    assert settling.result()
    world.require_agreement()


# Crashes


def _cut(world: CloudWorld, moment: str) -> None:
    """Have everything stop for ever at a moment of the next write."""
    kind, when = moment.split()
    if kind.startswith("submit"):
        count = int(kind.removeprefix("submit"))
        add = world.metadata.before if when == "before" else world.metadata.after
        for _ in range(count - 1):
            add("submit", lambda: None)
        add("submit", lambda: world.cloud.hold("never"))
    else:
        hold: Callable[[str, Callable[[], Any]], None] = (
            world.cloud.before if when == "before" else world.cloud.after
        )
        hold(kind, lambda: world.cloud.hold("never"))


@pytest.mark.parametrize(
    "moment", ["submit1 before", "submit1 after", "put before", "put after", "submit2 before",
               "submit2 after"]
)  # fmt: skip
@pytest.mark.parametrize("existed", [True, False])
def test_a_crash_at_any_moment_of_a_small_write(
    world: CloudWorld, moment: str, existed: bool
) -> None:
    if existed:
        world.put("key", b"before")
    _cut(world, moment)
    writing = putting(world, "key", b"after")
    assert not writing.done
    world.crash()
    world.require_agreement()
    made = moment in ("put after", "submit2 before", "submit2 after")
    if made or existed:
        assert world.get("key") == (b"after" if made else b"before")
    else:
        with pytest.raises(NoSuchKey):
            world.get("key")
    world.put("key", b"and on")
    assert world.get("key") == b"and on"


@pytest.mark.parametrize(
    "moment", ["submit1 before", "submit1 after", "submit2 after", "complete before",
               "complete after", "submit3 before", "submit3 after"]
)  # fmt: skip
def test_a_crash_at_any_moment_of_a_large_write(world: CloudWorld, moment: str) -> None:
    world.put("key", b"before")
    _cut(world, moment)
    writing = putting(world, "key", LARGE)
    assert not writing.done
    world.crash()
    if moment == "submit1 before":
        # An upload without parts costs nothing; that it was begun could not be told yet.
        world.cloud.uploads.clear()
    world.require_agreement()
    made = moment in ("complete after", "submit3 before", "submit3 after")
    assert world.get("key") == (LARGE if made else b"before")


def test_a_large_write_that_arrives_after_a_crash_is_not_overlooked(world: CloudWorld) -> None:
    """The process is dead and another has looked; only then does the cloud do what was asked."""
    world.put("key", b"before")
    arrival = world.cloud.hold("complete")
    world.cloud.after("complete", lambda: world.cloud.hold("never"))
    writing = putting(world, "key", LARGE)
    assert not writing.done
    world.cloud.before("delete", lambda: arrival.callback(None))
    world.crash()
    world.require_agreement()
    assert world.get("key") == LARGE


@pytest.mark.parametrize("moment", ["submit1 before", "submit1 after", "delete before"])
def test_a_crash_at_any_moment_of_a_deletion(world: CloudWorld, moment: str) -> None:
    world.put("key", b"data")
    _cut(world, moment)
    deleting = Running(world.store.objects.delete(world.caller(ALICE), "bucket", "key"))
    assert not deleting.done
    world.crash()
    run(world.collect())
    world.require_agreement()
    assert bool(world.cloud.objects) == (moment == "submit1 before")


@pytest.mark.parametrize("moment", ["submit1 after", "complete before", "complete after"])
def test_a_crash_at_any_moment_of_a_completion(world: CloudWorld, moment: str) -> None:
    upload = world.upload("key")
    parts = [world.part(upload, 1, PART), world.part(upload, 2, b"end")]
    _cut(world, moment)
    completing = Running(world.completing(upload, parts))
    assert not completing.done
    world.crash()
    if moment == "complete after":
        assert world.get("key") == PART + b"end"
    else:
        with pytest.raises(NoSuchKey):
            world.get("key")
    world.complete(upload, *parts)  # the client tries again, whatever had become of it
    assert world.get("key") == PART + b"end"
    run(world.collect())
    world.require_agreement()


# Others at the same time


def test_a_read_meets_a_write_between_cloud_and_commit(world: CloudWorld) -> None:
    world.put("key", b"before")
    gate = world.cloud.hold("never")
    world.cloud.after("put", lambda: gate)
    writing = putting(world, "key", b"after")
    reader = reading(world, "key")
    assert not reader.done
    gate.callback(None)
    writing.result()
    assert reader.result() == b"after"


def test_a_read_meets_a_deletion(world: CloudWorld) -> None:
    world.put("key", b"data")
    gate = world.cloud.hold("read")
    reader = reading(world, "key")
    world.delete("key")
    gate.callback(None)
    with pytest.raises(NoSuchKey):
        reader.result()


def test_writes_of_one_key_follow_each_other(world: CloudWorld) -> None:
    gate = world.cloud.hold("put")
    first, second = putting(world, "key", b"first"), putting(world, "key", b"second")
    other = putting(world, "other", b"other")
    assert (first.done, second.done, other.done) == (False, False, True)
    gate.callback(None)
    first.result(), second.result()
    assert world.get("key") == b"second"
    world.require_agreement()


def test_only_one_of_several_first_writes_succeeds(world: CloudWorld) -> None:
    writers = [
        Running(
            world.store.objects.put(
                world.caller(ALICE),
                PutRequest(
                    "bucket", "key", Description(), conditions=WriteConditions(if_none_match=True)
                ),
                Payload(b"%d" % number, length=1),
            )
        )
        for number in range(5)
    ]
    outcomes = []
    for number, writer in enumerate(writers):
        try:
            writer.result()
            outcomes.append(number)
        except PreconditionFailed:
            pass
    assert len(outcomes) == 1
    assert world.get("key") == b"%d" % outcomes[0]


def deleting(world: CloudWorld, *keys: str) -> Running[Any]:
    targets = [DeleteTarget(key) for key in keys]
    return Running(world.store.objects.delete_many(world.caller(ALICE), "bucket", targets))


def test_a_deletion_of_many_waits_for_a_write_of_one(world: CloudWorld) -> None:
    world.put("key", b"before")
    gate = world.cloud.hold("put")
    writing = putting(world, "key", b"after")
    deletion = deleting(world, "key", "another")
    assert not deletion.done
    gate.callback(None)
    writing.result()
    assert deletion.result() == (None, None)
    with pytest.raises(NoSuchKey):
        world.get("key")
    world.require_agreement()


def test_a_deletion_of_many_settles_the_write_before(world: CloudWorld) -> None:
    """Else what was deleted would be there again when the cloud can be asked."""
    world.cloud.lose_answer("put", DOWN)
    world.cloud.lose_request("look", DOWN)
    with pytest.raises(ServiceUnavailable):
        world.put("key", b"doubtful")
    assert deleting(world, "key").result() == (None,)
    assert world.store.settling is not None
    assert not world.store.settling.pending
    with pytest.raises(NoSuchKey):
        world.get("key")
    world.require_agreement()


def test_a_completion_waits_for_a_write_of_its_key(world: CloudWorld) -> None:
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    gate = world.cloud.hold("never")
    world.cloud.after("put", lambda: gate)
    writing = putting(world, "key", b"before")
    completing = Running(world.completing(upload, [part]))
    assert not completing.done
    gate.callback(None)
    writing.result()
    completing.result()
    assert world.get("key") == PART
    world.require_agreement()


def test_parts_of_one_number_follow_each_other(world: CloudWorld) -> None:
    """What the cloud has last is committed last."""
    upload = world.upload("key")
    gate = world.cloud.hold("never")
    world.cloud.after("part", lambda: gate)
    first = Running(world.sending(upload, 1, b"first"))
    second = Running(world.sending(upload, 1, b"second"))
    other = Running(world.sending(upload, 2, b"other"))
    assert (first.done, second.done, other.done) == (False, False, True)
    gate.callback(None)
    first.result()
    world.complete(upload, second.result())
    assert world.get("key") == b"second"


# Other programs


def test_a_read_notices_what_another_program_put_there(world: CloudWorld) -> None:
    world.put("key", b"ours")
    tag = world.cloud.put(
        "bucket/key", b"their bytes", description=Description({"content-type": "a/b"})
    )
    assert world.get("key") == b"their bytes"
    head = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "key")))
    assert (head.version.etag, head.version.size) == (tag, 11)
    assert head.version.description.headers == {"content-type": "a/b"}
    world.require_agreement()


def test_a_read_notices_what_another_program_deleted(world: CloudWorld) -> None:
    world.put("key", b"ours")
    del world.cloud.objects["bucket/key"]
    with pytest.raises(NoSuchKey):
        world.get("key")
    run(world.collect())
    world.require_agreement()


def test_a_write_replaces_what_another_program_put_there(world: CloudWorld) -> None:
    world.cloud.put("bucket/key", b"theirs")
    world.put("key", b"ours")
    assert world.get("key") == b"ours"
    world.require_agreement()


@pytest.mark.parametrize("body", [b"ours", LARGE], ids=len)
def test_a_write_that_another_program_is_always_ahead_of_is_given_up(
    world: CloudWorld, body: bytes
) -> None:
    for number in range(ATTEMPTS):
        theirs = b"theirs %d" % number
        kind = "put" if body == b"ours" else "complete"
        world.cloud.before(kind, partial(world.cloud.put, "bucket/key", theirs))
    with pytest.raises(OperationAborted):
        world.put("key", body)
    assert world.get("key") == theirs
    world.require_agreement()


def test_a_write_that_another_program_was_ahead_of_for_a_moment_is_made(world: CloudWorld) -> None:
    world.put("key", b"before")
    world.cloud.lose_request("put", Displaced())
    world.put("key", b"ours")
    assert world.get("key") == b"ours"
    world.require_agreement()


def test_a_condition_counts_what_another_program_put_there(world: CloudWorld) -> None:
    world.cloud.put("bucket/key", b"theirs")
    with pytest.raises(PreconditionFailed):
        world.put("key", b"ours", conditions=WriteConditions(if_none_match=True))
    assert world.get("key") == b"theirs"
    world.require_agreement()


def test_by_configuration_foreign_changes_are_refused() -> None:
    world = CloudWorld(adopt=False)
    world.put("key", b"ours")
    world.cloud.put("bucket/key", b"theirs")
    with pytest.raises(OperationAborted):
        world.get("key")
    with pytest.raises(OperationAborted):
        world.put("key", b"ours again")
    assert world.cloud.objects["bucket/key"].data == b"theirs"
    assert run(world.metadata.intents()) == []


# Copies


def test_a_copy_is_made_by_the_cloud(world: CloudWorld) -> None:
    world.put("source", LARGE, description=Description({}, {"a": "b"}))
    world.requests()
    world.copy("source", "copy")
    assert world.requests() == ["copy"]
    assert world.get("copy") == LARGE
    assert world.cloud.objects["bucket/copy"].description.metadata == {"a": "b"}
    world.delete("source")
    assert world.get("copy") == LARGE
    world.require_agreement()


def test_an_object_is_copied_onto_itself_with_another_description(world: CloudWorld) -> None:
    world.put("key", LARGE)
    world.copy("key", "key", replace=Description({}, {"new": "yes"}))
    assert world.cloud.objects["bucket/key"].description.metadata == {"new": "yes"}
    assert world.get("key") == LARGE
    world.require_agreement()


def test_a_copy_takes_the_source_as_it_is_by_then(world: CloudWorld) -> None:
    world.put("source", b"old")
    world.cloud.before("copy", lambda: world.put("source", b"new"))
    world.copy("source", "copy")
    assert world.get("copy") == b"new"
    world.require_agreement()


def test_a_copy_of_an_object_of_parts_keeps_its_parts(world: CloudWorld) -> None:
    upload = world.upload("source")
    written = world.complete(upload, world.part(upload, 1, PART), world.part(upload, 2, b"end"))
    copied = world.copy("source", "copy")
    assert copied.etag == written.etag
    assert world.get("copy", part_number=2) == b"end"
    world.require_agreement()


# Uploads


def test_an_upload_is_the_clouds_own(world: CloudWorld) -> None:
    upload = world.upload("key", Description({"content-type": "video/mp4"}))
    parts = [world.part(upload, 1, PART), world.part(upload, 2, b"end")]
    world.part(upload, 3, b"not used")
    assert len(world.cloud.uploads) == 1
    assert not world.cloud.objects
    world.complete(upload, *parts)
    assert world.get("key") == PART + b"end"
    assert world.get("key", part_number=2) == b"end"
    assert world.cloud.objects["bucket/key"].description.headers == {"content-type": "video/mp4"}
    run(world.collect())
    world.require_agreement()


def test_the_etag_of_a_part_is_what_the_cloud_has_told(world: CloudWorld) -> None:
    world.native.tells_md5 = True
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    assert part.etag == md5(PART).hexdigest()
    world.complete(upload, part)
    assert world.get("key") == PART
    run(world.collect())
    world.require_agreement()


@pytest.mark.parametrize("body", [b"", LARGE], ids=len)
def test_a_part_is_copied_by_the_cloud(world: CloudWorld, body: bytes) -> None:
    world.put("source", body)
    upload = world.upload("key")
    world.requests()
    request = PartCopyRequest(upload, 1, CopySource("bucket", "source"))
    part = run(world.store.uploads.copy_part(world.caller(ALICE), request))
    assert "read" not in world.requests()
    assert part.etag == md5(body).hexdigest()
    world.complete(upload, CompletedPart(1, part.etag))
    assert world.get("key") == body
    run(world.collect())
    world.require_agreement()


@pytest.mark.parametrize("lost", [ServiceUnavailable("undecided"), InternalError("the disk")])
def test_an_upload_of_which_it_is_not_known_whether_it_was_recorded_is_kept(
    world: CloudWorld, lost: Exception
) -> None:
    def lose() -> None:
        raise lost

    world.metadata.after("submit", lose)
    with pytest.raises(type(lost)):
        world.upload("key")
    assert len(world.cloud.uploads) == 1
    world.require_agreement()


def test_a_completion_that_is_refused_leaves_the_upload(world: CloudWorld) -> None:
    world.put("key", b"there")
    upload = world.upload("key")
    first = world.part(upload, 1, PART)
    world.requests()
    with pytest.raises(InvalidPart):
        world.complete(upload, first, type(first)(2, first.etag))
    assert "complete" not in world.requests()
    world.complete(upload, first)
    assert world.get("key") == PART
    run(world.collect())
    world.require_agreement()


def test_an_abort_and_a_bucket_that_goes_end_uploads_in_the_cloud(world: CloudWorld) -> None:
    upload = world.upload("key")
    world.part(upload, 1, PART)
    run(world.store.uploads.abort(world.caller(ALICE), upload))
    assert not world.cloud.uploads
    with pytest.raises(NoSuchUpload):
        world.part(upload, 2, b"x")
    world.upload("other")
    run(world.store.buckets.delete(world.caller(ALICE), "bucket"))
    run(world.collect())
    assert not world.cloud.uploads


def test_an_upload_is_not_aborted_while_it_is_completed(world: CloudWorld) -> None:
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    gate = world.cloud.hold("complete")
    completing = Running(world.completing(upload, [part]))
    with pytest.raises(OperationAborted):
        run(world.store.uploads.abort(world.caller(ALICE), upload))
    gate.callback(None)
    completing.result()
    assert world.get("key") == PART


def test_no_part_is_replaced_while_an_object_is_made_of_it(world: CloudWorld) -> None:
    """Else the object would have the bytes of one and the ETag of the other."""
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    gate = world.cloud.hold("complete")
    completing = Running(world.completing(upload, [part]))
    another = Running(world.sending(upload, 1, b"another"))
    gate.callback(None)
    assert completing.result().etag == md5(bytes.fromhex(part.etag)).hexdigest() + "-1"
    with pytest.raises(NoSuchUpload):
        another.result()
    assert world.get("key") == PART
    world.require_agreement()


def test_a_completion_takes_a_part_whose_replacement_is_under_way(world: CloudWorld) -> None:
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    gate = world.cloud.hold("part")
    sending = Running(world.sending(upload, 1, b"another"))
    completing = Running(world.completing(upload, [type(part)(1, md5(b"another").hexdigest())]))
    gate.callback(None)
    sending.result()
    completing.result()
    assert world.get("key") == b"another"
    world.require_agreement()


def test_no_part_is_replaced_of_which_an_object_may_have_been_made(world: CloudWorld) -> None:
    upload = world.upload("key")
    part = world.part(upload, 1, PART)
    world.cloud.lose_answer("complete", DOWN)
    world.cloud.lose_request("look", DOWN)
    with pytest.raises(ServiceUnavailable):
        world.complete(upload, part)
    with pytest.raises(NoSuchUpload):
        world.part(upload, 1, b"another")
    assert world.get("key") == PART
    world.require_agreement()


@pytest.mark.parametrize("directories", [False, True])
def test_a_part_that_comes_too_late_leaves_nothing(world: CloudWorld, directories: bool) -> None:
    world.native.directories = directories
    upload = world.upload("key")
    gate = world.cloud.hold("part")
    sending = Running(world.sending(upload, 1, PART))
    run(world.store.uploads.abort(world.caller(ALICE), upload))
    gate.callback(None)
    with pytest.raises(NoSuchUpload):
        sending.result()
    world.require_agreement()


# Everything at once


@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_with_a_cloud_that_fails(seed: int) -> None:
    dice = random.Random(seed)
    world = CloudWorld()
    keys = ["a", "b", "c"]
    expected: dict[str, set[bytes | None]] = {key: {None} for key in keys}
    for number in range(60):
        key = dice.choice(keys)
        for kind in ("put", "complete", "copy", "delete", "look"):
            if dice.random() < 0.15:
                lose = dice.choice([world.cloud.lose_answer, world.cloud.lose_request])
                lose(kind, DOWN)
        body: bytes | None = b"%d " % number * dice.choice([1, 300])
        step = dice.random()
        try:
            if step < 0.5:
                world.put(key, body or b"")
            elif step < 0.7:
                body = None
                world.delete(key)
            else:
                source = dice.choice(keys)
                if source == key or len(expected[source]) != 1:
                    continue
                (body,) = expected[source]
                if body is None:
                    continue
                world.copy(source, key)
        except ServiceUnavailable:
            expected[key] = expected[key] | {body}
        else:
            expected[key] = {body}
        if dice.random() < 0.1:
            world.cloud._before.clear()
            world.cloud._after.clear()
            world.crash()
    world.cloud._before.clear()
    world.cloud._after.clear()
    world.crash()
    run(world.collect())
    world.require_agreement()
    for key, allowed in expected.items():
        try:
            found: bytes | None = world.get(key)
        except NoSuchKey:
            found = None
        assert found in allowed
