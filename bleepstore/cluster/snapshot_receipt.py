"""Receiving a snapshot: into a file of its own, verified and durable before anybody is told.

A directory holds at most one file that is not whole: ``DIGEST-SIZE.part``.  It stays when a stream
breaks, also over a restart, and the next offer of the same file goes on at its end; an offer of
another one removes it.  What lies there is hashed again at each beginning, so that bytes that a
power cut spoilt are found at the latest when the whole does not match.  A whole file becomes
``DIGEST.received``, and is its receiver's from then on; one that a crash left there goes at the
next start, since nobody was told of it.

All work on the file is done in threads, in the order of the chunks.  One stream at a time: a
snapshot of a later term ends an earlier one's, and otherwise whoever came first goes on.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from bleepstore.cluster.peer_arguments import parse_arguments
from bleepstore.cluster.peer_boxes import BadBox, Box
from bleepstore.cluster.peer_calls import PeerConnection
from bleepstore.cluster.peer_commands import (
    PeerRefusal,
    Ping,
    SnapshotBegin,
    SnapshotBroken,
    SnapshotChunk,
    SnapshotFinish,
    SnapshotRefused,
    code_of,
)
from bleepstore.cluster.peer_settings import Counters, PeerSettings
from bleepstore.cluster.snapshot_stream import add_piece
from bleepstore.files import FULL, free_bytes, make_directories, sync_directory, sync_file
from bleepstore.interfaces.threads import ILane, IThreads
from bleepstore.raft import messages
from bleepstore.raft.messages import SnapshotMark

PART = ".part"
RECEIVED = ".received"

_log = Logger()

Arrived = Callable[[str, int, SnapshotMark, str], None]


class IncomingFile:
    """A file that grows; every method but the constructor runs in a thread, one after another.

    :param directory: where it lies.
    """

    def __init__(self, directory: str, size: int, digest: bytes) -> None:
        self._directory = directory
        self._size = size
        self._digest = digest
        self._part = os.path.join(directory, f"{digest.hex()}-{size}{PART}")
        self._descriptor = -1
        self._state = hashlib.sha256()
        self._length = 0

    def open(self) -> int:
        """Open or create it, and remove all others that are not whole; gives its length.

        :raises OSError: the disk failed, or has no room for the rest.
        """
        for name in os.listdir(self._directory):
            if name.endswith(PART) and name != os.path.basename(self._part):
                os.unlink(os.path.join(self._directory, name))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._part, flags, 0o600)
        if os.fstat(self._descriptor).st_size > self._size:
            os.ftruncate(self._descriptor, 0)
        while taken := add_piece(self._state, self._descriptor, self._length):
            self._length += taken
        if self._size - self._length > free_bytes(self._directory):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._length

    def write(self, offset: int, data: bytes) -> None:
        """Append.

        :raises SnapshotBroken: it does not follow, or is more than was announced.
        :raises OSError: the disk is full, or worse.  What was written of it is taken back.
        """
        if offset != self._length or offset + len(data) > self._size:
            raise SnapshotBroken(f"byte {offset} was sent, and {self._length} is next")
        view = memoryview(data)
        try:
            while view:
                view = view[os.pwrite(self._descriptor, view, offset + len(data) - len(view)) :]
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._state.update(data)
        self._length += len(data)

    def finish(self) -> str:
        """Verify it, make it durable, and give its path under its final name.

        :raises SnapshotBroken: it is not what was announced, and is removed.
        :raises OSError: it could not be synced, and is removed; or not be named.
        """
        if self._length != self._size:
            raise SnapshotBroken(f"{self._length} bytes have arrived, and not {self._size}")
        if self._state.digest() != self._digest:
            os.unlink(self._part)
            raise SnapshotBroken("what has arrived has another digest")
        try:
            sync_file(self._descriptor)
        except OSError:
            os.unlink(self._part)  # a later sync would succeed without what this one left out
            raise
        path = os.path.join(self._directory, f"{self._digest.hex()}{RECEIVED}")
        os.rename(self._part, path)
        sync_directory(self._directory)
        return path

    def close(self) -> None:
        """Let go of it.  May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def prepare(directory: str) -> None:
    """Make the directory, and remove what was received whole and told to nobody; in a thread.

    :raises OSError:
    """
    make_directories(directory)
    for name in os.listdir(directory):
        if name.endswith(RECEIVED):
            os.unlink(os.path.join(directory, name))


class SnapshotReceiver:
    """Takes the snapshots that peers send.

    :param arrived: is given sender, term, mark and path.
    """

    def __init__(
        self,
        directory: str,
        threads: IThreads,
        settings: PeerSettings,
        counters: Counters,
        arrived: Arrived,
    ) -> None:
        self.directory = directory
        self.lane: ILane = threads.lane()
        self.settings = settings
        self.counters = counters
        self.arrived = arrived
        self.current: Receipt | None = None
        self._started = False

    async def start(self) -> None:
        """:raises OSError: the directory cannot be made or read."""
        await self.lane.run(prepare, self.directory)
        self._started = True

    async def stop(self) -> None:
        """Let the work on files end.  The connections are ended before."""
        if self._started:
            self._started = False
            await self.lane.run(int)  # once it is done, so is all that was asked before

    def receipt(self, connection: PeerConnection) -> Receipt:
        """The role of a connection for one snapshot."""
        return Receipt(self, connection)


