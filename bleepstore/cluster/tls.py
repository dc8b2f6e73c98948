"""TLS between nodes: each side proves that the cluster's authority knows it.

Who calls checks that the certificate names the host that it called (service-identity, RFC 9525),
who is called that there is a certificate of the authority at all.  Where certificates name the ids
of nodes, as the subject's common name or as a DNS name, that is checked on both sides once the
ids are known.  TLS 1.3 alone: both ends are this program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, X509, Error, load_privatekey
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from bleepstore.cluster.wires import PeerTls
from bleepstore.streams.tls import options_for


class BadCertificate(Exception):
    """A file cannot be read, or does not hold what it should.  The text names it."""


class PeerContexts:
    """What a node proves, and what it asks others to prove."""

    def __init__(self, tls: PeerTls, clock: IReactorTime) -> None:
        """:raises BadCertificate:"""
        self._clock = clock
        certificates = _certificates(tls.certificate)
        key = _private_key(tls.key)
        self._options: dict[str, Any] = {
            "privateKey": key,
            "certificate": certificates[0],
            "extraCertChain": certificates[1:],
            "raiseMinimumTo": ssl.TLSVersion.TLSv1_3,
        }
        make: Callable[..., Any] = ssl.CertificateOptions
        trust: Callable[..., Any] = ssl.trustRootFromCertificates
        wrap: Callable[..., Any] = ssl.Certificate
        self._trust = trust([wrap(one) for one in _certificates(tls.authority)])
        self._server = make(trustRoot=self._trust, **self._options)
        try:
            self._server.getContext().check_privatekey()
        except SSL.Error:
            raise BadCertificate(f"{tls.key} is not the key of {tls.certificate}") from None
        self._clients: dict[str, Any] = {}

    def server(self, endpoint: IStreamServerEndpoint) -> IStreamServerEndpoint:
        """An endpoint on which only who has a certificate of the authority is heard."""
        return _TlsServer(endpoint, self._server, self._clock)

    def client(self, host: str, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """An endpoint at which only who has a certificate of this host is talked to."""
        options = self._clients.get(host)
        if options is None:
            options = self._clients[host] = options_for(host, self._trust, **self._options)
        wrap: Callable[..., IStreamClientEndpoint] = wrapClientTLS
        return wrap(options, endpoint, self._clock)

    def vouch(self, transport: Any, node_id: str) -> str:
        """See ``peer_dialing.Vouch``."""
        certificate = transport.getPeerCertificate()
        if certificate is None:
            return f"there is no certificate that names {node_id!r}"
        names = names_of(certificate.to_cryptography())
        if node_id in names:
            return ""
        return f"its certificate names {', '.join(sorted(names)) or 'nobody'}, and not {node_id!r}"


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Whom a certificate names: the common names of its subject, and its DNS names."""
    names = {
        str(attribute.value)
        for attribute in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    }
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset(names)
    return frozenset(names | set(extension.value.get_values_for_type(x509.DNSName)))


@implementer(IStreamServerEndpoint)
class _TlsServer:
    def __init__(self, endpoint: IStreamServerEndpoint, options: Any, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._options = options
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See IStreamServerEndpoint."""
        wrap: Callable[..., IProtocolFactory] = TLSMemoryBIOFactory
        wrapped = wrap(self._options, False, protocolFactory, self._clock)
        listen: Callable[..., Deferred[IListeningPort]] = self._endpoint.listen
        return listen(wrapped)


def _certificates(path: str) -> list[Any]:
    raw = _content(path)
    try:
        return [X509.from_cryptography(one) for one in x509.load_pem_x509_certificates(raw)]
    except ValueError:
        raise BadCertificate(f"{path} holds no certificate in PEM") from None


def _private_key(path: str) -> Any:
    raw = _content(path)
    try:
        return load_privatekey(FILETYPE_PEM, raw, b"")
    except (Error, ValueError, TypeError):
        raise BadCertificate(f"{path} holds no private key in PEM without a passphrase") from None


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}") from None
