"""Pages of listings, as values."""

from __future__ import annotations

from msgspec import Struct

from bleepstore.model.objects import Bucket, ListedObject, Part, Upload


class BucketPage(Struct, frozen=True):
    """Buckets in the order of their names; ``next_after`` is empty on the last page."""

    buckets: tuple[Bucket, ...]
    next_after: str = ""


class ObjectPage(Struct, frozen=True):
    """A page of a bucket's keys.

    Objects and common prefixes, each ascending; together at most the limit asked for.

    :ivar next_after: the last key or common prefix of this page when more follow, else empty.
        Given back as ``after`` it continues the listing without loss or repetition.
    """

    objects: tuple[ListedObject, ...] = ()
    common_prefixes: tuple[str, ...] = ()
    next_after: str = ""


class UploadPage(Struct, frozen=True):
    """Uploads by key, then by their time of initiation, then by id.

    :ivar next_key: key (or common prefix) of the last entry when more follow, else empty.
    :ivar next_upload_id: id of the last entry when that is an upload and more follow, else empty.
    """

    uploads: tuple[Upload, ...] = ()
    common_prefixes: tuple[str, ...] = ()
    next_key: str = ""
    next_upload_id: str = ""


class PartPage(Struct, frozen=True):
    """Parts by number; ``next_after`` is the last number when more follow, else 0."""

    parts: tuple[Part, ...] = ()
    next_after: int = 0
