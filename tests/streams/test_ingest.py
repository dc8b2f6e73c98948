"""The write path: what is stored, what is refused, and that a refusal leaves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from bleepstore import shares
from bleepstore.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InsufficientStorage,
    InvalidRequest,
    MalformedTrailerError,
    NotImplemented,
    StoreError,
    XAmzContentSHA256Mismatch,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm
from bleepstore.model.objects import Extent
from bleepstore.streams import batches, ingest
from bleepstore.streams.digests import Digests, encode_base64
from bleepstore.streams.expectations import Expectations
from bleepstore.streams.ingest import AT_ONCE, Ingest, Ingested
from bleepstore.streams.threads import ImmediateThreads
from tests.objectstore.driving import Running, run
from tests.streams.stores import Ledger, Payload
from tests.streams.turns import HeldThreads

INLINE = 16
SMALL = b"small enough"
LARGE = bytes(range(256)) * 20
ANYTHING = Expectations(max_size=1 << 40)


class World:
    def __init__(self, blobs: Ledger | None = None, threads: Any = None) -> None:
        self.blobs = blobs or Ledger()
        ids = iter(f"id-{number}" for number in range(1000))
        self.ingest = Ingest(
            self.blobs, threads or ImmediateThreads(), lambda: next(ids), inline_max=INLINE
        )

    def start(self, payload: Payload, expectations: Expectations) -> Running[Ingested]:
        return Running(self.ingest.take(payload, expectations, Placement()))

    def take(self, payload: Payload, expectations: Expectations = ANYTHING) -> Ingested:
        return self.start(payload, expectations).result()


def batches_of(patch: pytest.MonkeyPatch, size: int) -> None:
    """Let batches have so many bytes."""
    patch.setattr(shares, "LEAST", size)
    patch.setattr(shares, "MOST", size)
    patch.setattr(batches, "MOST", size)


def checksum_of(data: bytes, algorithm: ChecksumAlgorithm) -> Checksum:
    digests = Digests(md5=False, algorithms=(algorithm,))
    digests.update(data)
    return digests.checksum(algorithm)


def whole(data: bytes) -> Payload:
    return Payload([data] if data else [], length=len(data))


@pytest.fixture(params=[SMALL, LARGE], ids=["inline", "blob"])
def body(request: pytest.FixtureRequest) -> bytes:
    data: bytes = request.param
    return data


def test_a_body_that_comes_in_tiny_pieces_is_not_kept_in_them() -> None:
    """Each would cost many times its bytes."""
    data = LARGE * 20
    world = World()
    ingested = world.take(Payload([data[at : at + 2] for at in range(0, len(data), 2)]))
    assert (ingested.size, ingested.md5) == (len(data), hashlib.md5(data).hexdigest())
    assert list(world.blobs.blobs.values()) == [data]
    assert world.blobs.pieces <= 2 + len(data) / batches.TINY


def assert_nothing_left(world: World) -> None:
    assert world.blobs.blobs == {}
    if "create" in world.blobs.calls:
        assert world.blobs.calls[-1] == "abort"


# What is stored


def test_a_small_body_is_kept_inline() -> None:
    world = World()
    result = world.take(whole(SMALL))
    assert result.extents == (Extent(len(SMALL), data=SMALL),)
    assert result.md5 == hashlib.md5(SMALL).hexdigest()
    assert result.checksum == result.scrub == checksum_of(SMALL, ChecksumAlgorithm.CRC64NVME)
    assert world.blobs.calls == []


def test_an_empty_body_has_no_extent() -> None:
    result = World().take(whole(b""))
    assert (result.size, result.extents) == (0, ())
    assert result.md5 == hashlib.md5(b"").hexdigest()


def test_a_large_body_becomes_a_blob() -> None:
    world = World()
    result = world.take(whole(LARGE))
    assert result.extents == (Extent(len(LARGE), "id-0"),)
    assert world.blobs.blobs == {"id-0": LARGE}
    assert result.md5 == hashlib.md5(LARGE).hexdigest()
    assert result.scrub == checksum_of(LARGE, ChecksumAlgorithm.CRC64NVME)
    assert world.blobs.calls[-1] == "finish"


@pytest.mark.parametrize(
    "pieces",
    [[600_000, 600_000, 1], [(1 << 20) + 1], [1 << 20, 3 << 20], [5000, (1 << 20) - 1]],
)
def test_no_write_is_larger_than_a_writer_takes(pieces: list[int]) -> None:
    """The ledger's writer takes no more than any other."""
    data = [bytes([number]) * size for number, size in enumerate(pieces)]
    world = World()
    result = world.take(Payload(data))
    assert list(world.blobs.blobs.values()) == [b"".join(data)]
    assert result.md5 == hashlib.md5(b"".join(data)).hexdigest()


