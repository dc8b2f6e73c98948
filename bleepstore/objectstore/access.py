"""Authorization by ACLs: which permission on what each operation needs.

Source: "Access control list (ACL) overview" in the Amazon S3 User Guide, its table that maps
ACL permissions to actions, and "Multipart upload and permissions".

| operation | needs |
|---|---|
| ListBuckets, CreateBucket | an account |
| HeadBucket, ListObjects, ListMultipartUploads | READ on the bucket |
| PutObject, CopyObject (destination), DeleteObject(s) | WRITE on the bucket |
| DeleteObject(s) | or to own the bucket |
| CreateMultipartUpload | WRITE on the bucket, and an account |
| UploadPart(Copy), CompleteMultipartUpload | the same, and to own the bucket or the upload |
| AbortMultipartUpload, ListParts | to own the bucket or the upload |
| DeleteBucket, GetBucketLocation | to own the bucket |
| GetObject, HeadObject, GetObjectAttributes, copy source | READ on the object |
| GetBucketAcl, GetObjectAcl | READ_ACP on it |
| PutBucketAcl, PutObjectAcl | WRITE_ACP on it |

An object belongs to who uploaded it (S3's ObjectWriter ownership); the owner of its bucket may
delete it, and reads it only by a grant.  An anonymous caller is never matched by a canonical id:
what anonymous callers upload belongs to an account that nobody can sign for.
"""

from __future__ import annotations

from bleepstore.errors import AccessDenied, NoSuchKey, NoSuchVersion, StoreError
from bleepstore.interfaces.metadata import ObjectLookup
from bleepstore.model.accounts import Account
from bleepstore.model.acl import Permission, allows
from bleepstore.model.objects import Bucket, ObjectVersion, Upload
from bleepstore.objectstore.requests import Caller

READ = Permission.READ
WRITE = Permission.WRITE


def require_account(caller: Caller) -> Account:
    """The caller's account.

    :raises AccessDenied: it is anonymous.
    """
    if caller.account is None:
        raise AccessDenied
    return caller.account


def owns(bucket: Bucket, caller: Caller) -> bool:
    """Whether the caller signed as the bucket's owner."""
    return caller.account is not None and caller.account.id == bucket.owner_id


def check_expected_owner(bucket: Bucket, expected_owner: str) -> None:
    """Decide ``x-amz-expected-bucket-owner``; nothing is decided when it is empty.

    :raises AccessDenied: the bucket has another owner.
    """
    if expected_owner and expected_owner != bucket.owner_id:
        raise AccessDenied


def require_bucket(bucket: Bucket, caller: Caller, permission: Permission) -> None:
    """:raises AccessDenied: the bucket's ACL does not give the permission."""
    check_expected_owner(bucket, caller.expected_bucket_owner)
    if not allows(bucket.acl, caller.account, permission):
        raise AccessDenied


def require_bucket_owner(bucket: Bucket, caller: Caller) -> None:
    """:raises AccessDenied: the bucket is another's."""
    check_expected_owner(bucket, caller.expected_bucket_owner)
    if not owns(bucket, caller):
        raise AccessDenied


def may_delete(bucket: Bucket, caller: Caller) -> bool:
    """Whether the caller may delete any object of the bucket: its owner, or who may write to it."""
    return owns(bucket, caller) or allows(bucket.acl, caller.account, WRITE)


def require_deletion(bucket: Bucket, caller: Caller) -> None:
    """:raises AccessDenied: the caller neither owns the bucket nor may write to it."""
    check_expected_owner(bucket, caller.expected_bucket_owner)
    if not may_delete(bucket, caller):
        raise AccessDenied


def require_version(
    lookup: ObjectLookup,
    caller: Caller,
    permission: Permission,
    key: str,
    version_id: str,
    expected_owner: str,
) -> ObjectVersion:
    """The version that was looked up, if the caller has ``permission`` on it.

    :param version_id: what was asked for; empty for the current one.
    :raises NoSuchKey: there is none, and the caller may list the bucket.
    :raises NoSuchVersion: the same, when a version was asked for by its id.
    :raises AccessDenied: no permission; also for a missing key, if the caller may not list the
        bucket, so that nobody learns by it which keys exist (GetObject, "Permissions").
    """
    bucket = lookup.bucket
    if expected_owner:
        check_expected_owner(bucket, expected_owner)
    version = lookup.version
    if version is None:
        raise _missing(bucket, caller, key, version_id)
    if not allows(version.acl, caller.account, permission):
        raise AccessDenied
    return version


def _missing(bucket: Bucket, caller: Caller, key: str, version_id: str) -> StoreError:
    if not allows(bucket.acl, caller.account, READ):
        return AccessDenied()
    if version_id:
        return NoSuchVersion(Key=key, VersionId=version_id)
    return NoSuchKey(Key=key)


def require_upload_party(bucket: Bucket, upload: Upload, caller: Caller) -> None:
    """:raises AccessDenied: the caller neither initiated the upload nor owns the bucket."""
    check_expected_owner(bucket, caller.expected_bucket_owner)
    account = caller.account
    if account is None or account.id not in (upload.initiator_id, bucket.owner_id):
        raise AccessDenied
