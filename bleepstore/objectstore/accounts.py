"""The directory of accounts: those of the configuration, and those stored with the metadata.

Knows keys, canonical ids and e-mail addresses; it authenticates nobody.  The configuration
wins where both name the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.model.accounts import Account, Credential
from bleepstore.objectstore.requests import ANONYMOUS


class Accounts:
    """Accounts by access key, canonical id and e-mail address.

    Stored credentials are asked for anew each time: another process may have changed them.

    :param configured: the first one is the root's; there is at least one.
    """

    def __init__(self, configured: Sequence[Credential], metadata: IMetadataReader) -> None:
        self._metadata = metadata
        self._by_key = {credential.access_key: credential for credential in configured}
        self._by_id = {ANONYMOUS.id: ANONYMOUS}
        for credential in reversed(configured):
            self._by_id[credential.account.id] = credential.account
        self._by_email = {
            credential.account.email.casefold(): credential.account
            for credential in reversed(configured)
            if credential.account.email
        }
        self._root = configured[0].account

    @property
    def root(self) -> Account:
        """The account of the first configured key: every caller's, while authentication is off."""
        return self._root

    async def credential(self, access_key: str) -> Credential | None:
        """The key's credential; None if there is none or it is disabled."""
        found = self._by_key.get(access_key)
        if found is None:
            found = await self._metadata.get_credential(access_key)
        return found if found is not None and found.enabled else None

    async def by_id(self, account_id: str) -> Account | None:
        """The account of a canonical id, also if all its keys are disabled."""
        known = self._by_id.get(account_id)
        if known is not None:
            return known
        for credential in await self._metadata.list_credentials():
            if credential.account.id == account_id:
                return credential.account
        return None

    async def by_email(self, email: str) -> Account | None:
        """The account of an e-mail address, whatever its case."""
        wanted = email.casefold()
        known = self._by_email.get(wanted)
        if known is not None:
            return known
        for credential in await self._metadata.list_credentials():
            if credential.account.email and credential.account.email.casefold() == wanted:
                return credential.account
        return None

    async def names(self, account_ids: Iterable[str]) -> dict[str, str]:
        """The display names of canonical ids; an account that is gone is left out."""
        names: dict[str, str] = {}
        unknown: set[str] = set()
        for account_id in account_ids:
            known = self._by_id.get(account_id)
            if known is not None:
                names[account_id] = known.display_name
            else:
                unknown.add(account_id)
        if unknown:
            for credential in await self._metadata.list_credentials():
                if credential.account.id in unknown:
                    names.setdefault(credential.account.id, credential.account.display_name)
        return names