@pytest.mark.parametrize("length", [0, 1, INLINE, INLINE + 1])
def test_a_store_that_wants_no_inline_objects_gets_a_blob_of_any_size(length: int) -> None:
    world = World(Ledger(inline_small=False))
    result = world.take(whole(b"x" * length))
    assert result.extents == (Extent(length, "id-0"),)
    assert world.blobs.blobs == {"id-0": b"x" * length}


@pytest.mark.parametrize("sha256", [False, True])
def test_a_writer_that_is_told_the_md5_is_believed(sha256: bool) -> None:
    world = World()
    world.blobs.told = "0" * 32
    signed = hashlib.sha256(LARGE).hexdigest() if sha256 else None
    result = world.take(whole(LARGE), Expectations(max_size=1 << 40, sha256=signed))
    assert world.blobs.blobs == {"id-0": LARGE}
    assert result.md5 == "0" * 32
    assert result.scrub == checksum_of(LARGE, ChecksumAlgorithm.CRC64NVME)


def test_the_md5_that_is_chosen_as_the_checksum_is_computed_all_the_same() -> None:
    world = World()
    world.blobs.told = "0" * 32
    checksum = checksum_of(LARGE, ChecksumAlgorithm.MD5)
    sent = Expectations(max_size=1 << 40, checksum=checksum)
    result = world.take(whole(LARGE), sent)
    assert (result.md5, result.checksum) == ("0" * 32, checksum)
    with pytest.raises(BadDigest):
        world.take(whole(LARGE[1:]), sent)


def test_the_md5_that_a_client_claims_is_computed_all_the_same() -> None:
    world = World()
    world.blobs.told = "0" * 32
    wrong = hashlib.md5(b"other").digest()
    with pytest.raises(BadDigest):
        world.take(whole(LARGE), Expectations(max_size=1 << 40, content_md5=wrong))
    assert_nothing_left(world)


@given(
    st.lists(st.binary(min_size=1, max_size=12), max_size=12),
    st.booleans(),
    st.integers(min_value=1, max_value=20),
)
def test_any_body_in_any_pieces_and_batches_is_stored_as_it_is(
    pieces: list[bytes], announced: bool, batch: int
) -> None:
    data = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        batches_of(patch, batch)
        world = World()
        result = world.take(Payload(pieces, length=len(data) if announced else None))
    stored = b"".join(extent.data or world.blobs.blobs[extent.blob_id] for extent in result.extents)
    assert stored == data
    assert bool(world.blobs.blobs) == (len(data) > INLINE)
    assert (result.size, result.md5) == (len(data), hashlib.md5(data).hexdigest())
    assert result.scrub == checksum_of(data, ChecksumAlgorithm.CRC64NVME)


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_the_checksum_that_was_chosen_is_computed_where_no_value_came(
    body: bytes, algorithm: ChecksumAlgorithm
) -> None:
    result = World().take(whole(body), Expectations(max_size=1 << 40, algorithm=algorithm))
    assert result.checksum == checksum_of(body, algorithm)
    assert result.scrub == checksum_of(body, ChecksumAlgorithm.CRC64NVME)


