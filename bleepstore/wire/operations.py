"""The one table of S3's operations: routing, permissions, metrics and the documents come from it.

Every operation of the S3 API stands here (a test holds the table against botocore's service
model); those that are not ``served`` are answered with 501 NotImplemented and touch nothing.

Actions are those of "Actions, resources, and condition keys for Amazon S3" in the Service
Authorization Reference; ACL permissions follow "Mapping of ACL permissions and access policy
permissions" in the S3 User Guide.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, structs

from bleepstore.model.acl import Permission


class Level(StrEnum):
    """What a request is about."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


TEMPLATES = {
    Level.SERVICE: "/",
    Level.BUCKET: "/{bucket}",
    Level.OBJECT: "/{bucket}/{key}",
}
"""The path templates of metrics and documents."""


class Body(StrEnum):
    """What the body of a request holds."""

    NONE = "none"
    XML = "xml"
    OBJECT = "object"


class Operation(Struct, frozen=True):
    """One operation of the S3 API.

    :ivar name: as in botocore's service model (``GetObject``).
    :ivar method: ``GET``, ``HEAD``, ``PUT``, ``POST``, ``DELETE``.
    :ivar subresource: the query name that selects it; empty for a plain target.
    :ivar action: its IAM action, ``s3:GetObject``.
    :ivar parameter: another query name that must be there too, to tell it from its siblings.
    :ivar copies: selected by x-amz-copy-source; then GetObject's READ on the source is
        needed as well.
    :ivar permission: what an ACL must grant; None: no ACL can, only the owner may
        (on SERVICE: every account may, anonymous callers may not).
    :ivar permission_on: whose ACL decides.
    :ivar body: what the request's body holds.
    :ivar versioned: whether ``versionId`` may select a version.
    :ivar served: whether this server does it; the others answer 501 NotImplemented.
    :ivar routable: False for names that another one of the same selector stands for.
    :ivar note: a line for the compatibility table.
    """

    name: str
    method: str
    level: Level
    subresource: str
    action: str
    parameter: str = ""
    copies: bool = False
    permission: Permission | None = None
    permission_on: Level = Level.BUCKET
    body: Body = Body.NONE
    versioned: bool = False
    served: bool = False
    routable: bool = True
    note: str = ""


_SERVICE, _BUCKET, _OBJECT = Level.SERVICE, Level.BUCKET, Level.OBJECT
_READ, _WRITE = Permission.READ, Permission.WRITE
_READ_ACP, _WRITE_ACP = Permission.READ_ACP, Permission.WRITE_ACP

