"""Snapshot files of one node: the newest whole one, and those that are still being sent.

    snapshot-TERM-INDEX         the copy of a state (numbers in 16 hex digits)
    snapshot-TERM-INDEX.mark    written last: what it stands for, its size and its checksum
    incoming-NUMBER             reserved: being written, or being received

A copy without its mark is none, and goes at the next start, as does whatever else a crash left.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress

import msgspec
from awscrt.checksums import crc32c
from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from bleepstore.cluster.unusable import UnusableLog
from bleepstore.files import make_directories, sync_directory, sync_file
from bleepstore.interfaces.replication import ISnapshots
from bleepstore.interfaces.threads import IThreads
from bleepstore.raft.messages import SnapshotMark

_BLOCK = 1024 * 1024
_MARK = ".mark"
_SNAPSHOT = "snapshot-"
_INCOMING = "incoming-"

_log = Logger()


class _Kept(Struct, frozen=True, array_like=True):
    """What the mark of a copy says."""

    mark: SnapshotMark
    size: int
    checksum: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)


@implementer(ISnapshots)
class SnapshotFiles:
    """A directory of snapshots, of one node alone."""

    def __init__(self, directory: str, threads: IThreads) -> None:
        """Open, or create; removes what a crash left.

        :param threads: where files are read and written.
        :raises UnusableLog: the directory cannot be used.
        """
        self.directory = os.path.abspath(directory)
        self._threads = threads
        self._reserved = 0
        self._borrowed: Counter[str] = Counter()
        self._newest: tuple[_Kept, str] | None = None
        self._keeping = DeferredLock()
        try:
            make_directories(self.directory)
            self._recover()
        except OSError as error:
            raise UnusableLog(f"{self.directory}: {error.strerror}") from error

    def newest(self) -> tuple[SnapshotMark, str] | None:
        """See :class:`ISnapshots`."""
        if self._newest is None:
            return None
        kept, path = self._newest
        return kept.mark, path

    def reserve(self) -> str:
        """See :class:`ISnapshots`."""
        self._reserved += 1
        return os.path.join(self.directory, f"{_INCOMING}{self._reserved}")

    async def keep(self, path: str, mark: SnapshotMark) -> str:
        """See :class:`ISnapshots`."""
        final = os.path.join(self.directory, f"{_SNAPSHOT}{mark.term:016x}-{mark.index:016x}")
        await self._keeping.acquire()
        try:
            older = self._newest
            if older is not None and older[0].mark.index >= mark.index:
                self.discard(path)  # one that was received has overtaken it, or it is the same
                return older[1]
            kept = await self._threads.run(self._adopt, path, final, mark)
            self._newest = (kept, final)
        finally:
            self._keeping.release()
        if older is not None and not self._borrowed[older[1]]:
            await self._discard(older[1])
        return final

    async def borrow(self) -> tuple[SnapshotMark, str] | None:
        """See :class:`ISnapshots`."""
        while self._newest is not None:
            kept, path = self._newest
            self._borrowed[path] += 1
            intact = False
            try:
                intact = await self._threads.run(_measure, path) == (kept.size, kept.checksum)
            except OSError as error:
                _log.warn("A snapshot cannot be read: {error}", error=error)
            finally:
                if not intact:
                    self.give_back(path)
            if intact:
                return kept.mark, path
            _log.error("The snapshot {path} is damaged, and is given up", path=path)
            if self._newest is not None and self._newest[1] == path:
                self._newest = None
                await self._threads.run(_remove, path)
        return None

    def give_back(self, path: str) -> None:
        """See :class:`ISnapshots`."""
        self._borrowed[path] -= 1
        if self._borrowed[path] > 0:
            return
        del self._borrowed[path]
        if self._newest is not None and self._newest[1] != path:
            self.discard(path)

    def discard(self, path: str) -> None:
        """See :class:`ISnapshots`."""
        Deferred.fromCoroutine(self._discard(path))

    async def _discard(self, path: str) -> None:
        try:
            await self._threads.run(_remove, path)
        except Exception as error:
            # The next start removes it.
            _log.warn(
                "The file {path}, which nobody needs, is still there: {error}",
                path=path,
                error=error,
            )

    # In threads

    def _adopt(self, path: str, final: str, mark: SnapshotMark) -> _Kept:
        """The copy first, then its mark, each durable before the next."""
        kept = _Kept(mark, *_measure(path))
        os.chmod(path, 0o600)
        os.replace(path, final)
        incoming = f"{final}{_MARK}.new"
        descriptor = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            data = _encoder.encode(kept)
            file.write(crc32c(data).to_bytes(4, "little") + data)
            file.flush()
            sync_file(descriptor)
        sync_directory(self.directory)
        os.rename(incoming, final + _MARK)
        sync_directory(self.directory)
        return kept

    # Before anything runs

    def _recover(self) -> None:
        names = set(os.listdir(self.directory))
        found: list[tuple[_Kept, str]] = []
        for name in names:
            if name.startswith(_SNAPSHOT) and not name.endswith((_MARK, ".new")):
                path = os.path.join(self.directory, name)
                kept = _read_mark(path)
                if kept is not None:
                    found.append((kept, path))
        found.sort(key=lambda each: (each[0].mark.term, each[0].mark.index))
        if found:
            self._newest = found[-1]
        ours = {name for name in names if name.startswith((_SNAPSHOT, _INCOMING))}
        if self._newest is not None:
            name = os.path.basename(self._newest[1])
            ours -= {name, name + _MARK}
        for name in ours:
            os.unlink(os.path.join(self.directory, name))


def _read_mark(path: str) -> _Kept | None:
    """What a copy stands for; None: it is not whole."""
    try:
        with open(path + _MARK, "rb") as file:
            raw = file.read()
        if int.from_bytes(raw[:4], "little") != crc32c(raw[4:]):
            return None
        kept = _decoder.decode(raw[4:])
        return kept if os.path.getsize(path) == kept.size else None
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _measure(path: str) -> tuple[int, int]:
    """Size and checksum of a file."""
    size = checksum = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            checksum = crc32c(block, checksum)
    return size, checksum


def _remove(path: str) -> None:
    """The mark first: without it the copy is none."""
    for each in (path + _MARK, path):
        with suppress(FileNotFoundError):
            os.unlink(each)
