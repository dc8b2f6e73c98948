"""What is about to be done in a cloud, remembered so that a crash can be made good.

A store that keeps objects in place (``interfaces.in_place``) cannot write bytes first and publish
them by metadata alone: once the cloud has them under the object's own name, everybody sees them.
So what is to happen is recorded before, with the command that will commit it.  After a crash the
cloud is asked what lies under the name: the bytes of the intent, and the command is committed;
or others, and the intent is forgotten.
"""

from __future__ import annotations

from msgspec import Struct


class Intent(Struct, frozen=True, kw_only=True):
    """One write under way.

    :ivar intent_id: the blob's id; of a completion the upload's.
    :ivar blob_id: also kept with the bytes in the cloud, by which they are recognised.
    :ivar name: under which the bytes are to lie in the cloud.
    :ivar begun: what was begun in the cloud for this write and must be undone if it comes to
        nothing (a locator); empty: nothing.
    :ivar command: the encoded command that commits it, with the blob's id where its locator will
        be; empty while bytes are still coming in, and then there is nothing to finish.
    """

    intent_id: str
    blob_id: str
    bucket: str
    key: str
    name: str
    begun: str = ""
    command: bytes = b""