_SERVED = (
    Operation(
        "ListBuckets", "GET", _SERVICE, "", "s3:ListAllMyBuckets", permission_on=_SERVICE,
        note="prefix, max-buckets, bucket-region, continuation tokens",
    ),
    Operation(
        "CreateBucket", "PUT", _BUCKET, "", "s3:CreateBucket", permission_on=_SERVICE,
        body=Body.XML,
        note="location constraint, canned ACL or grants; object ownership is ObjectWriter",
    ),
    Operation(
        "HeadBucket", "HEAD", _BUCKET, "", "s3:ListBucket", permission=_READ,
        note="x-amz-bucket-region",
    ),
    Operation(
        "DeleteBucket", "DELETE", _BUCKET, "", "s3:DeleteBucket",
        note="of an empty bucket; uploads in progress are aborted with it",
    ),
    Operation(
        "GetBucketLocation", "GET", _BUCKET, "location", "s3:GetBucketLocation",
        note="empty for us-east-1",
    ),
    Operation(
        "GetBucketAcl", "GET", _BUCKET, "acl", "s3:GetBucketAcl", permission=_READ_ACP,
        note="owner and grants",
    ),
    Operation(
        "PutBucketAcl", "PUT", _BUCKET, "acl", "s3:PutBucketAcl", permission=_WRITE_ACP,
        body=Body.XML, note="canned, grant headers or XML, one of the three",
    ),
    Operation(
        "ListObjects", "GET", _BUCKET, "", "s3:ListBucket", permission=_READ,
        note="prefix, any delimiter, marker, encoding-type",
    ),
    Operation(
        "ListObjectsV2", "GET", _BUCKET, "list-type", "s3:ListBucket", permission=_READ,
        note="prefix, any delimiter, start-after, fetch-owner, encoding-type, opaque tokens",
    ),
    Operation(
        "ListMultipartUploads", "GET", _BUCKET, "uploads", "s3:ListBucketMultipartUploads",
        permission=_READ, note="prefix, delimiter, both markers, encoding-type",
    ),
    Operation(
        "DeleteObjects", "POST", _BUCKET, "delete", "s3:DeleteObject", permission=_WRITE,
        body=Body.XML, note="up to 1,000 keys, quiet mode, conditions by key",
    ),
    Operation(
        "PutObject", "PUT", _OBJECT, "", "s3:PutObject", permission=_WRITE, body=Body.OBJECT,
        note="conditional writes, checksums as header or trailer, all aws-chunked forms of SigV4",
    ),
    Operation(
        "GetObject", "GET", _OBJECT, "", "s3:GetObject", permission=_READ, permission_on=_OBJECT,
        versioned=True,
        note="Range, If-Range, partNumber, the four conditions, response-* overrides",
    ),
    Operation(
        "HeadObject", "HEAD", _OBJECT, "", "s3:GetObject", permission=_READ, permission_on=_OBJECT,
        versioned=True, note="as GetObject, without the body",
    ),
    Operation(
        "DeleteObject", "DELETE", _OBJECT, "", "s3:DeleteObject", permission=_WRITE,
        versioned=True, note="If-Match",
    ),
    Operation(
        "CopyObject", "PUT", _OBJECT, "", "s3:PutObject", copies=True, permission=_WRITE,
        note="moves no bytes; source and destination conditions, metadata directive",
    ),
    Operation(
        "GetObjectAttributes", "GET", _OBJECT, "attributes", "s3:GetObjectAttributes",
        permission=_READ, permission_on=_OBJECT, versioned=True,
        note="ETag, Checksum, ObjectParts (paged), StorageClass, ObjectSize",
    ),
    Operation(
        "GetObjectAcl", "GET", _OBJECT, "acl", "s3:GetObjectAcl", permission=_READ_ACP,
        permission_on=_OBJECT, versioned=True, note="owner and grants",
    ),
    Operation(
        "PutObjectAcl", "PUT", _OBJECT, "acl", "s3:PutObjectAcl", permission=_WRITE_ACP,
        permission_on=_OBJECT, body=Body.XML, versioned=True,
        note="canned, grant headers or XML, one of the three",
    ),
    Operation(
        "CreateMultipartUpload", "POST", _OBJECT, "uploads", "s3:PutObject", permission=_WRITE,
        note="checksum algorithm and type, metadata, ACL, storage class",
    ),
    Operation(
        "UploadPart", "PUT", _OBJECT, "uploadId", "s3:PutObject", parameter="partNumber",
        permission=_WRITE, body=Body.OBJECT, note="as PutObject",
    ),
    Operation(
        "UploadPartCopy", "PUT", _OBJECT, "uploadId", "s3:PutObject", parameter="partNumber",
        copies=True, permission=_WRITE, note="source conditions, x-amz-copy-source-range",
    ),
    Operation(
        "CompleteMultipartUpload", "POST", _OBJECT, "uploadId", "s3:PutObject", permission=_WRITE,
        body=Body.XML, note="moves no bytes; conditional writes, checksums, idempotent",
    ),
    Operation(
        "AbortMultipartUpload", "DELETE", _OBJECT, "uploadId", "s3:AbortMultipartUpload",
        note="also by who began the upload; its parts are given back at once",
    ),
    Operation(
        "ListParts", "GET", _OBJECT, "uploadId", "s3:ListMultipartUploadParts",
        note="also by who began the upload; part-number-marker, max-parts",
    ),
)  # fmt: skip