def test_everything_that_matches_is_accepted(body: bytes) -> None:
    for algorithm in ChecksumAlgorithm:
        checksum = checksum_of(body, algorithm)
        expectations = Expectations(
            max_size=len(body),
            content_md5=hashlib.md5(body).digest(),
            sha256=hashlib.sha256(body).hexdigest(),
            checksum=checksum,
        )
        assert World().take(whole(body), expectations).checksum == checksum
        trailing = Payload([body], trailers={algorithm.header: checksum.value})
        by_trailer = Expectations(max_size=len(body), trailer=algorithm)
        assert World().take(trailing, by_trailer).checksum == checksum


def test_a_small_body_at_hand_never_suspends() -> None:
    run(World(threads=HeldThreads()).ingest.take(whole(SMALL), ANYTHING, Placement()))


# A store that takes no blobs


def read_only() -> World:
    return World(Ledger(read_only="there are reasons"))


def test_a_small_body_that_is_not_kept_inline_waits_for_no_thread() -> None:
    blobs = Ledger(inline_small=False)
    threads = HeldThreads()
    world = World(blobs, threads)
    started = world.start(whole(b"x" * AT_ONCE), ANYTHING)
    assert started.result().md5 == hashlib.md5(b"x" * AT_ONCE).hexdigest()
    assert not world.start(whole(b"x" * (AT_ONCE + 1)), ANYTHING).done


def test_what_fits_inline_needs_no_blob() -> None:
    world = read_only()
    assert world.take(whole(b"x" * INLINE)).size == INLINE
    assert world.take(Payload([b"x" * INLINE])).size == INLINE
    assert world.blobs.calls == []


def test_a_length_that_needs_a_blob_is_refused_before_anything_is_read() -> None:
    world = read_only()
    payload = whole(b"x" * (INLINE + 1))
    with pytest.raises(NotImplemented) as caught:
        world.take(payload)
    assert caught.value.message == (
        "An object or part of more than 16 bytes (storage.inline_max_bytes) cannot be stored: "
        "there are reasons."
    )
    assert caught.value.details == {"MaxSizeAllowed": "16"}
    assert payload.reads == 0
    assert world.blobs.calls == []


def test_without_a_length_no_more_is_read_than_shows_that_it_needs_a_blob() -> None:
    world = read_only()
    payload = Payload([b"x" * INLINE, b"x", b"never read"])
    with pytest.raises(NotImplemented):
        world.take(payload)
    assert payload.reads == 2
    assert world.blobs.calls == []


# What is refused


def refused(
    body: bytes, error: type[StoreError], payload: Payload | None = None, **expectations: Any
) -> Any:
    world = World()
    with pytest.raises(error) as caught:
        world.take(payload or whole(body), Expectations(**{"max_size": 1 << 40, **expectations}))
    assert_nothing_left(world)
    return caught.value


def test_another_content_md5(body: bytes) -> None:
    wrong = hashlib.md5(b"other").digest()
    error = refused(body, BadDigest, content_md5=wrong)
    assert error.message == "The Content-MD5 you specified did not match what we received."
    assert error.details["CalculatedDigest"] == encode_base64(hashlib.md5(body).digest())


def test_another_signed_hash(body: bytes) -> None:
    error = refused(body, XAmzContentSHA256Mismatch, sha256="0" * 64)
    assert error.details == {
        "ClientComputedContentSHA256": "0" * 64,
        "S3ComputedContentSHA256": hashlib.sha256(body).hexdigest(),
    }


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_another_checksum(body: bytes, algorithm: ChecksumAlgorithm) -> None:
    wrong = checksum_of(b"other", algorithm)
    message = f"The {algorithm} you specified did not match the calculated checksum."
    assert refused(body, BadDigest, checksum=wrong).message == message
    payload = Payload([body], trailers={algorithm.header: wrong.value})
    assert refused(body, BadDigest, payload, trailer=algorithm).message == message


def test_a_trailer_that_did_not_come(body: bytes) -> None:
    refused(body, MalformedTrailerError, trailer=ChecksumAlgorithm.CRC32)


