"""ACLs as clients ask for them: canned, by grant headers, or (``xml_requests``) by XML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from bleepstore.errors import (
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    UnresolvableGrantByEmailAddress,
)
from bleepstore.model.acl import GROUPS, Acl, CannedAcl, Grant, Permission, canned_acl
from bleepstore.wire.headers import Headers, invalid_header, text_of
from bleepstore.wire.operations import Level

MAX_GRANTS = 100
"""What an ACL may hold ("ACL overview", S3 User Guide)."""

_GRANT_HEADERS = {
    b"x-amz-grant-full-control": Permission.FULL_CONTROL,
    b"x-amz-grant-read": Permission.READ,
    b"x-amz-grant-read-acp": Permission.READ_ACP,
    b"x-amz-grant-write": Permission.WRITE,
    b"x-amz-grant-write-acp": Permission.WRITE_ACP,
}
_CANNED = {canned.value.encode(): canned for canned in CannedAcl}
_ACL_HEADERS = frozenset((b"x-amz-acl", *_GRANT_HEADERS))
_GRANTEE = re.compile(r'\s*(id|uri|emailaddress)\s*=\s*(?:"([^"]*)"|([^\s",=]*))\s*', re.IGNORECASE)


class RequestedGrant(Struct, frozen=True):
    """A grant before its e-mail address was resolved: exactly one of the three names a grantee."""

    permission: Permission
    account_id: str = ""
    group: str = ""
    email: str = ""


class RequestedAcl(Struct, frozen=True):
    """An ACL as asked for: ``canned``, or ``grants``.

    :ivar owner_id: the owner that the XML names, as it must; empty from headers.
    """

    canned: CannedAcl | None = None
    grants: tuple[RequestedGrant, ...] = ()
    owner_id: str = ""

    def emails(self) -> frozenset[str]:
        """The e-mail addresses that must be resolved to account ids."""
        return frozenset(grant.email for grant in self.grants if grant.email)


def requested_acl(headers: Headers, level: Level) -> RequestedAcl | None:
    """x-amz-acl or x-amz-grant-* of a request; None if it has neither.

    :raises InvalidRequest: both.
    :raises InvalidArgument: an unknown canned ACL, group or malformed grantee.
    :raises MalformedACLError: more than 100 grants.
    """
    if _ACL_HEADERS.isdisjoint(headers):
        return None
    canned = headers.get(b"x-amz-acl")
    granting = [name for name in _GRANT_HEADERS if name in headers]
    if canned is not None:
        if granting:
            raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
        return RequestedAcl(canned=_canned(canned, level))
    grants = tuple(
        grant for name in granting for grant in _grants(name, headers[name], _GRANT_HEADERS[name])
    )
    if len(grants) > MAX_GRANTS:
        raise MalformedACLError
    return RequestedAcl(grants=grants)


def _canned(value: bytes, level: Level) -> CannedAcl:
    canned = _CANNED.get(value)
    if canned is None or (canned is CannedAcl.LOG_DELIVERY_WRITE and level is Level.OBJECT):
        raise invalid_header(b"x-amz-acl", value, "")  # S3 has no words for it
    return canned


def _grants(name: bytes, value: bytes, permission: Permission) -> list[RequestedGrant]:
    """``id="...", uri="...", emailAddress="..."``, quotes optional."""
    grants = []
    text = text_of(value)
    position = 0
    while True:
        match = _GRANTEE.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise invalid_header(name, value, "Argument format not recognized")
        grantee = match[2] if match[2] is not None else match[3]
        kind = match[1].lower()
        if kind == "id":
            grants.append(RequestedGrant(permission, account_id=require_account_id(grantee)))
        elif kind == "uri":
            grants.append(RequestedGrant(permission, group=require_group(grantee)))
        else:
            grants.append(RequestedGrant(permission, email=require_email(grantee)))
        if match.end() == len(text):
            return grants
        position = match.end() + 1


def require_account_id(account_id: str) -> str:
    """:raises InvalidArgument: it is empty."""
    if not account_id:
        raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue="")
    return account_id


def require_group(uri: str) -> str:
    """:raises InvalidArgument: S3 has no such group."""
    if uri not in GROUPS:
        raise InvalidArgument("Invalid group uri", ArgumentName="Group/URI", ArgumentValue=uri)
    return uri


def require_email(address: str) -> str:
    """:raises UnresolvableGrantByEmailAddress: it is empty, so nobody's."""
    if not address:
        raise UnresolvableGrantByEmailAddress
    return address


def resolve_acl(
    requested: RequestedAcl, owner_id: str, bucket_owner_id: str, accounts: Mapping[str, str]
) -> Acl:
    """The ACL that was asked for.

    :param accounts: e-mail address → account id, of those in :meth:`RequestedAcl.emails`.
    :raises UnresolvableGrantByEmailAddress: an address that is not among them.
    """
    if requested.canned is not None:
        return canned_acl(requested.canned, owner_id, bucket_owner_id)
    grants = []
    for grant in requested.grants:
        account_id = grant.account_id
        if grant.email:
            if grant.email not in accounts:
                raise UnresolvableGrantByEmailAddress(Email=grant.email)
            account_id = accounts[grant.email]
        grants.append(Grant(grant.permission, account_id=account_id, group=grant.group))
    return Acl(owner_id, tuple(grants))