def _bucket_configuration(
    noun: str, subresource: str, action: str, *, verbs: str, suffix: str = "", note: str = ""
) -> tuple[Operation, ...]:
    """The operations on one piece of a bucket's configuration.

    :param verbs: of ``Get Put Delete List``, those that exist.  Where List exists, the others
        are told from it by ``id``.
    :param suffix: what Get, Put and Delete carry after the noun; List has its plural.
    """
    rows = []
    for verb in verbs.split():
        listed = verb == "List"
        rows.append(
            Operation(
                f"{verb}{noun}{suffix}{'s' if listed else ''}",
                "GET" if listed else verb.upper(),
                _BUCKET,
                subresource,
                f"s3:{'Get' if verb in ('Get', 'List') else 'Put'}{action}",
                parameter="id" if "List" in verbs and not listed else "",
                body=Body.XML if verb == "Put" else Body.NONE,
                note=note,
            )
        )
    return tuple(rows)


def _later(
    name: str,
    method: str,
    level: Level,
    subresource: str,
    action: str,
    parameter: str = "",
    note: str = "",
    routable: bool = True,
) -> Operation:
    return Operation(
        name, method, level, subresource, action, parameter, note=note, routable=routable
    )


_LEGACY = "superseded by the operation of the same selector"
_DIRECTORY = "directory buckets"
_LAMBDA = "S3 Object Lambda, at an endpoint of its own"
_ANNOTATION = "object annotations"
_TABLES = "S3 Metadata tables"

