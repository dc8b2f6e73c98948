"""What a peer's bytes say, if anybody can have meant it.

The core refuses what cannot be true (``raft.plausible``), and keeps its safety whatever comes.
Here the same is refused before it gets there, so that who sent it can be named and cut off: no
correct node says such a thing, however old, repeated or overtaken its message is.
"""

from __future__ import annotations

from bleepstore.cluster.peer_boxes import BadBox
from bleepstore.cluster.peer_commands import CORE_KINDS, NEVER_SENT
from bleepstore.raft import messages
from bleepstore.raft.messages import Message
from bleepstore.raft.plausible import plausible


def message_of(body: bytes) -> Message:
    """The message that a peer sent.

    :raises BadBox: it is none, or none that anybody means.
    """
    try:
        message = messages.decode(body)
    except ValueError as error:
        raise BadBox(str(error)) from None
    kind = type(message)
    if kind in NEVER_SENT:
        raise BadBox(f"a {kind.__name__}, which a node says to itself alone")
    if kind in CORE_KINDS and not plausible(message):
        raise BadBox(f"a {kind.__name__} that cannot be true")
    return message
