"""The ACL decision, as a table."""

import pytest

from bleepstore.model.accounts import Account
from bleepstore.model.acl import (
    ALL_USERS,
    Acl,
    CannedAcl,
    Grant,
    Permission,
    allows,
    canned_acl,
    private_acl,
)

OWNER = Account("owner", "Owner")
OTHER = Account("other", "Other")
BUCKET_OWNER = Account("bucket-owner", "Bucket owner")

R, W, RA, WA = Permission.READ, Permission.WRITE, Permission.READ_ACP, Permission.WRITE_ACP


@pytest.mark.parametrize(
    ("canned", "who", "allowed"),
    [
        (CannedAcl.PRIVATE, OWNER, {R, W, RA, WA}),
        (CannedAcl.PRIVATE, OTHER, set()),
        (CannedAcl.PRIVATE, None, set()),
        (CannedAcl.PUBLIC_READ, OTHER, {R}),
        (CannedAcl.PUBLIC_READ, None, {R}),
        (CannedAcl.PUBLIC_READ_WRITE, None, {R, W}),
        (CannedAcl.AUTHENTICATED_READ, OTHER, {R}),
        (CannedAcl.AUTHENTICATED_READ, None, set()),
        (CannedAcl.BUCKET_OWNER_READ, BUCKET_OWNER, {R}),
        (CannedAcl.BUCKET_OWNER_READ, OTHER, set()),
        (CannedAcl.BUCKET_OWNER_FULL_CONTROL, BUCKET_OWNER, {R, W, RA, WA}),
        (CannedAcl.LOG_DELIVERY_WRITE, OTHER, set()),
        (CannedAcl.AWS_EXEC_READ, OTHER, set()),
    ],
)
def test_canned_acls(canned: CannedAcl, who: Account | None, allowed: set[Permission]) -> None:
    acl = canned_acl(canned, OWNER.id, BUCKET_OWNER.id)
    assert {p for p in (R, W, RA, WA) if allows(acl, who, p)} == allowed


def test_an_owner_without_grants_can_still_repair_the_acl() -> None:
    acl = Acl(OWNER.id, ())
    assert [allows(acl, OWNER, p) for p in (R, W, RA, WA)] == [False, False, True, True]


def test_one_permission_does_not_imply_another() -> None:
    acl = Acl(OWNER.id, (Grant(Permission.WRITE, group=ALL_USERS),))
    assert not allows(acl, None, R)
    assert allows(acl, None, W)


def test_the_private_acl_is_the_canned_one() -> None:
    assert private_acl("o") == canned_acl(CannedAcl.PRIVATE, "o", "b")
