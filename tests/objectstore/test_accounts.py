"""The directory of accounts, and the ACLs that name them."""

import pytest

from bleepstore.errors import (
    AccessDenied,
    InvalidArgument,
    UnresolvableGrantByEmailAddress,
)
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.model.accounts import Account, Credential
from bleepstore.model.acl import (
    AUTHENTICATED_USERS,
    Acl,
    CannedAcl,
    Grant,
    Permission,
    canned_acl,
    private_acl,
)
from bleepstore.model.commands import DeleteCredential, PutCredential
from bleepstore.objectstore.accounts import Accounts
from bleepstore.objectstore.acls import Acls
from bleepstore.objectstore.requests import ANONYMOUS_ID
from bleepstore.wire.grants import RequestedAcl, RequestedGrant
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE, BOB, CREDENTIALS

DORA = Account("d" * 64, "dora", "dora@example.com")
READ = Permission.READ


@pytest.fixture
def metadata() -> MemoryMetadata:
    metadata = MemoryMetadata()
    stored = Credential("DORA", "secret", DORA)
    run(metadata.submit(PutCredential(at=1, credential=stored)))
    return metadata


@pytest.fixture
def accounts(metadata: MemoryMetadata) -> Accounts:
    return Accounts(CREDENTIALS, metadata)


def test_the_first_configured_account_is_the_root(accounts: Accounts) -> None:
    assert accounts.root == ALICE


def test_keys_are_found_in_the_configuration_and_in_metadata(accounts: Accounts) -> None:
    alice, dora, nobody = (run(accounts.credential(key)) for key in ("ALICE", "DORA", "NOBODY"))
    assert alice is not None
    assert alice.account == ALICE
    assert dora is not None
    assert dora.account == DORA
    assert nobody is None


def test_a_disabled_key_is_none_and_its_account_is_still_known(
    accounts: Accounts, metadata: MemoryMetadata
) -> None:
    disabled = Credential("DORA", "secret", DORA, enabled=False)
    run(metadata.submit(PutCredential(at=2, credential=disabled)))
    assert run(accounts.credential("DORA")) is None
    assert run(accounts.by_id(DORA.id)) == DORA
    run(metadata.submit(DeleteCredential(at=3, access_key="DORA")))
    assert run(accounts.by_id(DORA.id)) is None


def test_a_configured_key_wins_over_a_stored_one(
    accounts: Accounts, metadata: MemoryMetadata
) -> None:
    run(metadata.submit(PutCredential(at=2, credential=Credential("ALICE", "other", DORA))))
    found = run(accounts.credential("ALICE"))
    assert found is not None
    assert found.account == ALICE


def test_addresses_have_no_case(accounts: Accounts) -> None:
    assert run(accounts.by_email("BOB@example.COM")) == BOB
    assert run(accounts.by_email("Dora@Example.com")) == DORA
    assert run(accounts.by_email("nobody@example.com")) is None
    assert run(accounts.by_email("")) is None


def test_names_of_accounts_that_are_gone_are_left_out(accounts: Accounts) -> None:
    names = run(accounts.names([ALICE.id, DORA.id, ANONYMOUS_ID, "gone"]))
    assert names == {ALICE.id: "alice", DORA.id: "dora", ANONYMOUS_ID: "anonymous"}


def resolve(accounts: Accounts, requested: RequestedAcl | None) -> Acl:
    return run(Acls(accounts).resolve(requested, BOB.id, ALICE.id))


def test_without_a_request_an_acl_is_private(accounts: Accounts) -> None:
    assert resolve(accounts, None) == private_acl(BOB.id)


def test_an_empty_list_of_grants_is_kept_as_it_is(accounts: Accounts) -> None:
    assert resolve(accounts, RequestedAcl(owner_id=BOB.id)) == Acl(BOB.id)


@pytest.mark.parametrize("canned", CannedAcl)
def test_canned_acls_know_both_owners(accounts: Accounts, canned: CannedAcl) -> None:
    expected = canned_acl(canned, BOB.id, ALICE.id)
    assert resolve(accounts, RequestedAcl(canned=canned)) == expected


def test_grantees_are_resolved_in_their_order(accounts: Accounts) -> None:
    requested = RequestedAcl(
        grants=(
            RequestedGrant(READ, email="DORA@example.com"),
            RequestedGrant(Permission.WRITE_ACP, account_id=ALICE.id),
            RequestedGrant(Permission.READ_ACP, group=AUTHENTICATED_USERS),
        ),
        owner_id=BOB.id,
    )
    assert resolve(accounts, requested).grants == (
        Grant(READ, account_id=DORA.id),
        Grant(Permission.WRITE_ACP, account_id=ALICE.id),
        Grant(Permission.READ_ACP, group=AUTHENTICATED_USERS),
    )


def test_grantees_who_do_not_exist(accounts: Accounts) -> None:
    grants = (RequestedGrant(READ, account_id="gone"),)
    for owner_id, argument in (("", "id"), (BOB.id, "CanonicalUser/ID")):  # by header, by XML
        with pytest.raises(InvalidArgument, match="Invalid id") as refused:
            resolve(accounts, RequestedAcl(grants=grants, owner_id=owner_id))
        assert refused.value.details == {"ArgumentName": argument, "ArgumentValue": "gone"}
    with pytest.raises(UnresolvableGrantByEmailAddress):
        resolve(accounts, RequestedAcl(grants=(RequestedGrant(READ, email="x@example.com"),)))


def test_an_acl_keeps_its_owner(accounts: Accounts) -> None:
    with pytest.raises(AccessDenied):
        resolve(accounts, RequestedAcl(owner_id=ALICE.id))
