"""XML of the other results.

Members and their order are those of the API reference's response syntax.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bleepstore.errors import NoSuchVersion
from bleepstore.model.acl import Acl, Grant
from bleepstore.model.commands import DeleteTarget, Refusal, Written
from bleepstore.model.objects import ObjectVersion, Part, PartInfo
from bleepstore.wire.dates import iso_date
from bleepstore.wire.parameters import is_version_id
from bleepstore.wire.xml_text import checksum_element, document, escaped, owner_element

_NO_SUCH_VERSION = Refusal(NoSuchVersion.__name__, NoSuchVersion.message)
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def location_constraint(region: str) -> bytes:
    """GetBucketLocation; us-east-1 is shown as an empty constraint, as S3 does."""
    return document("LocationConstraint", "" if region == "us-east-1" else escaped(region))


def copy_object_result(written: Written) -> bytes:
    """CopyObjectResult."""
    return document(
        "CopyObjectResult",
        _copy(written.etag, written.last_modified)
        + checksum_element(written.checksum, with_type=True),
    )


def copy_part_result(part: Part) -> bytes:
    """CopyPartResult."""
    return document(
        "CopyPartResult", _copy(part.etag, part.last_modified) + checksum_element(part.checksum)
    )


def _copy(etag: str, last_modified: int) -> str:
    return (
        f"<LastModified>{iso_date(last_modified)}</LastModified>"
        f"<ETag>&quot;{escaped(etag)}&quot;</ETag>"
    )


def initiate_upload_result(bucket: str, key: str, upload_id: str) -> bytes:
    """InitiateMultipartUploadResult."""
    return document(
        "InitiateMultipartUploadResult",
        f"<Bucket>{escaped(bucket)}</Bucket><Key>{escaped(key)}</Key>"
        f"<UploadId>{escaped(upload_id)}</UploadId>",
    )


def complete_upload_result(location: str, bucket: str, key: str, written: Written) -> bytes:
    """CompleteMultipartUploadResult.  ``location`` is the object's URL.

    Blanks that keep a connection alive go between ``xml_text.DECLARATION``, with which this
    and every error body begins, and the rest.
    """
    return document(
        "CompleteMultipartUploadResult",
        f"<Location>{escaped(location)}</Location><Bucket>{escaped(bucket)}</Bucket>"
        f"<Key>{escaped(key)}</Key><ETag>&quot;{escaped(written.etag)}&quot;</ETag>"
        f"{checksum_element(written.checksum, with_type=True)}",
    )


def delete_result(
    targets: Sequence[DeleteTarget], outcomes: Sequence[Refusal | None], quiet: bool
) -> bytes:
    """DeleteResult: one entry per target in order; successes are left out if ``quiet``.

    A version id that is none at all was nobody's, so nothing was deleted, and S3 says so.
    """
    pieces = []
    for target, outcome in zip(targets, outcomes, strict=True):
        refusal = outcome
        if refusal is None and target.version_id and not is_version_id(target.version_id):
            refusal = _NO_SUCH_VERSION
        if refusal is None and quiet:
            continue
        named = f"<Key>{escaped(target.key)}</Key>"
        if target.version_id:
            named += f"<VersionId>{escaped(target.version_id)}</VersionId>"
        if refusal is None:
            pieces.append(f"<Deleted>{named}</Deleted>")
        else:
            pieces.append(
                f"<Error>{named}<Code>{escaped(refusal.code)}</Code>"
                f"<Message>{escaped(refusal.message)}</Message></Error>"
            )
    return document("DeleteResult", "".join(pieces))


def object_attributes_result(
    version: ObjectVersion,
    parts: Sequence[PartInfo],
    attributes: Collection[str],
    after: int = 0,
    limit: int = 1000,
) -> bytes:
    """GetObjectAttributesResponse: the attributes asked for.  Its ETag has no quotes, as in S3.

    :param parts: all parts of a multipart object, ascending; empty otherwise.
    :param after: only parts with greater numbers are shown.
    """
    content = ""
    if "ETag" in attributes:
        content += f"<ETag>{escaped(version.etag)}</ETag>"
    if "Checksum" in attributes and version.checksum is not None:
        content += f"<Checksum>{checksum_element(version.checksum, with_type=True)}</Checksum>"
    if "ObjectParts" in attributes and parts:
        content += f"<ObjectParts>{_object_parts(parts, after, limit)}</ObjectParts>"
    if "StorageClass" in attributes:
        content += f"<StorageClass>{escaped(version.description.storage_class)}</StorageClass>"
    if "ObjectSize" in attributes:
        content += f"<ObjectSize>{version.size}</ObjectSize>"
    return document("GetObjectAttributesResponse", content)


def _object_parts(parts: Sequence[PartInfo], after: int, limit: int) -> str:
    following = [part for part in parts if part.number > after]
    page = following[:limit]
    pieces = [
        f"<PartsCount>{len(parts)}</PartsCount><PartNumberMarker>{after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{page[-1].number if page else 0}</NextPartNumberMarker>"
        f"<MaxParts>{limit}</MaxParts>"
        f"<IsTruncated>{'true' if len(page) < len(following) else 'false'}</IsTruncated>"
    ]
    for part in page:
        pieces.append(
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            f"{checksum_element(part.checksum)}</Part>"
        )
    return "".join(pieces)


def access_control_policy(acl: Acl, names: Mapping[str, str]) -> bytes:
    """AccessControlPolicy; ``names`` maps account ids to display names."""
    owner = owner_element("Owner", acl.owner_id, names.get(acl.owner_id, ""))
    grants = "".join(_grant(grant, names) for grant in acl.grants)
    return document(
        "AccessControlPolicy", f"{owner}<AccessControlList>{grants}</AccessControlList>"
    )


def _grant(grant: Grant, names: Mapping[str, str]) -> str:
    if grant.group:
        kind, grantee = "Group", f"<URI>{escaped(grant.group)}</URI>"
    else:
        kind, grantee = "CanonicalUser", f"<ID>{escaped(grant.account_id)}</ID>"
        name = names.get(grant.account_id)
        if name:
            grantee += f"<DisplayName>{escaped(name)}</DisplayName>"
    return (
        f'<Grant><Grantee xmlns:xsi="{_XSI}" xsi:type="{kind}">{grantee}</Grantee>'
        f"<Permission>{grant.permission.value}</Permission></Grant>"
    )
