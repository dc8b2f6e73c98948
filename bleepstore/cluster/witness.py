"""How far a node's promises went, beside the log that backs them.

SQLite recovers a write-ahead log up to the first frame that does not match its checksum.  That
is right for what a crash left half-written, which was never promised.  But a durable frame that
has rotted looks the same, and with it everything behind it would vanish without a word.  So each
save has a number, and after it is durable the number is written here, too: a log that comes back
with a lesser one has lost something that was promised.

The number is not synced of its own (that would double the price of every save).  A process that
dies leaves it exact; after a power cut it may be behind the log, but never ahead of it, so that
it raises no false alarm.  It is one aligned write of 24 bytes, which no disk tears.
"""

from __future__ import annotations

import os
from struct import Struct

from awscrt.checksums import crc32c

from bleepstore.files import sync_file

_RECORD = Struct("<8sQI4x")
_MAGIC = b"BlpRaft1"


class Witness:
    """The file.  All calls may block for microseconds, but for opening and closing."""

    def __init__(self, path: str) -> None:
        """Open, or create.

        :raises OSError:
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> int:
        """The number of the last save that was durable; 0 if none was noted.

        :raises ValueError: the file is not what was written.
        """
        raw = os.pread(self._descriptor, _RECORD.size, 0)
        if not raw:
            return 0
        if len(raw) == _RECORD.size:
            magic, number, checksum = _RECORD.unpack(raw)
            if magic == _MAGIC and checksum == crc32c(raw[:16]):
                return int(number)
        raise ValueError("it does not match its checksum")

    def note(self, number: int) -> None:
        """A save is durable.

        :raises OSError:
        """
        head = _RECORD.pack(_MAGIC, number, 0)[:16]
        os.pwrite(self._descriptor, _RECORD.pack(_MAGIC, number, crc32c(head)), 0)

    def sync(self) -> None:
        """:raises OSError:"""
        sync_file(self._descriptor)

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
