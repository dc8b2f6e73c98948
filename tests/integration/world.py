"""One server with several accounts, and every way of speaking to it as each of them."""

from __future__ import annotations

import itertools
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.daemon import Daemon
from tests.integration.raw import Account

ACCOUNTS = ("alice", "bob", "carol", "dave")
"""Alice's is the first account of the configuration.  Dave has no buckets but in the test that
lists all of them."""
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
PART = 5 * 1024 * 1024
"""Bytes of the smallest part that may be followed by another."""

SETTINGS: dict[str, Any] = {
    "auth": {
        "access_key": "alice-key",
        "secret_key": "alice-secret",
        "owner_id": "a" * 64,
        "display_name": "alice",
        "credentials": [
            {
                "access_key": f"{name}-key",
                "secret_key": f"{name}-secret",
                "owner_id": name[0] * 64,
                "display_name": name,
                "email": f"{name}@example.com",
            }
            for name in ACCOUNTS[1:]
        ],
    },
}


class World:
    """Clients of a server by account name; ``anonymous`` for none.

    They send a request once: a retry would hide what the server does.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.port = daemon.port
        self._clients: dict[tuple[str, str], Any] = {}
        self._numbers = itertools.count(1)

    def client(self, name: str, signature: str = "s3v4", **s3: Any) -> Any:
        """A boto3 client.

        :param signature: ``s3`` is the old form, which boto3 still presigns by.
        :param s3: botocore's options for S3.
        """
        named = (name, signature + repr(sorted(s3.items())))
        found = self._clients.get(named)
        if found is None:
            found = self._clients[named] = boto3.client(
                "s3",
                endpoint_url=self.daemon.url,
                aws_access_key_id=f"{name}-key",
                aws_secret_access_key=f"{name}-secret",
                region_name="us-east-1",
                config=Config(
                    signature_version=UNSIGNED if name == "anonymous" else signature,
                    retries={"total_max_attempts": 1},
                    max_pool_connections=32,
                    s3=s3 or None,
                ),
            )
        return found

    def raw(self, name: str) -> Account:
        """Requests by hand."""
        if name == "anonymous":
            return Account(self.port)
        return Account(self.port, f"{name}-key", f"{name}-secret")

    @staticmethod
    def id_of(name: str) -> str:
        """The canonical id of an account."""
        return name[0] * 64

    def bucket(self, owner: str = "alice", **options: Any) -> str:
        """A new bucket."""
        name = f"world-bucket-{next(self._numbers)}"
        self.client(owner).create_bucket(Bucket=name, **options)
        return name

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


class Refused:
    """What a refused boto3 call was told; filled in when the ``with`` block ends."""

    status = 0
    code = ""
    message = ""
    error: dict[str, Any]


class refused:
    """The block must be refused with this status and code.

    HEAD has no body, so botocore makes the code of the status: pass it as text.
    """

    def __init__(self, status: int, code: str | None = None) -> None:
        self._wanted = (status, code if code is not None else str(status))
        self._raises = pytest.raises(ClientError)
        self._told = Refused()

    def __enter__(self) -> Refused:
        self._caught = self._raises.__enter__()
        return self._told

    def __exit__(self, *exception: Any) -> bool:
        __tracebackhide__ = True
        suppressed = self._raises.__exit__(*exception)
        response = self._caught.value.response
        told = self._told
        told.status = response["ResponseMetadata"]["HTTPStatusCode"]
        told.error = response["Error"]
        told.code = told.error["Code"]
        told.message = told.error["Message"]
        assert (told.status, told.code) == self._wanted, told.message
        return suppressed
