"""The connections that others open to this node: who may, for what, and how many.

A connection is a stranger's until it has said Hello, and must say it soon.  Then it is a peer's,
for one purpose.  A peer has one for the consensus and one for a snapshot: a new one takes the
place of the old one, which is a dead one that nobody noticed yet.  Nodes that are no members here
may call, since a new leader may be unknown to who has missed the change that made it a member;
they are counted and bounded, like those that have not said Hello.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols import amp

from bleepstore.cluster.complaints import Complaints
from bleepstore.cluster.peer_arguments import parse_arguments
from bleepstore.cluster.peer_boxes import BadBox, Box
from bleepstore.cluster.peer_calls import PeerConnection
from bleepstore.cluster.peer_commands import (
    Hello,
    PeerRefusal,
    TooMany,
    WrongCluster,
    WrongLog,
    WrongNode,
    code_of,
)
from bleepstore.cluster.peer_dialing import Vouch
from bleepstore.cluster.peer_hello import ASK, LogOf, Self, acceptance, examine, is_doubted
from bleepstore.cluster.peer_settings import Counters, PeerSettings

Adopt = Callable[[str], Awaitable[None]]
"""Makes this node, which belongs to no cluster, belong to one, durably.  Raises ValueError if it
belongs to another one by now."""

_log = Logger()


class Role(Protocol):
    """What a connection is for, from Hello on."""

    def asked(self, name: bytes, box: Box, tag: bytes | None) -> bool:
        """See Desk.asked; False: there is no such command."""

    def ended(self) -> None:
        """The connection is gone."""


Roles = Mapping[str, Callable[[PeerConnection], Role]]
"""For each purpose, what makes its role."""


class PeerServer(Factory):
    """Answers peers.

    :param me: its cluster is set when this node joins one.
    :param member: whether a node is a member, as far as is known here.
    :param arrived: is told the id of a node that has said Hello.
    """

    noisy = False

    def __init__(
        self,
        me: Self,
        clock: IReactorTime,
        settings: PeerSettings,
        counters: Counters,
        complaints: Complaints,
        vouch: Vouch,
        adopt: Adopt,
        member: Callable[[str], bool],
        log_of: LogOf,
        arrived: Callable[[str], None],
        roles: Roles,
    ) -> None:
        self.me = me
        self.clock = clock
        self.settings = settings
        self.counters = counters
        self.complaints = complaints
        self.vouch = vouch
        self.member = member
        self.log_of = log_of
        self.arrived = arrived
        self.roles = roles
        self._adopt = adopt
        self._joining: Deferred[None] | None = None
        self._guests: dict[_Guest, None] = {}
        self._at: dict[tuple[str, str], _Guest] = {}

    def buildProtocol(self, addr: object) -> PeerConnection:
        """See IProtocolFactory.  When too many have not said Hello, the one that has had the most
        time for it is ended: who says it at once gets through, however many others do not."""
        host = str(getattr(addr, "host", addr))
        strangers = [guest for guest in self._guests if not guest.peer]
        if len(strangers) >= self.settings.strangers:
            self.complaints.say(host, "strangers", "too many connections that say no Hello")
            strangers[0].connection.abort()
        self.counters.connections_accepted += 1
        guest = _Guest(self, host)
        self._guests[guest] = None
        return guest.connection

    def role(self, peer: str, purpose: str) -> Any:
        """What this peer's connection for this purpose is for; None if there is none."""
        guest = self._at.get((peer, purpose))
        return None if guest is None else guest.role

    async def close(self) -> None:
        """End all connections."""
        guests = list(self._guests)
        for guest in guests:
            guest.connection.abort()
        for guest in guests:
            await guest.connection.when_ended()

    async def join(self, cluster: str) -> None:
        """Adopt the cluster of a caller, unless another one was adopted first.

        :raises WrongCluster: it was.
        """
        while self._joining is not None:
            wait: Deferred[None] = Deferred()
            self._joining.addBoth(_pass_on, wait)
            await wait
        if not self.me.cluster:
            self._joining = Deferred()
            try:
                await self._adopt(cluster)
                self.me.cluster = cluster
            except ValueError as error:
                raise WrongCluster(str(error)) from None
            finally:
                joining, self._joining = self._joining, None
                joining.callback(None)
        if self.me.cluster != cluster:
            raise WrongCluster(f"this node has just joined {self.me.cluster!r}")

    def seat(self, guest: _Guest, peer: str, purpose: str) -> None:
        """A guest has said who it is.

        :raises WrongLog: it is another one, which has the log that it should have.
        :raises TooMany: it is no member, and there are enough such.
        """
        key = (peer, purpose)
        old = self._at.get(key)
        known = self.log_of(peer)
        if old is not None and not self.doubts(old) and is_doubted(known, guest.log):
            raise WrongLog(f"{peer!r} is here already, with log {known!r}")
        if old is None and not self.member(peer):
            others = sum(1 for at in self._at if not self.member(at[0]))
            if others >= self.settings.strangers:
                raise TooMany("there are too many connections of nodes that are no members")
        guest.peer = peer
        if purpose == ASK:
            return
        self._at[key] = guest
        guest.key = key
        if old is not None:
            old.connection.abort()

    def recheck(self, peer: str) -> None:
        """What is known of a peer's log has changed: end its connections if it is doubted now, or
        not any more."""
        for guest in [guest for guest in self._guests if guest.peer == peer]:
            if self.doubts(guest) != guest.connection.doubted:
                guest.connection.abort()

    def doubts(self, guest: _Guest) -> bool:
        """See ``peer_hello.is_doubted``."""
        return is_doubted(self.log_of(guest.peer), guest.log)

    def leave(self, guest: _Guest) -> None:
        """A guest is gone."""
        self._guests.pop(guest, None)
        if guest.key is not None and self._at.get(guest.key) is guest:
            del self._at[guest.key]


