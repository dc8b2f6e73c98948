"""Random histories against plain dictionaries: results, listings, and every count of every blob."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bleepstore.errors import BucketNotEmpty, NoSuchBucket, NoSuchUpload, StoreError
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.metadata.replicated import ReplicatedMetadata
from bleepstore.model.commands import (
    AbortUpload,
    CompletedPart,
    DeleteBucket,
    DeleteObject,
    DeleteObjects,
    DeleteTarget,
    ForgetBlobs,
)
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Extent, Manifest
from bleepstore.streams.threads import ImmediateThreads
from tests.contract.lone_consensus import LoneConsensus
from tests.contract.metadata_engines import Turns
from tests.metadata.model import Model
from tests.metadata.values import MIB, bucket, complete, copy, etag_of, part, put, upload
from tests.sim.memory_replica import MemoryReplica

BUCKETS = st.sampled_from(["bucket", "second"])
NAMES = ["a", "a/b", "a/b/c", "a/c", "a//", "b", "/", "a\0", "é/x", "a/\U0001f600"]
KEYS = st.sampled_from(NAMES)
ANY_TEXT = st.text(alphabet="a/b\0é\U0001f600", min_size=1, max_size=5)
PICK = st.integers(0, 1000)  # one of what there is, whatever that is
RARELY = st.integers(0, 7).map(lambda n: n == 7)
UPLOADS = st.sampled_from(["u1", "u2", "u3"])
CONDITIONS = st.one_of(
    st.none(),
    st.just(WriteConditions(if_none_match=True)),
    st.just(WriteConditions(if_match="*")),
    st.builds(WriteConditions, if_match=st.sampled_from([etag_of(b"1"), etag_of(b"2")])),
)


class Histories(RuleBasedStateMachine):
    def made(self) -> Any:
        return MemoryMetadata()

    def content(self) -> str:
        """A hash of everything but the proposals that were met."""
        return self.turns.run(self.store.digest())

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.store = self.made()
        self.model = Model()
        self.blobs = count(1)
        for name in ("bucket", "second"):
            self.turns.run(self.store.submit(bucket(name)))
            self.model.buckets[name] = {}
        for number, key in enumerate(NAMES):
            name = f"blob-{next(self.blobs):06}"
            data = b"%d" % (number % 3)
            self.both(
                put(key, data, manifest=Manifest((Extent(1, name),))),
                partial(self.model.put, "bucket", key, etag_of(data), 1, (name,), None),
            )

    def teardown(self) -> None:
        self.turns.run(self.store.stop())

    def objects(self) -> list[tuple[str, str]]:
        return [(name, key) for name, of in self.model.buckets.items() for key in of]

    def both(self, command: Any, expect: Callable[[], Any]) -> Any:
        """Do it here and there: the same refusal, or none."""
        before = self.content()
        refused: type[Exception] | None = None
        result = None
        try:
            result = self.turns.run(self.store.submit(command))
        except StoreError as error:
            refused = type(error)
            assert self.content() == before, "a refusal left something"
        expected: type[Exception] | None = None
        try:
            expect()
        except StoreError as error:
            expected = type(error)
        assert refused is expected
        return result

    @rule(
        to=BUCKETS, key=KEYS, data=st.sampled_from([b"1", b"2"]), c=CONDITIONS, n=st.integers(0, 2)
    )
    def put_an_object(
        self, to: str, key: str, data: bytes, c: WriteConditions | None, n: int
    ) -> None:
        names = tuple(f"blob-{next(self.blobs):06}" for _ in range(n))
        manifest = Manifest(tuple(Extent(1, name) for name in names))
        self.both(
            put(key, data, to=to, manifest=manifest, conditions=c),
            lambda: self.model.put(to, key, etag_of(data), 1, names, c),
        )

    @precondition(lambda self: self.objects())
    @rule(pick=PICK, to=BUCKETS, key=KEYS)
    def copy_an_object(self, pick: int, to: str, key: str) -> None:
        there = self.objects()
        a, source = there[pick % len(there)]
        found = self.turns.run(self.store.get_object(a, source)).version
        assert found is not None

        def expect() -> None:
            self.model.objects(to)[key] = self.model.objects(a)[source]

        self.both(copy(source, key, found.content_id, source_bucket=a, to=to), expect)

    @precondition(lambda self: self.objects())
    @rule(pick=PICK)
    def delete_what_is_there(self, pick: int) -> None:
        there = self.objects()
        self.delete_an_object(*there[pick % len(there)])

    @rule(to=BUCKETS, key=KEYS)
    def delete_any_key(self, to: str, key: str) -> None:
        self.delete_an_object(to, key)

    def delete_an_object(self, to: str, key: str) -> None:
        result = self.both(
            DeleteObject(at=1, bucket=to, key=key), lambda: self.model.objects(to).pop(key, None)
        )
        assert result is None or key not in self.model.buckets[to]

    @rule(to=BUCKETS, keys=st.lists(KEYS, max_size=3))
    def delete_many(self, to: str, keys: list[str]) -> None:
        def expect() -> None:
            for key in keys:
                self.model.objects(to).pop(key, None)
            self.model.objects(to)

        self.both(DeleteObjects(at=1, bucket=to, targets=tuple(map(DeleteTarget, keys))), expect)

    @rule(to=BUCKETS, really=RARELY)
    def delete_a_bucket(self, to: str, really: bool) -> None:
        if not (really or self.model.buckets.get(to)):
            return

        def expect() -> None:
            if self.model.objects(to):
                raise BucketNotEmpty
            del self.model.buckets[to]
            self.model.uploads = {k: v for k, v in self.model.uploads.items() if v[0] != to}

        self.both(DeleteBucket(at=1, bucket=to), expect)

    @rule(to=BUCKETS)
    def create_a_bucket(self, to: str) -> None:
        self.both(bucket(to), lambda: self.model.buckets.setdefault(to, {}))

    @rule(to=BUCKETS, key=KEYS, upload_id=UPLOADS)
    def create_an_upload(self, to: str, key: str, upload_id: str) -> None:
        if upload_id in self.model.uploads:
            return

        def expect() -> None:
            self.model.objects(to)
            self.model.uploads[upload_id] = (to, key, {})

        self.both(upload(upload_id, key, to=to), expect)

    @precondition(lambda self: self.model.uploads)
    @rule(pick=PICK, numbers=st.sets(st.integers(1, 3), min_size=1), share=st.booleans())
    def put_parts(self, pick: int, numbers: set[int], share: bool) -> None:
        upload_id = sorted(self.model.uploads)[pick % len(self.model.uploads)]
        to, key, _ = self.model.uploads[upload_id]
        for number in sorted(numbers):
            self.put_a_part(to, key, upload_id, number, share)

    @rule(upload_id=UPLOADS)
    def put_a_part_of_any_upload(self, upload_id: str) -> None:
        self.put_a_part("bucket", "a", upload_id, 1, False)

    def put_a_part(self, to: str, key: str, upload_id: str, number: int, share: bool) -> None:
        held = sorted(self.model.held())
        name = held[0] if share and held else f"blob-{next(self.blobs):06}"

        def expect() -> None:
            self.model.parts(to, key, upload_id)[number] = (name,)
            self.model.ever.add(name)

        self.both(
            part(
                number,
                upload_id=upload_id,
                key=key,
                to=to,
                blob=name,
                shares_blobs=share and bool(held),
            ),
            expect,
        )

    @precondition(lambda self: self.model.uploads)
    @rule(pick=PICK, numbers=st.sets(st.integers(1, 3), min_size=1))
    def complete_an_upload(self, pick: int, numbers: set[int]) -> None:
        upload_id = sorted(self.model.uploads)[pick % len(self.model.uploads)]
        to, key, parts = self.model.uploads[upload_id]
        named = tuple(sorted(numbers & set(parts)))
        if not named:
            return
        raw = b"".join(bytes.fromhex(etag_of(b"%d" % n)) for n in named)

        def expect() -> None:
            blobs = tuple(blob for n in named for blob in parts[n])
            self.model.put(
                to, key, f"{etag_of(raw)}-{len(named)}", 5 * MIB * len(named), blobs, None
            )
            del self.model.uploads[upload_id]

        command = complete((), upload_id=upload_id, key=key, to=to)
        listed = tuple(CompletedPart(n, etag_of(b"%d" % n)) for n in named)
        self.both(
            type(command)(
                at=50, bucket=to, key=key, upload_id=upload_id, version_id="null", parts=listed
            ),
            expect,
        )

    @rule(upload_id=UPLOADS, really=RARELY)
    def abort_an_upload(self, upload_id: str, really: bool) -> None:
        if upload_id in self.model.uploads and not really:
            return
        to, key, _ = self.model.uploads.get(upload_id, ("bucket", "a", {}))

        def expect() -> None:
            if upload_id not in self.model.uploads:
                raise NoSuchUpload
            del self.model.uploads[upload_id]

        self.both(AbortUpload(at=1, bucket=to, key=key, upload_id=upload_id), expect)

    @rule()
    def forget_what_was_released(self) -> None:
        released = tuple(self.turns.run(self.store.released_blobs()))
        self.turns.run(self.store.submit(ForgetBlobs(at=1, blob_ids=released)))
        self.model.forgotten.update(released)

    @rule(
        name=BUCKETS,
        prefix=st.sampled_from(["", "a", "a/", "a/b", "é", "z"]),
        limit=st.sampled_from([0, 1, 2, 3, 10]),
        other=ANY_TEXT,
    )
    def list_pages(self, name: str, prefix: str, limit: int, other: str) -> None:
        for delimiter in ("", "/", "//", "b/", "é", "\U0001f600"):
            for after in ("", "a/", "é/", other, *NAMES):
                self.list_a_page(name, prefix, delimiter, after, limit)

    def list_a_page(self, name: str, prefix: str, delimiter: str, after: str, limit: int) -> None:
        try:
            page = self.turns.run(self.store.list_objects(name, prefix, delimiter, after, limit))
        except NoSuchBucket:
            assert name not in self.model.buckets
            return
        keys, prefixes, following = self.model.listed(name, prefix, delimiter, after, limit)
        assert [entry.key for entry in page.objects] == keys
        assert list(page.common_prefixes) == prefixes
        assert page.next_after == following

    @invariant()
    def every_blob_is_counted(self) -> None:
        rows = self.store._reader.execute("SELECT blob_id, refs FROM blobs").fetchall()
        held = self.model.held()
        assert dict(rows) == dict(held)
        released = set(self.turns.run(self.store.released_blobs(100_000)))
        assert released == self.model.ever - set(held) - self.model.forgotten

    @invariant()
    def no_content_is_lost_or_left(self) -> None:
        rows = self.store._reader.execute(
            "SELECT c.content_id, 1 + coalesce(s.others, 0) FROM contents c"
            " LEFT JOIN shares s USING (content_id)"
        ).fetchall()
        uses = self.store._reader.execute(
            "SELECT content_id, count(*) FROM versions GROUP BY content_id"
        ).fetchall()
        assert dict(rows) == dict(uses)
        totals = self.turns.run(self.store.totals())
        assert totals.buckets == len(self.model.buckets)
        assert totals.objects == sum(map(len, self.model.buckets.values()))


class ReplicatedHistories(Histories):
    """Through encoded proposals, with reads that see a replica's state."""

    def made(self) -> Any:
        replica = MemoryReplica({})
        return ReplicatedMetadata(
            replica, LoneConsensus(replica), self.turns.clock, ImmediateThreads()
        )

    def content(self) -> str:
        execute = self.store._reader.execute
        sessions = execute("SELECT * FROM sessions").fetchall()
        execute("DELETE FROM sessions")
        try:
            return super().content()
        finally:
            for row in sessions:
                execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", row)


TestReplicatedHistories = ReplicatedHistories.TestCase
TestReplicatedHistories.settings = settings(
    max_examples=20,
    stateful_step_count=50,
)
TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=80,
    stateful_step_count=60,
)
