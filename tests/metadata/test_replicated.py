"""Reads of a replicated store: when they are confirmed, and what they then must see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from bleepstore.errors import BucketChanged, NoSuchBucket, NoSuchUpload, ServiceUnavailable
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.model.commands import Done, PutBucketAcl
from tests.contract.lone_consensus import LoneConsensus
from tests.contract.metadata import PUBLIC
from tests.contract.metadata_engines import Turns, end, replicated
from tests.metadata.entries import entry, named
from tests.metadata.values import ACL, OWNER, bucket, put

Ask = Callable[[ReplicatedMetadata], Any]

CONFIRMED_IF_STRONG: dict[str, Ask] = {
    "get_bucket": lambda store: store.get_bucket("bucket"),
    "get_object": lambda store: store.get_object("bucket", "k", with_manifest=True),
    "get_upload": lambda store: store.get_upload("bucket", "k", "u"),
    "get_credential": lambda store: store.get_credential("AK"),
    "last_epoch": lambda store: store.last_epoch(),
    "list_buckets": lambda store: store.list_buckets(OWNER),
    "bucket_owners": lambda store: store.bucket_owners(),
    "list_objects": lambda store: store.list_objects("bucket"),
    "list_parts": lambda store: store.list_parts("u"),
    "list_uploads": lambda store: store.list_uploads("bucket"),
    "list_credentials": lambda store: store.list_credentials(),
}
ALWAYS: dict[str, Ask] = {
    "referenced_blobs": lambda store: store.referenced_blobs(["b"]),
    "is_released": lambda store: store.is_released("b"),
    "part_extents": lambda store: store.part_extents("u"),
    "intents": lambda store: store.intents(),
}
NEVER: dict[str, Ask] = {
    "totals": lambda store: store.totals(),
    "released_blobs": lambda store: store.released_blobs(),
    "stale_uploads": lambda store: store.stale_uploads(100),
}


class NoQuorum(LoneConsensus):
    """Nobody answers."""

    async def propose(self, command: bytes) -> object:
        raise ServiceUnavailable("There is no quorum.")

    async def barrier(self) -> None:
        raise ServiceUnavailable("There is no quorum.")


class Behind(LoneConsensus):
    """The replica learns at a barrier of what others have done."""

    def __init__(self, replica: Any) -> None:
        super().__init__(replica)
        self.news: list[Any] = []
        self.waiting: list[Deferred[None]] = []

    async def barrier(self) -> None:
        answer: Deferred[None] = Deferred()
        self.waiting.append(answer)
        await answer

    async def catch_up(self) -> None:
        """What others did is applied; those who wait may read."""
        for command in self.news:
            index = self._replica.applied_index() + 1
            await self._replica.apply([entry(index, named(command, index, origin="n2"))])
        self.news.clear()
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def made(tmp_path: Path, turns: Turns) -> Iterator[Callable[..., ReplicatedMetadata]]:
    stores: list[ReplicatedMetadata] = []

    def make(consensus: type[LoneConsensus] = LoneConsensus, **more: Any) -> ReplicatedMetadata:
        kept: list[LoneConsensus] = []

        def keep(replica: Any) -> LoneConsensus:
            kept.append(consensus(replica))
            return kept[0]

        store = replicated(tmp_path, turns.clock, consensus=keep, **more)  # type: ignore[arg-type]
        store.consensus = kept[0]  # type: ignore[attr-defined]
        stores.append(store)
        return store

    yield make
    for store in stores:
        end(store, turns)


def test_every_query_has_its_consistency_here() -> None:
    from bleepstore.interfaces.metadata import IMetadataReader

    assert set(IMetadataReader.names()) == {
        *CONFIRMED_IF_STRONG,
        *ALWAYS,
        *NEVER,
        "peek_bucket",
        "reusable_bytes",
    }


@pytest.mark.parametrize("eventual", [True, False])
def test_a_bucket_can_be_peeked_at_without_a_quorum(
    made: Callable[..., Any], turns: Turns, eventual: bool
) -> None:
    store = made(NoQuorum, eventual=eventual)
    with pytest.raises(NoSuchBucket):
        store.peek_bucket("bucket")
    turns.run(store._replica.apply([entry(1, named(bucket(), 1))]))
    found, access = store.peek_bucket("bucket")
    assert (found.name, found.acl) == ("bucket", ACL)
    change = PutBucketAcl(at=2, bucket="bucket", acl=PUBLIC)
    turns.run(store._replica.apply([entry(2, named(change, 2))]))
    changed, other = store.peek_bucket("bucket")  # in the same turn
    assert changed.acl == PUBLIC
    assert access != other


def test_what_was_peeked_at_is_what_a_command_is_checked_by(
    made: Callable[..., Any], turns: Turns
) -> None:
    store = made()
    turns.run(store.submit(bucket()))
    _, access = store.peek_bucket("bucket")
    turns.run(store.submit(put("k", access=access)))
    turns.run(store.submit(PutBucketAcl(at=2, bucket="bucket", acl=PUBLIC)))
    with pytest.raises(BucketChanged):
        turns.run(store.submit(put("k", access=access)))
    _, access = store.peek_bucket("bucket")
    turns.run(store.submit(put("k", access=access)))


@pytest.mark.parametrize("eventual", [False, True], ids=["strong", "eventual"])
@pytest.mark.parametrize("query", [*CONFIRMED_IF_STRONG, *ALWAYS, *NEVER])
def test_a_query_is_confirmed_where_it_must_be(
    query: str, eventual: bool, made: Callable[..., Any], turns: Turns
) -> None:
    store = made(eventual=eventual)
    turns.run(store.submit(bucket()))
    ask = {**CONFIRMED_IF_STRONG, **ALWAYS, **NEVER}[query]
    before = store.consensus.barriers
    with suppress(NoSuchUpload):
        turns.run(ask(store))
    confirmed = query in ALWAYS or (query in CONFIRMED_IF_STRONG and not eventual)
    assert store.consensus.barriers - before == confirmed


def test_without_a_quorum_strong_reads_and_changes_are_refused_and_others_go_on(
    made: Callable[..., Any], turns: Turns
) -> None:
    store = made(NoQuorum)
    for ask in (*CONFIRMED_IF_STRONG.values(), *ALWAYS.values()):
        with pytest.raises(ServiceUnavailable):
            turns.run(ask(store))
    with pytest.raises(ServiceUnavailable):
        turns.run(store.submit(bucket()))
    for ask in NEVER.values():
        turns.run(ask(store))


def test_eventual_reads_go_on_without_a_quorum(made: Callable[..., Any], turns: Turns) -> None:
    store = made(NoQuorum, eventual=True)
    turns.run(store._replica.apply([entry(1, named(bucket(), 1))]))
    turns.clock.advance(0)
    assert turns.at_once(store.get_bucket("bucket")).name == "bucket"
    assert turns.run(store.list_objects("bucket")).objects == ()


def test_a_confirmed_read_sees_what_was_applied_in_the_same_turn(
    made: Callable[..., Any], turns: Turns
) -> None:
    """Others' changes too: of those this node was never told but by its log."""
    store = made(Behind)
    consensus = store.consensus
    consensus.news.append(bucket())
    store._snapshot._due = True  # the turn does not end
    first = turns.start(store.get_bucket("missing"))
    second = turns.start(store.get_bucket("bucket"))
    with pytest.raises(NoSuchBucket):
        store._reader.get_bucket("bucket")  # opens a snapshot before the change
    turns.at_once(consensus.catch_up())
    assert turns.result(second).name == "bucket"
    with pytest.raises(NoSuchBucket):
        turns.result(first)


