"""The bounds that one node sets to its conversations: times, sizes and numbers."""

from __future__ import annotations

from msgspec import Struct

KIB = 1024
MIB = 1024 * KIB


BOX_SLACK = 4 * KIB
"""What a box holds beside its message, at most: command, tag, and the keys of the pieces."""


class PeerSettings(Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes.

    :ivar connect_deadline: from the first packet to a connection, without TLS.  Short: after a
        partition a new try reaches the other side sooner than the old one's next packet.
    :ivar call_deadline: within which a call is answered, Hello and the handshake of TLS included,
        and within which a stranger says it.  When one is not, and nothing else was
        heard either, the connection is broken.
    :ivar ping_interval: of silence, after which the caller asks whether anybody is there.
    :ivar close_deadline: within which a connection that is closed must have sent what it had.
    :ivar backoff_first: the first delay between two tries to connect is drawn up to this.
    :ivar backoff_most: and the last one up to this.
    :ivar most_box: of one box, which carries a message; AppendEntries has at most 1 MiB of data,
        or one entry that is larger.
    :ivar queue_bytes: that may wait for a peer while its connection takes no more.
    :ivar queue_count: messages that may wait.
    :ivar unanswered: calls of a connection whose answers are still expected from this node.
    :ivar strangers: connections of nodes that are no members, and of those that have not said
        Hello yet: this many of each.
    :ivar chunk: of a snapshot, that travels in one call.
    :ivar chunks: of one snapshot that may be under way.
    :ivar chunk_deadline: within which a chunk is written, and a whole snapshot verified.
    """

    connect_deadline: float = 2.0
    call_deadline: float = 5.0
    ping_interval: float = 1.0
    close_deadline: float = 1.0
    backoff_first: float = 0.05
    backoff_most: float = 1.0
    most_box: int = 4 * MIB
    queue_bytes: int = 8 * MIB
    queue_count: int = 1024
    unanswered: int = 1024
    strangers: int = 16
    chunk: int = 256 * KIB
    chunks: int = 4
    chunk_deadline: float = 60.0


DEFAULTS = PeerSettings()


class Counters:
    """What a transport has done since its start, for metrics."""

    def __init__(self) -> None:
        self.messages_sent = 0
        self.messages_received = 0
        self.messages_dropped = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.calls_timed_out = 0
        self.answers_late = 0
        self.connections_opened = 0
        self.connections_accepted = 0
        self.connections_failed = 0
        self.connections_lost = 0
        self.peers_refused = 0
        self.snapshots_sent = 0
        self.snapshots_received = 0
        self.snapshot_bytes_sent = 0
        self.snapshot_bytes_received = 0
