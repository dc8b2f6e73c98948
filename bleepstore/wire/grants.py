"""ACLs as clients ask for them: canned, by grant headers, or (``xml_requests``) by XML."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.model.acl import Acl, CannedAcl, Permission
from bleepstore.wire.headers import Headers
from bleepstore.wire.operations import Level


class RequestedGrant(Struct, frozen=True):
    """A grant before its e-mail address was resolved: exactly one of the three names a grantee."""

    permission: Permission
    account_id: str = ""
    group: str = ""
    email: str = ""


class RequestedAcl(Struct, frozen=True):
    """An ACL as asked for: ``canned``, or ``grants``.

    :ivar owner_id: the owner that the XML names; empty from headers or where it names none.
    """

    canned: CannedAcl | None = None
    grants: tuple[RequestedGrant, ...] = ()
    owner_id: str = ""

    def emails(self) -> frozenset[str]:
        """The e-mail addresses that must be resolved to account ids."""
        ...


def requested_acl(headers: Headers, level: Level) -> RequestedAcl | None:
    """x-amz-acl or x-amz-grant-* of a request; None if it has neither.

    :raises InvalidRequest: both.
    :raises InvalidArgument: an unknown canned ACL, group or malformed grantee.
    """
    ...


def resolve_acl(
    requested: RequestedAcl, owner_id: str, bucket_owner_id: str, accounts: Mapping[str, str]
) -> Acl:
    """The ACL that was asked for.

    :param accounts: e-mail address → account id, of those in :meth:`RequestedAcl.emails`.
    :raises UnresolvableGrantByEmailAddress: an address that is not among them.
    """
    ...
