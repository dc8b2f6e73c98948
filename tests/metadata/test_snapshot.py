"""Point reads of one turn share a snapshot, which hides nothing from whoever has heard of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bleepstore.errors import NoSuchBucket, ServiceUnavailable
from bleepstore.interfaces.metadata import ObjectLookup
from bleepstore.metadata.sqlite import SqliteMetadata
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.metadata_engines import Turns
from tests.metadata.values import OWNER, bucket, put


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def store(tmp_path: Path, turns: Turns) -> Iterator[SqliteMetadata]:
    store = SqliteMetadata(tmp_path / "m.db", turns.clock, ImmediateThreads())
    turns.run(store.submit(bucket()))
    turns.clock.advance(0)
    yield store
    turns.run(store.stop())


def reading(store: SqliteMetadata) -> bool:
    return store._reader._connection.in_transaction


def test_the_snapshot_ends_with_the_turn(store: SqliteMetadata, turns: Turns) -> None:
    turns.at_once(store.get_bucket("bucket"))
    turns.at_once(store.get_bucket("bucket"))
    assert reading(store)
    turns.clock.advance(0)
    assert not reading(store)
    turns.at_once(store.get_bucket("bucket"))
    turns.clock.advance(0)
    assert not reading(store), "the next turn has a snapshot, and an end, of its own"


def test_a_commit_is_seen_from_the_next_turn_on(store: SqliteMetadata, turns: Turns) -> None:
    turns.at_once(store.get_bucket("bucket"))
    store.machine.apply_group([bucket("new")])  # nobody was told of it
    with pytest.raises(NoSuchBucket):
        turns.at_once(store.get_bucket("new"))
    turns.clock.advance(0)
    assert turns.at_once(store.get_bucket("new")).name == "new"


def test_whoever_is_answered_finds_the_change_in_the_same_turn(
    store: SqliteMetadata, turns: Turns
) -> None:
    store._snapshot._due = True  # the turn does not end
    turns.at_once(store.get_bucket("bucket"))

    async def create_and_look() -> str:
        await store.submit(bucket("new"))
        return (await store.get_bucket("new")).name

    assert turns.run(create_and_look()) == "new"


def test_an_object_of_a_bucket_that_is_known_is_found_as_that_of_any_other(
    store: SqliteMetadata, turns: Turns
) -> None:
    turns.run(store.submit(put("k", b"bytes")))
    turns.run(store.submit(put("k", b"other")))
    turns.clock.advance(0)

    def lookups() -> list[ObjectLookup]:
        return [
            turns.at_once(store.get_object("bucket", key, with_manifest=True))
            for key in ("k", "missing")
        ]

    first = lookups()
    assert lookups() == first
    assert first[0].manifest is not None
    assert first[0].manifest.extents[0].data == b"other"
    assert first[1].version is None
    for _ in range(2):
        with pytest.raises(NoSuchBucket):
            turns.at_once(store.get_object("nowhere", "k", with_manifest=True))


def test_what_a_listing_shows_is_found_in_the_same_turn(
    store: SqliteMetadata, turns: Turns
) -> None:
    store._snapshot._due = True  # the turn does not end
    turns.at_once(store.get_bucket("bucket"))
    store.machine.apply_group([bucket("new")])

    async def list_and_look() -> str:
        page = await store.list_buckets(OWNER)
        return (await store.get_bucket(page.buckets[-1].name)).name

    assert turns.run(list_and_look()) == "new"


def test_a_reader_is_closed_with_its_snapshot(tmp_path: Path, turns: Turns) -> None:
    store = SqliteMetadata(tmp_path / "m.db", turns.clock, ImmediateThreads())
    turns.run(store.submit(bucket()))
    turns.at_once(store.get_bucket("bucket"))
    turns.run(store.stop())
    turns.clock.advance(0)
    with pytest.raises(ServiceUnavailable):
        turns.at_once(store.get_bucket("bucket"))
