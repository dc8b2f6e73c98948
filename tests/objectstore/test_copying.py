"""Copies: no byte moves, the source is what was authorised, the destination gets its own ACL."""

import base64
from hashlib import sha256

import msgspec
import pytest

from bleepstore.errors import (
    AccessDenied,
    InvalidRequest,
    NoSuchKey,
    NoSuchVersion,
    OperationAborted,
    PreconditionFailed,
)
from bleepstore.model.acl import CannedAcl, private_acl
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import PutObject, Written
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.model.objects import Description, Extent, Manifest
from bleepstore.objectstore.requests import CopyRequest, ReadRequest
from bleepstore.objectstore.sources import ATTEMPTS
from bleepstore.wire.copying import CopySource
from bleepstore.wire.grants import RequestedAcl
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, LARGE, World, content

GiB = 1024**3
DESCRIPTION = Description({"content-type": "text/x"}, {"name": "value"}, "STANDARD_IA")


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def copy(
    world: World,
    account: object = ALICE,
    **changes: object,
) -> Written:
    request = CopyRequest(CopySource("bucket", "k"), "bucket", "copy")
    request = msgspec.structs.replace(request, **changes)
    return run(world.store.copies.copy(world.caller(account), request))  # type: ignore[arg-type]


def description_of(world: World, key: str) -> Description:
    head = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", key)))
    return head.version.description


def test_a_copy_has_the_bytes_of_its_source_and_moves_none(world: World) -> None:
    original = world.put("k", content(LARGE), description=DESCRIPTION)
    written = copy(world)
    assert (written.etag, written.size) == (original.etag, LARGE)
    assert written.checksum == original.checksum
    assert world.get("copy") == content(LARGE)
    assert len(world.stored()) == 1
    assert world.blobs.calls.count("open") == 1  # by the read above alone
    assert world.pins.count == 0


def test_the_copy_outlives_its_source(world: World) -> None:
    world.put("k", content(LARGE))
    copy(world)
    run(world.store.objects.delete(world.caller(ALICE), "bucket", "k"))
    assert world.get("copy") == content(LARGE)
    assert run(world.metadata.released_blobs(10)) == []


def test_the_description_is_kept_or_replaced_and_the_storage_class_is_asked_for(
    world: World,
) -> None:
    world.put("k", b"body", description=DESCRIPTION)
    copy(world)
    kept = description_of(world, "copy")
    assert (kept.headers, kept.metadata) == (DESCRIPTION.headers, DESCRIPTION.metadata)
    assert kept.storage_class == "STANDARD"
    new = Description({"content-type": "y/z"})
    copy(world, replace=new, storage_class="GLACIER")
    replaced = description_of(world, "copy")
    assert (replaced.headers, replaced.metadata) == (new.headers, {})
    assert replaced.storage_class == "GLACIER"


def test_the_acl_is_not_copied(world: World) -> None:
    public = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
    world.put("k", b"body", acl=public)
    copy(world)
    with pytest.raises(AccessDenied):
        world.get("copy", account=None)
    copy(world, acl=public)
    assert world.get("copy", account=None) == b"body"


def test_the_copy_belongs_to_who_copies(world: World) -> None:
    world.bucket("bobs", BOB)
    world.put("k", b"body", acl=RequestedAcl(canned=CannedAcl.AUTHENTICATED_READ))
    copy(world, account=BOB, bucket="bobs")
    view = run(world.store.objects.get_acl(world.caller(BOB), "bobs", "copy"))
    assert view.acl == private_acl(BOB.id)


def test_nobody_copies_without_signing(world: World) -> None:
    """Not even where all may read the one and write the other."""
    world.bucket("open", canned=CannedAcl.PUBLIC_READ_WRITE)
    world.put("k", b"content", bucket="open", acl=RequestedAcl(canned=CannedAcl.PUBLIC_READ))
    for source in ("open", "absent"):
        request = CopyRequest(CopySource(source, "k"), "open", "copy")
        with pytest.raises(AccessDenied) as refused:
            run(world.store.copies.copy(world.caller(None), request))
        assert refused.value.message == (
            "Anonymous users cannot copy objects.  Please authenticate."
        )


