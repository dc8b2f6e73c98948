"""One request, several spellings: which of them carry the same signature."""

from __future__ import annotations

import pytest

from tests.auth.requests import HOST, NOW, SIGNER, changed, refusal, signed, verified

# (as a client signs it, as it arrives).  What is signed is canonical in each.
SAME = [
    (b"/b/a%20b", b"/b/a b"),
    (b"/b/a%28b%29%2A%21%27", b"/b/a(b)*!'"),
    (b"/b/~a-b_c.d", b"/b/%7Ea%2Db%5Fc%2Ed"),
    (b"/b/%C3%A9", b"/b/%c3%a9"),
    (b"/b/%C3%A9", b"/b/\xc3\xa9"),
    (b"/b/a%2Bb", b"/b/a+b"),
    (b"/b/a/b", b"/b/a%2Fb"),
    (b"/b/100%25", b"/b/100%"),
    (b"/b?prefix=a%2Fb", b"/b?prefix=a/b"),
    (b"/b?prefix=a%20b", b"/b?prefix=a+b"),
    (b"/b?prefix=a%3Db", b"/b?prefix=a=b"),
    (b"/b?prefix=%C3%A9", b"/b?prefix=%c3%a9"),
    (b"/b?acl=", b"/b?acl"),
    (b"/b?acl=", b"/b?acl&"),
    (b"/b?=a%2Fb", b"/b?=a/b"),
    (b"/b?a=1&a-b=2&a=0", b"/b?a-b=2&a=0&a=1"),
]

DIFFERENT = [
    (b"/b/a%2Bb", b"/b/a%20b"),
    (b"/b/a%20b", b"/b/a+b"),
    (b"/b//a", b"/b/a"),
    (b"/b/a", b"/b/./a"),
    (b"/b/a", b"/b/c/../a"),
    (b"/b/a%252Fb", b"/b/a%2Fb"),
    (b"/b/a%3Fx", b"/b/a?x"),
    (b"/b?prefix=a%2Bb", b"/b?prefix=a+b"),
    (b"/b?prefix=a%26c%3Dd", b"/b?prefix=a&c=d"),
    (b"/b?a=1&a=2", b"/b?a=1"),
]


@pytest.mark.parametrize(("meant", "sent"), SAME)
def test_a_client_that_signs_the_canonical_spelling_may_send_another(
    meant: bytes, sent: bytes
) -> None:
    verified(signed(meant), sent)


@pytest.mark.parametrize(("meant", "sent"), SAME)
def test_a_client_may_sign_what_it_sends(meant: bytes, sent: bytes) -> None:
    verified(signed(sent), sent)


@pytest.mark.parametrize(("meant", "sent"), DIFFERENT)
def test_another_request_is_another_signature(meant: bytes, sent: bytes) -> None:
    assert refusal(signed(meant), sent).code == "SignatureDoesNotMatch"
    assert refusal(signed(sent), meant).code == "SignatureDoesNotMatch"


def test_a_presigned_url_survives_a_client_that_spells_its_query_anew() -> None:
    target = SIGNER.presign(b"GET", b"/b/k?response-content-type=a%2Fb%20c", [HOST], NOW, 60)
    verified([HOST], target.replace(b"%2F", b"/").replace(b"%20", b"+"))
    verified([HOST], target.replace(b"%2F", b"%2f"))


# Hosts as they are sent, with what git-annex (its library aws) and Apache Libcloud sign of them.
PORTS = [
    (b"localhost:9000", b"localhost"),
    (b"127.0.0.1:80", b"127.0.0.1"),
    (b"[::1]:9000", b"[::1]"),
    (b"bucket.localhost:9000", b"bucket.localhost"),
]


@pytest.mark.parametrize(("sent", "meant"), PORTS)
def test_a_client_may_leave_the_port_out_of_what_it_signs(sent: bytes, meant: bytes) -> None:
    for others in ([], [(b"content-md5", b"a:1")], [(b"x-amz-meta-a", b"host:1")]):
        headers = signed(headers=[(b"host", meant), *others])
        verified(changed(headers, b"host", sent))
    target = SIGNER.presign(b"GET", b"/b/k", [(b"host", meant)], NOW, 60)
    verified([(b"host", sent)], target)
    verified([(b"host", sent)], target.replace(b"%2F", b"/"))


@pytest.mark.parametrize(
    ("meant", "sent"),
    [
        (b"localhost:9000", b"localhost:9001"),
        (b"localhost:9000", b"localhost"),
        (b"localhost", b"elsewhere:9000"),
        (b"localhost", b"localhost:9000:1"),
        (b"[:", b"[::1]"),
        (b"a", b"a:b"),
    ],
)
def test_another_host_or_port_is_another_signature(meant: bytes, sent: bytes) -> None:
    error = refusal(changed(signed(headers=[(b"host", meant)]), b"host", sent))
    assert error.code == "SignatureDoesNotMatch"
    assert f"\nhost:{sent.decode()}\n" in error.details["CanonicalRequest"]


def test_a_port_in_another_header_stays() -> None:
    headers = signed(headers=[(b"host", b"localhost"), (b"x-amz-meta-host", b"a:1")])
    moved = changed(changed(headers, b"host", b"localhost:9000"), b"x-amz-meta-host", b"a")
    assert refusal(moved).code == "SignatureDoesNotMatch"


def test_a_mismatch_shows_the_canonical_spelling() -> None:
    error = refusal(signed(b"/b/other"), b"/b/a b?z&y=(1)")
    assert error.details["CanonicalRequest"].startswith("GET\n/b/a%20b\ny=%281%29&z=\nhost:")
