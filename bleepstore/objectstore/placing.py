"""How copies and uploads are named to a store in place, and the turns of uploads and their parts.

Pure; knows no store.
"""

from __future__ import annotations

from bleepstore.errors import InternalError
from bleepstore.interfaces.blobs import Placement
from bleepstore.model.commands import CopyObject
from bleepstore.model.objects import Description, Upload


def placement_of(named: CopyObject | Upload, size: int, description: Description) -> Placement:
    """What the bytes of a copy, or of an upload, are for."""
    return Placement(
        named.bucket,
        named.key,
        description.headers.get("content-type", ""),
        size,
        description,
    )


def native_of(upload: Upload) -> str:
    """Where the cloud has the upload.

    :raises InternalError: it was begun while the bytes were kept elsewhere.
    """
    if not upload.native:
        raise InternalError(f"upload {upload.upload_id} is not in the cloud")
    return upload.native


def upload_turn(upload_id: str) -> str:
    """Had while an upload is completed."""
    return f"\0{upload_id}"


def part_turn(upload_id: str, number: int) -> str:
    """Parts of one number follow each other: the last one that the cloud has must be the last
    one that is committed.  Nor may one be replaced while an object is made of it, which would have
    the bytes of one and the ETag of the other.  No object's name has this form."""
    return f"\0{upload_id} {number}"
