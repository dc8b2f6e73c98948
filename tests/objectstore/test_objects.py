"""Objects: what is put is what is got, in whole, in part, under conditions."""

import base64
from hashlib import md5, sha256

import pytest
from zope.interface.verify import verifyObject

from bleepstore.errors import (
    AccessDenied,
    BadDigest,
    EntityTooLarge,
    InvalidPartNumber,
    InvalidRange,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    NotModified,
    PreconditionFailed,
    XAmzContentSHA256Mismatch,
)
from bleepstore.interfaces.blobs import IBlobReader
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.acl import ALL_USERS, CannedAcl, Grant, Permission, private_acl
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import DeleteTarget, Refusal
from bleepstore.model.conditions import ReadConditions, WriteConditions
from bleepstore.model.objects import Description, ObjectVersion
from bleepstore.objectstore.requests import ANONYMOUS_ID, Claims, ReadRequest
from bleepstore.wire.checksums import ClaimedChecksum
from bleepstore.wire.grants import RequestedAcl
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, LARGE, Payload, World, content


@pytest.fixture
def world() -> World:
    world = World()
    world.bucket()
    return world


def test_the_store_is_a_part_with_an_epoch_of_its_own(world: World) -> None:
    assert verifyObject(IPart, world.store)
    assert world.store.ids.epoch == 1
    assert world.process().ids.epoch == 2


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, LARGE, 3_000_000])
def test_what_is_put_is_what_is_got(world: World, size: int) -> None:
    body = content(size)
    written = world.put("k", body, description=Description({"content-type": "x/y"}, {"a": "b"}))
    assert written.etag == md5(body, usedforsecurity=False).hexdigest()
    assert written.checksum is not None
    assert written.checksum.algorithm is ChecksumAlgorithm.CRC64NVME
    assert world.get("k") == body
    head = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "k")))
    assert (head.version.size, head.length, head.partial) == (size, size, False)
    assert head.version.description == Description({"content-type": "x/y"}, {"a": "b"})
    assert head.version.last_modified == written.last_modified
    assert world.pins.count == 0


