"""Multipart uploads: parts in, one object out, and no byte moved twice."""

import base64
from hashlib import md5, sha256

import msgspec
import pytest

from bleepstore.errors import (
    AccessDenied,
    BadDigest,
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartNumber,
    InvalidPartOrder,
    InvalidRequest,
    MalformedXML,
    NoSuchUpload,
    OperationAborted,
    PreconditionFailed,
    SourceChanged,
)
from bleepstore.model.acl import CannedAcl
from bleepstore.model.checksums import ChecksumAlgorithm, ChecksumType
from bleepstore.model.commands import CompletedPart, Written
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.model.names import MIN_PART_SIZE
from bleepstore.model.objects import Description, Part, Upload
from bleepstore.objectstore.requests import (
    Claims,
    CompleteRequest,
    CopyRequest,
    PartCopyRequest,
    ReadRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.objectstore.sources import ATTEMPTS
from bleepstore.streams.digests import DigestsOfAll
from bleepstore.wire.checksums import ClaimedChecksum
from bleepstore.wire.copying import CopySource
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, LARGE, Payload, World, content

FIRST = content(MIN_PART_SIZE)
UNCLAIMED = Claims()
LAST = b"the last one is small"
ETAG = md5(
    b"".join(md5(part, usedforsecurity=False).digest() for part in (FIRST, LAST)),
    usedforsecurity=False,
).hexdigest()


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def create(world: World, **kwargs: object) -> UploadName:
    request = msgspec.structs.replace(UploadRequest("bucket", "k", Description()), **kwargs)
    upload = run(world.store.uploads.create(world.caller(ALICE), request))
    return UploadName("bucket", request.key, upload.upload_id)


def put_part(
    world: World, upload: UploadName, number: int, body: bytes | Payload, claims: Claims = UNCLAIMED
) -> Part:
    payload = body if isinstance(body, Payload) else Payload(body, length=len(body))
    caller = world.caller(ALICE)
    return run(world.store.uploads.put_part(caller, upload, number, payload, claims))


def claiming(algorithm: ChecksumAlgorithm, body: bytes) -> Claims:
    """What a client says that sends a checksum with its part."""
    return Claims(checksum=ClaimedChecksum(algorithm, DigestsOfAll(body).checksum(algorithm).value))


def copy_part(world: World, upload: UploadName, number: int, key: str, **kwargs: object) -> Part:
    request = msgspec.structs.replace(
        PartCopyRequest(upload, number, CopySource("bucket", key)), **kwargs
    )
    return run(world.store.uploads.copy_part(world.caller(ALICE), request))


def complete(world: World, upload: UploadName, *parts: Part, **kwargs: object) -> Written:
    named = tuple(CompletedPart(part.number, part.etag) for part in parts)
    request = msgspec.structs.replace(CompleteRequest(upload, named), **kwargs)
    return run(world.store.uploads.complete(world.caller(ALICE), request))


def test_an_object_is_made_of_its_parts(world: World) -> None:
    upload = create(world, description=Description({"content-type": "x/y"}))
    second = put_part(world, upload, 7, LAST)
    first = put_part(world, upload, 2, FIRST)
    writes = world.blobs.calls.count("create")
    written = complete(world, upload, first, second)
    assert written.etag == f"{ETAG}-2"
    assert world.get("k") == FIRST + LAST
    assert world.blobs.calls.count("create") == writes == 1  # the small part is inline
    head = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "k")))
    assert head.version.part_count == 2
    assert head.version.description.headers == {"content-type": "x/y"}
    with pytest.raises(NoSuchUpload):
        run(world.store.uploads.list_parts(world.caller(ALICE), upload))


def test_parts_of_an_object_are_read_by_their_number(world: World) -> None:
    upload = create(world)
    last = put_part(world, upload, 7, LAST)
    complete(world, upload, put_part(world, upload, 2, FIRST), last)
    assert world.get("k", part_number=7) == LAST
    head = run(
        world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "k", part_number=7))
    )
    assert (head.offset, head.length, head.partial, head.part_count) == (
        len(FIRST),
        len(LAST),
        True,
        2,
    )
    assert head.checksum == last.checksum is not None
    whole = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "k")))
    assert whole.checksum == whole.version.checksum is not None
    assert whole.checksum != last.checksum
    with pytest.raises(InvalidPartNumber) as refused:
        world.get("k", part_number=1)
    assert refused.value.details == {"PartNumberRequested": "1", "ActualPartCount": "2"}
    attributes = run(world.store.objects.attributes(world.caller(ALICE), "bucket", "k"))
    assert [(part.number, part.size) for part in attributes.parts] == [
        (2, len(FIRST)),
        (7, len(LAST)),
    ]
    across = ReadRequest("bucket", "k", choose_span=lambda _: (len(FIRST) - 4, 7))
    assert world.read(world.caller(ALICE), across) == FIRST[-4:] + LAST[:3]


