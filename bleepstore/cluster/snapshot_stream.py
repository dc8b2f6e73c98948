"""Sending a snapshot: one file, on a connection of its own, in chunks that the receiver grants.

The receiver says at the beginning from which byte on it wants the file, so that a stream that
broke goes on where it broke, and how many chunks may be under way; each answer to a chunk grants
another one.  So neither side holds more than these, and heartbeats never wait behind a snapshot.

The file's digest is computed once and remembered, since the same file is offered again after a
break, and to several peers.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred

from bleepstore.cluster.peer_boxes import BadBox
from bleepstore.cluster.peer_calls import AnsweredOnly, PeerConnection
from bleepstore.cluster.peer_commands import SnapshotBegin, SnapshotChunk, SnapshotFinish
from bleepstore.cluster.peer_dialing import Dialer
from bleepstore.cluster.peer_hello import SNAPSHOT
from bleepstore.cluster.peer_settings import MIB, Counters, PeerSettings
from bleepstore.interfaces.threads import IThreads
from bleepstore.raft import messages
from bleepstore.raft.messages import SnapshotMark


class SnapshotSender:
    """Streams files to peers."""

    def __init__(
        self, dialer: Dialer, threads: IThreads, settings: PeerSettings, counters: Counters
    ) -> None:
        self._dialer = dialer
        self._threads = threads
        self._settings = settings
        self._counters = counters
        self._digests: dict[tuple[str, int, int, int], bytes] = {}

    async def send(self, peer: str, address: str, term: int, mark: SnapshotMark, path: str) -> None:
        """Send one file; returns when the peer has it whole, verified and durable.

        Cancelling it ends the connection.

        :raises OSError: the file cannot be read.
        :raises PeerRefusal: the peer does not want it, or it did not arrive whole.
        :raises Exception: the connection could not be made, or broke.
        """
        descriptor: int = await self._threads.run(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        connection: PeerConnection | None = None
        try:
            size, digest = await self._digest(path, descriptor)
            opened = await self._dialer.open(address, peer, SNAPSHOT, AnsweredOnly())
            connection = opened.connection
            deadline = self._settings.chunk_deadline
            begun = await connection.call(
                SnapshotBegin,
                deadline,
                term=term,
                mark=messages.encode_mark(mark),
                size=size,
                digest=digest,
            )
            await self._stream(connection, descriptor, size, begun["offset"], begun["credit"])
            await connection.call(SnapshotFinish, deadline)
            self._counters.snapshots_sent += 1
        except BadBox as error:
            raise ConnectionError(
                f"{peer} sent what this version does not understand: {error}"
            ) from None
        finally:
            if connection is not None:
                connection.close()
            await self._threads.run(os.close, descriptor)

    async def _stream(
        self, connection: PeerConnection, descriptor: int, size: int, offset: int, credit: int
    ) -> None:
        """Send what is wanted, never more at once than is granted."""
        if not 0 <= offset <= size or not 0 < credit <= 1024:
            raise BadBox(f"byte {offset} of {size} is wanted, {credit} chunks at once")
        under_way: deque[Deferred[dict[str, Any]]] = deque()
        try:
            while offset < size:
                while not credit:
                    credit += self._granted(await under_way.popleft())
                length = min(self._settings.chunk, size - offset)
                data = await self._threads.run(os.pread, descriptor, length, offset)
                if not data:
                    raise OSError("the snapshot has become shorter")
                while under_way and under_way[0].called:
                    credit += self._granted(await under_way.popleft())
                credit -= 1
                deadline = self._settings.chunk_deadline
                under_way.append(connection.call(SnapshotChunk, deadline, offset=offset, data=data))
                offset += len(data)
                self._counters.snapshot_bytes_sent += len(data)
            while under_way:
                await under_way.popleft()
        finally:
            for call in under_way:
                call.addErrback(lambda _: None)  # the first that failed has said what happened
                call.cancel()

    @staticmethod
    def _granted(answer: dict[str, Any]) -> int:
        if answer["credit"] > 1024:
            raise BadBox(f"{answer['credit']} chunks at once")
        granted: int = answer["credit"]
        return granted

    async def _digest(self, path: str, descriptor: int) -> tuple[int, bytes]:
        status: os.stat_result = await self._threads.run(os.fstat, descriptor)
        key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
        digest = self._digests.get(key)
        if digest is None:
            state = hashlib.sha256()
            offset = 0
            while offset < status.st_size:
                taken: int = await self._threads.run(add_piece, state, descriptor, offset)
                if not taken:
                    raise OSError("the snapshot has become shorter")
                offset += taken
            digest = state.digest()
            self._digests = {key: digest}  # of the newest file alone: no other is sent again
        return status.st_size, digest


def add_piece(state: Any, descriptor: int, offset: int) -> int:
    """Add a piece of a file to a digest; in a thread.  Gives the number of bytes, 0 at the end."""
    data = os.pread(descriptor, MIB, offset)
    state.update(data)
    return len(data)
