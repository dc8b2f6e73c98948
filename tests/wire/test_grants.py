"""ACLs by header, canned or granted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore import errors
from bleepstore.model.acl import ALL_USERS, Acl, CannedAcl, Grant, Permission
from bleepstore.wire.grants import RequestedAcl, RequestedGrant, requested_acl, resolve_acl
from bleepstore.wire.operations import Level


@pytest.mark.parametrize("canned", CannedAcl)
def test_canned_acls(canned: CannedAcl) -> None:
    headers = {b"x-amz-acl": canned.value.encode()}
    assert requested_acl(headers, Level.BUCKET) == RequestedAcl(canned=canned)


@pytest.mark.parametrize("value", [b"", b"PRIVATE", b"public", b"\xff", b"log-delivery-write"])
def test_other_canned_acls_are_invalid_for_an_object(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        requested_acl({b"x-amz-acl": value}, Level.OBJECT)
    assert caught.value.message == ""  # S3 has no words for it
    assert caught.value.details["ArgumentName"] == "x-amz-acl"


def test_grant_headers() -> None:
    found = requested_acl(
        {
            b"x-amz-grant-read": b'id="abc", uri="' + ALL_USERS.encode() + b'"',
            b"x-amz-grant-full-control": b"id=def,emailAddress=a@b.c , ID = ghi",
        },
        Level.OBJECT,
    )
    assert found == RequestedAcl(
        grants=(
            RequestedGrant(Permission.FULL_CONTROL, account_id="def"),
            RequestedGrant(Permission.FULL_CONTROL, email="a@b.c"),
            RequestedGrant(Permission.FULL_CONTROL, account_id="ghi"),
            RequestedGrant(Permission.READ, account_id="abc"),
            RequestedGrant(Permission.READ, group=ALL_USERS),
        )
    )
    assert found.emails() == {"a@b.c"}


def test_neither_is_none_and_both_are_refused() -> None:
    assert requested_acl({b"host": b"a"}, Level.OBJECT) is None
    with pytest.raises(errors.InvalidRequest, match="Canned ACLs and Header Grants"):
        requested_acl({b"x-amz-acl": b"private", b"x-amz-grant-read": b"id=a"}, Level.OBJECT)


@pytest.mark.parametrize(
    "value",
    [b"", b"abc", b"id", b"id=a b", b'id="a', b"id=a,", b",id=a", b"id=a;id=b", b"name=a",
     b"uri=http://x", b"id=", b'id=""', b'id="a" id="b"', b'id="a"xid="b"'],
)  # fmt: skip
def test_malformed_grantees_are_invalid(value: bytes) -> None:
    with pytest.raises(errors.InvalidArgument):
        requested_acl({b"x-amz-grant-read": value}, Level.OBJECT)


def test_an_empty_address_is_nobodys() -> None:
    with pytest.raises(errors.UnresolvableGrantByEmailAddress):
        requested_acl({b"x-amz-grant-read": b'emailAddress=""'}, Level.OBJECT)


def test_an_acl_has_at_most_100_grants() -> None:
    full = b",".join(b"id=a%d" % number for number in range(100))
    assert requested_acl({b"x-amz-grant-read": full}, Level.OBJECT)
    with pytest.raises(errors.MalformedACLError):
        requested_acl({b"x-amz-grant-read": full, b"x-amz-grant-write": b"id=b"}, Level.OBJECT)


def test_resolving() -> None:
    requested = RequestedAcl(
        grants=(
            RequestedGrant(Permission.READ, email="a@b.c"),
            RequestedGrant(Permission.WRITE, group=ALL_USERS),
            RequestedGrant(Permission.READ_ACP, account_id="x"),
        )
    )
    assert resolve_acl(requested, "me", "owner", {"a@b.c": "them"}) == Acl(
        "me",
        (
            Grant(Permission.READ, account_id="them"),
            Grant(Permission.WRITE, group=ALL_USERS),
            Grant(Permission.READ_ACP, account_id="x"),
        ),
    )
    with pytest.raises(errors.UnresolvableGrantByEmailAddress):
        resolve_acl(requested, "me", "owner", {})
    canned = RequestedAcl(canned=CannedAcl.BUCKET_OWNER_READ)
    assert Grant(Permission.READ, account_id="owner") in (
        resolve_acl(canned, "me", "owner", {}).grants
    )


@given(st.one_of(st.binary(), st.text('id=",uri emailAddress@a', max_size=80).map(str.encode)))
def test_only_refusals_come_out(value: bytes) -> None:
    for name in (b"x-amz-acl", b"x-amz-grant-read"):
        try:
            assert requested_acl({name: value}, Level.OBJECT)
        except errors.StoreError:
            continue
