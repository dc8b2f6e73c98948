"""Where bytes lie in a cloud, as the text that an extent has in the place of a blob's id.

A locator describes itself: what names it can read, delete and recognise the bytes without asking
anybody.  Its form: blob id, kind, tag and name, separated by blanks; only the name, the last one,
may have blanks of its own.
"""

from __future__ import annotations

from msgspec import Struct

OBJECT = "object"
"""An object of its own, under the name."""

PART = "part"
"""A part of an upload in progress, which goes with the upload."""

UPLOAD = "upload"
"""An upload in progress; the tag is the cloud's id of it."""


class Locator(Struct, frozen=True):
    """Bytes in a cloud.

    :ivar blob_id: under which they were written; kept with them in the cloud, where it can be.
    :ivar kind: :data:`OBJECT`, :data:`PART`, :data:`UPLOAD`, or another word of the store's own.
    :ivar tag: changes with the bytes: ETag or generation.  Without blanks, not empty.
    :ivar name: in the bucket or container of the cloud.
    """

    blob_id: str
    kind: str
    tag: str
    name: str

    def __str__(self) -> str:
        return f"{self.blob_id} {self.kind} {self.tag} {self.name}"


def parse_locator(text: str) -> Locator | None:
    """The locator of a text; None if it is none, but the plain id of a blob."""
    parts = text.split(" ", 3)
    return Locator(*parts) if len(parts) == 4 else None
