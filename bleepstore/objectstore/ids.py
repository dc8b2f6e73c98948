"""Names that are given once and never again: blobs and uploads.

Versions have no module here yet: every object is the ``null`` version of its key until
buckets can be versioned.
"""

from __future__ import annotations

from base64 import b64encode

from bleepstore.interfaces.threads import Dice

_UPLOAD_ID_BYTES = 48
_NATIVE_BYTES = 8
_NATIVE_AT_ONCE = 64
"""How many ids' dice are thrown at once: each throw lets go of the interpreter lock."""


class Ids:
    """The names that this process gives."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._epoch = 0
        self._prefix = ""
        self._serial = 0
        self._thrown: list[str] = []

    @property
    def epoch(self) -> int:
        """The epoch under which this process writes blobs; 0 before :meth:`open`."""
        return self._epoch

    def open(self, epoch: int) -> None:
        """Start to name blobs under an epoch that OpenEpoch gave to this process alone.

        :raises ValueError: an epoch is open already.
        """
        if self._epoch:
            raise ValueError(f"epoch {self._epoch} is open")
        self._epoch = epoch
        self._prefix = f"{epoch:08x}-"

    def blob_id(self) -> str:
        """``{epoch:08x}-{serial:08x}``: unique, because no epoch is ever opened twice.

        :raises RuntimeError: no epoch is open: whatever it named could be swept at once.
        """
        if not self._epoch:
            raise RuntimeError("a blob was to be written before its epoch was opened")
        serial = self._serial
        self._serial = serial + 1
        return f"{self._prefix}{serial:08x}"

    def native_id(self) -> str:
        """A blob's id that is unique in the cloud, too, where objects that another metadata named
        may still lie: its serial number ends with 16 random digits."""
        thrown = self._thrown
        if not thrown:
            digits = self._dice(_NATIVE_BYTES * _NATIVE_AT_ONCE).hex()
            width = 2 * _NATIVE_BYTES
            thrown += [digits[at : at + width] for at in range(0, len(digits), width)]
        return self.blob_id() + thrown.pop()

    def upload_id(self) -> str:
        """64 characters that nobody can guess, safe in a URL, and on a command line: an id that
        begins with a hyphen would be an option of the AWS CLI."""
        return b64encode(self._dice(_UPLOAD_ID_BYTES), b"._").decode()


def epoch_of(blob_id: str) -> int | None:
    """The epoch in a blob's id or locator, or None if it is no id of ours."""
    epoch, dash, serial = blob_id.partition(" ")[0].partition("-")
    try:
        int(serial, 16)
        return int(epoch, 16) if dash and len(epoch) >= 8 and len(serial) >= 8 else None
    except ValueError:
        return None