class _Guest:
    """One connection of another node: its desk."""

    def __init__(self, server: PeerServer, host: str) -> None:
        self._server = server
        self._host = host
        self.connection = PeerConnection(
            server.clock, server.settings, server.counters, self, calls=False
        )
        self.peer = ""
        self.log = ""
        self.key: tuple[str, str] | None = None
        self.role: Role | None = None
        self._greeting = False
        self._deadline: IDelayedCall | None = server.clock.callLater(
            server.settings.call_deadline, self._late
        )

    def asked(self, connection: PeerConnection, name: bytes, box: Box, tag: bytes | None) -> None:
        """See Desk."""
        if self.role is not None:
            if not self.role.asked(name, box, tag):
                self._unhandled(name, tag)
            return
        if name != Hello.commandName or self._greeting or tag is None:
            raise BadBox(f"{name[:64]!r} before Hello was answered")
        self._greeting = True
        hello = parse_arguments(Hello, box)
        greeting = Deferred.fromCoroutine(self._greet(hello, tag))
        greeting.addErrback(self._failed)

    def answered(
        self,
        connection: PeerConnection,
        command: type[amp.Command] | None,
        response: dict[str, Any],
    ) -> None:
        """See Desk: nothing is asked on this connection by this side."""
        raise BadBox("an answer to nothing that was asked")

    def misbehaved(self, connection: PeerConnection, reason: str, detail: str) -> None:
        """See Desk."""
        self._server.counters.peers_refused += 1
        self._server.complaints.say(self.peer or self._host, reason, detail)

    def ended(self, connection: PeerConnection) -> None:
        """See Desk."""
        self._settle()
        self._server.leave(self)
        if connection.broken and not self.peer:
            self._server.counters.peers_refused += 1
            self._server.complaints.say(self._host, "handshake", connection.broken)
        if self.role is not None:
            self.role.ended()

    async def _greet(self, hello: dict[str, Any], tag: bytes) -> None:
        server, connection = self._server, self.connection
        peer, purpose = hello["node"], hello["purpose"]
        try:
            common = examine(server.me, hello, server.log_of)
            if why := server.vouch(connection.transport, peer):
                raise WrongNode(why)
            if not server.me.cluster and purpose != ASK:
                await server.join(hello["cluster"])
            if not connection.open:
                return
            self.log = hello["log"]
            server.seat(self, peer, purpose)
        except PeerRefusal as error:
            code = code_of(Hello, error) or b""
            server.counters.peers_refused += 1
            server.complaints.say(
                peer or self._host, type(error).__name__, f"calls from {self._host}: {error}"
            )
            connection.refuse(tag, code, str(error))
            connection.close()
            return
        except ValueError as error:
            connection.misbehaved("garbage", f"says a strange Hello: {error}")
            return
        self._settle()
        connection.answer(Hello, tag, **acceptance(server.me, common))
        if purpose == ASK:
            connection.close()
            return
        connection.admit(peer, doubted=server.doubts(self))
        self.role = server.roles[purpose](connection)
        server.arrived(peer)

    def _failed(self, failure: Any) -> None:
        _log.failure("A peer's Hello could not be answered", failure)
        self.connection.abort()

    def _unhandled(self, name: bytes, tag: bytes | None) -> None:
        self.connection.refuse(tag, amp.UNHANDLED_ERROR_CODE, f"there is no {name[:64]!r} here")
        self.misbehaved(self.connection, "command", f"calls {name[:64]!r}, which is unknown here")
        self.connection.close()

    def _late(self) -> None:
        self._deadline = None
        self.connection.misbehaved("silence", "said no Hello in time")

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _pass_on(result: object, to: Deferred[None]) -> None:
    to.callback(None)
