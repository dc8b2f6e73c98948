"""Azure Storage's service shared access signatures, for the blobs of a container.  Pure.

Source: "Create a service SAS", Azure Storage REST API, version 2020-12-06 and later of the Blob
service.
"""

from __future__ import annotations

from base64 import b64encode
from hmac import digest
from urllib.parse import urlencode

VERSION = "2021-12-02"


def container_sas(account: str, key: bytes, container: str, permissions: str, expires: str) -> str:
    """A query that opens the blobs of a container to who has it.

    :param key: the account's key, decoded from base64.
    :param permissions: letters in Azure's order: ``r`` reads, ``racwdl`` is all that a gateway
        does.
    :param expires: time in UTC, ISO 8601 to the second, ending in ``Z``.
    """
    text = string_to_sign(account, container, permissions, expires)
    signature = b64encode(digest(key, text.encode(), "sha256")).decode()
    return urlencode({"sv": VERSION, "se": expires, "sr": "c", "sp": permissions, "sig": signature})


def string_to_sign(account: str, container: str, permissions: str, expires: str) -> str:
    """What is signed: sixteen fields, of which those that are not named stay empty."""
    lines = [""] * 16
    lines[0] = permissions
    lines[2] = expires
    lines[3] = f"/blob/{account}/{container}"
    lines[7] = VERSION
    lines[8] = "c"
    return "\n".join(lines)
