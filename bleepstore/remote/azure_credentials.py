"""Where Azure's credentials come from: the usual chain.

Settings, environment (connection string, key, SAS, client secret), workload identity, managed
identity.  Sources: "DefaultAzureCredential" (Azure Identity), "OAuth 2.0 client credentials flow"
(Microsoft identity platform), "How to use managed identities" (App Service, and Azure VMs).
"""

from __future__ import annotations

from urllib.parse import urlencode

from bleepstore.remote.azure_connection import (
    AzureAccount,
    account_endpoint,
    decode_key,
    parse_connection_string,
)
from bleepstore.remote.azure_signing import SasAuthorizer, SharedKeyAuthorizer
from bleepstore.remote.bearer import BearerAuthorizer, BearerToken, token_lease
from bleepstore.remote.failures import CredentialsUnavailable
from bleepstore.remote.refreshing import Lease
from bleepstore.remote.refusals import json_object
from bleepstore.remote.requests import Header
from bleepstore.remote.service import Authorizer
from bleepstore.remote.surroundings import Surroundings, request_to

_RESOURCE = "https://storage.azure.com/"
_AUTHORITY = "https://login.microsoftonline.com"
_IMDS = "http://169.254.169.254/metadata/identity/oauth2/token"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AzureChain:
    """Finds a token anew each time it is asked.

    :param managed: take the machine's identity, and look nowhere else.
    """

    def __init__(self, near: Surroundings, managed: bool = False) -> None:
        self._near = near
        self._managed = managed

    async def find(self) -> Lease[BearerToken]:
        """A token, from the first place that is configured.

        :raises CredentialsUnavailable: what is configured is incomplete.
        :raises RemoteFailure: the place that is configured does not give one.
        """
        environ = self._near.environ
        if not self._managed:
            if secret := environ.get("AZURE_CLIENT_SECRET"):
                return await self._of_client({"client_secret": secret})
            if path := environ.get("AZURE_FEDERATED_TOKEN_FILE"):
                # Read each time: it is replaced before it expires.
                assertion = await self._near.text(path)
                return await self._of_client(
                    {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
                )
        return await self._of_machine()

    async def _of_client(self, proof: dict[str, str]) -> Lease[BearerToken]:
        near = self._near
        names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
        tenant, client = (near.environ.get(name, "") for name in names)
        if not (tenant and client):
            raise CredentialsUnavailable(f"the environment has not both {' and '.join(names)}")
        authority = (near.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITY).rstrip("/")
        if "://" not in authority:  # as the SDKs take it: the host alone
            authority = f"https://{authority}"
        said = await near.post_form(
            f"{authority}/{tenant}/oauth2/v2.0/token",
            {
                "grant_type": "client_credentials",
                "client_id": client,
                "scope": _RESOURCE + ".default",
                **proof,
            },
        )
        return token_lease(said, near.now, "Microsoft")

    async def _of_machine(self) -> Lease[BearerToken]:
        near = self._near
        query = {"resource": _RESOURCE}
        if client := near.environ.get("AZURE_CLIENT_ID"):
            query["client_id"] = client  # a user-assigned identity
        endpoint = near.environ.get("IDENTITY_ENDPOINT")
        header: Header
        if endpoint:
            proof = near.environ.get("IDENTITY_HEADER", "")
            if not proof:
                raise CredentialsUnavailable("IDENTITY_ENDPOINT is set, IDENTITY_HEADER is not")
            query["api-version"] = "2019-08-01"
            header = (b"x-identity-header", proof.encode())
        else:
            endpoint = _IMDS
            query["api-version"] = "2018-02-01"
            header = (b"metadata", b"true")
        url = f"{endpoint}?{urlencode(query)}"
        _, answer = await near.metadata.fetch(request_to("GET", url, (header,)))
        said = json_object(answer)
        if "expires_in" not in said and str(said.get("expires_on", "")).isdigit():
            # App Service gives the end alone: seconds since the epoch, as text.
            said["expires_in"] = max(0, int(said["expires_on"]) - near.now() // 1000)
        return token_lease(said, near.now, "the managed identity")


def azure_account(
    near: Surroundings,
    account: str = "",
    endpoint_url: str = "",
    connection_string: str = "",
    managed: bool = False,
) -> tuple[AzureAccount, Authorizer]:
    """The account to speak to, and what opens it, by the usual chain.

    :param account: of the settings, as the others are; ``""`` for what the environment has.
    :param endpoint_url: instead of the account's usual one.
    :param managed: take the machine's identity, and look nowhere else.
    :raises ValueError: what is configured is malformed or incomplete; the message is for the
        operator.
    """
    environ = near.environ
    text = connection_string
    if not (text or account or managed):
        text = environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    if text:
        found = parse_connection_string(text)
        found = AzureAccount(found.name, endpoint_url or found.endpoint, found.key, found.sas)
    else:
        name = account or environ.get("AZURE_STORAGE_ACCOUNT", "")
        if not name:
            raise ValueError("neither an account nor a connection_string is given")
        key, sas = "", ""
        if not managed:
            key = environ.get("AZURE_STORAGE_KEY", "")
            sas = environ.get("AZURE_STORAGE_SAS_TOKEN", "")
        found = AzureAccount(
            name, endpoint_url or account_endpoint(name), decode_key(key), sas.lstrip("?")
        )
    if found.key:
        return found, SharedKeyAuthorizer(found.name, found.key, near.now)
    if found.sas:
        return found, SasAuthorizer(found.sas)
    return found, BearerAuthorizer(near.held("Azure", AzureChain(near, managed).find))