class Receipt:
    """One snapshot on its way: the role of the connection that brings it."""

    def __init__(self, receiver: SnapshotReceiver, connection: PeerConnection) -> None:
        self._receiver = receiver
        self._connection = connection
        self._file: IncomingFile | None = None
        self._term = 0
        self._mark = SnapshotMark()
        self._finishing = False
        self._under_way = 0

    def asked(self, name: bytes, box: Box, tag: bytes | None) -> bool:
        """See Role."""
        if name == Ping.commandName:
            self._connection.answer(Ping, tag)
            return True
        if name == SnapshotBegin.commandName:
            self._begin(parse_arguments(SnapshotBegin, box), tag)
        elif name == SnapshotChunk.commandName:
            self._chunk(parse_arguments(SnapshotChunk, box), tag)
        elif name == SnapshotFinish.commandName:
            self._finish(tag)
        else:
            return False
        return True

    def ended(self) -> None:
        """See Role: the file stays for the next try."""
        if self._receiver.current is self:
            self._receiver.current = None
        if self._file is not None:
            closing = Deferred.fromCoroutine(self._close(self._file))
            closing.addErrback(_failed)

    def _begin(self, offer: dict[str, Any], tag: bytes | None) -> None:
        if self._file is not None:
            raise BadBox("a second snapshot on one connection")
        try:
            self._mark = messages.decode_mark(offer["mark"])
        except ValueError as error:
            raise BadBox(str(error)) from None
        self._term = offer["term"]
        receiver, current = self._receiver, self._receiver.current
        if current is not None:
            if current._term >= self._term:
                refusal = SnapshotRefused("another snapshot is arriving")
                self._refuse(SnapshotBegin, tag, refusal)
                return
            current._connection.abort()
        receiver.current = self
        self._file = IncomingFile(receiver.directory, offer["size"], offer["digest"])
        self._go(SnapshotBegin, tag, self._opened(self._file, tag))

    def _chunk(self, chunk: dict[str, Any], tag: bytes | None) -> None:
        if self._file is None or self._finishing:
            raise BadBox("a chunk of no snapshot")
        if self._under_way >= self._receiver.settings.chunks:
            raise BadBox("more chunks than were granted")
        self._under_way += 1
        self._go(SnapshotChunk, tag, self._written(self._file, chunk, tag))

    def _finish(self, tag: bytes | None) -> None:
        if self._file is None or self._finishing:
            raise BadBox("the end of no snapshot")
        self._finishing = True
        self._go(SnapshotFinish, tag, self._whole(self._file, tag))

    async def _opened(self, file: IncomingFile, tag: bytes | None) -> None:
        offset = await self._receiver.lane.run(file.open)
        credit = self._receiver.settings.chunks
        self._connection.answer(SnapshotBegin, tag, offset=offset, credit=credit)

    async def _written(self, file: IncomingFile, chunk: dict[str, Any], tag: bytes | None) -> None:
        await self._receiver.lane.run(file.write, chunk["offset"], chunk["data"])
        self._under_way -= 1
        self._receiver.counters.snapshot_bytes_received += len(chunk["data"])
        self._connection.answer(SnapshotChunk, tag, credit=1)

    async def _whole(self, file: IncomingFile, tag: bytes | None) -> None:
        path = await self._receiver.lane.run(file.finish)
        self._receiver.counters.snapshots_received += 1
        self._receiver.arrived(self._connection.peer, self._term, self._mark, path)
        self._connection.answer(SnapshotFinish, tag)

    async def _close(self, file: IncomingFile) -> None:
        await self._receiver.lane.run(file.close)

    def _go(self, command: type[amp.Command], tag: bytes | None, work: Any) -> None:
        done: Deferred[None] = Deferred.fromCoroutine(work)
        done.addErrback(self._went_wrong, command, tag)

    def _went_wrong(self, failure: Failure, command: type[amp.Command], tag: bytes | None) -> None:
        """Say so to the sender, if it is the sender's affair, and end the connection."""
        error: object = failure.value
        if isinstance(error, OSError):
            full = error.errno in FULL
            what = "the disk is full" if full else f"the disk failed: {error.strerror}"
            _log.warn("A snapshot from {peer} cannot be received: {error}",
                      peer=self._connection.peer, error=error)  # fmt: skip
            error = SnapshotRefused(what)
        if not isinstance(error, PeerRefusal):
            _log.failure("A snapshot cannot be received", failure)
            self._connection.abort()
            return
        self._refuse(command, tag, error)

    def _refuse(self, command: type[amp.Command], tag: bytes | None, error: PeerRefusal) -> None:
        self._connection.refuse(tag, code_of(command, error) or b"", str(error))
        self._connection.close()


def _failed(failure: Any) -> None:
    _log.failure("The file of a snapshot could not be closed", failure)