def test_small_bodies_are_at_hand_and_large_ones_are_read(world: World) -> None:
    world.put("small", b"tiny")
    world.put("large", content(3_000_000))
    small = run(world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "small")))
    assert small.inline == b"tiny"
    large = run(world.store.objects.get(world.caller(ALICE), ReadRequest("bucket", "large")))
    assert verifyObject(IBlobReader, large)
    assert large.inline is None
    assert world.pins.count == 1
    large.close()
    large.close()
    assert world.pins.count == 0
    assert run(large.read()) == b""


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_span_is_what_was_chosen_for_the_version(world: World, size: int) -> None:
    body = content(size)
    world.put("k", body)

    def middle(version: ObjectVersion) -> tuple[int, int]:
        return version.size // 2, 100

    request = ReadRequest("bucket", "k", choose_span=middle)
    assert world.read(world.caller(ALICE), request) == body[size // 2 : size // 2 + 100]
    head = run(world.store.objects.head(world.caller(ALICE), request))
    assert (head.offset, head.length, head.partial) == (size // 2, 100, True)
    assert head.checksum is None, "it is of other bytes than are sent"
    whole = ReadRequest("bucket", "k", choose_span=lambda version: (0, version.size))
    head = run(world.store.objects.head(world.caller(ALICE), whole))
    assert (head.offset, head.length, head.partial) == (0, size, True)
    assert head.checksum == head.version.checksum is not None
    assert world.get("k", choose_span=lambda version: None) == body


def test_a_span_that_cannot_be_leaves_nothing_pinned(world: World) -> None:
    world.put("k", content(LARGE))

    def impossible(version: ObjectVersion) -> None:
        raise InvalidRange

    with pytest.raises(InvalidRange):
        world.get("k", choose_span=impossible)
    assert world.pins.count == 0


def test_an_object_put_whole_is_its_own_first_part(world: World) -> None:
    world.put("k", b"body")
    request = ReadRequest("bucket", "k", part_number=1)
    head = run(world.store.objects.head(world.caller(ALICE), request))
    assert (head.offset, head.length, head.partial, head.part_count) == (0, 4, True, 0)
    assert world.get("k", part_number=1) == b"body"
    with pytest.raises(InvalidPartNumber) as refused:
        world.get("k", part_number=2)
    assert refused.value.details == {"PartNumberRequested": "2", "ActualPartCount": "1"}


def test_read_conditions_are_decided_on_the_version(world: World) -> None:
    written = world.put("k", b"body")
    assert world.get("k", conditions=ReadConditions(if_match=(written.etag,))) == b"body"
    with pytest.raises(PreconditionFailed):
        world.get("k", conditions=ReadConditions(if_match=("other",)))
    with pytest.raises(NotModified):
        world.get("k", conditions=ReadConditions(if_none_match=(written.etag,)))


def test_versions_are_named_null_or_not_at_all(world: World) -> None:
    world.put("k", b"body")
    assert world.get("k", version_id="null") == b"body"
    with pytest.raises(NoSuchVersion) as missing:
        world.get("k", version_id="other")
    assert missing.value.details == {"Key": "k", "VersionId": "other"}
    with pytest.raises(NoSuchKey) as absent:
        world.get("absent")
    assert absent.value.details == {"Key": "absent"}
    with pytest.raises(NoSuchBucket):
        run(world.store.objects.get(world.caller(None), ReadRequest("nowhere", "k")))


def test_a_put_replaces_and_releases_what_was_there(world: World) -> None:
    world.put("k", content(LARGE))
    world.put("k", b"second")
    assert world.get("k") == b"second"
    assert world.leaked() == set()
    assert run(world.metadata.released_blobs(10)) == ["00000001-00000000"]
    assert world.released >= 2


@pytest.mark.parametrize(
    ("existing", "conditions", "error"),
    [
        (True, WriteConditions(if_none_match=True), PreconditionFailed),
        (True, WriteConditions(if_match="other"), PreconditionFailed),
        (False, WriteConditions(if_match="other"), NoSuchKey),
    ],
)
def test_a_condition_that_fails_already_is_answered_before_the_body(
    world: World, existing: bool, conditions: WriteConditions, error: type[Exception]
) -> None:
    if existing:
        world.put("k", b"first")
    payload = Payload(content(LARGE), length=LARGE)
    with pytest.raises(error):
        world.put("k", payload, conditions=conditions)
    assert payload.reads == 0
    assert world.stored() == set()


def test_a_condition_is_decided_again_when_the_body_was_read(world: World) -> None:
    world.metadata.before("submit", lambda: world.put("k", b"meanwhile"))
    with pytest.raises(PreconditionFailed):
        world.put("k", content(LARGE), conditions=WriteConditions(if_none_match=True))
    assert world.get("k") == b"meanwhile"
    assert world.stored() == set()


def test_a_condition_that_holds(world: World) -> None:
    first = world.put("k", b"first", conditions=WriteConditions(if_none_match=True))
    world.put("k", b"second", conditions=WriteConditions(if_match=first.etag))
    assert world.get("k") == b"second"


@pytest.mark.parametrize("size", [100, LARGE])
def test_bodies_that_are_not_what_was_claimed_leave_nothing(world: World, size: int) -> None:
    body = content(size)
    wrong = b"another body"
    for claims, error in [
        (Claims(md5=md5(wrong, usedforsecurity=False).digest()), BadDigest),
        (Claims(sha256=sha256(wrong).hexdigest()), XAmzContentSHA256Mismatch),
        (
            Claims(
                checksum=ClaimedChecksum(
                    ChecksumAlgorithm.SHA256, base64.b64encode(sha256(wrong).digest()).decode()
                )
            ),
            BadDigest,
        ),
    ]:
        with pytest.raises(error):
            world.put("k", body, claims=claims)
    with pytest.raises(NoSuchKey):
        world.get("k")
    assert world.stored() == set()


def test_claims_that_hold_by_header_and_by_trailer(world: World) -> None:
    body = content(LARGE)
    value = base64.b64encode(sha256(body).digest()).decode()
    by_header = world.put(
        "k",
        body,
        claims=Claims(
            md5=md5(body, usedforsecurity=False).digest(),
            sha256=sha256(body).hexdigest(),
            checksum=ClaimedChecksum(ChecksumAlgorithm.SHA256, value),
        ),
    )
    by_trailer = world.put(
        "k",
        Payload(body, trailers={"x-amz-checksum-sha256": value}),
        claims=Claims(checksum=ClaimedChecksum(ChecksumAlgorithm.SHA256)),
    )
    for written in (by_header, by_trailer):
        assert written.checksum is not None
        assert written.checksum.value == value


def test_a_body_over_the_limit_is_refused_whatever_was_announced() -> None:
    world = World(max_object_size=1000)
    world.bucket()
    for payload in (Payload(content(1001), length=1001), Payload(content(600), content(600))):
        with pytest.raises(EntityTooLarge):
            world.put("k", payload)
    world.put("k", content(1000))


def test_deleting_is_for_what_is_there_and_for_what_is_not(world: World) -> None:
    objects = world.store.objects
    world.put("k", b"body")
    assert run(objects.delete(world.caller(ALICE), "bucket", "k")).existed
    assert not run(objects.delete(world.caller(ALICE), "bucket", "k")).existed
    world.put("k", b"body")
    with pytest.raises(PreconditionFailed):
        run(objects.delete(world.caller(ALICE), "bucket", "k", if_match="other"))
    with pytest.raises(NoSuchKey):
        run(objects.delete(world.caller(ALICE), "bucket", "absent", if_match="*"))
    assert run(objects.delete(world.caller(ALICE), "bucket", "k", version_id="null")).existed


def test_deleting_many_answers_each_on_its_own(world: World) -> None:
    world.put("a", b"a")
    world.put("b", content(LARGE))
    targets = [DeleteTarget("a", if_match="other"), DeleteTarget("b"), DeleteTarget("absent")]
    outcomes = run(world.store.objects.delete_many(world.caller(ALICE), "bucket", targets))
    assert [None if each is None else each.code for each in outcomes] == [
        "PreconditionFailed",
        None,
        None,
    ]
    assert world.get("a") == b"a"
    assert world.leaked() == set()


def test_deleting_many_without_permission_denies_each(world: World) -> None:
    world.put("a", b"a")
    outcomes = run(
        world.store.objects.delete_many(world.caller(BOB), "bucket", [DeleteTarget("a")])
    )
    assert outcomes == (Refusal("AccessDenied", "Access Denied"),)
    assert world.get("a") == b"a"


def test_attributes_of_an_object_put_whole(world: World) -> None:
    world.put("k", b"body")
    attributes = run(world.store.objects.attributes(world.caller(ALICE), "bucket", "k"))
    assert (attributes.version.size, tuple(attributes.parts)) == (4, ())


def test_an_object_belongs_to_who_put_it(world: World) -> None:
    world.bucket("open", canned=CannedAcl.PUBLIC_READ_WRITE)
    world.put("k", b"body", bucket="open", account=BOB)
    view = run(world.store.objects.get_acl(world.caller(BOB), "open", "k"))
    assert view.acl.owner_id == BOB.id
    assert view.names == {BOB.id: "bob"}
    with pytest.raises(AccessDenied):
        world.read(world.caller(ALICE), ReadRequest("open", "k"))


def test_what_nobody_put_belongs_to_the_anonymous_account(world: World) -> None:
    world.bucket("open", canned=CannedAcl.PUBLIC_READ_WRITE)
    acl = RequestedAcl(canned=CannedAcl.BUCKET_OWNER_FULL_CONTROL)
    world.put("k", b"body", bucket="open", account=None, acl=acl)
    assert world.read(world.caller(ALICE), ReadRequest("open", "k")) == b"body"
    view = run(world.store.objects.get_acl(world.caller(ALICE), "open", "k"))
    assert view.acl.owner_id == ANONYMOUS_ID
    with pytest.raises(AccessDenied):
        world.read(world.caller(None), ReadRequest("open", "k"))


def test_an_objects_acl_is_replaced_as_a_whole(world: World) -> None:
    before = world.put("k", b"body")
    acl = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
    run(world.store.objects.put_acl(world.caller(ALICE), "bucket", "k", acl))
    assert world.get("k", account=None) == b"body"
    view = run(world.store.objects.get_acl(world.caller(ALICE), "bucket", "k"))
    assert Grant(Permission.READ, group=ALL_USERS) in view.acl.grants
    head = run(world.store.objects.head(world.caller(ALICE), ReadRequest("bucket", "k")))
    assert head.version.last_modified == before.last_modified
    with pytest.raises(AccessDenied):  # ownership is not given away
        run(
            world.store.objects.put_acl(
                world.caller(ALICE), "bucket", "k", RequestedAcl(owner_id=BOB.id)
            )
        )
    with pytest.raises(NoSuchKey):
        run(world.store.objects.put_acl(world.caller(ALICE), "bucket", "absent", acl))


def test_an_acl_never_hands_over_what_another_put_there_meanwhile(world: World) -> None:
    world.bucket("open", canned=CannedAcl.PUBLIC_READ_WRITE)
    world.put("k", b"alice's", bucket="open")
    world.metadata.before("submit", lambda: world.put("k", b"bob's", bucket="open", account=BOB))
    acl = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
    with pytest.raises(AccessDenied):
        run(world.store.objects.put_acl(world.caller(ALICE), "open", "k", acl))
    view = run(world.store.objects.get_acl(world.caller(BOB), "open", "k"))
    assert view.acl == private_acl(BOB.id)
