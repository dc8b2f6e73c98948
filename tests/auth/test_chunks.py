"""The running signature over chunks and trailer."""

from __future__ import annotations

from hashlib import sha256

import pytest

from bleepstore.auth.chunks import ChunkSignatures, RunningSignature
from bleepstore.auth.keys import derive_key
from bleepstore.errors import SignatureDoesNotMatch

KEY = derive_key("secret", b"20251121", b"us-east-1")
DATE = b"20251121T044000Z"
SCOPE = b"20251121/us-east-1/s3/aws4_request"
SEED = b"5" * 64
TRAILERS = [(b"x-amz-checksum-crc32", b"AAAAAA==")]


def running() -> RunningSignature:
    return RunningSignature(KEY, DATE, SCOPE, SEED)


def checked() -> ChunkSignatures:
    return ChunkSignatures(KEY, DATE, SCOPE, SEED)


def sign(signer: RunningSignature, data: bytes) -> bytes:
    return signer.next_chunk(sha256(data).hexdigest().encode())[0]


def test_a_chunk_may_be_fed_in_any_pieces() -> None:
    signer, chunks = running(), checked()
    for data in (b"a" * 1000, b"b", b""):
        for byte in data:
            chunks.update(memoryview(bytes([byte])))
        chunks.end_chunk(sign(signer, data))
    chunks.end_trailer(TRAILERS, signer.trailer(b"x-amz-checksum-crc32:AAAAAA==\n")[0])


def test_changed_data_does_not_match_and_the_client_is_told_what_was_signed() -> None:
    chunks = checked()
    chunks.update(b"changed")
    signature = sign(running(), b"data")
    with pytest.raises(SignatureDoesNotMatch) as caught:
        chunks.end_chunk(signature)
    details = caught.value.details
    assert details["SignatureProvided"] == signature.decode()
    assert details["StringToSign"].splitlines()[:4] == [
        "AWS4-HMAC-SHA256-PAYLOAD",
        DATE.decode(),
        SCOPE.decode(),
        SEED.decode(),
    ]
    assert bytes.fromhex(details["StringToSignBytes"]).decode() == details["StringToSign"]


def test_chunks_cannot_be_reordered_repeated_or_left_out() -> None:
    signer = running()
    first, second = sign(signer, b"1"), sign(signer, b"2")
    out_of_order = checked()
    out_of_order.update(b"2")
    with pytest.raises(SignatureDoesNotMatch):
        out_of_order.end_chunk(second)
    repeated = checked()
    repeated.update(b"1")
    repeated.end_chunk(first)
    repeated.update(b"1")
    with pytest.raises(SignatureDoesNotMatch):
        repeated.end_chunk(first)


@pytest.mark.parametrize(
    "trailers",
    [[], [(b"x-amz-checksum-crc32", b"AAAAAQ==")], [(b"x-amz-checksum-crc32c", b"AAAAAA==")]],
)
def test_a_changed_trailer_does_not_match(trailers: list[tuple[bytes, bytes]]) -> None:
    signer, chunks = running(), checked()
    chunks.end_chunk(sign(signer, b""))
    signature = signer.trailer(b"x-amz-checksum-crc32:AAAAAA==\n")[0]
    with pytest.raises(SignatureDoesNotMatch):
        chunks.end_trailer(trailers, signature)


def test_the_signature_of_a_chunk_is_none_of_a_trailer() -> None:
    signer, chunks = running(), checked()
    chunks.end_chunk(sign(signer, b""))
    with pytest.raises(SignatureDoesNotMatch):
        chunks.end_trailer([], sign(signer, b""))
