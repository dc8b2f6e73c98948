"""A client's side of TLS: the handshake succeeds only with a certificate that names the host.

Twisted matches names by service-identity too, but only what that calls a mismatch ends the
handshake there.  What it calls an unusable certificate (without any subjectAltName, or with a
wildcard that covers too much) is logged and let pass, for every host, if its authority is trusted.
Here a certificate that cannot be read names nobody, and a name that cannot be used is no name.

Source: RFC 9525, section 6: where the requirements on a wildcard are not met, "the presented
identifier is invalid and MUST be ignored"; and there must be a match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from weakref import ref

from cryptography import x509
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, DNSPattern, IPAddress_ID, IPAddressPattern
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import implementer

Name = DNSPattern | IPAddressPattern


def options_for(host: str, trust: Any = None, **certificate: Any) -> Any:
    """What ``wrapClientTLS`` needs to speak to a host, and to nobody else.

    :param host: name or address.
    :param trust: whose certificates are trusted; None: the platform's.
    :param certificate: what ``CertificateOptions`` takes: the client's own, and versions.
    """
    make: Callable[..., Any] = optionsForClientTLS
    return _NamedHost(host, make(host, trust, extraCertificateOptions=certificate))


def require_name(host: str, certificate: x509.Certificate) -> None:
    """
    :raises VerificationError: the certificate names other hosts, or nobody.
    """
    wanted = _identifier(host)
    if not any(wanted.verify(name) for name in _names_of(certificate)):
        raise VerificationError(errors=[wanted.error_on_mismatch(mismatched_id=wanted)])


def _identifier(host: str) -> DNS_ID | IPAddress_ID:
    try:
        ip_address(host)
    except ValueError:
        return DNS_ID(host)
    return IPAddress_ID(host)


def _names_of(certificate: x509.Certificate) -> Sequence[Name]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        addresses = extension.value.get_values_for_type(x509.IPAddress)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return [*_addresses(addresses), *_usable(names)]


def _addresses(addresses: Sequence[object]) -> Iterator[IPAddressPattern]:
    for address in addresses:
        if isinstance(address, IPv4Address | IPv6Address):  # and no network
            yield IPAddressPattern(address)


def _usable(names: Sequence[str]) -> Iterator[DNSPattern]:
    for name in names:
        try:
            yield DNSPattern.from_bytes(name.encode())
        except CertificateError:
            continue


@implementer(IOpenSSLClientConnectionCreator)
class _NamedHost:
    """In place of Twisted's own check of the name."""

    def __init__(self, host: str, options: Any) -> None:
        self._host = host
        self._options = options

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Any:
        """See IOpenSSLClientConnectionCreator."""
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, _check(self._host, ref(tlsProtocol)))
        return connection


def _check(host: str, called: ref[Any]) -> Callable[..., bool]:
    def check(_connection: Any, certificate: Any, _error: int, depth: int, trusted: int) -> bool:
        """OpenSSL's question about each certificate of the chain; the host's own has depth 0."""
        if depth or not trusted:
            return bool(trusted)
        try:
            require_name(host, certificate.to_cryptography())
        except Exception as error:
            failure: Callable[..., object] = Failure
            if (protocol := called()) is not None:
                protocol.failVerification(failure(error))
            return False
        return True

    return check
