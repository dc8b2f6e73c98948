"""Messages and snapshots between the nodes of a cluster, over AMP: the ITransport of real ones.

A node opens one connection to each peer and asks on it; the answers come back on it.  So between
two nodes there are two connections, and a third one while a snapshot is on its way.  Nothing is
kept for a peer that is not connected: the core repeats what matters, and old words do harm.

Joins the parts; each of them stands alone (``peer_client``, ``peer_server``, ``snapshot_stream``,
``snapshot_receipt``).  Knows no consensus.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.cluster.backoff import Dice
from bleepstore.cluster.complaints import Complaints
from bleepstore.cluster.peer_calls import AnsweredOnly, PeerConnection
from bleepstore.cluster.peer_client import PeerClient
from bleepstore.cluster.peer_commands import ANSWERS, NEVER_SENT, WrongLog, decode_founders
from bleepstore.cluster.peer_dialing import Dialer, Endpoints, Vouch
from bleepstore.cluster.peer_hello import ASK, CONSENSUS, SNAPSHOT, Self
from bleepstore.cluster.peer_inbox import Inbox
from bleepstore.cluster.peer_server import Adopt, PeerServer
from bleepstore.cluster.peer_settings import DEFAULTS, Counters, PeerSettings
from bleepstore.cluster.snapshot_receipt import SnapshotReceiver
from bleepstore.cluster.snapshot_stream import SnapshotSender
from bleepstore.cluster.wires import vouches_for_all
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.replication import Introduction, IReceiver, ITransport, LostLog
from bleepstore.interfaces.threads import IThreads
from bleepstore.raft.messages import Members, Message, SnapshotMark

_log = Logger()


async def belongs_already(cluster: str) -> None:
    """An ``Adopt`` for a node that must not join."""
    raise ValueError("this node joins no cluster that calls it")


@implementer(ITransport, IPart)
class AmpTransport:
    """See ITransport.

    :param me: this node; ``cluster`` is set here when a cluster's call is the first it gets.
    :param listen_on: where peers call.
    :param endpoints: how they are called; ``cluster.wires`` makes both, and ``vouch``.
    :param incoming: a directory of its own for snapshots that arrive.
    :param dice: for the jitter of delays.
    :param adopt: keeps durably that this node belongs to a cluster now (``ILogStore.join``).
    """

    def __init__(
        self,
        me: Self,
        clock: IReactorTime,
        threads: IThreads,
        listen_on: IStreamServerEndpoint,
        endpoints: Endpoints,
        incoming: str,
        dice: Dice,
        *,
        adopt: Adopt = belongs_already,
        vouch: Vouch = vouches_for_all,
        settings: PeerSettings = DEFAULTS,
    ) -> None:
        self._me = me
        self._clock = clock
        self._listen_on = listen_on
        self._dice = dice
        self._settings = settings
        self._counters = Counters()
        self._complaints = Complaints(clock.seconds)
        self._dialer = Dialer(me, clock, settings, self._counters, endpoints, vouch, self._log_of)
        self._sender = SnapshotSender(self._dialer, threads, settings, self._counters)
        self._snapshots = SnapshotReceiver(
            incoming, threads, settings, self._counters, self._snapshot_received
        )
        self._server = PeerServer(
            me,
            clock,
            settings,
            self._counters,
            self._complaints,
            vouch,
            adopt,
            self._is_member,
            self._log_of,
            self._arrived,
            {CONSENSUS: self._inbox, SNAPSHOT: self._snapshots.receipt},
        )
        self._receiver: IReceiver | None = None
        self._peers: dict[str, PeerClient] = {}
        self._logs: dict[str, str] = {}
        self._given: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._port: IListeningPort | None = None
        self._running = False
        self._leaving: set[PeerClient] = set()
        self._sending: dict[str, Deferred[None]] = {}
        self._idle: list[Deferred[None]] = []

    # IPart

    async def start(self) -> None:
        """Listen, and connect to the members that are known.

        :raises Exception: it cannot listen there, or there is no directory for snapshots.
        """
        if self._receiver is None:
            raise RuntimeError("a transport starts once somebody listens to it")
        await self._snapshots.start()
        self._port = await self._listen_on.listen(self._server)
        self._running = True
        for client in self._peers.values():
            client.start()

    async def stop(self) -> None:
        """End all connections; a snapshot on its way is not finished.  May be called twice."""
        self._running = False
        port, self._port = self._port, None
        if port is not None:
            try:
                await maybeDeferred(port.stopListening)
            except Exception:
                _log.failure("The peers' listening socket could not be closed")
        for sending in list(self._sending.values()):
            sending.cancel()
        while self._sending or self._leaving:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        peers, self._peers = self._peers, {}
        for client in peers.values():
            await client.stop()
        await self._server.close()
        await self._snapshots.stop()

    @property
    def port(self) -> IListeningPort | None:
        """What listens; None while nothing does."""
        return self._port

    # ITransport

    def listen(self, receiver: object) -> None:
        """See ITransport."""
        self._receiver = IReceiver(receiver)

    def connect(self, members: Members) -> None:
        """See ITransport.  An address that ``moved`` has given stays in force until the members'
        own entry for that node changes."""
        others = [node for node in members.nodes if node.id != self._me.node]
        wanted = {node.id: node.address for node in others}
        logs, self._logs = self._logs, {node.id: node.log for node in others}
        anew = {node_id for node_id, log in logs.items() if self._logs.get(node_id, log) != log}
        for node_id in [each for each in self._peers if each not in wanted or each in anew]:
            self._part_from(self._peers.pop(node_id))
        for node_id in self._logs.keys() - logs.keys() | anew:
            self._server.recheck(node_id)
        for node_id, address in wanted.items():
            if self._given.setdefault(node_id, address) != address:
                self._given[node_id] = address
                self._found.pop(node_id, None)
            self._reach(node_id, self._found.get(node_id, address))

    def send(self, to: str, message: Message) -> None:
        """See ITransport.  An answer goes back on the call that waits for it; without one it goes
        as a message of its own, like all other kinds."""
        kind = type(message)
        if kind in ANSWERS:
            inbox = self._server.role(to, CONSENSUS)
            if inbox is not None and inbox.answer(message):
                self._counters.messages_sent += 1
                return
        client = self._peers.get(to)
        if client is None or kind in NEVER_SENT or not client.send(message):
            self._counters.messages_dropped += 1
        else:
            self._counters.messages_sent += 1

    def send_snapshot(self, to: str, term: int, mark: SnapshotMark, path: str) -> Awaitable[None]:
        """See ITransport.  One at a time to each peer."""
        client = self._peers.get(to)
        if client is None or not self._running:
            return fail(ConnectionError(f"{to} is no peer now"))
        if to in self._sending:
            return fail(ConnectionError(f"a snapshot is on its way to {to}"))
        sending = Deferred.fromCoroutine(self._sender.send(to, client.address, term, mark, path))
        self._sending[to] = sending
        sending.addBoth(self._sent, to)
        return sending

    async def meet(self, node_id: str, address: str) -> Introduction:
        """See ITransport."""
        try:
            opened = await self._dialer.open(
                self._found.get(node_id, address), node_id, ASK, AnsweredOnly()
            )
        except WrongLog as error:
            raise LostLog(str(error)) from None
        opened.connection.close()
        answer = opened.answer
        return Introduction(
            answer["node"], answer["cluster"], answer["log"], decode_founders(answer["founders"])
        )

    def statistics(self) -> Mapping[str, int]:
        """See ITransport: the fields of ``peer_settings.Counters``, and ``peers_connected``."""
        connected = sum(1 for client in self._peers.values() if client.connected)
        return {**vars(self._counters), "peers_connected": connected}

    # Discovery

    def moved(self, node_id: str, address: str) -> None:
        """A peer was found at an address (``host:port``): it is called there from now on."""
        self._found[node_id] = address
        if node_id in self._peers:
            self._peers[node_id].move(address)

    async def ask(self, address: str) -> str:
        """The id of the node that answers at an address; it may be this one.

        :raises Exception: none does, or one of another cluster.
        """
        opened = await self._dialer.open(address, "", ASK, AnsweredOnly())
        opened.connection.close()
        return opened.node

    # What the parts ask and tell

    def _is_member(self, node_id: str) -> bool:
        return node_id in self._peers

    def _log_of(self, node_id: str) -> str:
        return self._logs.get(node_id, "")

    def _arrived(self, node_id: str) -> None:
        client = self._peers.get(node_id)
        if client is not None:
            client.wake()

    def _inbox(self, connection: PeerConnection) -> Inbox:
        return Inbox(self._clock, self._settings, self._counters, self._received, connection)

    def _received(self, sender: str, message: Message) -> None:
        if self._receiver is not None and self._running:
            self._receiver.received(sender, message)

    def _lost(self, peer: str) -> None:
        if self._receiver is not None and self._running:
            self._receiver.peer_lost(peer)

    def _snapshot_received(self, sender: str, term: int, mark: SnapshotMark, path: str) -> None:
        if self._receiver is not None and self._running:
            self._receiver.snapshot_received(sender, term, mark, path)

    # Peers

    def _reach(self, node_id: str, address: str) -> None:
        client = self._peers.get(node_id)
        if client is not None:
            client.move(address)
            return
        client = PeerClient(
            node_id,
            address,
            self._dialer,
            self._clock,
            self._settings,
            self._dice,
            self._counters,
            self._complaints,
            self._received,
            self._lost,
        )
        self._peers[node_id] = client
        if self._running:
            client.start()

    def _part_from(self, client: PeerClient) -> None:
        self._given.pop(client.node_id, None)
        sending = self._sending.get(client.node_id)
        if sending is not None:
            sending.cancel()
        self._leaving.add(client)
        Deferred.fromCoroutine(client.stop()).addBoth(self._left, client)

    def _left(self, result: object, client: PeerClient) -> None:
        self._leaving.discard(client)
        self._tell_idle()

    def _sent(self, result: object, to: str) -> object:
        del self._sending[to]
        self._tell_idle()
        return result

    def _tell_idle(self) -> None:
        idle, self._idle = self._idle, []
        for each in idle:
            each.callback(None)
