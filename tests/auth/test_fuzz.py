"""Whatever arrives, reading and verifying it gives an answer or a StoreError."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from bleepstore.auth.canonical import Pair
from bleepstore.auth.payload import parse_anonymous_payload
from bleepstore.auth.signing import Signer
from bleepstore.auth.sigv4 import SigningKeys, parse_claim, verify
from bleepstore.errors import SignatureDoesNotMatch, StoreError
from tests.auth.requests import HOST, NOW, SIGNER, signed

anything = st.binary(max_size=60)
names = st.one_of(
    anything,
    st.sampled_from(
        [
            b"authorization",
            b"host",
            b"date",
            b"x-amz-date",
            b"x-amz-content-sha256",
            b"x-amz-security-token",
        ]
    ),
)
scheme = st.sampled_from([b"AWS4-HMAC-SHA256 ", b"AWS ", b"", b"AWS4-HMAC-SHA256"])
header_lists = st.lists(st.tuples(names, anything), max_size=6)
query_names = st.sampled_from(
    [
        b"X-Amz-Algorithm",
        b"X-Amz-Credential",
        b"X-Amz-Date",
        b"X-Amz-Expires",
        b"X-Amz-SignedHeaders",
        b"X-Amz-Signature",
        b"X-Amz-Content-Sha256",
    ]
)
KEYS = SigningKeys()


def ask(method: bytes, target: bytes, headers: list[Pair], now: int = NOW) -> bool:
    """Whether it is verified.  Anything but a StoreError fails the test."""
    try:
        claim = parse_claim(method, target, headers, now, "us-east-1")
        if claim is None:
            return False
        verify(claim, SIGNER.secret_key, KEYS)
    except StoreError:
        return False
    return True


@settings(max_examples=300)
@given(anything, anything, header_lists, scheme, anything)
def test_arbitrary_requests(
    method: bytes, target: bytes, headers: list[Pair], prefix: bytes, rest: bytes
) -> None:
    assert not ask(method, target, headers)
    assert not ask(method, target, [*headers, (b"authorization", prefix + rest)])


@settings(max_examples=300)
@given(st.lists(st.tuples(query_names, anything), max_size=8), header_lists)
def test_arbitrary_presigned_requests(query: list[Pair], headers: list[Pair]) -> None:
    target = b"/b/k?" + b"&".join(b"%b=%b" % pair for pair in query)
    assert not ask(b"GET", target, headers)


@settings(max_examples=300)
@given(st.data())
def test_a_signed_request_with_a_few_bytes_changed(data: st.DataObject) -> None:
    headers = [list(header) for header in signed()]
    chosen = data.draw(st.sampled_from(headers))
    at = data.draw(st.integers(0, len(chosen[1])))
    cut = data.draw(st.integers(0, 3))
    chosen[1] = chosen[1][:at] + data.draw(st.binary(max_size=3)) + chosen[1][at + cut :]
    ask(b"GET", b"/bucket/key", [(name, value) for name, value in headers])


@settings(max_examples=300)
@given(st.data())
def test_a_presigned_request_with_a_few_bytes_changed(data: st.DataObject) -> None:
    target = SIGNER.presign(b"GET", b"/bucket/key", [HOST], NOW, 60)
    at = data.draw(st.integers(0, len(target)))
    cut = data.draw(st.integers(0, 3))
    ask(b"GET", target[:at] + data.draw(st.binary(max_size=3)) + target[at + cut :], [HOST])


@settings(max_examples=200)
@given(
    st.lists(st.binary(max_size=8), max_size=6),
    st.text(st.characters(codec="utf-8", exclude_characters=", "), min_size=1, max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_whatever_is_signed_is_verified(path: list[bytes], key: str, secret: str) -> None:
    target = b"/" + b"/".join(path)
    headers = signed(target, signer=Signer(key, secret, "us-east-1"))
    claim = parse_claim(b"GET", target, headers, NOW, "us-east-1")
    assert claim is not None
    assert claim.access_key == key
    verify(claim, secret, KEYS)


@given(st.one_of(st.none(), anything))
def test_arbitrary_payload_values(value: bytes | None) -> None:
    with contextlib.suppress(StoreError):
        parse_anonymous_payload(value)


def test_many_headers_and_parameters_cost_no_more_than_their_length() -> None:
    # Were anything of it quadratic, this would take hours.
    headers = signed()
    many = [(b"x", b"y")] * 500_000
    assert ask(b"GET", b"/bucket/key", [*headers, *many])
    with contextlib.suppress(SignatureDoesNotMatch):
        ask(b"GET", b"/bucket/key?" + b"a&" * 500_000, headers)
    listed = b"AWS4-HMAC-SHA256 " + b"Credential=a," * 500_000
    assert not ask(b"GET", b"/bucket/key", [(b"authorization", listed)])
