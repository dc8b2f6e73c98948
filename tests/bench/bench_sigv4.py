"""What a signature costs: ``python -m tests.bench.bench_sigv4``.

Verifies typical requests, and takes a streamed body apart, each beside a reference of the same
run: the bare hashing that cannot be avoided, and a copy of the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from hmac import digest
from time import perf_counter

from bleepstore.auth.canonical import Pair
from bleepstore.auth.payload import EMPTY_SHA256
from bleepstore.auth.signing import Signer
from bleepstore.auth.sigv4 import SigningKeys, parse_claim, verify
from bleepstore.wire.aws_chunked import AwsChunkedDecoder

NOW = 1_763_700_000_000
SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
HOST = (b"host", b"127.0.0.1:9000")
BOTO3 = (
    HOST,
    (b"x-amz-checksum-mode", b"ENABLED"),
    (b"user-agent", b"Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux lang/python#3.11"),
    (b"amz-sdk-invocation-id", b"3b5b5f3e-5c5e-4a39-9f59-0d2c2f3f6a51"),
    (b"amz-sdk-request", b"attempt=1"),
    (b"accept-encoding", b"identity"),
)


def fastest(call: Callable[[], object], times: int, rounds: int = 7) -> float:
    """Seconds of one call, in the fastest of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(times):
            call()
        best = min(best, perf_counter() - start)
    return best / times


def verification(target: bytes, headers: tuple[Pair, ...]) -> Callable[[], object]:
    keys = SigningKeys()

    def once() -> object:
        claim = parse_claim(b"GET", target, headers, NOW, "us-east-1")
        assert claim is not None
        return verify(claim, SIGNER.secret_key, keys)

    return once


def bare_hashing() -> object:
    text = sha256(bytes(600)).hexdigest()
    return digest(bytes(32), bytes(150), "sha256") + text.encode()


def decoding(chunk: int, total: int, feed: int) -> Callable[[], object]:
    wire = b"".join(
        (
            (b"%x\r\n" % chunk + bytes(chunk) + b"\r\n") * (total // chunk),
            b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        )
    )
    feeds = [wire[at : at + feed] for at in range(0, len(wire), feed)]

    def once() -> None:
        decoder = AwsChunkedDecoder(
            total, signed=False, trailer=True, announced=frozenset((b"x-amz-checksum-crc32",))
        )
        for piece in feeds:
            decoder.feed(piece)
        decoder.finish()

    return once


def main() -> None:
    target = b"/bucket-of-mine/photos/2026/11/picture-000017.jpg"
    reference = fastest(bare_hashing, 20_000)
    print(f"{'one SHA-256 of 600 bytes and one HMAC':<48}{reference * 1e6:8.2f} us")
    signed = SIGNER.sign(b"GET", target, BOTO3, EMPTY_SHA256, NOW).headers
    listing = target + b"?encoding-type=url&list-type=2&max-keys=1000&prefix=a%2Fb"
    for name, call in (
        ("signed GET as boto3 sends it", verification(target, signed)),
        (
            "signed list of a bucket",
            verification(listing, SIGNER.sign(b"GET", listing, BOTO3, EMPTY_SHA256, NOW).headers),
        ),
        (
            "presigned GET",
            verification(SIGNER.presign(b"GET", target, (HOST,), NOW, 3600), (HOST, BOTO3[2])),
        ),
    ):
        took = fastest(call, 5_000)
        print(f"{name:<48}{took * 1e6:8.2f} us{took / reference:8.1f} x")
    total, feed = 64 << 20, 64 << 10
    block = bytes(feed)
    copy = fastest(lambda: bytearray(block), total // feed) * (total // feed)
    print(f"{'a copy of each 64-KiB feed':<48}{total / copy / 2**30:8.2f} GiB/s")
    for chunk in (1 << 20, 64 << 10, 8 << 10):
        took = fastest(decoding(chunk, total, feed), 1)
        name = f"aws-chunked, {chunk >> 10}-KiB chunks, 64-KiB feeds"
        print(f"{name:<48}{total / took / 2**30:8.2f} GiB/s{copy / took:8.1f} x")


if __name__ == "__main__":
    main()
