"""A DNS server for one name, whose addresses a test can change: ``name_server.py FILE NAME``.

FILE has an IPv4 address a line, and is read for every question.  Says a line when it listens, on
port 53.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.names import dns
from twisted.names.server import DNSServerFactory

Answer = tuple[list[dns.RRHeader], list[dns.RRHeader], list[dns.RRHeader]]


class Table:
    """Answers questions (twisted.names' IResolver, as far as a server asks it)."""

    def __init__(self, path: Path, name: bytes) -> None:
        self._path = path
        self._name = name

    def query(self, query: dns.Query, timeout: object = None) -> Deferred[Answer]:
        """The addresses, to be forgotten at once; nothing for any other name or type."""
        records = []
        if query.name.name.lower() == self._name and query.type == dns.A:
            records = [
                dns.RRHeader(self._name, dns.A, dns.IN, 0, dns.Record_A(address, 0), auth=True)
                for address in self._path.read_text().split()
            ]
        return succeed((records, [], []))


def main() -> None:
    path, name = sys.argv[1:]
    factory = DNSServerFactory(clients=[Table(Path(path), name.encode())])
    reactor.listenUDP(53, dns.DNSDatagramProtocol(factory))  # type: ignore[attr-defined]
    print("answers", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
