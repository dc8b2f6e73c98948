"""XML of the other results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bleepstore.model.acl import Acl
from bleepstore.model.checksums import Checksum
from bleepstore.model.commands import DeleteTarget, Refusal, Written
from bleepstore.model.objects import ObjectVersion, PartInfo


def location_constraint(region: str) -> bytes:
    """GetBucketLocation; us-east-1 is shown as an empty constraint, as S3 does."""
    ...


def copy_object_result(written: Written) -> bytes:
    """CopyObjectResult."""
    ...


def copy_part_result(etag: str, last_modified: int, checksum: Checksum | None) -> bytes:
    """CopyPartResult."""
    ...


def initiate_upload_result(bucket: str, key: str, upload_id: str) -> bytes:
    """InitiateMultipartUploadResult."""
    ...


def complete_upload_result(location: str, bucket: str, key: str, written: Written) -> bytes:
    """CompleteMultipartUploadResult.  ``location`` is the object's URL.

    It has an XML declaration; when that was already sent before keep-alive blanks, see
    :data:`XML_DECLARATION`.
    """
    ...


def delete_result(
    targets: Sequence[DeleteTarget], outcomes: Sequence[Refusal | None], quiet: bool
) -> bytes:
    """DeleteResult: one entry per target in order; successes are left out if ``quiet``."""
    ...


def object_attributes_result(
    version: ObjectVersion,
    parts: Sequence[PartInfo],
    attributes: Collection[str],
    after: int = 0,
    limit: int = 1000,
) -> bytes:
    """GetObjectAttributesResponse: the attributes asked for.

    :param parts: all parts of a multipart object; empty otherwise.
    :param after: only parts with greater numbers are shown.
    """
    ...


def access_control_policy(acl: Acl, names: Mapping[str, str]) -> bytes:
    """AccessControlPolicy; ``names`` maps account ids to display names."""
    ...