_UNSERVED = (
    *_bucket_configuration("BucketAbac", "abac", "BucketAbac", verbs="Get Put"),
    *_bucket_configuration(
        "BucketAccelerate", "accelerate", "AccelerateConfiguration",
        verbs="Get Put", suffix="Configuration",
    ),
    *_bucket_configuration(
        "BucketAnalytics", "analytics", "AnalyticsConfiguration",
        verbs="Get Put Delete List", suffix="Configuration",
    ),
    *_bucket_configuration("BucketCors", "cors", "BucketCORS", verbs="Get Put Delete"),
    *_bucket_configuration(
        "BucketEncryption", "encryption", "EncryptionConfiguration", verbs="Get Put Delete",
    ),
    *_bucket_configuration(
        "BucketIntelligentTiering", "intelligent-tiering", "IntelligentTieringConfiguration",
        verbs="Get Put Delete List", suffix="Configuration",
    ),
    *_bucket_configuration(
        "BucketInventory", "inventory", "InventoryConfiguration",
        verbs="Get Put Delete List", suffix="Configuration",
    ),
    *_bucket_configuration(
        "BucketLifecycle", "lifecycle", "LifecycleConfiguration",
        verbs="Get Put", suffix="Configuration",
    ),
    _later("DeleteBucketLifecycle", "DELETE", _BUCKET, "lifecycle", "s3:PutLifecycleConfiguration"),
    _later("GetBucketLifecycle", "GET", _BUCKET, "lifecycle", "s3:GetLifecycleConfiguration",
           note=_LEGACY, routable=False),
    _later("PutBucketLifecycle", "PUT", _BUCKET, "lifecycle", "s3:PutLifecycleConfiguration",
           note=_LEGACY, routable=False),
    *_bucket_configuration("BucketLogging", "logging", "BucketLogging", verbs="Get Put"),
    *_bucket_configuration(
        "BucketMetrics", "metrics", "MetricsConfiguration",
        verbs="Get Put Delete List", suffix="Configuration",
    ),
    *_bucket_configuration(
        "BucketNotification", "notification", "BucketNotification",
        verbs="Get Put", suffix="Configuration",
    ),
    _later("GetBucketNotification", "GET", _BUCKET, "notification", "s3:GetBucketNotification",
           note=_LEGACY, routable=False),
    _later("PutBucketNotification", "PUT", _BUCKET, "notification", "s3:PutBucketNotification",
           note=_LEGACY, routable=False),
    *_bucket_configuration(
        "ObjectLock", "object-lock", "BucketObjectLockConfiguration",
        verbs="Get Put", suffix="Configuration",
    ),
    *_bucket_configuration(
        "BucketOwnershipControls", "ownershipControls", "BucketOwnershipControls",
        verbs="Get Put Delete", note="ownership is ObjectWriter: ACLs are in force",
    ),
    *_bucket_configuration("BucketPolicy", "policy", "BucketPolicy", verbs="Get Put"),
    _later("DeleteBucketPolicy", "DELETE", _BUCKET, "policy", "s3:DeleteBucketPolicy"),
    _later("GetBucketPolicyStatus", "GET", _BUCKET, "policyStatus", "s3:GetBucketPolicyStatus"),
    *_bucket_configuration(
        "PublicAccessBlock", "publicAccessBlock", "BucketPublicAccessBlock",
        verbs="Get Put Delete",
    ),
    *_bucket_configuration(
        "BucketReplication", "replication", "ReplicationConfiguration", verbs="Get Put Delete",
    ),
    *_bucket_configuration(
        "BucketRequestPayment", "requestPayment", "BucketRequestPayment", verbs="Get Put",
    ),
    *_bucket_configuration("BucketTagging", "tagging", "BucketTagging", verbs="Get Put Delete"),
    *_bucket_configuration(
        "BucketVersioning", "versioning", "BucketVersioning", verbs="Get Put",
        note="buckets are unversioned",
    ),
    *_bucket_configuration("BucketWebsite", "website", "BucketWebsite", verbs="Get Put"),
    _later("DeleteBucketWebsite", "DELETE", _BUCKET, "website", "s3:DeleteBucketWebsite"),
    _later("ListObjectVersions", "GET", _BUCKET, "versions", "s3:ListBucketVersions",
           note="buckets are unversioned"),
    _later("PostObject", "POST", _BUCKET, "", "s3:PutObject", note="upload by HTML form"),
    _later("CreateSession", "GET", _BUCKET, "session", "s3express:CreateSession", note=_DIRECTORY),
    _later("ListDirectoryBuckets", "GET", _SERVICE, "", "s3express:ListAllMyDirectoryBuckets",
           note=_DIRECTORY + ", at an endpoint of their own", routable=False),
    _later("CreateBucketMetadataConfiguration", "POST", _BUCKET, "metadataConfiguration",
           "s3:CreateBucketMetadataTableConfiguration", note=_TABLES),
    _later("GetBucketMetadataConfiguration", "GET", _BUCKET, "metadataConfiguration",
           "s3:GetBucketMetadataTableConfiguration", note=_TABLES),
    _later("DeleteBucketMetadataConfiguration", "DELETE", _BUCKET, "metadataConfiguration",
           "s3:DeleteBucketMetadataTableConfiguration", note=_TABLES),
    _later("CreateBucketMetadataTableConfiguration", "POST", _BUCKET, "metadataTable",
           "s3:CreateBucketMetadataTableConfiguration", note=_TABLES),
    _later("GetBucketMetadataTableConfiguration", "GET", _BUCKET, "metadataTable",
           "s3:GetBucketMetadataTableConfiguration", note=_TABLES),
    _later("DeleteBucketMetadataTableConfiguration", "DELETE", _BUCKET, "metadataTable",
           "s3:DeleteBucketMetadataTableConfiguration", note=_TABLES),
    _later("UpdateBucketMetadataAnnotationTableConfiguration", "PUT", _BUCKET,
           "metadataAnnotationTable", "s3:UpdateBucketMetadataAnnotationTableConfiguration",
           note=_TABLES),
    _later("UpdateBucketMetadataInventoryTableConfiguration", "PUT", _BUCKET,
           "metadataInventoryTable", "s3:UpdateBucketMetadataInventoryTableConfiguration",
           note=_TABLES),
    _later("UpdateBucketMetadataJournalTableConfiguration", "PUT", _BUCKET,
           "metadataJournalTable", "s3:UpdateBucketMetadataJournalTableConfiguration",
           note=_TABLES),
    _later("GetObjectTagging", "GET", _OBJECT, "tagging", "s3:GetObjectTagging"),
    _later("PutObjectTagging", "PUT", _OBJECT, "tagging", "s3:PutObjectTagging"),
    _later("DeleteObjectTagging", "DELETE", _OBJECT, "tagging", "s3:DeleteObjectTagging"),
    _later("GetObjectLegalHold", "GET", _OBJECT, "legal-hold", "s3:GetObjectLegalHold"),
    _later("PutObjectLegalHold", "PUT", _OBJECT, "legal-hold", "s3:PutObjectLegalHold"),
    _later("GetObjectRetention", "GET", _OBJECT, "retention", "s3:GetObjectRetention"),
    _later("PutObjectRetention", "PUT", _OBJECT, "retention", "s3:PutObjectRetention"),
    _later("GetObjectAnnotation", "GET", _OBJECT, "annotation", "s3:GetObjectAnnotation",
           parameter="annotationName", note=_ANNOTATION),
    _later("ListObjectAnnotations", "GET", _OBJECT, "annotation", "s3:ListObjectAnnotations",
           note=_ANNOTATION),
    _later("PutObjectAnnotation", "PUT", _OBJECT, "annotation", "s3:PutObjectAnnotation",
           note=_ANNOTATION),
    _later("DeleteObjectAnnotation", "DELETE", _OBJECT, "annotation", "s3:DeleteObjectAnnotation",
           note=_ANNOTATION),
    _later("UpdateObjectEncryption", "PUT", _OBJECT, "encryption", "s3:UpdateObjectEncryption"),
    _later("GetObjectTorrent", "GET", _OBJECT, "torrent", "s3:GetObjectTorrent"),
    _later("RestoreObject", "POST", _OBJECT, "restore", "s3:RestoreObject",
           note="every storage class can be read at once"),
    _later("SelectObjectContent", "POST", _OBJECT, "select", "s3:GetObject"),
    _later("RenameObject", "PUT", _OBJECT, "renameObject", "s3express:CreateSession",
           note=_DIRECTORY),
    _later("WriteGetObjectResponse", "POST", _SERVICE, "",
           "s3-object-lambda:WriteGetObjectResponse", note=_LAMBDA, routable=False),
)  # fmt: skip

