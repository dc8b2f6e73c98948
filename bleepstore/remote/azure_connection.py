"""Azure Storage's connection strings, and which endpoint and credentials they mean.  Pure.

Source: "Configure Azure Storage connection strings", Azure Storage documentation.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error

from msgspec import Struct

from bleepstore.remote.requests import parse_endpoint

DEVELOPMENT_ACCOUNT = "devstoreaccount1"
DEVELOPMENT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The emulator's account, and its key, which the documentation publishes."""

_DEVELOPMENT = "UseDevelopmentStorage"


class AzureAccount(Struct, frozen=True):
    """An account: its endpoint, and the secret that opens it, if there is one.

    :ivar endpoint: URL of the Blob service.
    :ivar key: the account's key, decoded; empty without one.
    :ivar sas: a shared access signature, without its question mark; ``""`` without one.
    """

    name: str
    endpoint: str
    key: bytes = b""
    sas: str = ""

    def __repr__(self) -> str:  # the secret never reaches a log
        return f"AzureAccount({self.name!r}, {self.endpoint!r})"


def parse_connection_string(text: str) -> AzureAccount:
    """The account that a connection string means.

    :raises ValueError: it is malformed; the message names what, and quotes nothing.
    """
    fields: dict[str, str] = {}
    for part in text.strip().strip(";").split(";"):
        name, separator, value = part.partition("=")
        if not separator:
            raise ValueError("the connection string has a part without a value")
        fields[name.strip()] = value.strip()
    if fields.get(_DEVELOPMENT, "").lower() == "true":
        proxy = fields.get("DevelopmentStorageProxyUri", "http://127.0.0.1").rstrip("/")
        return AzureAccount(
            DEVELOPMENT_ACCOUNT,
            f"{proxy}:10000/{DEVELOPMENT_ACCOUNT}",
            decode_key(DEVELOPMENT_KEY),
        )
    name = fields.get("AccountName", "")
    endpoint = fields.get("BlobEndpoint", "")
    sas = fields.get("SharedAccessSignature", "").lstrip("?")
    if not endpoint:
        if not name:
            raise ValueError("the connection string has neither BlobEndpoint nor AccountName")
        scheme = fields.get("DefaultEndpointsProtocol", "https")
        suffix = fields.get("EndpointSuffix", "core.windows.net")
        endpoint = f"{scheme}://{name}.blob.{suffix}"
    try:
        origin, _ = parse_endpoint(endpoint)
    except ValueError:
        raise ValueError("the connection string's endpoint is no URL") from None
    key = decode_key(fields["AccountKey"]) if "AccountKey" in fields else b""
    if not key and not sas:
        raise ValueError("the connection string has neither AccountKey nor SharedAccessSignature")
    if key and not name:
        raise ValueError("the connection string has an AccountKey and no AccountName")
    return AzureAccount(name or origin.host.partition(".")[0], endpoint, key, sas)


def decode_key(text: str) -> bytes:
    """An account's key.

    :raises ValueError: it is not base64.
    """
    try:
        return b64decode(text, validate=True)
    except Error:
        raise ValueError("the account's key is not base64") from None


def account_endpoint(account: str) -> str:
    """The usual endpoint of an account."""
    return f"https://{account}.blob.core.windows.net"