def test_a_copy_onto_itself_must_change_something(world: World) -> None:
    world.put("k", b"body")
    with pytest.raises(InvalidRequest, match="to itself without changing"):
        copy(world, key="k")
    with pytest.raises(InvalidRequest, match="to itself without changing"):
        copy(world, key="k", acl=RequestedAcl(canned=CannedAcl.PUBLIC_READ))
    copy(world, key="k", replace=Description({"content-type": "y/z"}))
    copy(world, key="k", storage_class="GLACIER", chooses_class=True)
    copy(world, key="k", storage_class="GLACIER", chooses_class=True)  # the one that it has
    copy(world, key="k", checksum_algorithm=ChecksumAlgorithm.SHA1, storage_class="GLACIER")
    assert world.get("k") == b"body"


@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_another_checksum_is_computed_from_the_bytes_and_none_is_written(
    world: World, size: int
) -> None:
    world.put("k", content(size))
    blobs = world.stored()
    written = copy(world, checksum_algorithm=ChecksumAlgorithm.SHA256)
    assert written.checksum is not None
    assert written.checksum.algorithm is ChecksumAlgorithm.SHA256
    assert base64.b64decode(written.checksum.value) == sha256(content(size)).digest()
    assert world.stored() == blobs
    assert world.pins.count == 0


def test_the_same_checksum_is_not_computed_again(world: World) -> None:
    original = world.put("k", content(LARGE))
    written = copy(world, checksum_algorithm=ChecksumAlgorithm.CRC64NVME)
    assert written.checksum == original.checksum
    assert "open" not in world.blobs.calls


def test_source_conditions_are_412_where_a_read_has_304(world: World) -> None:
    original = world.put("k", b"body")
    copy(world, source_conditions=ReadConditions(if_match=(original.etag,)))
    with pytest.raises(PreconditionFailed):
        copy(world, source_conditions=ReadConditions(if_none_match=(original.etag,)))


def test_destination_conditions(world: World) -> None:
    world.put("k", b"body")
    copy(world, conditions=WriteConditions(if_none_match=True))
    with pytest.raises(PreconditionFailed):
        copy(world, conditions=WriteConditions(if_none_match=True))
    with pytest.raises(NoSuchKey):
        copy(world, key="other", conditions=WriteConditions(if_match="x"))


def test_the_version_of_a_source(world: World) -> None:
    world.put("k", b"body")
    copy(world, source=CopySource("bucket", "k", "null"))
    with pytest.raises(NoSuchVersion):
        copy(world, source=CopySource("bucket", "k", "other"))
    with pytest.raises(NoSuchKey):
        copy(world, source=CopySource("bucket", "absent"))


def test_a_source_over_5_gib_is_refused(world: World) -> None:
    for size, fits in ((5 * GiB, True), (5 * GiB + 1, False)):
        run(
            world.metadata.submit(
                PutObject(
                    at=1,
                    bucket="bucket",
                    key="k",
                    version_id="null",
                    size=size,
                    etag="0" * 32,
                    owner_id=ALICE.id,
                    acl=private_acl(ALICE.id),
                    description=Description(),
                    checksum=None,
                    manifest=Manifest((Extent(size, f"00000001-{size:08x}"),)),
                )
            )
        )
        if fits:
            copy(world)
        else:
            with pytest.raises(InvalidRequest, match="source: 5368709120"):
                copy(world)


def test_a_source_that_changes_meanwhile_is_read_again(world: World) -> None:
    world.put("k", content(LARGE))
    world.metadata.before("submit", lambda: world.put("k", b"newer"))
    written = copy(world)
    assert written.size == 5
    assert world.get("copy") == b"newer"
    assert world.pins.count == 0


def test_a_source_that_changes_is_authorised_and_checked_anew(world: World) -> None:
    world.bucket("bobs", BOB)
    original = world.put("k", b"body", acl=RequestedAcl(canned=CannedAcl.PUBLIC_READ))
    world.metadata.before("submit", lambda: world.put("k", b"secret"))
    with pytest.raises(AccessDenied):
        copy(world, account=BOB, bucket="bobs")
    world.put("k", b"body")
    world.metadata.before("submit", lambda: world.put("k", b"other"))
    with pytest.raises(PreconditionFailed):
        copy(world, source_conditions=ReadConditions(if_match=(original.etag,)))


def test_a_source_that_never_rests_ends_the_copy(world: World) -> None:
    world.put("k", b"0")
    for number in range(ATTEMPTS):

        def replace(number: int = number) -> None:
            # The put's own submit must not take the next action of this list.
            later = world.metadata._before["submit"][:]
            world.metadata._before["submit"].clear()
            world.put("k", f"{number}".encode())
            world.metadata._before["submit"].extend(later)

        world.metadata.before("submit", replace)
    with pytest.raises(OperationAborted):
        copy(world)
    assert world.pins.count == 0
