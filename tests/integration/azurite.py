"""Azurite, Microsoft's own emulator of Azure Storage: a real server of the Blob service's protocol.

It verifies SharedKey and shared access signatures, ranges, preconditions, blocks and checksums.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bleepstore.auth.sharedkey import shared_key_signature
from bleepstore.remote.azure_connection import (
    DEVELOPMENT_ACCOUNT,
    DEVELOPMENT_KEY,
    decode_key,
)
from bleepstore.wire.dates import http_date
from tests.integration import clients

CONTAINER = "backing"
VERSION = "2021-12-02"


def connection_string(url: str, key: str = DEVELOPMENT_KEY) -> str:
    """What a gateway to a server is configured with."""
    return f"AccountName={DEVELOPMENT_ACCOUNT};AccountKey={key};BlobEndpoint={url}"


def ask(
    url: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One signed request; status, headers by lower-case name, and body.

    :param path: below the account, encoded, with its query.
    :param headers: with ``_`` for ``-``.
    """
    parts = urlsplit(url)
    target = f"{parts.path}{path}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent["x-ms-version"] = VERSION
    sent["x-ms-date"] = http_date(time.time_ns() // 1_000_000).decode()
    signature = shared_key_signature(
        DEVELOPMENT_ACCOUNT,
        decode_key(DEVELOPMENT_KEY),
        method.encode(),
        target.encode(),
        [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        len(body),
    )
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(
            method, target, body or None, {**sent, "authorization": signature.decode()}
        )
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()
    finally:
        connection.close()


def make_container(url: str, name: str = CONTAINER) -> None:
    status, _, body = ask(url, "PUT", f"/{name}?restype=container")
    assert status == 201, body


@contextmanager
def azurite() -> Iterator[str]:
    """A server with an empty container; the URL of its account."""
    main = clients.own("azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
    process = subprocess.Popen(
        [
            clients.find("node"),
            main,
            *("--blobHost", "127.0.0.1"),
            *("--blobPort", "0"),
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--silent",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"listens on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            raise RuntimeError("Azurite did not start:\n" + "".join(said))
        drained = threading.Thread(target=process.stdout.read)
        drained.start()
        url = f"{found[1]}/{DEVELOPMENT_ACCOUNT}"
        make_container(url)
        yield url
    finally:
        process.terminate()
        process.wait()
    drained.join()
    process.stdout.close()
