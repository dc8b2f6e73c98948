"""Access control lists: who may do what with a bucket or an object, as a pure decision.

Source: "Access control list (ACL) overview" in the Amazon S3 User Guide.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from bleepstore.model.accounts import Account

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})


class Permission(StrEnum):
    """What a grant allows.  FULL_CONTROL is all the others together."""

    READ = "READ"
    WRITE = "WRITE"
    READ_ACP = "READ_ACP"
    WRITE_ACP = "WRITE_ACP"
    FULL_CONTROL = "FULL_CONTROL"


class Grant(Struct, frozen=True, omit_defaults=True):
    """One permission for one grantee: exactly one of ``account_id`` and ``group`` is not empty.

    :ivar group: one of :data:`GROUPS`.
    """

    permission: Permission
    account_id: str = ""
    group: str = ""


class Acl(Struct, frozen=True):
    """The owner and the grants, in the order in which they were given; S3 allows at most 100."""

    owner_id: str
    grants: tuple[Grant, ...] = ()


class CannedAcl(StrEnum):
    """Predefined sets of grants (S3 User Guide, "Canned ACL")."""

    PRIVATE = "private"
    PUBLIC_READ = "public-read"
    PUBLIC_READ_WRITE = "public-read-write"
    AUTHENTICATED_READ = "authenticated-read"
    AWS_EXEC_READ = "aws-exec-read"
    BUCKET_OWNER_READ = "bucket-owner-read"
    BUCKET_OWNER_FULL_CONTROL = "bucket-owner-full-control"
    LOG_DELIVERY_WRITE = "log-delivery-write"


def private_acl(owner_id: str) -> Acl:
    """The default: the owner has FULL_CONTROL and nobody else has anything."""
    return Acl(owner_id, (Grant(Permission.FULL_CONTROL, account_id=owner_id),))


def canned_acl(canned: CannedAcl, owner_id: str, bucket_owner_id: str) -> Acl:
    """Expand a canned ACL.

    :param bucket_owner_id: who owns the bucket; for a bucket's own ACL the same as ``owner_id``.
    """
    extra: tuple[Grant, ...] = ()
    match canned:
        case CannedAcl.PUBLIC_READ:
            extra = (Grant(Permission.READ, group=ALL_USERS),)
        case CannedAcl.PUBLIC_READ_WRITE:
            extra = (
                Grant(Permission.READ, group=ALL_USERS),
                Grant(Permission.WRITE, group=ALL_USERS),
            )
        case CannedAcl.AUTHENTICATED_READ:
            extra = (Grant(Permission.READ, group=AUTHENTICATED_USERS),)
        case CannedAcl.BUCKET_OWNER_READ if bucket_owner_id != owner_id:
            extra = (Grant(Permission.READ, account_id=bucket_owner_id),)
        case CannedAcl.BUCKET_OWNER_FULL_CONTROL if bucket_owner_id != owner_id:
            extra = (Grant(Permission.FULL_CONTROL, account_id=bucket_owner_id),)
        case CannedAcl.LOG_DELIVERY_WRITE:
            extra = (
                Grant(Permission.WRITE, group=LOG_DELIVERY),
                Grant(Permission.READ_ACP, group=LOG_DELIVERY),
            )
    owner = Grant(Permission.FULL_CONTROL, account_id=owner_id)
    return Acl(owner_id, (owner, *extra))


def allows(acl: Acl, requester: Account | None, permission: Permission) -> bool:
    """Whether ``requester`` (None: anonymous) has ``permission`` by this list.

    The owner may always read and write the ACL itself, whatever the grants say, so that an
    owner can never lock itself out (S3 User Guide, "ACL overview").
    """
    if (
        requester is not None
        and requester.id == acl.owner_id
        and permission in (Permission.READ_ACP, Permission.WRITE_ACP)
    ):
        return True
    for grant in acl.grants:
        if grant.permission is not permission and grant.permission is not Permission.FULL_CONTROL:
            continue
        if grant.group:
            if grant.group == ALL_USERS:
                return True
            if grant.group == AUTHENTICATED_USERS and requester is not None:
                return True
        elif requester is not None and grant.account_id == requester.id:
            return True
    return False
