"""Every change of metadata is one of these values.

A command is frozen, versioned and serialisable.  It carries everything that is
not a function of the state: times, ids and who asked.  Applying one reads no
clock, rolls no dice and gives the same state and result on every replica.

The binary form is MessagePack through msgspec: :func:`encode` and :func:`decode`.
A field added later has a default, so that an older log still decodes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from bleepstore.model.accounts import Credential
from bleepstore.model.acl import Acl
from bleepstore.model.checksums import Checksum, ChecksumAlgorithm, ChecksumType
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.intents import Intent
from bleepstore.model.objects import Description, Extent, Manifest, Upload

FORMAT = 1
"""Version of the binary form of commands."""


class Command(Struct, frozen=True, kw_only=True, tag_field="command", omit_defaults=True):
    """The base of all commands.

    :ivar at: milliseconds since the epoch at which the request was accepted.
    :ivar request_id: of the request that asks for the change; empty for background work.
    :ivar bucket_owner_id: of the bucket that it was decided on.  If a bucket of that name is
        another's by now, it is another bucket, and this is refused with NoSuchBucket.  Empty:
        whoever's.  (Not every command heeds it.)
    """

    at: int
    request_id: str = ""
    bucket_owner_id: str = ""


class CreateBucket(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.

    :raises BucketAlreadyOwnedByYou: outside us-east-1; there it succeeds again and resets the
        ACL, as S3 does (CreateBucket, "BucketAlreadyOwnedByYou").
    :raises BucketAlreadyExists: another account has it.
    """

    bucket: str
    owner_id: str
    region: str
    acl: Acl