def test_a_part_is_replaced_by_the_next_one_of_its_number(world: World) -> None:
    upload = create(world)
    old = put_part(world, upload, 1, content(LARGE))
    new = put_part(world, upload, 1, LAST)
    with pytest.raises(InvalidPart):
        complete(world, upload, old)
    complete(world, upload, new)
    assert world.get("k") == LAST
    assert world.leaked() == set()


def test_an_upload_of_another_key_is_none(world: World) -> None:
    upload = create(world)
    payload = Payload(b"body")
    with pytest.raises(NoSuchUpload):
        put_part(world, msgspec.structs.replace(upload, key="other"), 1, payload)
    assert payload.reads == 0


def test_parts_have_the_checksum_of_their_upload_though_the_client_sends_none(
    world: World,
) -> None:
    """But where it is composite: then it is the client that says what the parts are."""
    body = content(LARGE)
    crc = ChecksumAlgorithm.CRC32
    chosen = create(world, checksum_algorithm=crc, checksum_type=ChecksumType.FULL_OBJECT)
    part = put_part(world, chosen, 1, body)
    assert part.checksum == DigestsOfAll(body).checksum(crc)
    assert complete(world, chosen, part).checksum == DigestsOfAll(body).checksum(crc)
    composite = create(world, checksum_algorithm=crc, checksum_type=ChecksumType.COMPOSITE)
    payload = Payload(body)
    with pytest.raises(InvalidRequest) as refused:
        put_part(world, composite, 1, payload)
    assert refused.value.message == (
        "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: null"
    )
    assert payload.reads == 0
    default = create(world)
    part = put_part(world, default, 1, body)
    assert part.checksum is not None
    assert part.checksum.algorithm is ChecksumAlgorithm.CRC64NVME


def test_parts_of_a_composite_checksum_are_named_with_theirs(world: World) -> None:
    upload = create(
        world,
        checksum_algorithm=ChecksumAlgorithm.SHA256,
        checksum_type=ChecksumType.COMPOSITE,
    )
    part = put_part(world, upload, 1, LAST, claiming(ChecksumAlgorithm.SHA256, LAST))
    other = {ChecksumAlgorithm.SHA1: "of another algorithm"}
    for named in (CompletedPart(1, part.etag), CompletedPart(1, part.etag, other)):
        with pytest.raises(InvalidRequest) as refused:
            complete(world, upload, parts=(named,))
        assert refused.value.message == (
            "The upload was created using a sha256 checksum. The complete request must include "
            "the checksum for each part. It was missing for part 1 in the request."
        )


def test_parts_of_a_composite_checksum_are_numbered_without_gaps(world: World) -> None:
    for algorithm, type_, allowed in (
        (ChecksumAlgorithm.CRC32, ChecksumType.COMPOSITE, False),
        (ChecksumAlgorithm.CRC32, ChecksumType.FULL_OBJECT, True),
        (None, None, True),
    ):
        upload = create(world, checksum_algorithm=algorithm, checksum_type=type_)
        part = put_part(world, upload, 2, LAST, claiming(ChecksumAlgorithm.CRC32, LAST))
        assert part.checksum is not None
        named = CompletedPart(2, part.etag, {part.checksum.algorithm: part.checksum.value})
        if allowed:
            complete(world, upload, parts=(named,))
        else:
            with pytest.raises(InvalidPartOrder):
                complete(world, upload, parts=(named,))


def test_a_part_with_another_checksum_than_the_uploads_is_refused_before_the_body(
    world: World,
) -> None:
    upload = create(
        world,
        checksum_algorithm=ChecksumAlgorithm.CRC32C,
        checksum_type=ChecksumType.COMPOSITE,
    )
    payload = Payload(b"body")
    claims = Claims(checksum=ClaimedChecksum(ChecksumAlgorithm.SHA256))
    with pytest.raises(InvalidRequest) as refused:
        put_part(world, upload, 1, payload, claims)
    assert refused.value.message == (
        "Checksum Type mismatch occurred, "
        "expected checksum Type: crc32c, actual checksum Type: sha256"
    )
    assert payload.reads == 0


