"""Where peers are, by DNS: one name whose addresses are the nodes'.

The name is resolved again and again; whoever answers at one of the addresses is asked for its id
(the short Hello of docs/peer-protocol.md), and the transport is told where each node is.  Who the
members *are* is never DNS's affair: an answer of it moves a known node, and makes none.  What DNS
does not give, or gives wrongly, changes nothing.

Knows addresses and ids; no members and no messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from bleepstore.cluster.backoff import Backoff, Dice
from bleepstore.cluster.complaints import Complaints, words_of
from bleepstore.config.addresses import HostPort
from bleepstore.interfaces.lifecycle import IPart

MOST = 64
"""Addresses that are asked in one round; a name of more is none of a cluster."""

RESOLVE_DEADLINE = 10.0
"""Seconds that a look-up may take."""

JITTER = 0.2
"""The share of the interval by which a round may come earlier, so that nodes are not in step."""

FIRST = 1.0
"""Seconds: while DNS or a node does not answer, rounds follow each other from this delay on, which
grows up to the interval."""

Ask = Callable[[str], Awaitable[str]]
"""The id of the node at ``host:port``; raises if none answers.  See ``AmpTransport.ask``."""

Moved = Callable[[str, str], None]
"""Is told the id of a node and its ``host:port``.  See ``AmpTransport.moved``."""

_log = Logger()


@implementer(IPart)
class DnsDiscovery:
    """Looks where the nodes are, at the start and every ``interval`` seconds.

    :param resolver: ``IReactorPluggableNameResolver.nameResolver`` of the reactor.
    :param name: whose addresses are the nodes'.
    :param port: at which each of them is asked.
    :param own_id: of this node, whose address is among them.
    :ivar found: id → address, of the last round in which each was found.
    """

    def __init__(
        self,
        clock: IReactorTime,
        resolver: IHostnameResolver,
        ask: Ask,
        moved: Moved,
        name: str,
        port: int,
        interval: float,
        own_id: str,
        dice: Dice,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._ask = ask
        self._moved = moved
        self._name = name
        self._port = port
        self._interval = interval
        self._own_id = own_id
        self._dice = dice
        self._backoff = Backoff(min(FIRST, interval), interval, dice)
        self._complaints = Complaints(clock.seconds)
        self._round: Deferred[bool] | None = None
        self._next: IDelayedCall | None = None
        self._running = False
        self.found: dict[str, str] = {}

    async def start(self) -> None:
        """Begin the first round.  Until it has found them, peers are called where they were said
        to be."""
        self._running = True
        self._begin()

    async def stop(self) -> None:
        """Ask nobody any more."""
        self._running = False
        if self._next is not None:
            self._next.cancel()
            self._next = None
        looking = self._round
        if looking is not None:
            looking.cancel()
            await looking

    def _begin(self) -> None:
        self._next = None
        self._round = Deferred.fromCoroutine(self._look())
        self._round.addBoth(self._ended)

    def _ended(self, result: object) -> None:
        self._round = None
        if isinstance(result, Failure) and not isinstance(result.value, CancelledError):
            _log.failure("The nodes of {name} cannot be found", result, name=self._name)
        if not self._running:
            return
        if result is True:
            self._backoff.reset()
            delay = self._interval * (1 - JITTER * self._dice())
        else:
            delay = self._backoff.next()
        self._next = self._clock.callLater(delay, self._begin)

    async def _look(self) -> bool:
        """One round; whether DNS and all nodes have answered."""
        resolution = _Resolution()
        self._resolver.resolveHostName(resolution, self._name, self._port)
        try:
            addresses = await resolution.result.addTimeout(RESOLVE_DEADLINE, self._clock)
        except CancelledError:
            resolution.give_up()
            raise
        except Exception as error:
            resolution.give_up()
            self._complaints.say(self._name, "resolve", f"cannot be resolved: {words_of(error)}")
            return False
        if not addresses:
            self._complaints.say(self._name, "resolve", "has no address")
        elif len(addresses) > MOST:
            self._complaints.say(
                self._name, "many", f"has {len(addresses)} addresses, of which {MOST} are asked"
            )
        asked = addresses[:MOST]
        asking = [Deferred.fromCoroutine(self._at(address)) for address in asked]
        try:
            nodes = [await answer for answer in asking]
        finally:
            for answer in asking:  # whom nobody awaits any more
                answer.addErrback(_end_of)
                answer.cancel()
        at: dict[str, list[str]] = {}
        for node_id, address in zip(nodes, asked, strict=True):
            at.setdefault(node_id, []).append(address)
        everybody = bool(nodes) and "" not in at
        for node_id in at.keys() - {"", self._own_id}:
            # One that answers at several addresses stays where it is.
            if self.found.get(node_id) not in at[node_id]:
                self._found(node_id, at[node_id][0])
        return everybody

    async def _at(self, address: str) -> str:
        """The id of who is there; empty for nobody."""
        try:
            return await self._ask(address)
        except CancelledError:
            raise
        except Exception as error:
            self._complaints.say(address, "discovery", f"was found by DNS, but: {words_of(error)}")
            return ""

    def _found(self, node_id: str, address: str) -> None:
        self.found[node_id] = address
        if self._running:
            _log.info("{node} was found at {address}", node=node_id, address=address)
            self._moved(node_id, address)


@implementer(IResolutionReceiver)
class _Resolution:
    """Gathers the addresses of a name; sorted, so that two rounds give the same order."""

    def __init__(self) -> None:
        self.result: Deferred[list[str]] = Deferred()
        self._addresses: set[str] = set()
        self._resolving: IHostResolution | None = None

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See IResolutionReceiver."""
        self._resolving = resolutionInProgress

    def addressResolved(self, address: IAddress) -> None:
        """See IResolutionReceiver."""
        if isinstance(address, IPv4Address | IPv6Address):
            self._addresses.add(str(HostPort(address.host, address.port)))

    def resolutionComplete(self) -> None:
        """See IResolutionReceiver."""
        if not self.result.called:
            self.result.callback(sorted(self._addresses))

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        if self._resolving is not None:
            try:
                self._resolving.cancel()
            except NotImplementedError:  # the one with threads cannot, and ends some day
                return


def _end_of(failure: Failure) -> str | Failure:
    return "" if isinstance(failure.value, CancelledError) else failure