class DeleteBucket(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.  Uploads in progress are aborted with it.

    :raises NoSuchBucket:
    :raises BucketNotEmpty: it holds at least one object version, or one is being published.
    """

    bucket: str


class PutBucketAcl(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.

    :raises NoSuchBucket:
    :raises AccessDenied: the bucket has another owner than the ACL, by now; an ACL that was
        decided on for one owner's bucket must not hand another's over.
    """

    bucket: str
    acl: Acl


class PutObject(Command, frozen=True, kw_only=True, tag=True):
    """Publish a new version of a key.  Result: :class:`Written`.

    The blobs that the manifest names are already durable.  If the command fails, the caller
    deletes them.

    :ivar intent: the recorded intent that this ends, see :class:`RecordIntent`; empty: none.
    :ivar displaced: the blob that the cloud let go of by itself as these bytes took its place; it
        need not be deleted.
    :ivar access: of the bucket by which it was admitted (``records.access_of``); empty: whoever
        admitted it was not behind.
    :raises NoSuchBucket:
    :raises BucketChanged: the bucket has another access by now.
    :raises PreconditionFailed:
    :raises NoSuchKey: If-Match on a key that has no object.
    :raises OperationAborted: the intent has ended already.
    """

    bucket: str
    key: str
    version_id: str
    size: int
    etag: str
    owner_id: str
    acl: Acl
    description: Description
    checksum: Checksum | None
    manifest: Manifest
    conditions: WriteConditions | None = None
    intent: str = ""
    displaced: str = ""
    access: bytes = b""


class CopyObject(Command, frozen=True, kw_only=True, tag=True):
    """Publish a version with the bytes of another one; moves none.  Result: :class:`Written`.

    Size, ETag, part count and bytes are the source's; the rest is given.  (S3 gives the copy
    of a multipart object a new ETag, the MD5 of all its bytes; docs/divergences.md says why
    a copy here keeps the source's.)

    :ivar source_content_id: what the use case read (and authorised, and checked the source
        conditions against).
    :raises SourceChanged: the source's current version has another content by now.
    :raises NoSuchBucket: the destination.
    :raises PreconditionFailed: the destination's conditions.
    :raises NoSuchKey: If-Match on a destination that has no object.
    """

    source_bucket: str
    source_key: str
    source_content_id: int
    bucket: str
    key: str
    version_id: str
    owner_id: str
    acl: Acl
    description: Description
    checksum: Checksum | None
    conditions: WriteConditions | None = None


class PutObjectAcl(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.  Last-Modified does not change.

    :raises NoSuchBucket:
    :raises NoSuchKey:
    :ivar decided_by: the ACL that allowed it; None: whatever it is.
    :raises AccessDenied: the object has another owner than the ACL, or another ACL than it was
        decided by, by now: what was allowed for one object must not be done to its successor.
    """

    bucket: str
    key: str
    acl: Acl
    decided_by: Acl | None = None


class DeleteObject(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Deleted`; deleting what is not there succeeds.

    :ivar version_id: of the version to delete; empty: the current one.
    :ivar if_match: the ETag the current object must have, ``*`` for any object, None: no condition.
    :raises NoSuchBucket:
    :raises PreconditionFailed: the object has another ETag.
    :raises NoSuchKey: a condition was given and there is no object.
    """

    bucket: str
    key: str
    version_id: str = ""
    if_match: str | None = None


class DeleteTarget(Struct, frozen=True, omit_defaults=True):
    """One entry of a multi-object delete.

    :ivar if_match: as in DeleteObject.
    :ivar if_last_modified: milliseconds, compared in whole seconds; None: no condition.
    :ivar if_size: bytes; None: no condition.
    """

    key: str
    version_id: str = ""
    if_match: str | None = None
    if_last_modified: int | None = None
    if_size: int | None = None


class DeleteObjects(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`DeletedMany`, one entry per target in order, each decided on its own.

    :raises NoSuchBucket:
    """

    bucket: str
    targets: tuple[DeleteTarget, ...]


class CreateUpload(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.

    :raises NoSuchBucket:
    """

    upload: Upload


class PutPart(Command, frozen=True, kw_only=True, tag=True):
    """Store or replace a part of an upload.  Result: :class:`Done`.

    Extents may name blobs that other content holds already (UploadPartCopy).

    :raises NoSuchUpload:
    :raises SourceChanged: an extent names a blob that metadata has let go meanwhile.
        (Only possible with ``shares_blobs``.)
    :ivar shares_blobs: whether the extents come from another object rather than fresh blobs.
    :ivar fresh: the blobs among them that do not; all others must be held already.
    """

    bucket: str
    key: str
    upload_id: str
    number: int
    size: int
    etag: str
    checksum: Checksum | None
    extents: tuple[Extent, ...]
    shares_blobs: bool = False
    fresh: tuple[str, ...] = ()


class CompletedPart(Struct, frozen=True, omit_defaults=True):
    """A part as the client names it in CompleteMultipartUpload; the ETag without quotes."""

    number: int
    etag: str
    checksums: dict[ChecksumAlgorithm, str] = {}


class CompleteUpload(Command, frozen=True, kw_only=True, tag=True):
    """Make an object of an upload's parts; moves no bytes.  Result: :class:`Written`.

    ETag and checksum are computed in the transaction, from the parts as they are then.
    Completing twice with the same parts succeeds again while the resulting object is
    still the current one (S3's Complete is idempotent for a retrying client).

    :ivar parts: as the client listed them, in its order.
    :ivar checksum: the full-object checksum the client expects, if it sent one.
    :ivar expected_size: ``x-amz-mp-object-size``, None when not sent.
    :ivar extents: where the bytes are now, if the blob store has joined the parts itself; None:
        where the parts are.
    :ivar intent: as in :class:`PutObject`.
    :ivar displaced: as in :class:`PutObject`.
    :raises NoSuchUpload:
    :raises InvalidPart: a part is missing or has another ETag or checksum.
    :raises InvalidPartOrder: numbers are not ascending.
    :raises EntityTooSmall: a part other than the last is under 5 MiB.
    :raises BadDigest: the checksum of the whole is another one.
    :raises InvalidRequest: the size is another one, or the checksum type is not the upload's.
    :raises PreconditionFailed:
    :raises NoSuchKey: If-Match on a key that has no object.
    :raises OperationAborted: the intent has ended already.
    """

    bucket: str
    key: str
    upload_id: str
    version_id: str
    parts: tuple[CompletedPart, ...]
    checksum: Checksum | None = None
    checksum_type: ChecksumType | None = None
    expected_size: int | None = None
    conditions: WriteConditions | None = None
    extents: tuple[Extent, ...] | None = None
    intent: str = ""
    displaced: str = ""


class AbortUpload(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`.

    :raises NoSuchUpload:
    :raises OperationAborted: it is being completed at this moment.
    """

    bucket: str
    key: str
    upload_id: str


class PutCredential(Command, frozen=True, kw_only=True, tag=True):
    """Store or replace an access key.  Result: :class:`Done`."""

    credential: Credential


class DeleteCredential(Command, frozen=True, kw_only=True, tag=True):
    """Result: :class:`Done`, also if there is no such key."""

    access_key: str


class OpenEpoch(Command, frozen=True, kw_only=True, tag=True):
    """A process that will write blobs starts.  Result: :class:`Epoch`, a number never given before.

    A blob's id begins with the epoch of its writer.  An unreferenced blob of an epoch
    whose process has ended is garbage for certain: that is the recorded intent by which
    blobs are swept after a crash.
    """

    node_id: str


class ForgetBlobs(Command, frozen=True, kw_only=True, tag=True):
    """Released blobs have been deleted from the blob store.  Result: :class:`Done`."""

    blob_ids: tuple[str, ...]


class RecordIntent(Command, frozen=True, kw_only=True, tag=True):
    """Remember what is about to be done in the cloud, until it is committed or undone.

    Result: :class:`Done`.  Whatever would refuse the intent's command refuses this, before the
    cloud is asked, and nothing is remembered.  An intent of the same id is
    replaced.

    :raises NoSuchBucket:
    :raises StoreError: as the intent's command.
    """

    intent: Intent


class ForgetIntent(Command, frozen=True, kw_only=True, tag=True):
    """An intent came to nothing, and nothing of it is left.  Result: :class:`Done`, also if there
    is no such intent."""

    intent_id: str


AnyCommand = (
    CreateBucket | DeleteBucket | PutBucketAcl | PutObject | CopyObject | PutObjectAcl
    | DeleteObject | DeleteObjects | CreateUpload | PutPart | CompleteUpload | AbortUpload
    | PutCredential | DeleteCredential | OpenEpoch | ForgetBlobs | RecordIntent | ForgetIntent
)  # fmt: skip


# Results


class Done(Struct, frozen=True, tag=True):
    """The change was made; there is nothing more to say."""


class Written(Struct, frozen=True, kw_only=True, tag=True):
    """A version was published.

    :ivar version_id: "null" in a bucket that is not versioned.
    """

    version_id: str
    etag: str
    size: int
    last_modified: int
    checksum: Checksum | None = None


class Deleted(Struct, frozen=True, kw_only=True, tag=True):
    """A key was deleted; ``existed`` is False if there was nothing to delete."""

    existed: bool


class Refusal(Struct, frozen=True):
    """An error as a value: the class name of a StoreError, its message and details."""

    code: str
    message: str
    details: dict[str, str] = {}


class DeletedMany(Struct, frozen=True, kw_only=True, tag=True):
    """One outcome a target, in order: None for a deleted (or absent) key, else why not."""

    outcomes: tuple[Refusal | None, ...]


class Epoch(Struct, frozen=True, kw_only=True, tag=True):
    """The epoch that was opened, from 1."""

    number: int


Result = Done | Written | Deleted | DeletedMany | Epoch

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyCommand)


def encode(command: AnyCommand) -> bytes:
    """The binary form of a command: one byte of format version, then MessagePack."""
    return bytes((FORMAT,)) + _encoder.encode(command)


def decode(raw: bytes | memoryview) -> AnyCommand:
    """The command of a binary form.

    :raises ValueError: another format version, or not a command.
    """
    view = memoryview(raw)
    if len(view) == 0 or view[0] != FORMAT:
        raise ValueError("a command of a format this version does not know")
    command: AnyCommand = _decoder.decode(view[1:])  # msgspec.ValidationError is a ValueError
    return command