def test_a_checksum_that_the_upload_did_not_ask_for_is_verified_and_not_kept(
    world: World,
) -> None:
    upload = create(world)

    def claims(body: bytes) -> Claims:
        value = base64.b64encode(sha256(body).digest()).decode()
        return Claims(checksum=ClaimedChecksum(ChecksumAlgorithm.SHA256, value))

    with pytest.raises(BadDigest):
        put_part(world, upload, 1, LAST, claims(FIRST))
    part = put_part(world, upload, 1, LAST, claims(LAST))
    assert part.checksum is not None
    assert part.checksum.algorithm is ChecksumAlgorithm.CRC64NVME
    wrong = {ChecksumAlgorithm.CRC64NVME: "AAAAAAAAAAA="}
    with pytest.raises(InvalidPart):
        complete(world, upload, parts=(CompletedPart(1, part.etag, wrong),))
    named = {ChecksumAlgorithm.SHA256: "of the part, as the client remembers it"}
    complete(world, upload, parts=(CompletedPart(1, part.etag, named),))


def test_what_cannot_be_completed(world: World) -> None:
    upload = create(world)
    small = put_part(world, upload, 1, LAST)
    other = put_part(world, upload, 2, LAST)
    with pytest.raises(MalformedXML):
        complete(world, upload)
    with pytest.raises(InvalidPartOrder) as caught:
        complete(world, upload, other, small)
    assert caught.value.details == {"UploadId": upload.upload_id}
    with pytest.raises(InvalidPartOrder):
        complete(world, upload, small, small)
    with pytest.raises(EntityTooSmall):
        complete(world, upload, small, other)
    with pytest.raises(InvalidPart):
        complete(world, upload, msgspec.structs.replace(small, number=3))
    with pytest.raises(NoSuchUpload):
        complete(world, msgspec.structs.replace(upload, upload_id="other"), small)
    assert len(run(world.store.uploads.list_parts(world.caller(ALICE), upload)).page.parts) == 2


def test_the_whole_is_bounded_by_the_size_limit() -> None:
    world = World(max_object_size=MIN_PART_SIZE + 10)
    world.bucket()
    upload = create(world)
    parts = [put_part(world, upload, 1, FIRST), put_part(world, upload, 2, LAST)]
    with pytest.raises(EntityTooLarge) as refused:
        complete(world, upload, *parts)
    assert refused.value.details["ProposedSize"] == str(len(FIRST) + len(LAST))
    complete(world, upload, parts[0])


def test_completing_twice_gives_the_same_answer(world: World) -> None:
    upload = create(world)
    part = put_part(world, upload, 1, LAST)
    first = complete(world, upload, part)
    assert complete(world, upload, part) == first
    world.put("k", b"newer")
    with pytest.raises(NoSuchUpload):
        complete(world, upload, part)


def test_completing_under_a_condition(world: World) -> None:
    upload = create(world)
    part = put_part(world, upload, 1, LAST)
    world.put("k", b"there")
    with pytest.raises(PreconditionFailed):
        complete(world, upload, part, conditions=WriteConditions(if_none_match=True))
    complete(world, upload, part)


def test_the_acl_is_given_at_the_start(world: World) -> None:
    world.bucket("open", canned=CannedAcl.PUBLIC_READ_WRITE)
    with pytest.raises(AccessDenied, match=r"initiate multipart uploads\.  Please"):
        run(
            world.store.uploads.create(
                world.caller(None), UploadRequest("open", "k", Description())
            )
        )
    made: Upload = run(
        world.store.uploads.create(world.caller(BOB), UploadRequest("open", "k", Description()))
    )
    assert (made.owner_id, made.initiator_id, made.acl.owner_id) == (BOB.id,) * 3


def test_aborting_releases_the_parts(world: World) -> None:
    upload = create(world)
    put_part(world, upload, 1, content(LARGE))
    run(world.store.uploads.abort(world.caller(ALICE), upload))
    assert len(run(world.metadata.released_blobs(10))) == 1
    with pytest.raises(NoSuchUpload):
        run(world.store.uploads.abort(world.caller(ALICE), upload))


