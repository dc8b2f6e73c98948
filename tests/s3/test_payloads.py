"""Bodies in every form that x-amz-content-sha256 can announce."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import pytest

from bleepstore.auth.signing import SignedRequest
from tests.s3.harness import FakeBody, FakeRequest, Server, SlowBody

DATA = bytes(range(256)) * 1000
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SHA256_OF_DATA = b64encode(sha256(DATA).digest()).decode()


@pytest.fixture
def server() -> Server:
    server = Server()
    assert server.signed("PUT", "/bucket").status == 200
    return server


def _chunks(data: bytes, size: int = 65_536) -> list[bytes]:
    return [*(data[at : at + size] for at in range(0, len(data), size)), b""]


def _signed_frames(signed: SignedRequest, data: bytes, trailer: bytes = b"") -> bytes:
    frames = []
    for chunk in _chunks(data):
        signature, _ = signed.chunks.next_chunk(sha256(chunk).hexdigest().encode())
        frames.append(b"%x;chunk-signature=%b\r\n%b" % (len(chunk), signature, chunk))
        if chunk:
            frames.append(b"\r\n")
    if trailer:
        signature, _ = signed.chunks.trailer(trailer + b"\n")
        frames.append(b"%b\r\nx-amz-trailer-signature:%b\r\n" % (trailer, signature))
    frames.append(b"\r\n")
    return b"".join(frames)


def _unsigned_frames(data: bytes, trailer: bytes) -> bytes:
    frames = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in _chunks(data) if chunk]
    return b"".join((*frames, b"0\r\n", trailer, b"\r\n" if trailer else b"", b"\r\n"))


def _put(
    server: Server,
    payload: str,
    frame: Callable[[SignedRequest], bytes],
    piece: int = 65_536,
    decoded: str | None = str(len(DATA)),
    **headers: str,
) -> FakeRequest:
    fields = {"content-encoding": "aws-chunked"}
    if decoded is not None:
        fields["x-amz-decoded-content-length"] = decoded
    if payload.endswith("TRAILER"):
        fields["x-amz-trailer"] = "x-amz-checksum-sha256"
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    signed = server.sign("PUT", "/bucket/key", fields, payload)
    body = frame(signed)
    pairs = [(name.decode(), value.decode()) for name, value in signed.headers]
    pairs.append(("content-length", str(len(body))))
    return server.raw("PUT", "/bucket/key", pairs, FakeBody(body, len(body), piece))


def _trailer(value: str = SHA256_OF_DATA) -> bytes:
    return b"x-amz-checksum-sha256:" + value.encode()


FORMS: dict[str, tuple[str, Callable[[SignedRequest], bytes]]] = {
    "signed": (SIGNED, lambda signed: _signed_frames(signed, DATA)),
    "signed-trailer": (SIGNED_TRAILER, lambda signed: _signed_frames(signed, DATA, _trailer())),
    "unsigned-trailer": (UNSIGNED_TRAILER, lambda _: _unsigned_frames(DATA, _trailer())),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piece", [1000, 65_536, 1 << 20])
def test_framed_bodies_are_stored_without_their_frames(
    server: Server, form: str, piece: int
) -> None:
    payload, frame = FORMS[form]
    put = _put(server, payload, frame, piece)
    assert put.status == 200, put.sent
    if "trailer" in form:
        assert put.answered("x-amz-checksum-sha256") == SHA256_OF_DATA
    got = server.signed("GET", "/bucket/key")
    assert got.sent == DATA
    assert got.answered("content-encoding") is None


def test_only_the_transfers_own_coding_is_taken_away(server: Server) -> None:
    payload, frame = FORMS["signed"]
    _put(server, payload, frame, content_encoding="aws-chunked,gzip")
    assert server.signed("HEAD", "/bucket/key").answered("content-encoding") == "gzip"


def test_a_forged_chunk(server: Server) -> None:
    def forged(signed: SignedRequest) -> bytes:
        frames = _signed_frames(signed, DATA)
        return frames.replace(b"\x10\x11\x12", b"\x10\x11\x13", 1)

    put = _put(server, SIGNED, forged)
    assert (put.status, put.code) == (403, "SignatureDoesNotMatch")
    assert server.signed("GET", "/bucket/key").status == 404


def test_a_forged_trailer(server: Server) -> None:
    other = b64encode(sha256(b"other").digest()).decode()

    def forged(signed: SignedRequest) -> bytes:
        return _signed_frames(signed, DATA, _trailer()).replace(_trailer(), _trailer(other))

    put = _put(server, SIGNED_TRAILER, forged)
    assert (put.status, put.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("trailer", "code"),
    [
        (_trailer(b64encode(sha256(b"other").digest()).decode()), "BadDigest"),
        (b"", "MalformedTrailerError"),
        (b"x-amz-checksum-sha1:AAAA", "MalformedTrailerError"),
        (b"no colon", "MalformedTrailerError"),
    ],
)
def test_bad_trailers(server: Server, trailer: bytes, code: str) -> None:
    put = _put(server, UNSIGNED_TRAILER, lambda _: _unsigned_frames(DATA, trailer))
    assert (put.status, put.code) == (400, code)
    assert server.signed("GET", "/bucket/key").status == 404


def test_a_checksum_header_that_is_announced_as_a_trailer_too(server: Server) -> None:
    """As version 2.57 of the AWS SDK for Java sends, over plain HTTP, a PutObject that was given
    both a checksum algorithm and a value."""
    other = b64encode(sha256(b"other").digest()).decode()
    for value, answer in ((SHA256_OF_DATA, (200, "")), (other, (400, "BadDigest"))):
        put = _put(
            server,
            SIGNED,
            lambda signed: _signed_frames(signed, DATA),
            x_amz_checksum_sha256=value,
            x_amz_sdk_checksum_algorithm="SHA256",
            x_amz_trailer="x-amz-checksum-sha256",
        )
        assert (put.status, put.code) == answer
    head = server.signed("HEAD", "/bucket/key", {"x-amz-checksum-mode": "ENABLED"})
    assert head.answered("x-amz-checksum-sha256") == SHA256_OF_DATA


def test_the_decoded_length_is_needed_and_must_be_right(server: Server) -> None:
    payload, frame = FORMS["signed"]
    missing = _put(server, payload, frame, decoded=None)
    assert (missing.status, missing.code) == (411, "MissingContentLength")
    for wrong in (str(len(DATA) - 1), str(len(DATA) + 1)):
        put = _put(server, payload, frame, decoded=wrong)
        assert (put.status, put.code) == (400, "IncompleteBody")
    nonsense = _put(server, payload, frame, decoded="many")
    assert (nonsense.status, nonsense.code) == (400, "InvalidArgument")


def test_bytes_after_the_end(server: Server) -> None:
    put = _put(server, SIGNED, lambda signed: _signed_frames(signed, DATA) + b"more")
    assert (put.status, put.code) == (400, "InvalidRequest")


@pytest.mark.parametrize("form", FORMS)
def test_a_framed_body_that_lacks_its_end(server: Server, form: str) -> None:
    """Though all the data that was announced has come, and each chunk of it is signed."""
    payload, frame = FORMS[form]

    def lacks_last_chunk(signed: SignedRequest) -> bytes:
        frames = frame(signed)
        return frames[: frames.rindex(b"\r\n0") + 2]

    for cut in (lambda signed: frame(signed)[:-2], lacks_last_chunk):
        put = _put(server, payload, cut)
        assert (put.status, put.code) == (400, "IncompleteBody")
    assert server.signed("GET", "/bucket/key").status == 404


@pytest.mark.parametrize("kind", ["", "-TRAILER"])
def test_the_ecdsa_forms_are_refused_clearly(server: Server, kind: str) -> None:
    put = _put(server, f"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD{kind}", lambda _: b"")
    assert (put.status, put.code) == (501, "NotImplemented")
    assert "AWS4-HMAC-SHA256" in (put.detail("Message") or "")
    assert put.body.reads == 0


def test_chunked_transfer_coding_without_frames(server: Server) -> None:
    headers = {"transfer-encoding": "chunked"}
    put = server.signed("PUT", "/bucket/key", headers, FakeBody(DATA, None))
    assert put.status == 200
    assert server.signed("GET", "/bucket/key").sent == DATA


def test_without_authentication_signed_chunks_are_taken_unverified() -> None:
    server = Server(auth=False)
    assert server.raw("PUT", "/bucket").status == 200
    payload, frame = FORMS["signed-trailer"]
    assert _put(server, payload, frame).status == 200
    assert server.raw("GET", "/bucket/key").sent == DATA


def test_a_client_that_vanishes_leaves_nothing(server: Server) -> None:
    body = SlowBody(10)
    put = server.signed("PUT", "/bucket/key", {"content-length": "10"}, body)
    assert not put.started
    body.arrive(b"12345")
    put.gone()
    assert body.waiting is not None, "a change is not cancelled"
    body.vanish()
    assert server.signed("GET", "/bucket/key").status == 404


def test_a_refusal_on_the_head_never_reads_the_body(server: Server) -> None:
    body = SlowBody(10)
    put = server.signed("PUT", "/absent/key", {"content-length": "10"}, body)
    assert (put.status, put.code, body.reads) == (404, "NoSuchBucket", 0)


@pytest.mark.parametrize("size", [1, 50, 65_536])
@pytest.mark.parametrize("piece", [65_536, 1_000_000])
def test_many_small_chunks_let_others_have_their_turn(
    server: Server, size: int, piece: int
) -> None:
    """A piece of 1 MiB can hold 170,000 of them."""
    data = DATA[:30_000] if size == 1 else DATA
    frames = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in _chunks(data, size))
    trailer = b64encode(sha256(data).digest())
    body = frames.removesuffix(b"\r\n") + b"x-amz-checksum-sha256:%b\r\n\r\n" % trailer
    request = _put(server, UNSIGNED_TRAILER, lambda _: body, piece, str(len(data)))
    assert request.status == 200
    assert server.signed("GET", "/bucket/key").sent == data
    chunks_between = len(data) // size / (request.turns + 1)
    assert chunks_between < 3000
    if size == 65_536:
        assert request.turns == 0
