"""Who asks: the signature of a request, verified against the directory of accounts."""

from __future__ import annotations

from bleepstore.auth.payload import UNSIGNED, parse_anonymous_payload, parse_payload
from bleepstore.auth.sigv2_query import LegacyClaim, verify_legacy
from bleepstore.auth.sigv4 import SigningKeys, parse_claim, verify
from bleepstore.errors import InvalidAccessKeyId
from bleepstore.objectstore.accounts import Accounts
from bleepstore.objectstore.requests import Caller
from bleepstore.s3.call import Call


class Authentication:
    """Fills in the caller, and what the request says of its body.

    :param region: the one that signatures must be for.
    :param enabled: False takes every request for the root account's, signed or not.
    """

    def __init__(self, accounts: Accounts, region: str, enabled: bool = True) -> None:
        self._accounts = accounts
        self.region = region
        self._enabled = enabled
        self._keys = SigningKeys()

    async def authenticate(self, call: Call) -> None:
        """:raises StoreError: as ``auth.sigv4`` says, and InvalidAccessKeyId."""
        request = call.request
        owner = call.headers.get(b"x-amz-expected-bucket-owner")
        expected_owner = "" if owner is None else owner.decode("latin-1")
        said = call.headers.get(b"x-amz-content-sha256")
        if not self._enabled:
            call.payload = UNSIGNED if said is None else parse_payload(said)
            call.caller = Caller(self._accounts.root, call.request_id, call.at, expected_owner)
            return
        claim = parse_claim(request.method, request.uri, request.fields, call.at, self.region)
        if claim is None:
            call.payload = parse_anonymous_payload(said)
            call.caller = Caller(None, call.request_id, call.at, expected_owner)
            return
        call.access_key = claim.access_key
        credential = await self._accounts.credential(claim.access_key)
        if credential is None:
            raise InvalidAccessKeyId(AWSAccessKeyId=claim.access_key)
        if isinstance(claim, LegacyClaim):
            verify_legacy(claim, credential.secret_key, call.bucket if call.by_host else "")
            call.payload = claim.payload
        else:
            verified = verify(claim, credential.secret_key, self._keys)
            call.payload = verified.payload
            call.chunk_signatures = verified.chunks
        call.caller = Caller(credential.account, call.request_id, call.at, expected_owner)
