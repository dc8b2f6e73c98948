"""Authorization: every operation × every identity × every grant, against the User Guide's table.

The bucket is Alice's; the object and the upload in it are Bob's.  Neither ACL gives anything to
anybody, not even to its owner, but the one grant under test.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from bleepstore.errors import AccessDenied, NoSuchKey, StoreError
from bleepstore.model.accounts import Account
from bleepstore.model.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    LOG_DELIVERY,
    Acl,
    CannedAcl,
    Grant,
    Permission,
)
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import (
    CompletedPart,
    CreateBucket,
    CreateUpload,
    DeleteTarget,
    PutBucketAcl,
    PutObject,
)
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description, Extent, Manifest, Upload
from bleepstore.objectstore import ObjectStore
from bleepstore.objectstore.requests import (
    Caller,
    Claims,
    CompleteRequest,
    CopyRequest,
    PageRequest,
    PartCopyRequest,
    PutRequest,
    ReadRequest,
    UploadName,
    UploadRequest,
    UploadsPageRequest,
)
from bleepstore.wire.copying import CopySource
from bleepstore.wire.grants import RequestedAcl
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, CAROL, Payload, World

STRANGER = Account("d" * 64, "stranger")
IDENTITIES: dict[str, Account | None] = {
    "bucket owner": ALICE,
    "object owner": BOB,
    "grantee": CAROL,
    "stranger": STRANGER,
    "anonymous": None,
}
EVERYBODY = frozenset(IDENTITIES)
SIGNED = EVERYBODY - {"anonymous"}
PARTIES = frozenset({"bucket owner", "object owner"})
NOBODY: frozenset[str] = frozenset()

BUCKET, OBJECT = "bucket", "object"
UPLOAD = UploadName("box", "k", "upload-1")


class Rule(NamedTuple):
    """What an operation needs: ``permission`` on ``level``, if one is in ``among``; or to be one of
    ``always``."""

    call: Callable[[ObjectStore, Caller], Coroutine[Any, Any, Any]]
    level: str = ""
    permission: Permission | None = None
    among: frozenset[str] = EVERYBODY
    always: frozenset[str] = NOBODY


OWNER = frozenset({"bucket owner"})
READ, WRITE = Permission.READ, Permission.WRITE
READ_ACP, WRITE_ACP = Permission.READ_ACP, Permission.WRITE_ACP
PRIVATE = RequestedAcl(canned=CannedAcl.PRIVATE)

RULES: dict[str, Rule] = {
    "ListBuckets": Rule(lambda s, c: s.buckets.list(c), always=SIGNED),
    "CreateBucket": Rule(lambda s, c: s.buckets.create(c, "new"), always=SIGNED),
    "HeadBucket": Rule(lambda s, c: s.buckets.head(c, "box"), BUCKET, READ),
    "GetBucketLocation": Rule(lambda s, c: s.buckets.location(c, "box"), always=OWNER),
    "DeleteBucket": Rule(lambda s, c: s.buckets.delete(c, "box"), always=OWNER),
    "GetBucketAcl": Rule(lambda s, c: s.buckets.get_acl(c, "box"), BUCKET, READ_ACP, always=OWNER),
    "PutBucketAcl": Rule(
        lambda s, c: s.buckets.put_acl(c, "box", PRIVATE), BUCKET, WRITE_ACP, always=OWNER
    ),
    "ListObjects": Rule(
        lambda s, c: s.listings.objects(c, PageRequest("box"), with_owners=True), BUCKET, READ
    ),
    "ListMultipartUploads": Rule(
        lambda s, c: s.listings.uploads(c, UploadsPageRequest("box")), BUCKET, READ
    ),
    "PutObject": Rule(
        lambda s, c: s.objects.put(c, PutRequest("box", "k", Description()), Payload(b"new")),
        BUCKET,
        WRITE,
    ),
    "PutObject, on a condition": Rule(
        lambda s, c: s.objects.put(
            c,
            PutRequest("box", "k", Description(), conditions=WriteConditions(if_match="*")),
            Payload(b"new"),
        ),
        BUCKET,
        WRITE,
    ),
    "DeleteObject": Rule(lambda s, c: s.objects.delete(c, "box", "k"), BUCKET, WRITE, always=OWNER),
    "DeleteObjects": Rule(
        lambda s, c: first_refusal(s.objects.delete_many(c, "box", [DeleteTarget("k")])),
        BUCKET,
        WRITE,
        always=OWNER,
    ),
    "GetObject": Rule(lambda s, c: s.objects.get(c, ReadRequest("box", "k")), OBJECT, READ),
    "HeadObject": Rule(lambda s, c: s.objects.head(c, ReadRequest("box", "k")), OBJECT, READ),
    "GetObjectAttributes": Rule(lambda s, c: s.objects.attributes(c, "box", "k"), OBJECT, READ),
    "GetObjectAcl": Rule(
        lambda s, c: s.objects.get_acl(c, "box", "k"),
        OBJECT,
        READ_ACP,
        always=frozenset({"object owner"}),
    ),
    "PutObjectAcl": Rule(
        lambda s, c: s.objects.put_acl(c, "box", "k", PRIVATE),
        OBJECT,
        WRITE_ACP,
        always=frozenset({"object owner"}),
    ),
    "CopyObject, the source": Rule(
        lambda s, c: s.copies.copy(c, CopyRequest(CopySource("box", "k"), "public", "copy")),
        OBJECT,
        READ,
        among=SIGNED,
    ),
    "CopyObject, the destination": Rule(
        lambda s, c: s.copies.copy(c, CopyRequest(CopySource("public", "k"), "box", "copy")),
        BUCKET,
        WRITE,
        among=SIGNED,
    ),
    "CreateMultipartUpload": Rule(
        lambda s, c: s.uploads.create(c, UploadRequest("box", "k", Description())),
        BUCKET,
        WRITE,
        among=SIGNED,
    ),
    "UploadPart": Rule(
        lambda s, c: s.uploads.put_part(c, UPLOAD, 1, Payload(b"part"), Claims()),
        BUCKET,
        WRITE,
        among=PARTIES,
    ),
    "UploadPartCopy, the destination": Rule(
        lambda s, c: s.uploads.copy_part(c, PartCopyRequest(UPLOAD, 1, CopySource("public", "k"))),
        BUCKET,
        WRITE,
        among=PARTIES,
    ),
    "CompleteMultipartUpload": Rule(
        lambda s, c: s.uploads.complete(c, CompleteRequest(UPLOAD, (CompletedPart(1, "x"),))),
        BUCKET,
        WRITE,
        among=PARTIES,
    ),
    "AbortMultipartUpload": Rule(lambda s, c: s.uploads.abort(c, UPLOAD), always=PARTIES),
    "ListParts": Rule(lambda s, c: s.uploads.list_parts(c, UPLOAD), always=PARTIES),
}

GRANTEES: dict[str, tuple[Callable[[Permission], Grant], frozenset[str]]] = {
    "an account": (lambda p: Grant(p, account_id=CAROL.id), frozenset({"grantee"})),
    "the bucket's owner": (lambda p: Grant(p, account_id=ALICE.id), OWNER),
    "the object's owner": (
        lambda p: Grant(p, account_id=BOB.id),
        frozenset({"object owner"}),
    ),
    "AuthenticatedUsers": (lambda p: Grant(p, group=AUTHENTICATED_USERS), SIGNED),
    "AllUsers": (lambda p: Grant(p, group=ALL_USERS), EVERYBODY),
    "LogDelivery": (lambda p: Grant(p, group=LOG_DELIVERY), NOBODY),
}


async def first_refusal(outcomes: Coroutine[Any, Any, Any]) -> None:
    refusal = (await outcomes)[0]
    if refusal is not None:
        assert refusal.code == "AccessDenied"
        raise AccessDenied


def seed(world: World, bucket_acl: Acl, object_acl: Acl) -> None:
    """Bring the bucket, the object and the upload (back) into being."""
    submit = world.metadata.submit
    create = CreateBucket(at=1, bucket="box", owner_id=ALICE.id, region="us-east-1", acl=bucket_acl)
    run(submit(create))
    run(submit(PutBucketAcl(at=1, bucket="box", acl=bucket_acl)))
    run(
        submit(
            PutObject(
                at=1,
                bucket="box",
                key="k",
                version_id="null",
                size=1,
                etag="0cc175b9c0f1b6a831c399e269772661",
                owner_id=BOB.id,
                acl=object_acl,
                description=Description(),
                checksum=None,
                manifest=Manifest((Extent(1, data=b"a"),)),
            )
        )
    )
    try:
        run(world.metadata.get_upload("box", "k", UPLOAD.upload_id))
    except StoreError:
        upload = Upload(
            upload_id=UPLOAD.upload_id,
            bucket="box",
            key="k",
            initiated=1,
            owner_id=BOB.id,
            initiator_id=BOB.id,
            acl=object_acl,
            description=Description(),
            checksum_algorithm=ChecksumAlgorithm.CRC32,
        )
        run(submit(CreateUpload(at=1, upload=upload)))


def allowed(call: Coroutine[Any, Any, Any]) -> bool:
    """Whether a call got past authorization; what else it may run into does not matter."""
    try:
        run(call)
    except AccessDenied:
        return False
    except StoreError:
        return True
    return True


@pytest.mark.parametrize("grantee", GRANTEES)
@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("level", [BUCKET, OBJECT])
def test_who_may_do_what(level: str, permission: Permission, grantee: str) -> None:
    world = World()
    world.bucket("public", CAROL, canned=CannedAcl.PUBLIC_READ_WRITE)
    public = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
    world.put("k", b"public", bucket="public", account=CAROL, acl=public)
    make, covered = GRANTEES[grantee]
    grants = (make(permission),)
    bucket_acl = Acl(ALICE.id, grants if level == BUCKET else ())
    object_acl = Acl(BOB.id, grants if level == OBJECT else ())
    wrong = []
    for identity, account in IDENTITIES.items():
        for operation, rule in RULES.items():
            seed(world, bucket_acl, object_acl)
            granted = (
                rule.level == level
                and permission in (rule.permission, Permission.FULL_CONTROL)
                and identity in covered & rule.among
            )
            expected = granted or identity in rule.always
            if allowed(rule.call(world.store, world.caller(account))) is not expected:
                wrong.append(f"{operation} by the {identity} should be {expected}")
    assert wrong == []


READS: dict[str, Callable[[ObjectStore, Caller], Coroutine[Any, Any, Any]]] = {
    name: RULES[name].call
    for name in ("GetObject", "HeadObject", "GetObjectAttributes", "GetObjectAcl", "PutObjectAcl")
}


@pytest.mark.parametrize("operation", [*READS, "CopyObject, the source"])
@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("listable", [False, True])
def test_only_who_may_list_learns_that_a_key_is_missing(
    operation: str, identity: str, listable: bool
) -> None:
    world = World()
    world.bucket("public", CAROL, canned=CannedAcl.PUBLIC_READ_WRITE)
    world.bucket("box", canned=CannedAcl.PUBLIC_READ if listable else CannedAcl.PRIVATE)
    account = IDENTITIES[identity]
    learns = (listable or account == ALICE) and identity in RULES[operation].among
    expected = NoSuchKey if learns else AccessDenied
    with pytest.raises(expected):
        run(RULES[operation].call(world.store, world.caller(account)))


def test_every_operation_decides_the_expected_bucket_owner() -> None:
    world = World()
    everything = (Grant(Permission.FULL_CONTROL, group=ALL_USERS),)
    world.bucket("public", CAROL, canned=CannedAcl.PUBLIC_READ_WRITE)
    public = RequestedAcl(canned=CannedAcl.PUBLIC_READ)
    world.put("k", b"public", bucket="public", account=CAROL, acl=public)
    for operation, rule in RULES.items():
        if operation in ("ListBuckets", "CreateBucket"):
            continue
        seed(world, Acl(ALICE.id, everything), Acl(BOB.id, everything))
        right = CAROL.id if operation == "CopyObject, the source" else ALICE.id
        with pytest.raises(AccessDenied):
            run(rule.call(world.store, world.caller(ALICE, BOB.id)))
        assert allowed(rule.call(world.store, world.caller(ALICE, right))), operation


def test_the_expected_owner_of_a_copys_source() -> None:
    world = World()
    world.bucket()
    world.put("k", b"body")
    for expected, error in ((ALICE.id, None), (BOB.id, AccessDenied)):
        request = CopyRequest(
            CopySource("bucket", "k"), "bucket", "copy", source_expected_owner=expected
        )
        copying = world.store.copies.copy(world.caller(ALICE), request)
        if error is None:
            run(copying)
        else:
            with pytest.raises(error):
                run(copying)
