"""Groups of commands: whole or not at all, and the same however they are grouped."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bleepstore.errors import NoSuchBucket, NoSuchKey
from bleepstore.metadata.apply import APPLY
from bleepstore.metadata.database import open_in_memory
from bleepstore.metadata.digest import TABLES, digest
from bleepstore.metadata.listing import list_objects
from bleepstore.metadata.machine import Outcome, StateMachine
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.transaction import SLICE, Steps, Transaction
from bleepstore.model import commands as model
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.acl import CannedAcl, canned_acl, private_acl
from bleepstore.model.commands import (
    AnyCommand,
    DeleteBucket,
    DeleteObject,
    Done,
    ForgetBlobs,
    OpenEpoch,
    PutObject,
    RecordIntent,
    Written,
    decode,
    encode,
)
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.intents import Intent
from bleepstore.model.objects import Extent, Manifest
from tests.metadata.values import OTHER, OWNER, bucket, complete, copy, part, put, upload


class Replica:
    """A state machine on a database of its own."""

    def __init__(self) -> None:
        self.connection = open_in_memory()
        self.machine = StateMachine(lambda: self.connection)
        self.applied = 0

    def apply(self, *commands: AnyCommand, mark: int | None = None) -> list[Outcome]:
        self.applied += len(commands)
        return self.machine.apply_group(commands, mark)

    def content_of(self, key: str) -> int:
        """Of the current version in ``bucket``; 0: there is none."""
        version = Reader(self.connection).get_object("bucket", key, "", False).version
        return 0 if version is None else version.content_id

    def digest(self) -> str:
        return digest(Reader(self.connection))


@pytest.fixture
def replica() -> Replica:
    return Replica()


def test_every_command_has_its_apply_function() -> None:
    assert set(APPLY) == set(model.AnyCommand.__args__)


def test_the_digest_reads_every_table(replica: Replica) -> None:
    tables = replica.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    assert {name for (name,) in tables} == set(TABLES)


def test_a_bucket_that_is_made_anew_within_a_group_has_nothing_of_the_old_one(
    replica: Replica,
) -> None:
    outcomes = replica.apply(
        bucket(),
        put("a"),
        DeleteObject(at=11, bucket="bucket", key="a"),
        DeleteBucket(at=12, bucket="bucket"),
        put("lost"),
        bucket(),
        put("b"),
    )
    assert [type(outcome) for outcome in outcomes[3:]] == [Done, NoSuchBucket, Done, Written]
    ids = replica.connection.execute("SELECT id FROM buckets").fetchall()
    held = replica.connection.execute("SELECT bucket_id, key FROM versions").fetchall()
    assert ids == [(2,)]
    assert held == [(2, b"b")]


def test_a_bucket_that_changes_within_a_group_is_noticed_by_those_after_it(
    replica: Replica,
) -> None:
    replica.apply(bucket())
    before = Reader(replica.connection).peek_bucket("bucket")[1]
    public = canned_acl(CannedAcl.PUBLIC_READ, OWNER, OWNER)
    outcomes = replica.apply(
        put("a", access=before),
        model.PutBucketAcl(at=2, bucket="bucket", acl=public),
        put("b", access=before),
        bucket(at=3),  # again, by its owner: the ACL is as it was
        put("c", access=before),
    )
    assert [type(each).__name__ for each in outcomes] == [
        "Written", "Done", "BucketChanged", "Done", "Written",
    ]  # fmt: skip


def test_a_rehearsal_takes_nothing_of_the_commands_before_it_in_its_group(
    replica: Replica,
) -> None:
    replica.apply(bucket(), put("big", b"old", blob="old"), upload(), part(1))
    final = complete((1,), intent="u1")
    intent = Intent(
        intent_id="u1",
        blob_id="new",
        bucket="bucket",
        key="big",
        name="bucket/big",
        command=encode(final),
    )
    # The rehearsed command drops a content that names a blob, so it writes all that wait.
    replica.apply(put("other", b"other", blob="o"), RecordIntent(at=1, intent=intent))
    manifest = Reader(replica.connection).get_object("bucket", "other", "", True).manifest
    assert manifest == Manifest((Extent(5, "o"),))


def test_a_refused_command_leaves_its_group_as_if_it_had_not_been_there() -> None:
    clean, mixed = Replica(), Replica()
    clean.apply(bucket(), put("a"), put("b"))
    outcomes = mixed.apply(
        bucket(),
        put("a"),
        put("x", to="missing", blob="blob-x"),
        put("y", conditions=WriteConditions(if_match="*"), blob="blob-y"),
        put("b"),
    )
    assert [type(outcome) for outcome in outcomes] == [
        Done,
        Written,
        NoSuchBucket,
        NoSuchKey,
        Written,
    ]
    assert mixed.digest() == clean.digest()


def broken_acl(tx: Transaction, command: model.PutObjectAcl) -> Steps[Done]:
    """Writes, also all that waits, moves every counter, and then breaks or refuses."""
    tx.execute("INSERT INTO released VALUES ('rubbish')")
    tx.write_contents()
    tx.next_content += 5
    tx.objects += 1
    yield
    if command.key == "defect":
        raise ZeroDivisionError
    raise NoSuchKey


@pytest.mark.parametrize("key", ["defect", "refusal"])
def test_a_command_that_fails_after_it_wrote_is_undone_alone(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, mixed = Replica(), Replica()
    before, after = (bucket(), put("a")), DeleteObject(at=3, bucket="bucket", key="nothing")
    clean.apply(*before, after)
    monkeypatch.setitem(APPLY, model.PutObjectAcl, broken_acl)
    broken = model.PutObjectAcl(at=2, bucket="bucket", key=key, acl=private_acl(OWNER))
    outcomes = mixed.apply(*before, broken, after)
    assert isinstance(outcomes[2], ZeroDivisionError if key == "defect" else NoSuchKey)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False]
    assert mixed.digest() == clean.digest()


def test_a_value_that_cannot_be_stored_breaks_its_command_alone(replica: Replica) -> None:
    outcomes = replica.apply(bucket(), put("ok"), put("bad", size=2**70), put("also ok"))
    assert isinstance(outcomes[2], OverflowError)
    found = Reader(replica.connection).get_object("bucket", "also ok", "", False)
    assert found.version is not None
    assert found.version.content_id == 2


def test_a_group_that_the_disk_refuses_changes_nothing(replica: Replica) -> None:
    replica.apply(bucket(), mark=1)
    before = replica.digest()
    ((pages,),) = replica.connection.execute("PRAGMA page_count").fetchall()
    replica.connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(sqlite3.OperationalError):
        replica.apply(put("small"), put("large", b"x" * 100_000), mark=2)
    assert not replica.connection.in_transaction
    assert replica.digest() == before
    assert replica.machine.mark() == 1


def test_a_transaction_that_sqlite_has_ended_is_not_reported_as_committed(replica: Replica) -> None:
    """SQLite rolls back by itself after some failures, and ``Connection.commit`` is silent then."""
    replica.apply(bucket())
    for _ in replica.machine.steps([put("k")]):
        pass
    replica.connection.execute("ROLLBACK")
    with pytest.raises(sqlite3.OperationalError):
        replica.machine.commit()
    assert not replica.content_of("k")


MANY = tuple(range(1, 2 * SLICE + 2))


@pytest.mark.parametrize(
    "endings",
    [
        (model.AbortUpload(at=60, bucket="bucket", key="big", upload_id="u1"),),
        (DeleteBucket(at=60, bucket="bucket"),),
        (complete(MANY[-1:]), DeleteObject(at=60, bucket="bucket", key="big")),
        (complete(MANY), DeleteObject(at=60, bucket="bucket", key="big")),
    ],
    ids=["aborted", "its bucket deleted", "completed in part", "completed"],
)
def test_no_blob_outlives_an_upload_of_more_parts_than_a_slice(
    replica: Replica, endings: tuple[AnyCommand, ...]
) -> None:
    outcomes = replica.apply(bucket(), upload(), *map(part, MANY), *endings)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    released = replica.connection.execute("SELECT blob_id FROM released").fetchall()
    assert {blob for (blob,) in released} == {f"blob-u1-{number}" for number in MANY}
    for table in ("blobs", "parts", "uploads", "versions"):
        assert replica.connection.execute(f"SELECT * FROM {table}").fetchall() == []


def test_abandoned_steps_leave_nothing(replica: Replica) -> None:
    replica.apply(bucket())
    before = replica.digest()
    steps = replica.machine.steps([put(f"k{n}") for n in range(200)])
    next(steps)
    steps.close()
    assert not replica.connection.in_transaction
    assert replica.digest() == before


def test_the_mark_is_stored_with_its_group(replica: Replica) -> None:
    assert replica.machine.mark() == 0
    replica.apply(bucket(), mark=41)
    replica.apply(put("k"))
    assert replica.machine.mark() == 41
    replica.apply(mark=42)
    assert replica.machine.mark() == 42


ACLS = tuple(
    canned_acl(canned, owner, owner)
    for canned in (CannedAcl.PRIVATE, CannedAcl.PUBLIC_READ)
    for owner in (OWNER, OTHER)
)


def intended(dice: random.Random, key: str, to: str, at: int) -> model.RecordIntent:
    """An intent, which may be refused by what it rehearses."""
    conditions = WriteConditions(if_none_match=True) if dice.random() < 0.5 else None
    name = f"i{dice.randrange(3)}"
    command = encode(put(key, to=to, at=at, intent=name, conditions=conditions))
    return model.RecordIntent(
        at=at,
        intent=Intent(
            intent_id=name, blob_id=f"b{at}", bucket=to, key=key, name=key, command=command
        ),
    )


def random_history(seed: int, length: int = 400) -> list[AnyCommand]:
    """Commands of all sorts, many of which are refused; as they come out of a log."""
    dice = random.Random(seed)
    shadow = Replica()
    history: list[AnyCommand] = [bucket(), bucket("second")]
    shadow.apply(*history)
    for at in range(length):
        to = dice.choice(["bucket", "bucket", "second", "missing"])
        key = dice.choice("abcdef")
        upload_id = f"u{dice.randrange(4)}"
        blob = f"blob-{at:06}"
        made: AnyCommand
        match dice.randrange(14):
            case 0 | 1 | 2:
                made = put(key, to=to, at=at, blob=dice.choice(["", blob]))
            case 3:
                made = put(key, to=to, at=at, conditions=WriteConditions(if_none_match=True))
            case 4:
                made = copy(key, dice.choice("abcdef"), shadow.content_of(key), to=to, at=at)
            case 5:
                made = DeleteObject(at=at, bucket=to, key=key)
            case 6:
                made = model.DeleteObjects(
                    at=at, bucket=to, targets=tuple(map(model.DeleteTarget, "abcxyz"))
                )
            case 7:
                made = upload(upload_id + str(at), key, to=to, at=at)
                history.append(upload(upload_id, key, to=to, at=at))
            case 8 | 9:
                made = part(dice.randrange(1, 4), upload_id=upload_id, key=key, blob=blob, at=at)
            case 10:
                made = complete((dice.randrange(1, 4),), upload_id=upload_id, key=key, at=at)
            case 11:
                made = dice.choice(
                    [
                        model.PutBucketAcl(at=at, bucket=to, acl=dice.choice(ACLS)),
                        model.PutObjectAcl(at=at, bucket=to, key=key, acl=dice.choice(ACLS)),
                        model.AbortUpload(
                            at=at, bucket="bucket", key=key, upload_id=f"u{dice.randrange(4)}{at}"
                        ),
                        intended(dice, key, to, at),
                        put(key, to=to, at=at, intent=f"i{dice.randrange(3)}"),
                        put(key, to=to, at=at, access=b"another"),
                    ]
                )
                if isinstance(made, model.AbortUpload):
                    history.append(upload(made.upload_id, key, at=at))
            case _:
                made = dice.choice(
                    [
                        DeleteBucket(at=at, bucket=dice.choice(["second", "third"])),
                        bucket(dice.choice(["second", "third"]), at=at),
                        ForgetBlobs(at=at, blob_ids=(f"blob-{dice.randrange(length):06}",)),
                        OpenEpoch(at=at, node_id="n"),
                        model.PutCredential(
                            at=at, credential=Credential(f"AK{at % 3}", str(at), Account(OWNER, ""))
                        ),
                        model.DeleteCredential(at=at, access_key=f"AK{at % 3}"),
                        model.ForgetIntent(at=at, intent_id=f"i{dice.randrange(3)}"),
                    ]
                )
        history.append(made)
        while shadow.applied < len(history):
            shadow.apply(history[shadow.applied])
    return [decode(encode(command)) for command in history]


def test_every_command_succeeds_somewhere_in_random_histories() -> None:
    replica, succeeded = Replica(), set()
    for seed in range(4):
        for command in random_history(seed):
            (outcome,) = replica.apply(command)
            if not isinstance(outcome, Exception):
                succeeded.add(type(command))
    assert succeeded == set(model.AnyCommand.__args__)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_commands_give_the_same_database_however_they_are_grouped(seed: int) -> None:
    history = random_history(seed)
    one_by_one, grouped = Replica(), Replica()
    expected = [one_by_one.apply(command, mark=n)[0] for n, command in enumerate(history)]
    dice = random.Random(seed + 1000)
    outcomes: list[Outcome] = []
    while len(outcomes) < len(history):
        size = dice.randrange(1, 90)
        outcomes += grouped.apply(*history[len(outcomes) : len(outcomes) + size])

    def shown(all_of_them: list[Outcome]) -> list[Any]:
        return [repr(outcome) for outcome in all_of_them]

    assert shown(outcomes) == shown(expected)
    kinds = {type(outcome).__name__ for outcome in outcomes}
    assert {"Done", "Written", "Deleted", "NoSuchBucket", "NoSuchUpload"} <= kinds
    assert grouped.digest() == one_by_one.digest()


HASHED = """
from tests.metadata.test_machine import Replica, random_history
replica = Replica()
for command in random_history(3):
    replica.apply(command)
