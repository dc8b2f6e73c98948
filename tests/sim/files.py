"""Snapshot files on a simulated disk."""

from __future__ import annotations

from itertools import count

from zope.interface import implementer

from bleepstore.interfaces.replication import ISnapshots
from bleepstore.raft.messages import SnapshotMark


class SnapshotDisk:
    """What survives a crash: files by path, and which of them is the newest snapshot."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.newest: tuple[SnapshotMark, str] | None = None
        self._rotten: set[str] = set()
        self._names = count(1)

    def fresh(self) -> str:
        """A path that was never used."""
        return f"file-{next(self._names)}"

    def put(self, content: bytes) -> str:
        """A new file; gives its path."""
        path = self.fresh()
        self.files[path] = content
        return path

    def rot(self) -> None:
        """Change all that is there."""
        self._rotten |= self.files.keys()

    def is_rotten(self, path: str) -> bool:
        """Whether a file is not what it was."""
        return path in self._rotten


@implementer(ISnapshots)
class MemorySnapshots:
    """One life of a node's snapshots."""

    def __init__(self, disk: SnapshotDisk) -> None:
        self._disk = disk
        self._borrowed: list[str] = []
        kept = disk.newest[1] if disk.newest else ""
        for path in [path for path in disk.files if path != kept]:
            del disk.files[path]

    def newest(self) -> tuple[SnapshotMark, str] | None:
        """See ISnapshots."""
        return self._disk.newest

    def reserve(self) -> str:
        """See ISnapshots."""
        return self._disk.fresh()

    async def keep(self, path: str, mark: SnapshotMark) -> str:
        """See ISnapshots."""
        disk = self._disk
        older = disk.newest
        if older is not None and older[0].index >= mark.index:
            self.discard(path)
            return older[1]
        disk.newest = (mark, path)
        if older is not None and older[1] != path and older[1] not in self._borrowed:
            del disk.files[older[1]]
        return path

    async def borrow(self) -> tuple[SnapshotMark, str] | None:
        """See ISnapshots."""
        newest = self._disk.newest
        if newest is not None and self._disk.is_rotten(newest[1]):
            self._disk.newest = None
            if newest[1] not in self._borrowed:
                self.discard(newest[1])
            return None
        if newest is not None:
            self._borrowed.append(newest[1])
        return newest

    def discard(self, path: str) -> None:
        """See ISnapshots."""
        self._disk.files.pop(path, None)

    def give_back(self, path: str) -> None:
        """See ISnapshots."""
        self._borrowed.remove(path)
        newest = self._disk.newest
        if path not in self._borrowed and newest is not None and newest[1] != path:
            self._disk.files.pop(path, None)
