"""The connection that this node keeps to one peer, for what it asks of it.

It is opened again whenever it breaks, after a delay that grows while it fails; at once when the
peer's address changes or the peer shows that it is there by calling us.  Answers to what was asked
come back on it; nothing is ever asked on it by the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.protocols import amp

from bleepstore.cluster.backoff import Backoff, Dice
from bleepstore.cluster.complaints import Complaints, words_of
from bleepstore.cluster.peer_boxes import BadBox
from bleepstore.cluster.peer_calls import AnsweredOnly, PeerConnection
from bleepstore.cluster.peer_commands import ANSWERS, CALLS, MESSAGES, PeerRefusal, Tell
from bleepstore.cluster.peer_dialing import Dialer
from bleepstore.cluster.peer_hello import CONSENSUS
from bleepstore.cluster.peer_settings import BOX_SLACK, Counters, PeerSettings
from bleepstore.cluster.plausibility import message_of
from bleepstore.raft import messages
from bleepstore.raft.messages import Message

_log = Logger()

Received = Callable[[str, Message], None]


class PeerClient(AnsweredOnly):
    """What is asked of one peer.

    A connection that has lived for less than ``settings.backoff_most`` counts as one more failure,
    and a longer one as none.

    :param received: is given the answers.
    :param lost: is told that an established connection broke.
    """

    def __init__(
        self,
        node_id: str,
        address: str,
        dialer: Dialer,
        clock: IReactorTime,
        settings: PeerSettings,
        dice: Dice,
        counters: Counters,
        complaints: Complaints,
        received: Received,
        lost: Callable[[str], None],
    ) -> None:
        self.node_id = node_id
        self._address = address
        self._dialer = dialer
        self._clock = clock
        self._settings = settings
        self._backoff = Backoff(settings.backoff_first, settings.backoff_most, dice)
        self._counters = counters
        self._complaints = complaints
        self._received = received
        self._lost = lost
        self._connection: PeerConnection | None = None
        self._running: Deferred[None] | None = None
        self._stopping = False
        self._attempt: Deferred[Any] | None = None
        self._pause: IDelayedCall | None = None
        self._waking: Deferred[None] | None = None

    @property
    def address(self) -> str:
        """Where the peer is looked for."""
        return self._address

    @property
    def connected(self) -> bool:
        """Whether what is sent now has a way."""
        return self._connection is not None and self._connection.open

    def start(self) -> None:
        """Keep a connection from now on."""
        self._running = Deferred.fromCoroutine(self._keep())

    async def stop(self) -> None:
        """Keep none any more; returns when it is gone."""
        running, self._running = self._running, None
        if running is None:
            return
        connection = self._connection
        self._stopping = True
        running.cancel()
        with suppress(CancelledError):
            await running
        if connection is not None:
            connection.abort()
            await connection.when_ended()

    def move(self, address: str) -> None:
        """The peer is somewhere else now."""
        if address == self._address:
            return
        self._address = address
        self._backoff.reset()
        if self._connection is not None:
            self._connection.abort()
        elif self._attempt is not None:
            self._attempt.cancel()
        self.wake()

    def wake(self) -> None:
        """Try at once, if the next try is waited for: there is reason to think it may succeed."""
        if self._waking is not None:
            waking, self._waking = self._waking, None
            waking.callback(None)

    def send(self, message: Message) -> bool:
        """Send if there is a way now.

        :returns: False: it was dropped.
        """
        connection = self._connection
        if connection is None:
            return False
        body = messages.encode(message)
        if len(body) > self._settings.most_box - BOX_SLACK:
            kind = type(message).__name__
            self._complaints.say(
                self.node_id, "large", f"cannot be sent a {kind} of {len(body)} bytes"
            )
            return False
        call = CALLS.get(type(message))
        if call is None:
            return connection.tell(Tell, body=body)
        return connection.post(call.command, body=body)

    async def _keep(self) -> None:
        while True:
            address = self._address
            begun = self._clock.seconds()
            self._attempt = Deferred.fromCoroutine(
                self._dialer.open(address, self.node_id, CONSENSUS, self)
            )
            try:
                opened = await self._attempt
            except (CancelledError, ConnectingCancelledError):  # stopped, or moved
                pass
            except PeerRefusal as error:
                self._failed(type(error).__name__, f"at {address}: {error}")
            except Exception as error:
                self._failed("unreachable", f"cannot be reached at {address}: {words_of(error)}")
            else:
                self._connection = opened.connection
                _log.debug("Connected to {peer} at {address}", peer=self.node_id, address=address)
                await opened.connection.when_ended()
                self._connection = None
                self._counters.connections_lost += 1
                if self._clock.seconds() - begun >= self._settings.backoff_most:
                    self._backoff.reset()
                try:
                    self._lost(self.node_id)
                except Exception:
                    _log.failure("The loss of {peer} was told in vain", peer=self.node_id)
            finally:
                self._attempt = None
            if self._stopping:
                return
            if address == self._address:
                await self._wait(self._backoff.next())

    def _failed(self, reason: str, detail: str) -> None:
        self._counters.connections_failed += 1
        self._complaints.say(self.node_id, reason, detail)

    async def _wait(self, seconds: float) -> None:
        self._waking = Deferred()
        self._pause = self._clock.callLater(seconds, self.wake)
        try:
            await self._waking
        finally:
            self._waking = None
            if self._pause.active():
                self._pause.cancel()
            self._pause = None

    # Desk

    def answered(
        self,
        connection: PeerConnection,
        command: type[amp.Command] | None,
        response: dict[str, Any],
    ) -> None:
        """See Desk."""
        body = response["body"]
        if body is None:
            return
        message = message_of(body)
        kind = type(message)
        wanted = ANSWERS if command is None else (CALLS[MESSAGES[command.commandName]].answer,)
        if kind not in wanted:
            raise BadBox(f"a {kind.__name__} as an answer")
        self._counters.messages_received += 1
        self._received(self.node_id, message)

    def misbehaved(self, connection: PeerConnection, reason: str, detail: str) -> None:
        """See Desk."""
        self._counters.peers_refused += 1
        self._complaints.say(self.node_id, reason, detail)
