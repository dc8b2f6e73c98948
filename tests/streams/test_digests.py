"""Digests against published check values, and in pieces."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.streams.digests import (
    Digests,
    DigestsOfAll,
    decode_base64,
    encode_base64,
)

CHECK = b"123456789"

CHECK_VALUES = {  # the "check" of the CRC catalogue (reveng), big-endian; hashes: coreutils, xxhsum
    ChecksumAlgorithm.CRC32: "cbf43926",
    ChecksumAlgorithm.CRC32C: "e3069283",
    ChecksumAlgorithm.CRC64NVME: "ae8b14860a799888",
    ChecksumAlgorithm.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    ChecksumAlgorithm.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    ChecksumAlgorithm.SHA512: (
        "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
        "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85"
    ),
    ChecksumAlgorithm.MD5: "25f9e794323b453885f5181f1b624d0b",
    ChecksumAlgorithm.XXHASH64: "8cb841db40e6ae83",
    ChecksumAlgorithm.XXHASH3: "72dcb18b67a17dff",
    ChecksumAlgorithm.XXHASH128: "33119477ede5dcd5e9716427681d5860",
}


@pytest.mark.parametrize("algorithm", ChecksumAlgorithm)
def test_each_checksum_of_the_check_string(algorithm: ChecksumAlgorithm) -> None:
    digests = Digests(algorithms=(algorithm,))
    digests.update(CHECK)
    checksum = digests.checksum(algorithm)
    assert checksum.algorithm is algorithm
    assert decode_base64(checksum.value, algorithm.size) == bytes.fromhex(CHECK_VALUES[algorithm])


@given(st.lists(st.binary(max_size=100), max_size=8), st.integers(min_value=0, max_value=8))
def test_pieces_give_what_the_whole_gives(pieces: list[bytes], split: int) -> None:
    in_pieces = Digests(sha256=True, algorithms=ChecksumAlgorithm)
    in_pieces.update(*pieces[:split])
    for piece in pieces[split:]:
        in_pieces.update(memoryview(piece))
    whole = Digests(sha256=True, algorithms=ChecksumAlgorithm)
    whole.update(b"".join(pieces))
    assert in_pieces.md5() == whole.md5() == hashlib.md5(b"".join(pieces)).digest()
    assert in_pieces.md5_hex() == whole.md5().hex()
    assert in_pieces.sha256() == whole.sha256() == hashlib.sha256(b"".join(pieces)).digest()
    for algorithm in ChecksumAlgorithm:
        assert in_pieces.checksum(algorithm) == whole.checksum(algorithm)


def test_only_the_hashes_of_hashlib_are_slow() -> None:
    assert Digests().slow
    assert not Digests(md5=False, algorithms=(ChecksumAlgorithm.XXHASH64,)).slow
    assert Digests(md5=False, algorithms=(ChecksumAlgorithm.SHA1,)).slow
    assert not Digests(md5=False, algorithms=(ChecksumAlgorithm.CRC64NVME,)).slow


def test_neither_the_module_nor_an_md5_imports_awscrt() -> None:
    script = (
        "import sys, bleepstore.streams.digests as d\n"
        "d.DigestsOfAll(b'').checksum(d.ChecksumAlgorithm.MD5)\n"
        "assert '_awscrt' not in sys.modules\n"
        "d.load()\n"
        "assert '_awscrt' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@given(st.binary(max_size=200))
def test_what_is_all_there_has_the_digests_of_its_pieces(data: bytes) -> None:
    pieces = Digests(sha256=True, algorithms=ChecksumAlgorithm)
    pieces.update(data)
    whole = DigestsOfAll(data)
    assert whole.md5() == pieces.md5()
    assert whole.md5_hex() == pieces.md5_hex()
    assert whole.sha256() == pieces.sha256()
    for algorithm in ChecksumAlgorithm:
        assert whole.checksum(algorithm) == pieces.checksum(algorithm)


@given(st.binary(max_size=40))
def test_base64_round_trip(raw: bytes) -> None:
    assert decode_base64(encode_base64(raw), len(raw)) == raw


@pytest.mark.parametrize(
    "value",
    ["", "AAAAAA", "AAAAAA==\n", " AAAAAA==", "AAAA*A==", "AAAAAA=", "ÄAAAAA==", "AAAAAAAA"],
)
def test_what_is_no_base64_of_the_size_is_refused(value: str) -> None:
    assert decode_base64(value, 4) is None


@given(st.text(max_size=30))
def test_any_text_is_decoded_or_refused(value: str) -> None:
    raw = decode_base64(value, 16)
    assert raw is None or len(raw) == 16