_TOPICS = {
    "abac": "attribute-based access control",
    "accelerate": "transfer acceleration",
    "analytics": "storage class analysis",
    "cors": "cross-origin rules; a preflight is answered with AccessForbidden",
    "encryption": "server-side encryption",
    "intelligent-tiering": "archive tiers",
    "inventory": "inventory reports",
    "legal-hold": "object lock",
    "lifecycle": "lifecycle rules; stale uploads expire by configuration",
    "logging": "access logs into a bucket",
    "metrics": "CloudWatch request metrics",
    "notification": "event notifications",
    "object-lock": "object lock",
    "policy": "bucket policies; ACLs decide",
    "policyStatus": "bucket policies; ACLs decide",
    "publicAccessBlock": "public access settings; ACLs decide",
    "replication": "replication rules",
    "requestPayment": "requester pays",
    "retention": "object lock",
    "select": "SQL over objects",
    "tagging": "tags",
    "torrent": "BitTorrent",
    "website": "static website hosting",
}
"""A line for the operations of a sub-resource that need none of their own."""


def _completed(row: Operation, served: bool) -> Operation:
    return structs.replace(row, served=served, note=row.note or _TOPICS[row.subresource])


OPERATIONS: tuple[Operation, ...] = tuple(
    sorted(
        (
            *(_completed(row, served=True) for row in _SERVED),
            *(_completed(row, served=False) for row in _UNSERVED),
        ),
        key=lambda row: row.name,
    )
)
"""Every operation, served or not, in the order of their names."""

BY_NAME: dict[str, Operation] = {row.name: row for row in OPERATIONS}


_RESOURCE_TYPES = {
    "attributes": "OBJECT_ATTRIBUTES",
    "delete": "MULTI_OBJECT_DELETE",
    "uploadId": "UPLOAD",
}


def resource_type(level: Level, subresource: str = "") -> str:
    """What S3 calls the thing in the ``ResourceType`` of an error: ``OBJECT``, ``ACL``, ``UPLOAD``.

    Buckets and objects share a name where they share a sub-resource's.
    """
    if subresource in ("", "list-type"):
        return level.value.upper()
    return _RESOURCE_TYPES.get(subresource) or subresource.upper()


def _methods() -> dict[str, str]:
    methods: dict[str, set[str]] = {}
    for row in OPERATIONS:
        # What leads nowhere is not allowed; nor is PUT, of an upload without a part's number.
        if row.routable and not row.parameter:
            methods.setdefault(resource_type(row.level, row.subresource), set()).add(row.method)
    return {resource: ", ".join(sorted(names)) for resource, names in methods.items()}


ALLOWED_METHODS = _methods()
""":func:`resource_type` → the methods that have an operation there, as Allow lists them."""
