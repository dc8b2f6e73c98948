"""The table of commands: which function applies which.  Tests prove that none is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bleepstore.metadata.apply_buckets import create_bucket, delete_bucket, put_bucket_acl
from bleepstore.metadata.apply_complete import complete_upload
from bleepstore.metadata.apply_housekeeping import (
    delete_credential,
    forget_blobs,
    open_epoch,
    put_credential,
)
from bleepstore.metadata.apply_intents import forget_intent, recorder
from bleepstore.metadata.apply_objects import (
    check_put,
    copy_object,
    delete_object,
    delete_objects,
    put_object,
    put_object_acl,
)
from bleepstore.metadata.apply_uploads import abort_upload, create_upload, put_part
from bleepstore.metadata.transaction import Steps, Transaction
from bleepstore.model import commands
from bleepstore.model.commands import Command, Result

APPLY: dict[type[Command], Callable[[Transaction, Any], Steps[Result]]] = {
    commands.CreateBucket: create_bucket,
    commands.DeleteBucket: delete_bucket,
    commands.PutBucketAcl: put_bucket_acl,
    commands.PutObject: put_object,
    commands.CopyObject: copy_object,
    commands.PutObjectAcl: put_object_acl,
    commands.DeleteObject: delete_object,
    commands.DeleteObjects: delete_objects,
    commands.CreateUpload: create_upload,
    commands.PutPart: put_part,
    commands.CompleteUpload: complete_upload,
    commands.AbortUpload: abort_upload,
    commands.PutCredential: put_credential,
    commands.DeleteCredential: delete_credential,
    commands.OpenEpoch: open_epoch,
    commands.ForgetBlobs: forget_blobs,
    commands.RecordIntent: recorder(
        {commands.PutObject: check_put}, {commands.CompleteUpload: complete_upload}
    ),
    commands.ForgetIntent: forget_intent,
}
