"""The factory of HTTP channels: what connections share, and their graceful end."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

from bleepstore.errors import SlowDown
from bleepstore.http.arrivals import Arrivals
from bleepstore.http.backlog import Backlog
from bleepstore.http.body import READS
from bleepstore.http.channel import HTTPChannel
from bleepstore.http.complaints import Complaint
from bleepstore.http.crowd import Crowd
from bleepstore.http.head import HeadParser
from bleepstore.http.outbound import Departures
from bleepstore.http.response import date_bytes, plain_refusal
from bleepstore.http.settings import Handler, Limits, Refuse
from bleepstore.interfaces.threads import Now
from bleepstore.shares import Share

SWEEP: Final = 1.0
"""Seconds between two looks at the deadlines of all connections; less if a time-out is short."""


@implementer(IProtocolNegotiationFactory)
class HTTPFactory(Factory):
    """Serves HTTP/1.1 on whatever endpoint it is given to.

    Time-outs are late by up to a second, or a quarter of the shortest of them: one delayed call
    looks at all connections.

    Over ``limits.max_connections`` a connection is accepted, its first request answered with
    SlowDown, and closed: clients back off and try again, where a full backlog would let them wait
    in the dark.  It is not answered before it asks: clients that keep pools take that for a
    breach of HTTP and fail for good.  If others have gone by then, it is served.  As many again (at
    least 16) may be under way so; more are cut without an answer, after which a client can try
    again only what it may send twice.

    :param handler: called with each request.
    :param reactor: the clock of all deadlines.
    :param refuse: makes an error's response; plain text if not given.
    :param now: the wall clock, for Date; if not given, the reactor's seconds are.
    :ivar reads: what large bodies that arrive may take in one read.
    :ivar backlog: large answers that were not taken yet.
    :ivar crowd: pipelined requests of a turn.
    :ivar spoken_to_in_tls: made where a client expects TLS of a port that has none.
    :ivar stopping: whether :meth:`stop` was called.
    """

    noisy = False

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        reactor: IReactorTime,
        refuse: Refuse | None = None,
        now: Now | None = None,
    ) -> None:
        self.handler: Final = handler
        self.limits: Final = limits
        self.reactor: Final = reactor
        self.refuse: Final[Refuse] = plain_refusal if refuse is None else refuse
        self._now: Final[Now] = (lambda: int(reactor.seconds() * 1000)) if now is None else now
        self.parser: Final = HeadParser(limits.max_target, limits.max_head, limits.max_headers)
        self.departures: Final = Departures(reactor)
        self.arrivals: Final = Arrivals()
        self.crowd: Final = Crowd(reactor)
        self.reads: Final = Share(READS)
        self.backlog: Final = Backlog(reactor)
        self.stopping = False
        self._channels: set[HTTPChannel] = set()
        self._refusals = max(16, limits.max_connections)
        self._crowded = Complaint(
            reactor,
            "There are more than {most} connections (server.max_connections): clients are told to "
            "slow down",
        )
        self.spoken_to_in_tls: Final = Complaint(
            reactor, "A client spoke TLS to a port of plain HTTP: it is to use http://"
        )
        self._sweep: IDelayedCall | None = None
        self._cut: IDelayedCall | None = None
        self._stopped: list[Deferred[None]] = []
        self._date = b""
        self._date_second = -1
        self._period = min(
            SWEEP, limits.read_timeout / 4, limits.write_timeout / 4, limits.idle_timeout / 4
        )

    def buildProtocol(self, addr: IAddress | None) -> HTTPChannel:  # type: ignore[override]
        """A channel for a new connection."""
        return HTTPChannel(self)

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered by ALPN over TLS.  A client that asks for h2 too, as curl does, is
        refused in the handshake by a factory that says nothing."""
        return [b"http/1.1"]

    def date(self) -> bytes:
        """The value of Date, made once a second."""
        second = self._now() // 1000
        if second != self._date_second:
            self._date_second = second
            self._date = date_bytes(second)
        return self._date

    # Called by the channels.

    def connected(self, channel: HTTPChannel) -> None:
        """Count a connection, which is marked or cut if there are too many."""
        self._channels.add(channel)
        if self._sweep is None:
            self._sweep = self.reactor.callLater(self._period, self._look)
        surplus = len(self._channels) - self.limits.max_connections
        channel.surplus = surplus > 0
        if self.stopping:
            channel.abort()
        elif surplus > self._refusals:
            self._crowded.make(most=self.limits.max_connections)
            channel.abort()

    def admit(self, channel: HTTPChannel) -> None:
        """Serve a connection that was too many when it came, from now on like any other.

        :raises SlowDown: there are too many still.
        """
        if len(self._channels) > self.limits.max_connections:
            self._crowded.make(most=self.limits.max_connections)
            raise SlowDown
        channel.surplus = False

    def disconnected(self, channel: HTTPChannel) -> None:
        """A connection is gone."""
        self._channels.discard(channel)
        self.backlog.remove(channel)
        if not self._channels:
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep = None
            self._finish_stop()

    def _look(self) -> None:
        self._sweep = self.reactor.callLater(self._period, self._look)
        now = self.reactor.seconds()
        for channel in tuple(self._channels):
            channel.check(now)

    def stop(self, within: float) -> Deferred[None]:
        """Idle connections close at once; requests in flight have ``within`` seconds, then are cut.

        Fires when the last connection is gone.  The listening port is the caller's to close first.
        """
        self.stopping = True
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        for channel in tuple(self._channels):
            channel.shut_down()
        if not self._channels:
            self._finish_stop()
        elif self._cut is None:
            self._cut = self.reactor.callLater(within, self._cut_all)
        return stopped

    def _cut_all(self) -> None:
        self._cut = None
        for channel in tuple(self._channels):
            channel.abort()

    def _finish_stop(self) -> None:
        if self._stopped and self._cut is not None:
            self._cut.cancel()
            self._cut = None
        stopped, self._stopped = self._stopped, []
        for waiter in stopped:
            waiter.callback(None)