def test_a_read_after_ones_own_change_sees_it_in_the_same_turn(
    made: Callable[..., Any], turns: Turns
) -> None:
    store = made(eventual=True)
    store._snapshot._due = True  # the turn does not end
    with pytest.raises(NoSuchBucket):
        turns.at_once(store.get_bucket("bucket"))

    async def create_and_look() -> str:
        assert await store.submit(bucket()) == Done()
        return (await store.get_bucket("bucket")).name

    assert turns.run(create_and_look()) == "bucket"


def test_reads_of_one_turn_share_a_snapshot_while_nothing_is_applied(
    made: Callable[..., Any], turns: Turns
) -> None:
    store = made()
    turns.run(store.submit(bucket()))
    seen: list[str] = []
    store._reader._connection.set_trace_callback(seen.append)
    for _ in range(3):
        turns.at_once(store.get_object("bucket", "k", with_manifest=True))
    assert [statement.split()[0] for statement in seen] == ["BEGIN", "SELECT", "SELECT", "SELECT"]


def test_a_refusal_is_raised_and_a_cancelled_wait_takes_nothing_back(
    made: Callable[..., Any], turns: Turns
) -> None:
    store = made()
    with pytest.raises(NoSuchBucket):
        turns.run(store.submit(put("k")))
    waiting = turns.start(store.submit(bucket()))
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    turns.clock.advance(0)
    assert turns.run(store.get_bucket("bucket")).name == "bucket"
    assert store.counters.commands == 2