def test_parts_are_listed_in_pages_with_names(world: World) -> None:
    upload = create(world)
    for number in (1, 2, 3):
        put_part(world, upload, number, LAST)
    listed = run(world.store.uploads.list_parts(world.caller(ALICE), upload, after=1, limit=1))
    assert [part.number for part in listed.page.parts] == [2]
    assert listed.page.next_after == 2
    assert listed.names == {ALICE.id: "alice"}
    assert listed.upload.upload_id == upload.upload_id


@pytest.mark.parametrize("after", [0, 1])
def test_the_parts_of_an_upload_that_ends_meanwhile_are_not_listed_as_none(
    world: World, after: int
) -> None:
    upload = create(world)
    parts = [put_part(world, upload, 1, FIRST), put_part(world, upload, 2, LAST)]
    world.metadata.before("list_parts", lambda: complete(world, upload, *parts))
    with pytest.raises(NoSuchUpload):
        run(world.store.uploads.list_parts(world.caller(ALICE), upload, after=after))


# Copies into an upload


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_copied_part_has_the_bytes_of_its_source_and_writes_none(world: World, size: int) -> None:
    original = world.put("source", content(size))
    creates = world.blobs.calls.count("create")
    upload = create(world)
    part = copy_part(world, upload, 1, "source")
    assert (part.size, part.etag, part.checksum) == (size, original.etag, original.checksum)
    assert "open" not in world.blobs.calls  # all is known already
    complete(world, upload, part)
    run(world.store.objects.delete(world.caller(ALICE), "bucket", "source"))
    assert world.get("k") == content(size)
    assert world.blobs.calls.count("create") == creates


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_range_of_a_source_is_digested_by_reading_it(world: World, size: int) -> None:
    world.put("source", content(size))
    upload = create(
        world,
        checksum_algorithm=ChecksumAlgorithm.SHA256,
        checksum_type=ChecksumType.COMPOSITE,
    )
    part = copy_part(world, upload, 1, "source", first_last=(10, 509))
    expected = content(size)[10:510]
    assert part.size == 500
    assert part.etag == md5(expected, usedforsecurity=False).hexdigest()
    assert part.checksum is not None
    assert base64.b64decode(part.checksum.value) == sha256(expected).digest()
    named = {ChecksumAlgorithm.SHA256: part.checksum.value}
    complete(world, upload, parts=(CompletedPart(1, part.etag, named),))
    assert world.get("k") == expected
    assert world.pins.count == 0


def test_a_copied_part_has_the_checksum_of_its_upload_whatever_its_source_has(
    world: World,
) -> None:
    sha, crc = ChecksumAlgorithm.SHA256, ChecksumAlgorithm.CRC64NVME
    composite = {"checksum_algorithm": sha, "checksum_type": ChecksumType.COMPOSITE}
    world.put("crc", FIRST)
    upload = create(world, key="composite", **composite)
    sent = put_part(world, upload, 1, FIRST, claiming(sha, FIRST))
    assert sent.checksum is not None
    named = CompletedPart(1, sent.etag, {sha: sent.checksum.value})
    complete(world, upload, parts=(named,))
    for source in ("crc", "composite"):
        for algorithm, upload in ((sha, create(world, **composite)), (crc, create(world))):
            part = copy_part(world, upload, 1, source)
            assert part.checksum == DigestsOfAll(FIRST).checksum(algorithm)


def test_a_part_copied_from_a_multipart_object_gets_an_md5_of_its_own(world: World) -> None:
    upload = create(world, key="source")
    complete(world, upload, put_part(world, upload, 1, FIRST), put_part(world, upload, 2, LAST))
    target = create(world)
    part = copy_part(world, target, 1, "source")
    assert part.etag == md5(FIRST + LAST, usedforsecurity=False).hexdigest()
    complete(world, target, part)
    assert world.get("k") == FIRST + LAST


def extents_of(world: World, key: str) -> list[tuple[int, bool]]:
    """Length of each extent of an object, and whether a blob has it."""
    found = run(world.metadata.get_object("bucket", key, "", True))
    return [(extent.length, bool(extent.blob_id)) for extent in found.manifest.extents]


def test_a_copied_part_carries_no_inline_bytes_along(world: World) -> None:
    upload = create(world, key="source")
    complete(world, upload, put_part(world, upload, 1, FIRST), put_part(world, upload, 2, LAST))
    assert extents_of(world, "source") == [(len(FIRST), True), (len(LAST), False)]
    target = create(world)
    complete(world, target, copy_part(world, target, 1, "source"))
    assert extents_of(world, "k") == [(len(FIRST), True), (len(LAST), True)]
    run(world.store.objects.delete(world.caller(ALICE), "bucket", "source"))
    assert world.get("k") == FIRST + LAST
    assert world.leaked() == set()


