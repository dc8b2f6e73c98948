"""The state machine of a log: each proposal once, all or nothing, and what a crash leaves."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from bleepstore.errors import NoSuchBucket, NoSuchKey
from bleepstore.interfaces.replication import IStateMachine
from bleepstore.metadata.replica import MetadataReplica, ReplicaFile
from bleepstore.model.commands import DeleteObject, Done, RecordIntent, Written
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.intents import Intent
from bleepstore.raft.messages import Entry, EntryKind, Members, encode_members
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.entries import Log, entry, named, noop
from tests.metadata.test_machine import random_history
from tests.metadata.values import bucket, put
from tests.sim.memory_replica import MemoryReplica

INTENT = RecordIntent(
    at=1,
    intent=Intent(
        intent_id="i", blob_id="b", bucket="bucket", key="k", name="n", command=b"\x07later"
    ),
)
"""Holds a command of a later format."""


class World:
    """Replicas of one kind, and a reactor."""

    def __init__(self, directory: Path, kind: str) -> None:
        self.turns = Turns()
        self.directory = directory
        self.kind = kind
        self.files: dict[str, bytes] = {}
        self.opened: list[MetadataReplica] = []

    def open(self, name: str = "m.db", **more: Any) -> MetadataReplica:
        """A replica; of the file if there is one of this name."""
        replica: MetadataReplica
        if self.kind == "memory":
            replica = MemoryReplica(self.files, self.files.pop(name, b""))
        else:
            database = ReplicaFile(self.directory / name)
            replica = MetadataReplica(database, self.turns.clock, ImmediateThreads(), **more)
        self.opened.append(replica)
        return replica

    def close(self, replica: MetadataReplica, name: str = "m.db") -> None:
        """Stop it; what it holds is under its name for the next."""
        if self.kind == "memory":
            self.turns.run(replica.sync())
            self.files[name] = replica.database.durable  # type: ignore[attr-defined]
        self.turns.run(replica.stop())

    def path(self, name: str) -> str:
        return str(self.directory / name)


@pytest.fixture(params=["file", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, request.param)
    yield world
    for replica in world.opened:
        world.turns.run(replica.stop())


@pytest.fixture
def replica(world: World) -> MetadataReplica:
    return world.open()


@pytest.fixture
def apply(world: World, replica: MetadataReplica) -> Callable[..., Any]:
    return lambda *entries: world.turns.run(replica.apply(entries))


def test_it_provides_what_it_declares(replica: MetadataReplica) -> None:
    assert verifyObject(IStateMachine, replica)


def test_verdicts_are_those_of_the_command_entries_in_order(
    replica: MetadataReplica, apply: Callable[..., Any]
) -> None:
    members = Entry(2, 1, EntryKind.MEMBERS, encode_members(Members()))
    verdicts = apply(
        noop(1),
        members,
        entry(3, named(bucket(), 1)),
        entry(4, named(put("k"), 1, origin="n2")),
        entry(5, named(put("k", to="missing"), 2)),
    )
    assert [(v.origin, v.incarnation, v.serial, v.applied) for v in verdicts] == [
        ("n1", 1, 1, True),
        ("n2", 1, 1, True),
        ("n1", 1, 2, True),
    ]
    assert [type(v.outcome) for v in verdicts] == [Done, Written, NoSuchBucket]
    assert replica.applied_index() == 5


def test_a_repetition_is_passed_over_and_its_first_outcome_stands(
    world: World, replica: MetadataReplica, apply: Callable[..., Any]
) -> None:
    (refused,) = apply(entry(1, named(put("k"), 1)))
    assert isinstance(refused.outcome, NoSuchBucket)
    _, again = apply(entry(2, named(bucket(), 2)), entry(3, named(put("k"), 1)))
    assert (again.serial, again.applied, again.outcome) == (1, False, None)
    reader, _ = replica.database.point_reader(world.turns.clock)
    assert reader.get_object("bucket", "k", "", False).version is None
    reader.close()
    once = DeleteObject(at=5, bucket="bucket", key="k")
    apply(entry(4, named(put("k"), 3)), entry(5, named(once, 4)), entry(6, named(put("k"), 3)))
    reader, _ = replica.database.point_reader(world.turns.clock)
    assert reader.get_object("bucket", "k", "", False).version is None
    reader.close()
    assert replica.applied_index() == 6


def test_it_is_as_it_was_when_it_is_opened_again(world: World) -> None:
    first = world.open()
    log = Log()
    world.turns.run(first.apply(log(bucket(), put("k"))))
    digest = world.turns.run(first.digest())
    world.close(first)
    again = world.open()
    assert again.applied_index() == 2
    assert world.turns.run(again.digest()) == digest
    (verdict,) = world.turns.run(again.apply([log.raw(named(put("k"), 2))]))
    assert not verdict.applied


@pytest.mark.parametrize("entries", [[2], [1, 3], [0]])
def test_entries_that_leave_a_gap_are_refused_whole(
    entries: list[int], replica: MetadataReplica, apply: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=r"entry \d came where \d was due"):
        apply(*(entry(index, named(bucket(), 1)) for index in entries))
    assert replica.applied_index() == 0
    (verdict,) = apply(entry(1, named(bucket(), 1)))
    assert verdict.applied


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + named(bucket(), 1)[1:],
        named(bucket(), 1)[:-4],
        b"\x01\x95\xa2n1\x01\x02\x01\xc4\x01\x07",
        named(INTENT, 2),
    ],
    ids=["empty", "later format", "cut short", "command of a later format", "rehearsed"],
)
def test_an_entry_that_cannot_be_decoded_stops_everything_before_it(
    data: bytes, world: World, replica: MetadataReplica, apply: Callable[..., Any]
) -> None:
    before = world.turns.run(replica.digest())
    with pytest.raises(ValueError, match="entry 2 of the log cannot be applied"):
        apply(entry(1, named(bucket(), 1)), entry(2, data))
    assert replica.applied_index() == 0
    assert world.turns.run(replica.digest()) == before


def test_a_refused_proposal_leaves_its_session_and_nothing_else(world: World) -> None:
    """Whether in a group with others, or after one that had to be applied again command by
    command."""
    digests = set()
    for name, sizes in (("a.db", (1,) * 5), ("b.db", (5,)), ("c.db", (2, 3))):
        replica = world.open(name)
        log = Log()
        entries = log(
            bucket(),
            put("k", conditions=WriteConditions(if_match="*")),
            put("bad", size=2**63),
            put("l"),
            put("m", to="missing"),
        )
        outcomes: list[Any] = []
        for size in sizes:
            group, entries = entries[:size], entries[size:]
            outcomes += [v.outcome for v in world.turns.run(replica.apply(group))]
        assert [type(outcome) for outcome in outcomes] == [
            Done,
            NoSuchKey,
            OverflowError,
            Written,
            NoSuchBucket,
        ]
        digests.add(world.turns.run(replica.digest()))
        (again,) = world.turns.run(replica.apply([log.raw(named(put("k"), 5))]))
        assert not again.applied
    assert len(digests) == 1


def test_a_copy_is_the_state_of_its_index_and_replaces_another(world: World) -> None:
    one, other = world.open("a.db"), world.open("b.db")
    log = Log()
    world.turns.run(one.apply(log(bucket(), put("k"))))
    digest = world.turns.run(one.digest())
    path = world.path("copy")
    assert world.turns.run(one.copy(path)) == 2
    more = log(put("l"))
    world.turns.run(one.apply(more))
    world.turns.run(other.apply(Log()(bucket("old"))))
    world.turns.run(other.replace(path, 2))
    assert other.applied_index() == 2
    assert world.turns.run(other.digest()) == digest
    world.turns.run(other.apply(more))
    assert world.turns.run(other.digest()) == world.turns.run(one.digest())


def test_a_copy_of_another_index_replaces_nothing(world: World, replica: MetadataReplica) -> None:
    log = Log()
    world.turns.run(replica.apply(log(bucket())))
    path = world.path("copy")
    world.turns.run(replica.copy(path))
    world.turns.run(replica.apply(log(put("k"))))
    before = world.turns.run(replica.digest())
    for wrong, index in ((path, 2), (world.path("nothing"), 1)):
        with pytest.raises(ValueError, match=r"stands at|is no copy"):
            world.turns.run(replica.replace(wrong, index))
    assert replica.applied_index() == 2
    assert world.turns.run(replica.digest()) == before
    world.turns.run(replica.apply(log(put("l"))))


@pytest.mark.parametrize("seed", range(6))
def test_replicas_hash_equal_whatever_happened_on_the_way(seed: int, world: World) -> None:
    """The same entries, with repetitions, in other groups, with restarts, copies and replaces."""
    dice = random.Random(seed)
    data: list[bytes] = []
    for serial, command in enumerate(random_history(seed, 250), 1):
        data.append(named(command, serial, floor=max(1, serial - 20), origin=dice.choice("ab")))
        if dice.random() < 0.2:
            data.append(dice.choice(data[-30:]))
    entries = [
        entry(index, raw) if dice.random() < 0.95 else noop(index)
        for index, raw in enumerate(data, 1)
    ]
    plain = world.open("plain.db")
    expected: dict[int, Any] = {}
    for each in entries:
        for verdict in world.turns.run(plain.apply([each])):
            expected[each.index] = verdict
    assert sum(not verdict.applied for verdict in expected.values()) > 20
    lively = world.open("lively.db")
    seen: dict[int, Any] = {}
    copies: list[tuple[str, int]] = []
    while (done := lively.applied_index()) < len(entries):
        match dice.randrange(12):
            case 0:
                world.close(lively, "lively.db")
                lively = world.open("lively.db")
            case 1:
                path = world.path(f"copy-{done}")
                assert world.turns.run(lively.copy(path)) == done
                copies.append((path, done))
            case 2 if copies:
                world.turns.run(lively.replace(*dice.choice(copies[-2:])))  # back, or forth again
            case 3:
                world.turns.run(lively.sync())
            case _:
                group = entries[done : done + dice.randrange(1, 40)]
                verdicts = world.turns.run(lively.apply(group))
                indexes = [each.index for each in group if each.kind is EntryKind.COMMAND]
                seen.update(zip(indexes, verdicts, strict=True))
    assert len(seen) > len(expected) // 2
    for index, verdict in seen.items():
        assert repr(verdict) == repr(expected[index])
    assert world.turns.run(lively.digest()) == world.turns.run(plain.digest())


def test_sessions_are_part_of_the_digest(world: World) -> None:
    """Equal tables with other sessions would pass over other proposals."""
    digests = set()
    for number, serial in enumerate((1, 2, 2)):
        replica = world.open(f"{number}.db")
        world.turns.run(replica.apply([entry(1, named(bucket(), serial))]))
        digests.add(world.turns.run(replica.digest()))
    assert len(digests) == 2


# In memory, for simulations


def test_a_power_cut_takes_back_whole_groups_that_were_not_synced() -> None:
    turns = Turns()
    log = Log()
    groups = [log(bucket()), log(put("a"), put("b")), log(put("c")), log(put("d"), put("e"))]
    digests: dict[int, str] = {}
    for seed in range(20):
        replica = MemoryReplica({})
        for number, group in enumerate(groups):
            turns.at_once(replica.apply(group))
            digests[replica.applied_index()] = replica.fingerprint()
            if number == 1:
                assert turns.at_once(replica.sync()) == 3
        again = replica.crashed(random.Random(seed))
        assert again.applied_index() in (3, 4, 6)
        assert again.fingerprint() == digests[again.applied_index()]


def test_a_killed_simulated_replica_has_all_that_was_committed() -> None:
    turns = Turns()
    replica = MemoryReplica({})
    turns.at_once(replica.apply(Log()(bucket(), put("a"))))
    digest = replica.fingerprint()
    assert replica.killed().fingerprint() == digest


def test_a_broken_database_is_never_applied_to_again(tmp_path: Path) -> None:
    turns = Turns()
    replica = MetadataReplica(ReplicaFile(tmp_path / "m.db"), turns.clock, ImmediateThreads())
    log = Log()
    turns.run(replica.apply(log(bucket())))
    error = sqlite3.OperationalError("disk I/O error")
    commit = replica._machine.commit

    def failing() -> None:
        raise error

    replica._machine.commit = failing  # type: ignore[method-assign]
    following = log(put("k"))
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        turns.run(replica.apply(following))
    replica._machine.commit = commit  # type: ignore[method-assign]
    with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
        turns.run(replica.apply(following))
    assert replica.applied_index() == 1
    turns.run(replica.stop())


def test_an_embedded_database_becomes_the_beginning_of_a_log(world: World) -> None:
    replica = world.open()
    assert replica.pristine()
    world.turns.run(replica.apply([entry(1, named(bucket(), 1))]))
    assert not replica.pristine()
    with pytest.raises(ValueError, match="index 1"):
        world.turns.run(replica.adopt(5))
    other = world.open("other.db")
    other._machine.apply_group([bucket(), put("k")])
    assert not other.pristine()
    world.turns.run(other.adopt(7))
    assert other.applied_index() == 7
    world.close(other, "other.db")
    other = world.open("other.db")
    assert other.applied_index() == 7
    world.turns.run(other.apply([noop(8)]))
