"""What routing and the XML of a page cost, in microseconds.

Run: python tests/bench/bench_wire.py
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

from bleepstore.model.checksums import ChecksumAlgorithm, ChecksumType
from bleepstore.model.listing import ObjectPage
from bleepstore.model.objects import Description, ListedObject
from bleepstore.wire.checksums import claimed_checksum
from bleepstore.wire.conditions import read_conditions
from bleepstore.wire.dates import http_date
from bleepstore.wire.description import description_headers, read_description
from bleepstore.wire.headers import refuse_unsupported
from bleepstore.wire.list_queries import ObjectsQuery
from bleepstore.wire.routing import Router
from bleepstore.wire.xml_listings import list_objects_v2
from bleepstore.wire.xml_requests import parse_complete_upload

OWNER = "0" * 64
ROUTER = Router(["localhost"])
PAIRS = [
    (b"host", b"127.0.0.1:9000"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"Boto3/1.44.5"),
    (b"x-amz-date", b"20260101T000000Z"),
    (b"x-amz-content-sha256", b"0" * 64),
    (b"authorization", b"AWS4-HMAC-SHA256 Credential=..."),
    (b"amz-sdk-invocation-id", b"0" * 36),
    (b"amz-sdk-request", b"attempt=1"),
]
HEADERS = dict(PAIRS)
PUT = {**HEADERS, b"content-type": b"text/plain", b"x-amz-meta-a": b"b",
       b"x-amz-checksum-crc32": b"AAAAAA==", b"x-amz-sdk-checksum-algorithm": b"CRC32"}  # fmt: skip
DESCRIPTION = Description({"content-type": "text/plain"}, {"a": "b"})


def page(name: str) -> ObjectPage:
    return ObjectPage(
        tuple(
            ListedObject(
                f"{name}{number:06}", 4096, "e" * 32, 1_700_000_000_000 + number * 1000,
                "STANDARD", OWNER, ChecksumAlgorithm.CRC64NVME, ChecksumType.FULL_OBJECT,
            )
            for number in range(1000)
        )
    )  # fmt: skip


def measure(name: str, call: Callable[[], object], number: int) -> None:
    best = min(timeit.repeat(call, number=number, repeat=5)) / number
    print(f"{name:48} {best * 1e6:10.2f} µs")


def main() -> None:
    plain, wild = page("photos/2026/"), page("phötos & 2026/")
    parts = b"".join(
        b'<Part><PartNumber>%d</PartNumber><ETag>"%s"</ETag></Part>' % (number, b"e" * 32)
        for number in range(1, 10_001)
    )
    complete = b"<CompleteMultipartUpload>" + parts + b"</CompleteMultipartUpload>"
    virtual = {**HEADERS, b"host": b"bucket.localhost:9000"}
    measure("route GET /bucket/key", lambda: ROUTER.route(b"GET", b"/bucket/key", HEADERS), 50_000)
    measure("route GET /key, virtual host", lambda: ROUTER.route(b"GET", b"/key", virtual), 50_000)
    measure("route with an escape and a query",
            lambda: ROUTER.route(b"GET", b"/b/a%20b?x-id=GetObject", HEADERS), 50_000)  # fmt: skip
    measure("refuse_unsupported", lambda: refuse_unsupported(HEADERS), 50_000)
    measure("read_conditions, none", lambda: read_conditions(HEADERS), 50_000)
    measure("read_description", lambda: read_description(PUT), 50_000)
    measure("claimed_checksum", lambda: claimed_checksum(PUT), 50_000)
    measure("description_headers", lambda: description_headers(DESCRIPTION), 50_000)
    measure("http_date", lambda: http_date(1_700_000_000_000), 50_000)
    for encoded in (False, True):
        query = ObjectsQuery(encoding="url" if encoded else "")
        for kind, keys in (("plain", plain), ("wild", wild)):
            measure(f"list page, 1,000 {kind} keys, url_encoded={encoded}",
                    partial(list_objects_v2, "b", query, keys, {}), 20)  # fmt: skip
    measure("parse Complete of 10,000 parts", lambda: parse_complete_upload(complete), 2)


if __name__ == "__main__":
    main()