print(hash("seeded"), replica.digest())
"""


def test_the_database_does_not_depend_on_the_order_of_sets_in_a_process() -> None:
    """Two nodes are two processes, and each has a hash seed of its own."""
    said = [
        subprocess.run(
            [sys.executable, "-c", HASHED],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert said[0][0] != said[1][0]
    assert said[0][1] == said[1][1]


def test_the_digest_tells_any_difference(replica: Replica) -> None:
    replica.apply(bucket(), put("a"))
    seen = {replica.digest()}
    for command in (
        put("b"),
        OpenEpoch(at=1, node_id="n"),
        DeleteObject(at=1, bucket="bucket", key="b"),
    ):
        replica.apply(command)
        seen.add(replica.digest())
    assert len(seen) == 4


def test_long_commands_come_in_small_steps(replica: Replica) -> None:
    blobs = tuple(Extent(1, f"blob-{n:05}") for n in range(3000))
    replica.apply(bucket(), put("big", manifest=Manifest(blobs)), upload())
    replica.apply(*(part(n) for n in range(1, 3001)))
    replica.apply(bucket("left"), *(upload(f"left-{n}", to="left") for n in range(1000)))
    for command in (
        model.DeleteBucket(at=1, bucket="left"),
        put("big"),
        complete(tuple(range(1, 3001))),
        model.DeleteObjects(
            at=1, bucket="bucket", targets=tuple(model.DeleteTarget(f"k{n}") for n in range(1000))
        ),
    ):
        taken = sum(1 for _ in replica.machine.steps([command]))
        replica.machine.commit()
        assert taken >= 10, command.__class__.__name__


def test_completing_ten_thousand_parts_keeps_them_all(replica: Replica) -> None:
    numbers = tuple(range(1, 10_001))
    replica.apply(bucket(), upload(), *(part(n) for n in numbers))
    (outcome,) = replica.apply(complete(numbers))
    assert isinstance(outcome, Written)
    found = Reader(replica.connection).get_object("bucket", "big", "", True)
    assert found.manifest is not None
    assert [extent.blob_id for extent in found.manifest.extents] == [
        f"blob-u1-{n}" for n in numbers
    ]
    assert [info.number for info in found.manifest.parts] == list(numbers)


def test_a_version_with_an_id_of_its_own_leaves_the_older_ones(replica: Replica) -> None:
    """The schema holds versions: the newest is current, older ones are not listed, and removing
    the current one brings the older one back."""
    replica.apply(bucket(), *(put("k", b"%d" % n, version_id=f"v{n}") for n in range(30)), put("l"))
    reader = Reader(replica.connection)
    page = list_objects(reader, "bucket", "", "", "", 10)
    assert [(entry.key, entry.size) for entry in page.objects] == [("k", 2), ("l", 4)]
    assert reader.totals().objects == 2
    current = reader.get_object("bucket", "k", "", False).version
    older = reader.get_object("bucket", "k", "v3", True)
    assert current is not None
    assert current.version_id == "v29"
    assert older.manifest == Manifest((Extent(1, data=b"3"),))
    replica.apply(DeleteObject(at=1, bucket="bucket", key="k", version_id="v29"))
    current = reader.get_object("bucket", "k", "", False).version
    assert current is not None
    assert current.version_id == "v28"
    replica.apply(put("k", b"null"), put("k", b"top", version_id="v30"), put("k", b"again"))
    ((nulls, count),) = reader.execute(
        "SELECT sum(version_id = 'null'), count(*) FROM versions WHERE key = ?", (b"k",)
    ).fetchall()
    assert (nulls, count) == (1, 31)
    current = reader.get_object("bucket", "k", "", False).version
    assert current is not None
    assert current.version_id == "null"


@pytest.mark.parametrize(
    ("error", "is_the_commands"),
    [
        (sqlite3.IntegrityError("constraint"), True),
        (sqlite3.DataError("too big"), True),
        (ZeroDivisionError(), True),
        (sqlite3.DatabaseError("database disk image is malformed"), False),
        (sqlite3.OperationalError("disk I/O error"), False),
        (sqlite3.ProgrammingError("closed"), False),
        (MemoryError(), False),
        (ImportError("no module"), False),
        (OSError(5, "input/output error"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_only_this_machine_suffers_is_no_outcome_of_a_command(
    error: Exception, is_the_commands: bool, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica would have another outcome, and another state from there on."""

    defect = KeyError()

    def failing(tx: Transaction, command: PutObject) -> Steps[Written]:
        tx.execute("INSERT INTO released VALUES ('rubbish')")
        raise defect if command.key == "defect" else error
        yield

    replica.apply(bucket())
    before = replica.digest()
    monkeypatch.setitem(APPLY, PutObject, failing)
    for first in ((), (put("defect"),)):  # which has the group applied again, with more care
        if is_the_commands:
            assert replica.apply(*first, put("k")) == [*[defect for _ in first], error]
        else:
            with pytest.raises(type(error)):
                replica.apply(*first, put("k"))
            assert not replica.connection.in_transaction
        assert replica.digest() == before