@pytest.mark.parametrize("value", ["what?", "é", "AAA="])
def test_a_trailer_that_is_no_checksum(body: bytes, value: str) -> None:
    payload = Payload([body], trailers={"x-amz-checksum-crc32": value})
    error = refused(body, InvalidRequest, payload, trailer=ChecksumAlgorithm.CRC32)
    assert error.message == "Value for x-amz-checksum-crc32 trailing header is invalid."


def test_what_is_announced_to_be_too_large_is_refused_before_anything_is_read(
    body: bytes,
) -> None:
    payload = whole(body)
    refused(body, EntityTooLarge, payload, max_size=3)
    assert payload.reads == 0


def test_a_body_that_turns_out_too_large(body: bytes) -> None:
    payload = Payload([body[:5], body[5:]])
    error = refused(body, EntityTooLarge, payload, max_size=len(body) - 1)
    assert error.details == {
        "ProposedSize": str(len(body)),
        "MaxSizeAllowed": str(len(body) - 1),
    }


def test_no_more_is_read_than_shows_that_a_body_is_too_large() -> None:
    payload = Payload([LARGE, LARGE, b"never read"])
    error = refused(LARGE, EntityTooLarge, payload, max_size=2 * len(LARGE) - 1)
    assert error.details["ProposedSize"] == str(2 * len(LARGE))
    assert payload.reads == 2


def test_a_body_just_as_large_as_allowed(body: bytes) -> None:
    for pieces in ([body], [body[:-1], body[-1:]]):
        result = World().take(Payload(pieces), Expectations(max_size=len(body)))
        assert result.size == len(body)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_body_of_another_length_than_announced(body: bytes, difference: int) -> None:
    refused(body, IncompleteBody, Payload([body], length=len(body) + difference))


def test_a_body_that_breaks_off(body: bytes) -> None:
    refused(body, IncompleteBody, Payload([body[:4], IncompleteBody()], length=len(body)))
    refused(body, IncompleteBody, Payload([body, IncompleteBody()]))


# What goes wrong on the way


@pytest.mark.parametrize("place", ["fail_write", "fail_finish"])
def test_a_store_that_has_no_room(place: str) -> None:
    world = World()
    setattr(world.blobs, place, InsufficientStorage())
    with pytest.raises(InsufficientStorage):
        world.take(whole(LARGE))
    assert_nothing_left(world)


@pytest.mark.parametrize("place", ["fail_write", "fail_finish"])
def test_a_store_that_has_no_room_for_a_small_body(place: str) -> None:
    world = World(Ledger(inline_small=False))
    setattr(world.blobs, place, InsufficientStorage())
    with pytest.raises(InsufficientStorage):
        world.take(whole(SMALL))
    assert_nothing_left(world)


@pytest.mark.parametrize("inline_small", [False, True])
def test_an_error_is_said_when_what_was_written_is_gone(inline_small: bool) -> None:
    world = World(Ledger(inline_small=inline_small))
    world.blobs.fail_finish = InsufficientStorage()
    world.blobs.held_abort = Deferred()
    taking = world.start(whole(LARGE if inline_small else SMALL), ANYTHING)
    assert world.blobs.calls[-1] == "abort"
    assert not taking.done
    world.blobs.held_abort.callback(None)
    with pytest.raises(InsufficientStorage):
        taking.result()


def test_a_cancelled_wait_for_the_write_of_a_small_body_leaves_nothing() -> None:
    world = World(Ledger(inline_small=False))
    world.blobs.held = Deferred()
    taking = world.start(whole(SMALL), ANYTHING)
    assert world.blobs.calls == ["create", "write"]
    taking.cancel()
    with pytest.raises(CancelledError):
        taking.result()
    assert_nothing_left(world)


def test_nothing_is_created_for_a_small_body_that_is_not_what_it_claims_to_be() -> None:
    world = World(Ledger(inline_small=False))
    with pytest.raises(XAmzContentSHA256Mismatch):
        world.take(whole(SMALL), Expectations(max_size=1000, sha256="0" * 64))
    assert world.blobs.calls == []


