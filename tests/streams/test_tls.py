"""Which certificates name a host.  On sockets: tests/remote/test_tls.py."""

from __future__ import annotations

import datetime
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from service_identity import VerificationError

from bleepstore.streams.tls import require_name

THEN = datetime.datetime(2026, 11, 27)


def certificate(*names: x509.GeneralName, common: str = "store.example") -> x509.Certificate:
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(THEN)
        .not_valid_after(THEN)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, None)


def dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("store.example", dns("store.example")),
        ("Store.Example", dns("other.example", "store.EXAMPLE")),
        ("bucket.store.example", dns("*.store.example")),
        ("store", dns("store")),
        ("store.example", dns("*.example", "*", "a.*.example", "store.example")),
        ("10.0.0.5", [x509.IPAddress(ip_address("10.0.0.5"))]),
        ("::1", [x509.IPAddress(ip_address("::1"))]),
    ],
    ids=str,
)
def test_the_host_is_named(host: str, names: list[x509.GeneralName]) -> None:
    require_name(host, certificate(*names))


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("store.example", []),  # the common name is no name of a host (RFC 9525, section 2)
        ("store.example", dns("other.example")),
        ("store.example", dns("*.example")),
        ("store.example", dns("*")),
        ("store.example", dns("*.store.example")),
        ("a.bucket.store.example", dns("*.store.example")),
        ("store.example", [x509.UniformResourceIdentifier("https://store.example")]),
        ("10.0.0.5", dns("10.0.0.5")),
        ("10.0.0.5", [x509.IPAddress(ip_address("10.0.0.6"))]),
        ("10.0.0.5", [x509.IPAddress(ip_network("10.0.0.0/24"))]),
    ],
    ids=str,
)
def test_the_host_is_not_named(host: str, names: list[x509.GeneralName]) -> None:
    with pytest.raises(VerificationError):
        require_name(host, certificate(*names))
