"""From the ACL that a client asks for to the ACL that is kept, and back to one that can be shown.

Sources: PutObjectAcl and PutBucketAcl in the S3 API reference; "Canned ACL" in the User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bleepstore.errors import AccessDenied, InvalidArgument
from bleepstore.model.acl import Acl, private_acl
from bleepstore.objectstore.accounts import Accounts
from bleepstore.wire.grants import RequestedAcl, resolve_acl


class AclView(Struct, frozen=True):
    """An ACL, and the display names of those it names (owner too) by canonical id."""

    acl: Acl
    names: Mapping[str, str]


class Acls:
    """Resolves ACLs against the directory of accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def resolve(
        self, requested: RequestedAcl | None, owner_id: str, bucket_owner_id: str
    ) -> Acl:
        """The ACL of something that ``owner_id`` owns; private if nothing was asked for.

        :raises AccessDenied: the request names another owner: ownership cannot be given away.
        :raises InvalidArgument: a canonical id is nobody's.
        :raises UnresolvableGrantByEmailAddress: no account has the address.
        """
        if requested is None:
            return private_acl(owner_id)
        if requested.owner_id and requested.owner_id != owner_id:
            raise AccessDenied
        for grant in requested.grants:
            if grant.account_id and await self._accounts.by_id(grant.account_id) is None:
                raise InvalidArgument(
                    "Invalid id",
                    ArgumentName="CanonicalUser/ID" if requested.owner_id else "id",
                    ArgumentValue=grant.account_id,
                )
        ids: dict[str, str] = {}
        for email in requested.emails():
            account = await self._accounts.by_email(email)
            if account is not None:
                ids[email] = account.id
        return resolve_acl(requested, owner_id, bucket_owner_id, ids)

    async def view(self, acl: Acl) -> AclView:
        """The ACL and who is in it."""
        ids = {grant.account_id for grant in acl.grants if grant.account_id}
        return AclView(acl, await self._accounts.names({acl.owner_id, *ids}))