class Counted(shares.Share):
    """A share that says how many have it."""

    count = 0

    def enter(self) -> None:
        super().enter()
        Counted.count += 1

    def leave(self) -> None:
        super().leave()
        Counted.count -= 1


@pytest.mark.parametrize("end", [b"", IncompleteBody(), None])
def test_a_large_body_has_its_share_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, end: bytes | Exception | None
) -> None:
    monkeypatch.setattr(ingest, "Share", Counted)
    more: Deferred[None] = Deferred()
    taking = World().start(Payload([LARGE, more, *([] if end is None else [end])]), ANYTHING)
    assert Counted.count == 1
    if end is None:
        taking.cancel()
    else:
        more.callback(None)
    assert taking.done
    assert Counted.count == 0


def small_batches(test: Callable[..., None]) -> Callable[..., None]:
    def patched() -> None:
        with pytest.MonkeyPatch.context() as patch:
            batches_of(patch, 100)
            test()

    patched.__name__ = test.__name__
    return patched


@small_batches
def test_a_cancelled_wait_for_the_network_leaves_nothing() -> None:
    world = World()
    taking = world.start(Payload([LARGE, Deferred()]), ANYTHING)
    assert not taking.done
    taking.cancel()
    with pytest.raises(CancelledError):
        taking.result()
    assert_nothing_left(world)


@small_batches
def test_a_cancelled_wait_for_the_disk_leaves_nothing_once_the_write_ended() -> None:
    world = World()
    world.blobs.held = Deferred()
    taking = world.start(Payload([LARGE]), ANYTHING)
    assert world.blobs.calls == ["create", "write"]
    taking.cancel()
    with pytest.raises(CancelledError):
        taking.result()
    assert_nothing_left(world)


@small_batches
def test_an_error_of_the_network_waits_for_the_write_under_way_before_it_aborts() -> None:
    world = World()
    world.blobs.held = Deferred()
    taking = world.start(Payload([LARGE[:100], IncompleteBody()]), ANYTHING)
    assert world.blobs.calls == ["create", "write"]
    assert not taking.done
    world.blobs.held.callback(None)
    with pytest.raises(IncompleteBody):
        taking.result()
    assert_nothing_left(world)


@small_batches
def test_a_second_cancellation_does_not_keep_the_cleaning_from_its_end() -> None:
    world = World()
    world.blobs.held = Deferred()
    taking = world.start(Payload([LARGE[:100], IncompleteBody()]), ANYTHING)
    taking.cancel()
    assert taking.done
    world.blobs.held.callback(None)
    assert_nothing_left(world)


@pytest.mark.parametrize(("greatest", "most"), [(100, batches.ALONE), (200, batches.IN_FLIGHT)])
def test_while_threads_hash_only_so_many_batches_are_taken_from_the_network(
    monkeypatch: pytest.MonkeyPatch, greatest: int, most: int
) -> None:
    """Fewer where batches are smaller than they can be: then there are many bodies."""
    batches_of(monkeypatch, 100)
    monkeypatch.setattr(batches, "MOST", greatest)
    threads = HeldThreads()
    world = World(threads=threads)
    payload = Payload([LARGE[start : start + 50] for start in range(0, len(LARGE), 50)])
    taking = world.start(payload, ANYTHING)
    assert payload.reads == 2 * (most + 1)
    threads.step()
    assert payload.reads == 2 * (most + 2)
    threads.go_on()
    assert taking.result().md5 == hashlib.md5(LARGE).hexdigest()


@small_batches
def test_while_the_disk_is_busy_the_network_waits() -> None:
    world = World()
    world.blobs.held = Deferred()
    payload = Payload([LARGE[start : start + 50] for start in range(0, len(LARGE), 50)])
    taking = world.start(payload, ANYTHING)
    assert payload.reads == 4  # one batch with the disk, the next one gathered
    world.blobs.held.callback(None)
    assert taking.result().size == len(LARGE)
