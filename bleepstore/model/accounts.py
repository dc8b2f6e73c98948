"""Who asks: accounts and their keys."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct


class Account(Struct, frozen=True):
    """An owner of buckets and objects, known to S3 by its canonical id.

    :ivar id: canonical user id, 64 lower-case hex digits unless configured otherwise.
    :ivar display_name: shown in listings and ACLs.
    :ivar email: may stand for the account in grants; empty when it has none.
    """

    id: str
    display_name: str
    email: str = ""


class Credential(Struct, frozen=True):
    """An access key, its secret and the account it speaks for.

    :ivar enabled: a disabled key is answered as an unknown one.
    """

    access_key: str
    secret_key: str
    account: Account
    enabled: bool = True

    def __repr__(self) -> str:  # the secret never reaches a log
        return f"Credential(access_key={self.access_key!r}, account={self.account!r})"


def derived_owner_id(access_key: str) -> str:
    """The canonical id of an account configured without one: SHA-256 of its key, in hex."""
    return sha256(access_key.encode()).hexdigest()