def test_copies_of_copies_have_no_more_extents_each_time(world: World) -> None:
    """What each step doubles would be a manifest of megabytes after twenty, and be decoded by
    every request for the object."""
    world.put("first", FIRST)
    world.put("x", content(LARGE))
    middle = content(LARGE)[-1:]
    upload = create(world, key="tail")
    tail = copy_part(world, upload, 2, "x", first_last=(LARGE - 1, LARGE - 1))
    complete(world, upload, copy_part(world, upload, 1, "first"), tail)
    for _ in range(6):
        upload = create(world, key="both")
        begin = copy_part(world, upload, 1, "tail")
        complete(world, upload, begin, copy_part(world, upload, 2, "first"))
        upload = create(world, key="twice")
        end = (len(FIRST), 2 * len(FIRST) + len(middle) - 1)
        begin = copy_part(world, upload, 1, "tail")
        complete(world, upload, begin, copy_part(world, upload, 2, "both", first_last=end))
        middle += middle
        upload = create(world, key="tail")
        whole = (0, len(FIRST) + len(middle) - 1)
        complete(world, upload, copy_part(world, upload, 1, "twice", first_last=whole))
    assert extents_of(world, "tail") == [(len(FIRST), True), (64, True)]
    assert world.get("tail") == FIRST + middle
    assert world.leaked() == set()
    assert world.pins.count == 0


@pytest.mark.parametrize("call", ["open", "submit"])
def test_a_part_that_fails_leaves_nothing_of_what_was_joined(world: World, call: str) -> None:
    upload = create(world, key="source")
    complete(world, upload, put_part(world, upload, 1, FIRST), put_part(world, upload, 2, LAST))
    upload = create(world)
    failing = world.blobs if call == "open" else world.metadata
    failing.fail(call, NoSuchUpload())
    before = world.stored()
    with pytest.raises(NoSuchUpload):
        copy_part(world, upload, 1, "source")
    assert world.stored() == before
    assert world.pins.count == 0


def test_parts_show_no_checksum_that_a_copy_was_not_given(world: World) -> None:
    upload = create(world)
    last = put_part(world, upload, 2, LAST)
    complete(world, upload, put_part(world, upload, 1, FIRST), last)
    caller = world.caller(ALICE)
    for algorithm, expected in ((None, last.checksum), (ChecksumAlgorithm.SHA256, None)):
        request = CopyRequest(
            CopySource("bucket", "k"), "bucket", "copy", checksum_algorithm=algorithm
        )
        run(world.store.copies.copy(caller, request))
        attributes = run(world.store.objects.attributes(caller, "bucket", "copy"))
        assert [part.size for part in attributes.parts] == [len(FIRST), len(LAST)]
        assert attributes.parts[1].checksum == expected
        head = run(world.store.objects.head(caller, ReadRequest("bucket", "copy", part_number=2)))
        assert (head.length, head.checksum) == (len(LAST), expected)


def test_what_cannot_be_copied_into_an_upload(world: World) -> None:
    world.put("source", content(1000))
    upload = create(world)
    with pytest.raises(InvalidArgument):
        copy_part(world, upload, 1, "source", first_last=(0, 1000))
    with pytest.raises(PreconditionFailed):
        copy_part(world, upload, 1, "source", source_conditions=ReadConditions(if_match=("x",)))
    assert world.pins.count == 0


def test_a_source_whose_blobs_were_let_go_meanwhile_is_read_again(world: World) -> None:
    world.put("source", content(LARGE))
    upload = create(world)
    world.metadata.before("submit", lambda: world.put("source", b"newer"))
    part = copy_part(world, upload, 1, "source")
    assert part.size == 5


def test_a_source_that_never_rests_ends_the_copy(world: World) -> None:
    world.put("source", content(LARGE))
    upload = create(world)
    for _ in range(ATTEMPTS):
        world.metadata.fail("submit", SourceChanged())
    with pytest.raises(OperationAborted):
        copy_part(world, upload, 1, "source")
    assert world.pins.count == 0
    assert len(world.stored()) == 1  # the source's own blob is not fresh, and stays
